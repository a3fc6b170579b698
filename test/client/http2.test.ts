/** How the client shares connections of HTTP/2, and what it makes of their ends. */

import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { limits } from '../../src/api/limits.ts';
import { loadKubeconfig, overHttp } from '../../src/client/index.ts';
import { ApiError, ConfigMap } from '../../src/kinds/index.ts';
import { serveTestApi } from '../testbed/api.ts';
import { cuttingProxy } from './cutting-proxy.ts';

const configMap = (name: string): ConfigMap => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: { name, namespace: 'default' },
});

async function connected(t: ExecutionContext, how?: Parameters<typeof serveTestApi>[1]) {
	const server = await serveTestApi({}, how);
	const proxy = await cuttingProxy(t, server.served.port);
	const config = { ...(await loadKubeconfig(server.kubeconfig)), server: `https://127.0.0.1:${proxy.port}` };
	const client = await overHttp(config, 'tester/1.0');
	const stop = new AbortController();
	t.teardown(async () => {
		stop.abort();
		await client[Symbol.asyncDispose]();
		await server[Symbol.asyncDispose]();
	});
	return { server, proxy, client, config, signal: stop.signal };
}

/** Opens watches, and resolves when each has begun. */
async function watches(client: Awaited<ReturnType<typeof overHttp>>, count: number, signal: AbortSignal) {
	const path = '/api/v1/namespaces/default/configmaps?watch=true';
	const ask = () => client.transport.ask({ path, signal, stream: true });
	return Promise.all(Array.from({ length: count }, ask));
}

test('requests and watches of a client share a connection, and another is made where the server lets it have no more', async (t) => {
	const { client, proxy, signal } = await connected(t);
	await watches(client, 20, signal);
	await Promise.all(Array.from({ length: 20 }, (_, index) => client.create(ConfigMap, configMap(`a-${index}`))));
	t.is(proxy.connections, 1);
	await watches(client, limits.streams, signal);
	t.is(proxy.connections, 2);
	await client.create(ConfigMap, configMap('b'));
	t.is(proxy.connections, 2);
});

test('connections that are told to go away lose no write and make none twice', async (t) => {
	let told = 0;
	const { client, proxy } = await connected(t, { goawayChance: 0.5, random: () => (told++ % 20 === 0 ? 0 : 1) });
	const names = Array.from({ length: 200 }, (_, index) => `a-${index}`);
	// One made twice would be told that it is there already.
	await Promise.all(names.map((name) => client.create(ConfigMap, configMap(name))));
	t.is((await client.list(ConfigMap, { namespace: 'default' })).items.length, names.length);
	t.true(proxy.connections > 1, 'nobody was told to go');
});

test('a server that knows HTTP/1.1 only is spoken to in that', async (t) => {
	const { server, config } = await connected(t);
	const seen: string[] = [];
	const older = createHttps({ cert: server.pki.server.cert, key: server.pki.server.key }, (request, response) => {
		seen.push(request.httpVersion);
		response.end(JSON.stringify(configMap('a')));
	});
	await new Promise<void>((resolve) => older.listen(0, '127.0.0.1', resolve));
	t.teardown(() => older.close());
	const { port } = older.address() as AddressInfo;
	await using client = await overHttp({ ...config, server: `https://127.0.0.1:${port}` }, 'tester');
	for (const _ of [1, 2]) t.is((await client.get(ConfigMap, { name: 'a', namespace: 'default' })).metadata.name, 'a');
	t.deepEqual(seen, ['1.1', '1.1']);
});

/** A server that does with each stream as it is told, and a client of it. */
async function odd(t: ExecutionContext, answer: (stream: ServerHttp2Stream, path: string) => void) {
	const { server, config } = await connected(t);
	const made = createSecureServer({ cert: server.pki.server.cert, key: server.pki.server.key });
	made.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
		stream.on('error', () => {});
		answer(stream, String(headers[':path']));
	});
	await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
	t.teardown(() => made.close());
	const { port } = made.address() as AddressInfo;
	const client = await overHttp({ ...config, server: `https://127.0.0.1:${port}/under/it` }, 'tester');
	t.teardown(() => client[Symbol.asyncDispose]());
	return client;
}

test('an answer that breaks off is an error, and never a short answer', async (t) => {
	const client = await odd(t, (stream, path) => {
		stream.respond({ ':status': 200 });
		stream.write('one line\n', () =>
			path === '/under/it/x' ? stream.session?.destroy() : stream.destroy(new Error('no more')),
		);
	});
	const { body } = await client.transport.ask({ path: '/x', stream: true });
	await t.throwsAsync(text(body), undefined, 'the connection ends');
	await t.throwsAsync(client.get(ConfigMap, { name: 'a', namespace: 'default' }), { instanceOf: ApiError, code: 503 });
});

test('a request that the server has not looked at is sent again, a few times, and others are not', async (t) => {
	const seen: string[] = [];
	const client = await odd(t, (stream, path) => {
		seen.push(path);
		const times = seen.filter((each) => each === path).length;
		if (path.endsWith('/once') && times > 1) {
			stream.respond({ ':status': 200 });
			stream.end('{}');
		} else stream.close(path.endsWith('/cancelled') ? 8 : 7);
	});
	const post = (path: string) => client.transport.ask({ method: 'POST', path, body: '{}' });
	t.is((await post('/once')).status, 200);
	await t.throwsAsync(post('/never'), { instanceOf: ApiError });
	await t.throwsAsync(post('/cancelled'), { instanceOf: ApiError });
	const count = (path: string) => seen.filter((each) => each === `/under/it${path}`).length;
	t.deepEqual([count('/once'), count('/never'), count('/cancelled')], [2, 5, 1]);
});

test('a request is left when its signal aborts, also while no connection is made', async (t) => {
	const { client, proxy } = await connected(t);
	const stop = new AbortController();
	proxy.hold();
	const asked = client.transport.ask({ path: '/healthz', signal: stop.signal });
	stop.abort(new Error('enough'));
	await t.throwsAsync(asked, { message: 'enough' });
});
