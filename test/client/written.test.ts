import test from 'ava';
import { type Client, createCache, rememberWrites } from '../../src/client/index.ts';
import { ConfigMap, Node, Pod } from '../../src/kinds/index.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { world } from './world.ts';

const configMap = (name: string, data = {}): ConfigMap => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: { name, namespace: 'default' },
	data,
});

/** A client whose watches deliver nothing until they are let. */
function heldBack(inner: Client) {
	let gate = Promise.withResolvers<void>();
	const client: Client = {
		...inner,
		async *watch(kind, options) {
			for await (const batch of inner.watch(kind, options)) {
				await gate.promise;
				yield batch;
			}
		},
	};
	return {
		client,
		deliver: () => gate.resolve(),
		hold: () => {
			gate = Promise.withResolvers<void>();
		},
	};
}

test('after its writes a client can wait until the informers have each of them', async (t) => {
	const w = await world(t);
	const held = heldBack(w.client);
	await using cache = createCache(held.client, { signal: w.signal, log: silentLog });
	const informers = [cache.informer(ConfigMap), cache.informer(Pod)] as const;
	await cache.synced();
	const [configMaps, pods] = informers;
	const writing = rememberWrites(w.client, [configMaps, pods] as never);
	const check = async (write: () => Promise<unknown>, seen: () => boolean) => {
		held.hold();
		await write();
		let done = false;
		const waiting = writing.seen(w.signal).then(() => {
			done = true;
		});
		await new Promise((resolve) => setImmediate(resolve));
		t.false(done);
		t.false(seen());
		held.deliver();
		await waiting;
		t.true(seen());
	};
	const { client } = writing;
	const name = { name: 'a', namespace: 'default' };
	await check(
		() => client.create(ConfigMap, configMap('a')),
		() => configMaps.get('default/a') !== undefined,
	);
	await check(
		() => client.as('other').update(ConfigMap, configMap('a', { key: 'updated' })),
		() => configMaps.get('default/a')?.data?.key === 'updated',
	);
	await check(
		() => client.patch(ConfigMap, name, { type: 'merge', body: { data: { key: 'patched' } } }),
		() => configMaps.get('default/a')?.data?.key === 'patched',
	);
	await check(
		() => client.delete(ConfigMap, name),
		() => configMaps.get('default/a') === undefined,
	);

	const pod: Pod = {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'p', namespace: 'default' },
		spec: { containers: [{ name: 'main', image: 'example' }] },
	};
	await w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: {} });
	await w.client.create(Pod, pod);
	await pods.until(() => pods.size === 1, w.signal);
	await check(
		() => client.bind({ name: 'p', namespace: 'default' }, 'n'),
		() => pods.get('default/p')?.spec.nodeName === 'n',
	);
});

test('writes that the informers have, dry runs and writes of other kinds are not waited for', async (t) => {
	const w = await world(t);
	const informer = w.cache.informer(ConfigMap);
	await informer.synced;
	const { client, seen } = rememberWrites(w.client, [informer] as never);
	await client.create(ConfigMap, configMap('dry'), { dryRun: true });
	await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: {} });
	await seen(w.signal);
	await client.create(ConfigMap, configMap('a'));
	await seen(w.signal);
	// An update that changes nothing has no new revision.
	await client.update(ConfigMap, configMap('a'));
	await seen(w.signal);
	t.not(informer.get('default/a'), undefined);
});

test('a pod that was bound and is gone is not waited for when another pod has its name', async (t) => {
	const w = await world(t);
	const held = heldBack(w.client);
	await using cache = createCache(held.client, { signal: w.signal, log: silentLog });
	const pods = cache.informer(Pod);
	await pods.synced;
	held.deliver();
	const writing = rememberWrites(w.client, [pods] as never);
	const pod: Pod = {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'p', namespace: 'default' },
		spec: { containers: [{ name: 'main', image: 'example' }] },
	};
	const at = { name: 'p', namespace: 'default' };
	await w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: {} });
	await w.client.create(Pod, pod);
	await pods.until(() => pods.size === 1, w.signal);
	held.hold();
	await writing.client.bind(at, 'n');
	held.deliver();
	await pods.until(() => pods.get('default/p')?.spec.nodeName === 'n', w.signal);
	// Nobody asks meanwhile.
	await w.client.delete(Pod, at, { gracePeriodSeconds: 0 });
	const { uid } = (await w.client.create(Pod, pod)).metadata;
	await pods.until(() => pods.get('default/p')?.metadata.uid === uid, w.signal);
	t.false(writing.pending);
});

test('who waits is let go when the signal aborts', async (t) => {
	const w = await world(t);
	const held = heldBack(w.client);
	await using cache = createCache(held.client, { signal: w.signal, log: silentLog });
	const informer = cache.informer(ConfigMap);
	await informer.synced;
	const { client, seen } = rememberWrites(w.client, [informer] as never);
	await client.create(ConfigMap, configMap('a'));
	const stop = new AbortController();
	const waiting = seen(stop.signal);
	stop.abort(new Error('enough'));
	await t.throwsAsync(waiting, { message: 'enough' });
	held.deliver();
});
