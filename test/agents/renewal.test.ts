/** The agent's serving certificate, over years. */
import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PemConverter, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509';
import test from 'ava';
import type { Engine } from '../../src/agents/index.ts';
import { servingCertificate } from '../../src/agents/server/certificate.ts';
import { startServer } from '../../src/agents/server/index.ts';
import { renewServing } from '../../src/agents/server/renewal.ts';
import type { Sources } from '../../src/agents/server/summary.ts';
import { connectAgent } from '../../src/api/http/agent-connection.ts';
import { openPki, servingCertificateAnnotation } from '../../src/api/index.ts';
import type { Node } from '../../src/kinds/index.ts';
import { handClock } from '../client/clock.ts';
import { silentLog } from '../testbed/silent-log.ts';

const DAY_MS = 24 * 3600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

test('the serving certificate changes before it ends, and at every moment the API knows the one that it is shown', async (t) => {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-serving-'));
	t.teardown(() => rm(dataDir, { recursive: true }));
	const stop = new AbortController();
	const { signal } = stop;
	let now = Date.now() - 300 * DAY_MS;
	const load = () => servingCertificate(dataDir, 'n1', '127.0.0.1', now);
	const first = await load();
	t.is((await load()).fingerprint, first.fingerprint);
	const pki = await openPki({ dataDir });
	const server = await startServer({
		certificate: first,
		clientCa: pki.authority.cert,
		port: 0,
		// Nothing is asked of it, and nothing is read.
		engine: {} as Engine,
		sources: {} as Sources,
		probes: () => [],
		drivers: { get: () => undefined, expand: async () => ({}) },
		pods: { find: () => undefined, all: () => [] },
		mirror: () => {
			throw new Error('there is none');
		},
		now: () => now,
		log: silentLog,
		signal,
	});
	t.teardown(async () => {
		stop.abort();
		await server[Symbol.asyncDispose]();
	});
	const published: (readonly string[])[] = [];
	/** The certificate that the API is shown where the node says so; throws where it takes it for another. */
	const connect = async (fingerprints: readonly string[]) => {
		const node: Node = {
			apiVersion: 'v1',
			kind: 'Node',
			metadata: { name: 'n1', annotations: { [servingCertificateAnnotation]: fingerprints.join(',') } },
			spec: {},
			status: {
				addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
				daemonEndpoints: { kubeletEndpoint: { Port: server.port } },
			},
		};
		const socket = await connectAgent(node, pki.kubelet, signal);
		const shown = new X509Certificate(socket.getPeerCertificate().raw);
		socket.destroy();
		return shown;
	};
	await connect([first.fingerprint]);
	const clock = handClock();
	const done = Promise.withResolvers<void>();
	let refusals = 1;
	void renewServing(first, {
		load,
		async publish(fingerprints) {
			// The API is away when it is first told.
			if (refusals-- > 0) {
				setImmediate(() => setImmediate(() => clock.advance(60_000)));
				throw new Error('away');
			}
			published.push(fingerprints);
			await connect(fingerprints).then(
				() => fingerprints.length === 1 && done.resolve(),
				(error) => done.reject(error),
			);
		},
		show(next) {
			server.show(next);
		},
		log: silentLog,
		signal,
		clock,
	});
	now = Date.now();
	clock.advance(3_600_000);
	await done.promise;
	const { fingerprint } = await load();
	t.deepEqual(published, [[first.fingerprint, fingerprint], [fingerprint]]);
	const shown = await connect([fingerprint]);
	t.true(Date.parse(shown.validTo) > Date.now() + 364 * DAY_MS);
	await t.throwsAsync(connect([first.fingerprint]), { message: /shows another certificate/ });
});

test('a certificate of ten years, as agents had before, is replaced', async (t) => {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-serving-'));
	t.teardown(() => rm(dataDir, { recursive: true }));
	await mkdir(join(dataDir, 'agent'));
	const kept = async (years: number) => {
		const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
		const certificate = await X509CertificateGenerator.createSelfSigned({
			name: 'CN=system:node:n1, O=system:nodes',
			keys: { publicKey: keys.publicKey, privateKey: keys.privateKey },
			signingAlgorithm: ALGORITHM,
			notBefore: new Date(),
			notAfter: new Date(Date.now() + years * 365 * DAY_MS),
			extensions: [
				new SubjectAlternativeNameExtension([
					{ type: 'dns', value: 'n1' },
					{ type: 'ip', value: '127.0.0.1' },
				]),
			],
		});
		const cert = certificate.toString('pem');
		const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
		await writeFile(join(dataDir, 'agent/serving.pem'), `${key}\n${cert}\n`);
		return (await servingCertificate(dataDir, 'n1', '127.0.0.1', Date.now())).cert.trim() === cert.trim();
	};
	t.true(await kept(1), 'one of a year stays');
	t.false(await kept(10));
});
