/** A server that runs for longer than its certificates live. */
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { openPki, serveApi } from '../../src/api/index.ts';
import { keepCertificates } from '../../src/cli/platform/certificates.ts';
import { handClock } from '../client/clock.ts';
import { openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';

const DAY_MS = 24 * 3_600_000;

test('a server that runs on past the end of its certificates has new ones, and so has the kubeconfig', async (t) => {
	await using opened = await openTestApi();
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-certificates-'));
	t.teardown(() => rm(dataDir, { recursive: true }));
	const stop = new AbortController();
	t.teardown(() => stop.abort());
	// Started so long ago that the certificates of then have ended.
	let now = Date.now() - 366 * DAY_MS;
	const pki = await openPki({ dataDir, now: () => now });
	const served = await serveApi({ api: opened.api, pki, address: '127.0.0.1', port: 0, log: silentLog });
	t.teardown(() => served.close());
	const clock = handClock();
	const certificates = keepCertificates(pki, { log: silentLog, signal: stop.signal, clock });
	let wrote = Promise.withResolvers<void>();
	await certificates.follow(async () => {
		served.renew();
		wrote.resolve();
	});
	const ask = (pair = pki.admin) =>
		new Promise<number>((resolve, reject) => {
			const options = { ca: pki.authority.cert, ...pair, host: '127.0.0.1', port: served.port, agent: false };
			request({ ...options, path: '/api/v1/nodes' }, (answer) => {
				answer.resume();
				resolve(answer.statusCode ?? 0);
			})
				.on('error', reject)
				.end();
		});
	const old = pki.admin;
	await t.throwsAsync(ask(), { code: 'CERT_HAS_EXPIRED' });
	wrote = Promise.withResolvers();
	now = Date.now();
	clock.advance(3_600_000);
	await wrote.promise;
	t.is(await ask(), 200);
	t.is(await ask(old), 401, 'that of then has ended');
});

test('a client whose certificate has ended is nobody any more, on the connection that it made before too', async (t) => {
	await using opened = await openTestApi();
	let now = Date.now();
	const pki = await openPki({ dataDir: opened.dataDir });
	const { api } = opened;
	const served = await serveApi({ api, pki, address: '127.0.0.1', port: 0, log: silentLog, now: () => now });
	t.teardown(() => served.close());
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	t.teardown(() => agent.destroy());
	const sockets = new Set<unknown>();
	const ask = () =>
		new Promise<number>((resolve, reject) => {
			const options = { ca: pki.authority.cert, ...pki.admin, host: '127.0.0.1', port: served.port, agent };
			request({ ...options, path: '/api/v1/nodes' }, (answer) => {
				answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
			})
				.on('socket', (socket) => sockets.add(socket))
				.on('error', reject)
				.end();
		});
	t.is(await ask(), 200);
	now += 364 * DAY_MS;
	t.is(await ask(), 200);
	now += 2 * DAY_MS;
	t.is(await ask(), 401);
	t.is(sockets.size, 1, 'it was one connection');
});

test('the end of the authority is told a year before, once', async (t) => {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-certificates-'));
	t.teardown(() => rm(dataDir, { recursive: true }));
	const pki = await openPki({ dataDir });
	const stop = new AbortController();
	t.teardown(() => stop.abort());
	const warnings: string[] = [];
	const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) };
	const clock = handClock();
	let now = Date.now() + 9 * 365 * DAY_MS - 2 * DAY_MS;
	keepCertificates(pki, { log, signal: stop.signal, clock, now: () => now });
	t.deepEqual(warnings, []);
	now += 4 * DAY_MS;
	for (let look = 0; look < 2; look++) {
		clock.advance(3_600_000);
		for (const end = Date.now() + 60_000; Date.now() < end && clock.waiting === 0; )
			await new Promise((resolve) => setImmediate(resolve));
	}
	t.deepEqual(warnings, ['the certificate authority comes to its end; replace it before']);
});
