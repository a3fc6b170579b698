import test from 'ava';
import { ConfigMap, type KubeObject, Namespace, type OwnerReference, Secret } from '../../src/kinds/index.ts';
import { garbageCollector } from '../../src/reconcile/cleanup/garbage-collector.ts';
import { eventually, found, run, type World, world } from '../client/world.ts';

const at = (name: string) => ({ name, namespace: 'default' });

const ownedBy = (owner: KubeObject, block = false): OwnerReference => ({
	apiVersion: owner.apiVersion,
	kind: owner.kind,
	name: owner.metadata.name,
	uid: owner.metadata.uid ?? '',
	blockOwnerDeletion: block,
});

const make = (w: World, name: string, ...ownerReferences: OwnerReference[]) =>
	w.client.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...at(name), ownerReferences } });

const gone = (w: World, name: string) =>
	eventually(w, [ConfigMap, Secret], async () => ((await found(w.client.get(ConfigMap, at(name)))) ? undefined : true));

test('deleting an owner deletes its dependents, theirs too, and nothing else', async (t) => {
	const w = await world(t);
	run(t, w, [garbageCollector()]);
	const owner = await make(w, 'owner');
	const child = await make(w, 'child', ownedBy(owner));
	await make(w, 'grandchild', ownedBy(child));
	const other = await make(w, 'other');
	await make(w, 'shared', ownedBy(owner), ownedBy(other));
	// Of another kind than its owner.
	await w.client.create(Secret, {
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: { ...at('secret'), ownerReferences: [ownedBy(owner)] },
	});
	await w.client.delete(ConfigMap, at('owner'), { propagationPolicy: 'Background' });
	await gone(w, 'child');
	await gone(w, 'grandchild');
	await eventually(w, [Secret], async () => ((await found(w.client.get(Secret, at('secret')))) ? undefined : true));
	const shared = await eventually(w, [ConfigMap], async () => {
		const object = await w.client.get(ConfigMap, at('shared'));
		return object.metadata.ownerReferences?.length === 1 ? object : undefined;
	});
	t.is(shared.metadata.ownerReferences?.[0]?.name, 'other');
});

test('an object whose owner never was, or is another one of that name, is deleted', async (t) => {
	const w = await world(t);
	run(t, w, [garbageCollector()]);
	const owner = await make(w, 'owner');
	await make(w, 'stranger', { ...ownedBy(owner), uid: '00000000-0000-0000-0000-000000000000' });
	await make(w, 'own', ownedBy(owner));
	await gone(w, 'stranger');
	t.truthy(await found(w.client.get(ConfigMap, at('own'))));
});

test('an owner that is gone before the collector starts is noticed', async (t) => {
	const w = await world(t);
	const owner = await make(w, 'owner');
	await make(w, 'child', ownedBy(owner));
	await w.client.delete(ConfigMap, at('owner'));
	t.truthy(await found(w.client.get(ConfigMap, at('child'))));
	run(t, w, [garbageCollector()]);
	await gone(w, 'child');
});

test('in the foreground an owner waits for the dependents that block it, and not for others', async (t) => {
	const w = await world(t);
	run(t, w, [garbageCollector()]);
	const owner = await make(w, 'owner');
	const child = await make(w, 'child', ownedBy(owner, true));
	await make(w, 'grandchild', ownedBy(child, true));
	const order: string[] = [];
	using _ = w.cache.informer(ConfigMap).on(({ object, old }) => {
		if (old && !object) order.push(old.metadata.name);
	});
	// The grandchild cannot go yet.
	await w.client.patch(ConfigMap, at('grandchild'), {
		type: 'merge',
		body: { metadata: { finalizers: ['example.com/held'] } },
	});
	await w.client.delete(ConfigMap, at('owner'), { propagationPolicy: 'Foreground' });
	await eventually(w, [ConfigMap], async () =>
		(await w.client.get(ConfigMap, at('grandchild'))).metadata.deletionTimestamp ? true : undefined,
	);
	t.truthy((await w.client.get(ConfigMap, at('owner'))).metadata.deletionTimestamp);
	t.deepEqual(order, []);
	await w.client.patch(ConfigMap, at('grandchild'), { type: 'merge', body: { metadata: { finalizers: null } } });
	await gone(w, 'owner');
	await eventually(w, [ConfigMap], () => (order.length === 3 ? true : undefined));
	t.deepEqual(order, ['grandchild', 'child', 'owner']);
});

test('two that own each other do not wait for each other for ever', async (t) => {
	const w = await world(t);
	run(t, w, [garbageCollector()]);
	const one = await make(w, 'one');
	const other = await make(w, 'other', ownedBy(one, true));
	await w.client.patch(ConfigMap, at('one'), {
		type: 'merge',
		body: { metadata: { ownerReferences: [ownedBy(other, true)] } },
	});
	await w.client.delete(ConfigMap, at('one'), { propagationPolicy: 'Foreground' });
	await gone(w, 'one');
	await gone(w, 'other');
	t.pass();
});

test('an owner that leaves orphans goes, and they stay without it', async (t) => {
	const w = await world(t);
	run(t, w, [garbageCollector()]);
	const owner = await make(w, 'owner');
	await make(w, 'child', ownedBy(owner));
	await w.client.delete(ConfigMap, at('owner'), { propagationPolicy: 'Orphan' });
	await gone(w, 'owner');
	const child = await w.client.get(ConfigMap, at('child'));
	t.is(child.metadata.ownerReferences?.length ?? 0, 0);
	t.is(child.metadata.deletionTimestamp, undefined);
});

test('objects with owners of an unknown kind, or of a namespace that they are not in, are left alone', async (t) => {
	const w = await world(t);
	const running = run(t, w, [garbageCollector()]);
	await make(w, 'strange', { apiVersion: 'example.com/v1', kind: 'Widget', name: 'w', uid: 'w' });
	const owner = await make(w, 'owner');
	await w.client.create(Namespace, {
		apiVersion: 'v1',
		kind: 'Namespace',
		metadata: { name: 'odd', ownerReferences: [ownedBy(owner)] },
		spec: {},
	});
	await make(w, 'last', { ...ownedBy(owner), uid: 'never' });
	await gone(w, 'last');
	await running.stop();
	t.truthy(await found(w.client.get(ConfigMap, at('strange'))));
	t.is((await w.client.get(Namespace, { name: 'odd' })).metadata.deletionTimestamp, undefined);
});
