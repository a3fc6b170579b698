import test from 'ava';
import { builtins, ConfigMap, Namespace, Node, Pod, Secret } from '../../src/kinds/index.ts';
import { namespace } from '../../src/reconcile/cleanup/namespace.ts';
import { deletionStages } from '../../src/reconcile/cleanup/namespace-deletion.ts';
import { eventually, found, run, type World, world } from '../client/world.ts';

const makeNamespace = (w: World, name: string) =>
	w.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} });

const makeConfigMap = (w: World, namespace: string, name: string, finalizers?: string[]) =>
	w.client.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, finalizers } });

const gone = (w: World, name: string) =>
	eventually(w, [Namespace], async () => ((await found(w.client.get(Namespace, { name }))) ? undefined : true));

test('a namespace takes everything in it along, and nothing of others', async (t) => {
	const w = await world(t);
	run(t, w, [namespace]);
	await makeNamespace(w, 'doomed');
	await makeNamespace(w, 'other');
	for (const name of ['a', 'b', 'c']) await makeConfigMap(w, 'doomed', name);
	await w.client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'doomed' } });
	await makeConfigMap(w, 'other', 'a');
	await w.client.delete(Namespace, { name: 'doomed' });
	await gone(w, 'doomed');
	t.deepEqual((await w.client.list(ConfigMap, { namespace: 'doomed' })).items, []);
	t.deepEqual((await w.client.list(Secret, { namespace: 'doomed' })).items, []);
	t.is((await w.client.list(ConfigMap, { namespace: 'other' })).items.length, 1);
	// A new one of the name has nothing to do with the old one.
	await makeNamespace(w, 'doomed');
	t.is((await w.client.get(Namespace, { name: 'doomed' })).status?.phase, 'Active');
});

test('a namespace waits for what has finalizers and says so, then goes', async (t) => {
	const w = await world(t);
	run(t, w, [namespace]);
	await makeNamespace(w, 'held');
	await makeConfigMap(w, 'held', 'a', ['example.com/hold']);
	await makeConfigMap(w, 'held', 'b');
	await w.client.delete(Namespace, { name: 'held' });
	const conditions = await eventually(
		w,
		[Namespace],
		async () => (await w.client.get(Namespace, { name: 'held' })).status?.conditions,
	);
	const saying = (type: string) => conditions.find((condition) => condition.type === type);
	t.like(saying('NamespaceContentRemaining'), {
		status: 'True',
		message: 'Some resources are remaining: configmaps has 1 resource instances',
	});
	t.like(saying('NamespaceFinalizersRemaining'), {
		status: 'True',
		message: 'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances',
	});
	t.like(saying('NamespaceDeletionContentFailure'), { status: 'False' });
	t.is((await w.client.list(ConfigMap, { namespace: 'held' })).items.length, 1);
	await w.client.patch(
		ConfigMap,
		{ name: 'a', namespace: 'held' },
		{ type: 'merge', body: { metadata: { finalizers: null } } },
	);
	await gone(w, 'held');
	t.pass();
});

test('a namespace that somebody else still holds says that it is empty, and keeps what others say in its status', async (t) => {
	const w = await world(t);
	const name = { name: 'kept' };
	const made = await makeNamespace(w, 'kept');
	const finalizers = ['kubernetes', 'example.com/hold'];
	await w.client.update(Namespace, { ...made, spec: { finalizers } }, { subresource: 'finalize' });
	const other = { type: 'Audited', status: 'True', reason: 'Test', message: '' };
	await w.client.patch(
		Namespace,
		name,
		{ type: 'merge', body: { status: { conditions: [other] } } },
		{ subresource: 'status' },
	);
	await makeConfigMap(w, 'kept', 'a', ['example.com/hold']);
	run(t, w, [namespace]);
	await w.client.delete(Namespace, name);
	const remaining = (status: string) =>
		eventually(w, [Namespace], async () => {
			const object = await w.client.get(Namespace, name);
			const condition = object.status?.conditions?.find(({ type }) => type === 'NamespaceContentRemaining');
			return condition?.status === status ? object : undefined;
		});
	await remaining('True');
	await w.client.patch(
		ConfigMap,
		{ name: 'a', namespace: 'kept' },
		{ type: 'merge', body: { metadata: { finalizers: null } } },
	);
	const empty = await remaining('False');
	t.is(empty.status?.conditions?.length, 6);
	t.like(empty.status?.conditions?.[0], other);
	const left = await eventually(w, [Namespace], async () => {
		const object = await w.client.get(Namespace, name);
		return object.spec?.finalizers?.length === 1 ? object : undefined;
	});
	t.deepEqual(left.spec?.finalizers, ['example.com/hold']);
	await w.client.update(Namespace, { ...left, spec: { finalizers: [] } }, { subresource: 'finalize' });
	await gone(w, 'kept');
});

test('what running pods need outlives them', async (t) => {
	const w = await world(t);
	run(t, w, [namespace]);
	await makeNamespace(w, 'busy');
	await makeConfigMap(w, 'busy', 'needed');
	await w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec: {} });
	// On a node, so that it has a grace period, which only the node's agent can end.
	await w.client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'p', namespace: 'busy' },
		spec: { nodeName: 'n', containers: [{ name: 'main', image: 'example' }] },
	});
	await w.client.delete(Namespace, { name: 'busy' });
	await eventually(w, [Namespace], async () => (await w.client.get(Namespace, { name: 'busy' })).status?.conditions);
	t.truthy((await w.client.get(Pod, { name: 'p', namespace: 'busy' })).metadata.deletionTimestamp);
	t.truthy(await found(w.client.get(ConfigMap, { name: 'needed', namespace: 'busy' })));
	await w.client.delete(Pod, { name: 'p', namespace: 'busy' }, { gracePeriodSeconds: 0 });
	await gone(w, 'busy');
	t.is(await found(w.client.get(ConfigMap, { name: 'needed', namespace: 'busy' })), undefined);
});

test('workloads go before their pods, pods before all else, and what has no namespace is not touched', (t) => {
	const [first, second] = deletionStages(builtins);
	const makers = first?.map(({ kind }) => kind) ?? [];
	t.is(makers.at(-1), 'Pod');
	t.true(makers.includes('Deployment') && makers.includes('ReplicaSet'));
	const rest = second?.map(({ kind }) => kind) ?? [];
	t.true(rest.includes('ConfigMap') && rest.includes('Service') && rest.includes('Event'));
	for (const kind of ['Node', 'Namespace', 'Pod']) t.false(rest.includes(kind));
});
