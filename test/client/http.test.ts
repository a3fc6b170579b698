import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openApi, serveApi, writeKubeconfig } from '../../src/api/index.ts';
import {
	createCache,
	type Delta,
	followKubeconfig,
	inProcess,
	loadKubeconfig,
	overHttp,
} from '../../src/client/index.ts';
import { ApiError, ConfigMap, Deployment, Lease, loadRegistry, Namespace, Node, Pod } from '../../src/kinds/index.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { handClock } from './clock.ts';
import { cuttingProxy } from './cutting-proxy.ts';

const configMap = (name: string, data: Record<string, string> = {}): ConfigMap => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: { name, namespace: 'default', labels: { name } },
	data,
});
const at = (name: string) => ({ name, namespace: 'default' });

/** A real server, a client of it over HTTP, and one in process beside it. */
async function connected(t: ExecutionContext, through?: (port: number) => Promise<number>) {
	const server = await serveTestApi();
	const config = await loadKubeconfig(server.kubeconfig);
	const port = await through?.(server.served.port);
	const client = await overHttp(port ? { ...config, server: `https://127.0.0.1:${port}` } : config, 'tester/1.0');
	const stop = new AbortController();
	t.teardown(async () => {
		stop.abort();
		await client[Symbol.asyncDispose]();
		await server[Symbol.asyncDispose]();
	});
	return { server, client, config, beside: inProcess(server.api, admin), signal: stop.signal };
}

test('every verb over HTTP does what it does in process', async (t) => {
	const { client, beside } = await connected(t);
	const created = await client.create(ConfigMap, configMap('a', { key: 'é ü 漢 🦀' }));
	t.true(Object.isFrozen(created.data));
	t.is(created.metadata.managedFields?.[0]?.manager, 'tester');
	t.deepEqual(await client.get(ConfigMap, at('a')), await beside.get(ConfigMap, at('a')));

	const updated = await client.update(ConfigMap, { ...created, data: { key: 'two' } });
	t.is(updated.data?.key, 'two');
	const patched = await client.patch(ConfigMap, at('a'), { type: 'merge', body: { data: { other: 'x' } } });
	t.deepEqual(patched.data, { key: 'two', other: 'x' });
	const json = [{ op: 'remove', path: '/data/other' }];
	t.deepEqual((await client.patch(ConfigMap, at('a'), { type: 'json', body: json })).data, { key: 'two' });
	const applied = await client
		.as('applier')
		.patch(ConfigMap, at('b'), { type: 'apply', body: configMap('b', { by: 'apply' }) });
	t.like(applied.metadata.managedFields?.[0], { manager: 'applier', operation: 'Apply' });

	await client.create(ConfigMap, configMap('dry'), { dryRun: true });
	const list = await client.list(ConfigMap, { namespace: 'default' });
	t.deepEqual(
		list.items.map(({ metadata }) => metadata.name),
		['a', 'b'],
	);
	t.true(list.items.every(({ kind, apiVersion }) => kind === 'ConfigMap' && apiVersion === 'v1'));
	t.is((await client.list(ConfigMap, { labelSelector: 'name=b' })).items.length, 1);
	const page = await client.list(ConfigMap, { limit: 1 });
	t.is(page.items.length, 1);
	t.is((await client.list(ConfigMap, { limit: 1, continue: page.continue })).items[0]?.metadata.name, 'b');

	await client.delete(ConfigMap, at('a'));
	await client.deleteCollection(ConfigMap, { namespace: 'default' });
	t.deepEqual((await beside.list(ConfigMap)).items, []);
	t.is((await client.get(Namespace, { name: 'default' })).status?.phase, 'Active');
});

test('subresources, bindings and preconditions go over HTTP', async (t) => {
	const { client, beside } = await connected(t);
	const labels = { app: 'web' };
	await client.create(Deployment, {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: at('web'),
		spec: {
			replicas: 1,
			selector: { matchLabels: labels },
			template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'example' }] } },
		},
	});
	await client.patch(
		Deployment,
		at('web'),
		{ type: 'merge', body: { spec: { replicas: 3 } } },
		{ subresource: 'scale' },
	);
	t.is((await beside.get(Deployment, at('web'))).spec.replicas, 3);
	const body = { status: { observedGeneration: 7 } };
	await client.patch(Deployment, at('web'), { type: 'merge', body }, { subresource: 'status' });
	t.is((await beside.get(Deployment, at('web'))).status?.observedGeneration, 7);
	const error = await t.throwsAsync(client.delete(Deployment, at('web'), { preconditions: { uid: 'another' } }));
	t.is(error instanceof ApiError && error.reason, 'Conflict');

	await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: {} });
	await client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: at('p'),
		spec: { containers: [{ name: 'main', image: 'example' }] },
	});
	const other = await t.throwsAsync(client.bind({ ...at('p'), uid: 'another' }, 'n'));
	t.is(other instanceof ApiError && other.reason, 'Conflict', 'a binding is for one pod, not for its name');
	await client.bind(at('p'), 'n');
	t.is((await beside.get(Pod, at('p'))).spec.nodeName, 'n');

	await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'going' }, spec: {} });
	await client.delete(Namespace, { name: 'going' });
	const going = await client.get(Namespace, { name: 'going' });
	await client.update(Namespace, { ...going, spec: { finalizers: [] } }, { subresource: 'finalize' });
	const gone = await t.throwsAsync(client.get(Namespace, { name: 'going' }));
	t.is(gone instanceof ApiError && gone.reason, 'NotFound');
});

test('errors are those of the API, with their details; warnings reach the caller', async (t) => {
	const { client } = await connected(t);
	const missing = await t.throwsAsync(client.get(ConfigMap, at('missing')));
	t.true(missing instanceof ApiError);
	t.like(missing instanceof ApiError && missing.status, {
		code: 404,
		reason: 'NotFound',
		message: 'configmaps "missing" not found',
	});
	await client.create(ConfigMap, configMap('a'));
	const again = await t.throwsAsync(client.create(ConfigMap, configMap('a')));
	t.is(again instanceof ApiError && again.reason, 'AlreadyExists');
	const invalid = await t.throwsAsync(client.create(ConfigMap, configMap('NOT A NAME')));
	t.is(invalid instanceof ApiError && invalid.reason, 'Invalid');
	t.is(invalid instanceof ApiError && invalid.status.details?.causes?.[0]?.field, 'metadata.name');

	const warnings: string[] = [];
	const unknown = { ...configMap('b'), nonsense: '"quoted"' };
	await client.create(ConfigMap, unknown, { fieldValidation: 'Warn', warn: (message) => warnings.push(message) });
	t.deepEqual(warnings, ['unknown field "nonsense"']);
});

test('a server that is not there, or is not the right one, is ServiceUnavailable with the cause', async (t) => {
	const { server, config } = await connected(t);
	const failing = async (over: typeof config, cause: RegExp) => {
		await using client = await overHttp(over, 'tester');
		const error = await t.throwsAsync(client.get(ConfigMap, at('a')));
		t.is(error instanceof ApiError && error.code, 503);
		t.true(error?.message.includes(over.server));
		t.regex(`${error?.cause}`, cause);
	};
	await failing({ ...config, server: 'https://127.0.0.1:1' }, /ECONNREFUSED/);
	await failing({ ...config, ca: undefined }, /certificate/);
	await using anonymous = await overHttp({ ...config, cert: undefined, key: undefined, token: 'wrong' }, 'tester');
	const refused = await t.throwsAsync(anonymous.get(ConfigMap, at('a')));
	t.is(refused instanceof ApiError && refused.code, 401);
	t.truthy(server.url);
});

test('a watch over HTTP delivers what happens after its revision, and ends with its signal', async (t) => {
	const { client, beside } = await connected(t);
	const { resourceVersion } = await client.list(ConfigMap);
	const stop = new AbortController();
	const seen: string[] = [];
	const watching = (async () => {
		for await (const batch of client.watch(ConfigMap, { resourceVersion, signal: stop.signal })) {
			for (const event of batch) {
				if (event.type === 'BOOKMARK') continue;
				t.true(Object.isFrozen(event.object));
				seen.push(`${event.type} ${event.object.metadata.name} ${event.object.data?.key ?? ''}`);
			}
			if (seen.length === 3) stop.abort();
		}
	})();
	await beside.create(ConfigMap, configMap('a', { key: '漢字' }));
	await beside.update(ConfigMap, configMap('a', { key: '🦀' }));
	await beside.delete(ConfigMap, at('a'));
	await watching;
	t.deepEqual(seen, ['ADDED a 漢字', 'MODIFIED a 🦀', 'DELETED a 🦀']);
});

test('a watch from a revision that is forgotten is 410, one from no revision 400', async (t) => {
	const { server, beside, config, signal } = await connected(t);
	// A server that starts on a compacted store has only what came since.
	await beside.create(ConfigMap, configMap('a'));
	await server.store.compact(await server.store.revision());
	await using api = await openApi({ store: server.store, registry: loadRegistry(), log: silentLog });
	const { pki } = server;
	const served = await serveApi({ api, pki, address: '127.0.0.1', port: 0, log: silentLog, tokens: server.tokens });
	await using _closing = { [Symbol.asyncDispose]: () => served.close() };
	await using client = await overHttp({ ...config, server: `https://127.0.0.1:${served.port}` }, 'tester');
	const failing = async (resourceVersion: string) => {
		const watching = async () => {
			for await (const _ of client.watch(ConfigMap, { resourceVersion, signal }));
		};
		const error = await t.throwsAsync(watching());
		return error instanceof ApiError ? error.code : error;
	};
	t.is(await failing('nonsense'), 400);
	t.is(await failing('1'), 410);
});

test('informers over connections that are cut again and again see every change once', async (t) => {
	let proxy: Awaited<ReturnType<typeof cuttingProxy>> | undefined;
	const { client, beside, signal } = await connected(t, async (port) => {
		proxy = await cuttingProxy(t, port);
		return proxy.port;
	});
	await using cache = createCache(client, { signal, log: silentLog, random: () => 0 });
	const informer = cache.informer(ConfigMap);
	await informer.synced;
	const seen: string[] = [];
	const describe = ({ key, object, old }: Delta<ConfigMap>) =>
		`${object ? (old ? 'changed' : 'added') : 'removed'} ${key} ${object?.data?.step ?? ''}`;
	informer.on((delta) => seen.push(describe(delta)));
	const expected: string[] = [];
	for (let step = 0; step < 60; step++) {
		// Some of it while the connection is down, much of it while it goes.
		if (step % 7 === 3) proxy?.cut();
		if (step % 20 === 9) proxy?.refuse(true);
		if (step % 20 === 13) proxy?.refuse(false);
		const name = `c-${step % 5}`;
		const round = Math.floor(step / 5) % 3;
		const object = configMap(name, { step: String(step), filling: 'é'.repeat(5000) });
		if (round === 0) await beside.create(ConfigMap, object);
		else if (round === 1) await beside.update(ConfigMap, object);
		else await beside.delete(ConfigMap, at(name));
		expected.push(`${['added', 'changed', 'removed'][round]} default/${name} ${round === 2 ? '' : step}`);
		// Another kind moves the revision, and a moment for some of it to be under way.
		await beside.create(Lease, {
			apiVersion: 'coordination.k8s.io/v1',
			kind: 'Lease',
			metadata: at(`lease-${step}`),
			spec: {},
		});
	}
	await beside.create(ConfigMap, configMap('end'));
	await informer.until(() => informer.get('default/end') !== undefined, AbortSignal.timeout(30_000));
	t.deepEqual(seen.slice(0, -1), expected);
});

test('requests on kept connections that the network has cut do not fail a read', async (t) => {
	let proxy: Awaited<ReturnType<typeof cuttingProxy>> | undefined;
	const { client } = await connected(t, async (port) => {
		proxy = await cuttingProxy(t, port);
		return proxy.port;
	});
	await client.create(ConfigMap, configMap('a'));
	for (let round = 0; round < 5; round++) {
		await Promise.all(Array.from({ length: 4 }, () => client.get(ConfigMap, at('a'))));
		proxy?.cut();
		t.is((await client.get(ConfigMap, at('a'))).metadata.name, 'a');
	}
});

test('what begins after a kubeconfig has changed goes by the new one, and what was under way goes on', async (t) => {
	const { server, config, beside, signal } = await connected(t);
	const path = join(server.dataDir, 'followed');
	const write = (client: { readonly cert: string; readonly key: string }) =>
		writeKubeconfig({ path, server: config.server, authority: config.ca ?? '', client });
	await write(server.pki.admin);
	const clock = handClock();
	await using client = await overHttp(await followKubeconfig(path, undefined, clock), 'tester');
	const { resourceVersion } = await client.list(ConfigMap, { namespace: 'default' });
	const watched = client.watch(ConfigMap, { namespace: 'default', resourceVersion, signal })[Symbol.asyncIterator]();
	const first = watched.next();
	await beside.create(ConfigMap, configMap('before'));
	t.like((await first).value?.[0], { type: 'ADDED', object: { metadata: { name: 'before' } } });

	await write(await server.pki.node('n1'));
	await t.notThrowsAsync(client.list(ConfigMap, {}), 'the file is not read for each request');
	clock.advance(60_000);
	await t.throwsAsync(client.list(ConfigMap, {}), { message: /User "system:node:n1" cannot list/ });
	const next = watched.next();
	await beside.create(ConfigMap, configMap('after'));
	t.like((await next).value?.[0], { type: 'ADDED', object: { metadata: { name: 'after' } } });

	await writeFile(path, 'no kubeconfig');
	clock.advance(60_000);
	await t.throwsAsync(client.list(ConfigMap, {}), { message: /User "system:node:n1" cannot list/ });
});
