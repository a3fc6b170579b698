/** How an agent comes by its certificate, and keeps one. */
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { claimDataDir } from '../../src/agents/node/identity.ts';
import { nodeOfRequest, signNodeRequest } from '../../src/api/index.ts';
import { nodeCredentials, renewNodeCredentials } from '../../src/cli/platform/node-credentials.ts';
import { followKubeconfig, loadKubeconfig, overHttp } from '../../src/client/index.ts';
import { Node, Secret } from '../../src/kinds/index.ts';
import { nodeCertificates } from '../../src/reconcile/nodes/node-certificates.ts';
import { handClock } from '../client/clock.ts';
import { run, worldOf } from '../client/world.ts';
import { serveTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';

const DAY_MS = 24 * 3_600_000;

async function start(t: ExecutionContext) {
	const server = await serveTestApi();
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-node-'));
	const w = worldOf(t, server);
	const stop = new AbortController();
	t.teardown(() => {
		stop.abort();
		return rm(dataDir, { recursive: true });
	});
	let signedAt = Date.now();
	const sign = (spec: Parameters<typeof nodeOfRequest>[0]) => signNodeRequest(server.pki.authority, spec, signedAt);
	run(t, w, [nodeCertificates({ nodeOf: nodeOfRequest, sign })]);
	const said: string[] = [];
	return {
		server,
		dataDir,
		said,
		/** From when on certificates are good that are signed from now on. */
		signAt(time: number) {
			signedAt = time;
		},
		signal: stop.signal,
		end: () => stop.abort(),
		credentials: (options: { given?: string; now?: () => number; nodeName?: string }) =>
			nodeCredentials({
				nodeName: 'n1',
				dataDir,
				say: (line) => said.push(line),
				log: silentLog,
				signal: stop.signal,
				...options,
			}),
	};
}

test('an agent asks once with the kubeconfig that it is given, and from then on is its node and no more', async (t) => {
	const { server, credentials } = await start(t);
	await t.throwsAsync(credentials({}), {
		name: 'UserError',
		message: /an agent needs the kubeconfig of its control plane/,
	});
	const { path, config } = await credentials({ given: server.kubeconfig });
	t.is((await stat(path)).mode & 0o777, 0o600);
	t.like(config, { server: server.url, ca: server.pki.authority.cert });
	await using client = await overHttp(config, 'test');
	await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, spec: {} });
	await t.throwsAsync(client.list(Secret, {}), { message: /User "system:node:n1" cannot list/ });
	t.deepEqual((await credentials({})).config, config, 'a start needs nothing else');
	t.deepEqual((await credentials({ given: server.kubeconfig })).config, config);
	await t.throwsAsync(credentials({ nodeName: 'n2' }), { message: /is not good for the node n2, or has ended/ });
});

test('an agent that is started with another name loses the node nothing', async (t) => {
	const { server, credentials, dataDir } = await start(t);
	const { config } = await credentials({ given: server.kubeconfig });
	await claimDataDir(dataDir, 'n1');
	await t.throwsAsync(credentials({ nodeName: 'n2', given: server.kubeconfig }), {
		name: 'UserError',
		message: /belongs to the node n1, and this is the node n2: start it with --node-name n1/,
	});
	t.deepEqual((await credentials({})).config, config);
});

test('an agent whose control plane is away at its first start waits for it, and says so once', async (t) => {
	const { server, credentials, said, end } = await start(t);
	await server.served.close();
	const joining = credentials({ given: server.kubeconfig });
	const left = joining.then(
		() => 'joined',
		() => 'ended',
	);
	for (const until = Date.now() + 60_000; Date.now() < until && said.length === 0; )
		await new Promise((resolve) => setTimeout(resolve, 10));
	t.regex(said.join('\n'), /^the API server at .* cannot be reached: .*; it is tried again until it can$/);
	end();
	t.is(await left, 'ended');
});

test('a node that was away for longer than its certificate needs the kubeconfig of an administrator again', async (t) => {
	const { server, credentials } = await start(t);
	const { config } = await credentials({ given: server.kubeconfig });
	const now = () => Date.now() + 366 * DAY_MS;
	await t.throwsAsync(credentials({ now }), {
		message: /has ended: start the agent once with the kubeconfig of an administrator/,
	});
	const renewed = await credentials({ now, given: server.kubeconfig });
	t.not(renewed.config.cert, config.cert);
});

test('an agent renews its certificate by itself, and what it asks from then on it asks with the new one', async (t) => {
	const { server, credentials, signAt, signal } = await start(t);
	signAt(Date.now() - 300 * DAY_MS);
	const { path, config } = await credentials({ given: server.kubeconfig });
	signAt(Date.now());
	const clock = handClock();
	await using client = await overHttp(await followKubeconfig(path, undefined, clock), 'test');
	await client.list(Node, {});
	t.is(client.transport.config.cert, config.cert);
	void renewNodeCredentials(client, path, { nodeName: 'n1', say: () => {}, log: silentLog, signal });
	let cert: string | undefined;
	for (const end = Date.now() + 60_000; Date.now() < end && (cert ?? config.cert) === config.cert; )
		cert = (await loadKubeconfig(path)).cert;
	const days = (Date.parse(new X509Certificate(cert ?? '').validTo) - Date.now()) / DAY_MS;
	t.true(days > 364, `${days} days`);
	clock.advance(60_000);
	await client.list(Node, {});
	t.is(client.transport.config.cert, cert);
});

test('one that has ended while its agent ran is renewed with the kubeconfig that the agent was given, or it is said', async (t) => {
	const { server, credentials, signAt, signal } = await start(t);
	signAt(Date.now() - 366 * DAY_MS);
	const { path } = await credentials({ given: server.kubeconfig });
	signAt(Date.now());
	await using client = await overHttp(await followKubeconfig(path), 'test');
	await t.throwsAsync(client.list(Node, {}), { message: /Unauthorized/ });
	const ended = new AbortController();
	const warned = Promise.withResolvers<unknown>();
	const log = { ...silentLog, warn: (fields: object) => warned.resolve(fields) };
	const options = { nodeName: 'n1', say: () => {} };
	void renewNodeCredentials(client, path, { ...options, log, signal: ended.signal });
	t.like(await warned.promise, {
		cause:
			'it has ended; start the agent once with the kubeconfig of an administrator, driftless --kubeconfig FILE agent',
	});
	ended.abort();
	const { promise: renewed, resolve } = Promise.withResolvers<void>();
	const told = { ...silentLog, info: () => resolve() };
	void renewNodeCredentials(client, path, { ...options, log: told, signal, given: server.kubeconfig });
	await renewed;
	const { cert = '' } = await loadKubeconfig(path);
	t.true(Date.parse(new X509Certificate(cert).validTo) > Date.now());
});
