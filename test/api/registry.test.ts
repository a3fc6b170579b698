/** Kinds come and go while the server runs, and everything that knows kinds follows. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import {
	ApiError,
	ConfigMap,
	column,
	type Dynamic,
	type Kind,
	type KubeObject,
	kind,
	loadRegistry,
} from '../../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../../src/reconcile/index.ts';
import { worldOf } from '../client/world.ts';
import { admin, serveTestApi, type TestServer } from '../testbed/api.ts';
import { kubectl } from '../testbed/kubectl.ts';
import { silentLog } from '../testbed/silent-log.ts';

interface Widget extends KubeObject {
	spec: { size?: number };
}

/** Equal declarations, but not one object: as a definition that is read again makes them. */
const declareWidget = (): Kind =>
	kind<Widget>({
		group: 'example.com',
		version: 'v1',
		kind: 'Widget',
		plural: 'widgets',
		shortNames: ['wd'],
		schema: 'com.example.v1.Widget',
		schemas: {
			'com.example.v1.Widget': {
				type: 'object',
				properties: {
					apiVersion: { type: 'string' },
					kind: { type: 'string' },
					metadata: { $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
					spec: { type: 'object', properties: { size: { type: 'integer', description: 'How big.' } } },
				},
			},
		},
		columns: [column('Size', 'integer', 'How big.', ({ spec }) => spec?.size ?? 0)],
	}) as unknown as Kind;

const path = '/apis/example.com/v1/namespaces/default/widgets';
const widget = (name: string, more: object = {}) => ({
	apiVersion: 'example.com/v1',
	kind: 'Widget',
	metadata: { name, namespace: 'default', ...more },
	spec: { size: 3 },
});

async function open(t: ExecutionContext) {
	const registry = loadRegistry();
	const server = await serveTestApi({ registry });
	return { registry, server, ...worldOf(t, server) };
}

/** Asks again until the condition holds; fails with what was last seen. */
async function until<T>(look: () => T | Promise<T>, condition: (seen: T) => boolean): Promise<T> {
	const deadline = Date.now() + 60_000;
	for (;;) {
		const seen = await look();
		if (condition(seen)) return seen;
		if (Date.now() > deadline) throw new Error(`not within a minute; last seen: ${JSON.stringify(seen)}`);
		await delay(10);
	}
}

/** A watch over HTTPS whose first event has come. */
async function watchOver({ tls }: TestServer): Promise<{ readonly ended: Promise<unknown> }> {
	const asked = request({ ...tls, path: `${path}?watch=1&resourceVersion=0`, agent: false }).end();
	const [response] = (await once(asked, 'response')) as [IncomingMessage];
	const ended = once(response, 'end');
	await once(response, 'data');
	response.resume();
	return { ended };
}

const codeOf = async (server: TestServer, where: string) => (await server.ask(where)).code;

test('a kind that is added is served at once: paths, discovery, OpenAPI, tables, and kubectl', async (t) => {
	const { registry, server } = await open(t);
	t.is(await codeOf(server, path), 404);
	t.is(await codeOf(server, '/apis/example.com'), 404);
	const { text: before } = await server.ask('/openapi/v3');

	const Widget = declareWidget();
	registry.add(Widget);
	t.is((await server.ask(path, { body: widget('a') })).code, 201);
	t.is((await server.ask('/apis/example.com/v1')).body.resources[0].name, 'widgets');
	t.true((await server.ask('/openapi/v3')).text.includes('apis/example.com/v1'));
	t.true((await server.ask('/openapi/v3/apis/example.com/v1')).text.includes('How big.'));
	t.true((await server.ask('/openapi/v2')).text.includes('com.example.v1.Widget'));
	const aggregated = { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' };
	t.true((await server.ask('/apis', { headers: aggregated })).text.includes('"widgets"'));
	const wrong = await server.ask(path, { body: { ...widget('b'), spec: { size: 'big' } } });
	t.is(wrong.code, 422, wrong.text);

	using run = kubectl(server.kubeconfig);
	t.regex(await run.ok('get', 'wd'), /^NAME\s+SIZE\na\s+3\n/);
	t.regex(await run.ok('explain', 'widget.spec.size'), /How big\./);

	registry.remove(Widget);
	t.is(await codeOf(server, path), 404);
	t.is(await codeOf(server, '/apis/example.com'), 404);
	t.is((await server.ask('/openapi/v3')).text, before);
	t.false((await server.ask('/apis', { headers: aggregated })).text.includes('"widgets"'));
});

test('a kind that is removed ends its watches, and no others', async (t) => {
	const { registry, server, signal } = await open(t);
	const Widget = declareWidget();
	registry.add(Widget);
	await server.api.create({ kind: Widget, namespace: 'default' }, widget('a'), {}, admin);
	const seen: string[] = [];
	let ended = false;
	const watching = (async () => {
		for await (const batch of server.api.watch({ kind: Widget }, { signal }, admin))
			for (const event of batch) if (event.type !== 'BOOKMARK') seen.push(event.stored.object.metadata.name);
		ended = true;
	})();
	const others: string[] = [];
	const other = (async () => {
		for await (const batch of server.api.watch({ kind: ConfigMap, namespace: 'default' }, { signal }, admin))
			for (const event of batch) if (event.type !== 'BOOKMARK') others.push(event.stored.object.metadata.name);
	})();
	await until(
		() => seen.length,
		(count) => count === 1,
	);
	// Over HTTP the body ends, as for any watch whose time is up.
	const http = await watchOver(server);
	registry.remove(Widget);
	await watching;
	t.true(ended);
	await http.ended;
	t.throws(() => server.api.watch({ kind: Widget }, { signal }, admin), { instanceOf: ApiError });
	for (const verb of [
		() => server.api.get({ kind: Widget, namespace: 'default', name: 'a' }, {}, admin),
		() => server.api.list({ kind: Widget }, {}, admin),
		() => server.api.create({ kind: Widget, namespace: 'default' }, widget('b'), {}, admin),
		() => server.api.delete({ kind: Widget, namespace: 'default', name: 'a' }, {}, admin),
	])
		t.is((await t.throwsAsync<ApiError>(verb(), { instanceOf: ApiError })).code, 404);
	await server.api.create(
		{ kind: ConfigMap, namespace: 'default' },
		{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'still' } },
		{},
		admin,
	);
	await until(
		() => others,
		(names) => names.includes('still'),
	);
	void other;
});

test('garbage is collected of a kind that came later, and a namespace waits for its objects', async (t) => {
	const { registry, client, cache, signal, server } = await open(t);
	const controllers = clusterControllers().filter(({ name }) => /^(garbage-collector|namespace)$/.test(name));
	t.is(controllers.length, 2);
	const running = runControllers({ client, cache, controllers, log: silentLog, now: Date.now, signal });
	await cache.synced();

	const Widget = declareWidget();
	registry.add(Widget);
	const owner = await client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'owner', namespace: 'default' },
	} as ConfigMap);
	const { uid = '', name } = owner.metadata;
	const owned = widget('owned', { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name, uid }] });
	await client.create(Widget, owned as unknown as Dynamic);
	await client.delete(ConfigMap, owner.metadata);
	await until(
		() => codeOf(server, `${path}/owned`),
		(code) => code === 404,
	);

	await server.ask('/api/v1/namespaces', { body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'gone' } } });
	const within = { ...widget('a'), metadata: { name: 'a', namespace: 'gone', finalizers: ['example.com/hold'] } };
	await server.ask('/apis/example.com/v1/namespaces/gone/widgets', { body: within });
	await server.ask('/api/v1/namespaces/gone', { method: 'DELETE' });
	await until(
		async () => (await server.ask('/apis/example.com/v1/namespaces/gone/widgets/a')).body as Dynamic,
		(object) => object.metadata.deletionTimestamp !== undefined,
	);
	t.is(await codeOf(server, '/api/v1/namespaces/gone'), 200);
	await server.ask('/apis/example.com/v1/namespaces/gone/widgets/a', {
		method: 'PATCH',
		headers: { 'content-type': 'application/merge-patch+json' },
		body: { metadata: { finalizers: null } },
	});
	await until(
		() => codeOf(server, '/api/v1/namespaces/gone'),
		(code) => code === 404,
	);
	void running;
});

test('under load a kind comes and goes many times: no request meets a defect, and nothing that was acknowledged is lost', async (t) => {
	const { registry, server, cache } = await open(t);
	let Widget = declareWidget();
	registry.add(Widget);
	const informer = cache.informer(Widget);
	await informer.synced;
	const codes = new Map<number, number>();
	const acknowledged: string[] = [];
	let done = false;
	const writers = Array.from({ length: 8 }, async (_, writer) => {
		for (let i = 0; !done; i++) {
			const name = `w${writer}-${i}`;
			const made = await server.ask(path, { body: widget(name) });
			if (made.code === 201) acknowledged.push(name);
			const listed = await server.ask(`${path}?limit=5`);
			const patched = await server.ask(`${path}/${name}`, {
				method: 'PATCH',
				headers: { 'content-type': 'application/merge-patch+json' },
				body: { spec: { size: i } },
			});
			for (const { code } of [made, listed, patched]) codes.set(code, (codes.get(code) ?? 0) + 1);
		}
	});
	for (let round = 0; round < 20; round++) {
		const count = acknowledged.length;
		await until(
			() => acknowledged.length,
			(now) => now > count,
		);
		registry.remove(Widget);
		await delay(5);
		Widget = declareWidget();
		registry.add(Widget);
	}
	done = true;
	await Promise.all(writers);
	t.deepEqual(
		[...codes.keys()].filter((code) => ![200, 201, 404].includes(code)),
		[],
		JSON.stringify([...codes]),
	);
	const { items } = await server.api.list({ kind: Widget, namespace: 'default' }, {}, admin);
	t.deepEqual(items.map(({ object }) => object.metadata.name).toSorted(), acknowledged.toSorted());
	await until(
		() => cache.informer(Widget).size,
		(size) => size === acknowledged.length,
	);
});
