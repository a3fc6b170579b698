/** DaemonSets on a real API and store, with the scheduler; only the nodes are played. */
import test, { type ExecutionContext } from 'ava';
import { createCache } from '../../src/client/index.ts';
import { ControllerRevision, DaemonSet, Event, Node, Pod } from '../../src/kinds/index.ts';
import { garbageCollector } from '../../src/reconcile/cleanup/garbage-collector.ts';
import { podGc } from '../../src/reconcile/cleanup/pod-gc.ts';
import { scheduler } from '../../src/reconcile/scheduling/scheduler.ts';
import { daemonSet } from '../../src/reconcile/workloads/daemonset.ts';
import { lossy } from '../client/lossy.ts';
import { eventually, found, run, type World, world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { kubelet } from './kubelet.ts';
import { worldWithQuota } from './quota.ts';
import { node as nodeShape, template } from './workloads.ts';

const logs = { name: 'logs', namespace: 'default' };
type Spec = Partial<DaemonSet['spec']>;
const make = (spec: Spec = {}): DaemonSet => ({
	apiVersion: 'apps/v1',
	kind: 'DaemonSet',
	metadata: { ...logs },
	spec: { selector: { matchLabels: { app: 'logs' } }, template: template('1', { app: 'logs' }), ...spec },
});

async function addNode({ client }: World, name: string, labels: Record<string, string> = {}) {
	const { status, ...node } = nodeShape(name, {}, labels);
	const made = await client.create(Node, { ...node, metadata: { name, labels: node.metadata.labels } });
	const conditions = [{ type: 'Ready', status: 'True', reason: 'Test', message: '' }];
	await client.update(Node, { ...made, status: { ...status, conditions } }, { subresource: 'status' });
}

async function start(t: ExecutionContext, nodes: number, place?: World) {
	const made = place ?? (await world(t));
	for (let number = 1; number <= nodes; number++) await addNode(made, `n${number}`);
	const node = kubelet();
	run(t, made, [daemonSet, scheduler(), garbageCollector(), podGc(), node.controller]);
	return { ...made, place: made, node };
}

const pods = async ({ client }: World) => (await client.list(Pod, { namespace: 'default' })).items;
const edit = ({ client }: World, body: object) => client.patch(DaemonSet, logs, { type: 'merge', body });
const until = (place: World, holds: (set: DaemonSet, pods: readonly Pod[]) => boolean) =>
	eventually(
		place,
		[DaemonSet, Pod, Node],
		async () => {
			const set = await place.client.get(DaemonSet, logs);
			if ((set.status?.observedGeneration ?? 0) < (set.metadata.generation ?? 0)) return undefined;
			const there = await pods(place);
			return holds(set, there) ? { set, pods: there } : undefined;
		},
		60_000,
	);
const where = (there: readonly Pod[]) =>
	there
		.map(({ spec }) => spec.nodeName)
		.sort()
		.join();
const runsOn = (place: World, nodes: string, image = '1') =>
	until(
		place,
		({ status }, there) =>
			where(there) === nodes &&
			there.every(
				({ spec, metadata }) => spec.containers[0]?.image === `example:${image}` && !metadata.deletionTimestamp,
			) &&
			status?.numberAvailable === (there.length || undefined) &&
			status?.updatedNumberScheduled === (there.length || undefined),
	);
const events = async ({ client }: World, reason: string) =>
	(await client.list(Event, { namespace: 'default' })).items
		.filter((event) => event.reason === reason)
		.map(({ message }) => message ?? '');

test('each node has a pod: also one that joins, and one whose labels change; where it does not fit any more it goes', async (t) => {
	const { client, place } = await start(t, 2);
	const { metadata, spec } = template('1', { app: 'logs' });
	const selected = { metadata, spec: { containers: spec?.containers ?? [], nodeSelector: { logs: 'yes' } } };
	for (const name of ['n1', 'n2'])
		await client.patch(Node, { name }, { type: 'merge', body: { metadata: { labels: { logs: 'yes' } } } });
	await client.create(DaemonSet, make({ template: selected }));
	const { set, pods: there } = await runsOn(place, 'n1,n2');
	t.deepEqual(set.status, {
		currentNumberScheduled: 2,
		desiredNumberScheduled: 2,
		numberMisscheduled: 0,
		numberReady: 2,
		numberAvailable: 2,
		updatedNumberScheduled: 2,
		observedGeneration: 1,
	});
	t.true(
		there[0]?.spec.tolerations?.some(
			({ key, effect }) => key === 'node.kubernetes.io/unreachable' && effect === 'NoExecute',
		),
	);
	await addNode(place, 'n3', { logs: 'yes' });
	await addNode(place, 'n4');
	await runsOn(place, 'n1,n2,n3');
	await client.patch(Node, { name: 'n4' }, { type: 'merge', body: { metadata: { labels: { logs: 'yes' } } } });
	await runsOn(place, 'n1,n2,n3,n4');
	await client.patch(Node, { name: 'n1' }, { type: 'merge', body: { metadata: { labels: { logs: 'no' } } } });
	await runsOn(place, 'n2,n3,n4');
	// What tolerates nothing but what daemons do leaves a node from which pods are driven.
	const taints = [{ key: 'upkeep', effect: 'NoExecute' }];
	await client.patch(Node, { name: 'n2' }, { type: 'merge', body: { spec: { taints } } });
	await runsOn(place, 'n3,n4');
	await client.patch(Node, { name: 'n2' }, { type: 'merge', body: { spec: { taints: null } } });
	await runsOn(place, 'n2,n3,n4');
	await client.patch(Node, { name: 'n3' }, { type: 'merge', body: { spec: { unschedulable: true } } });
	await client.delete(Pod, (await pods(place)).find(({ spec }) => spec.nodeName === 'n3')?.metadata ?? logs);
	await runsOn(place, 'n2,n3,n4');
});

test('a node that goes takes its pod and its place in the counts with it', async (t) => {
	const { client, place } = await start(t, 3);
	await client.create(DaemonSet, make());
	await runsOn(place, 'n1,n2,n3');
	await client.delete(Node, { name: 'n2' });
	const { set } = await until(place, ({ status }) => status?.desiredNumberScheduled === 2);
	t.is(set.status?.numberMisscheduled, 0);
	await client.delete(DaemonSet, logs);
	await eventually(place, [DaemonSet], async () => ((await found(client.get(DaemonSet, logs))) ? undefined : true));
});

test('a new template rolls with no more pods unavailable than allowed, and back again', async (t) => {
	const { client, cache, place } = await start(t, 4);
	await client.create(DaemonSet, make());
	const { pods: before } = await runsOn(place, 'n1,n2,n3,n4');
	let fewest = 4;
	cache.informer(Pod).on(() => {
		const ready = Array.from(cache.informer(Pod).list()).filter(
			({ metadata, status }) =>
				!metadata.deletionTimestamp &&
				status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
		);
		fewest = Math.min(fewest, ready.length);
	});
	await edit(place, { spec: { template: template('2', { app: 'logs' }) } });
	await runsOn(place, 'n1,n2,n3,n4', '2');
	t.is(fewest, 3);
	await edit(place, { spec: { template: template('1', { app: 'logs' }) } });
	const { pods: after } = await runsOn(place, 'n1,n2,n3,n4');
	const { items } = await client.list(ControllerRevision, { namespace: 'default' });
	t.deepEqual(items.map(({ revision }) => revision).sort(), [2, 3]);
	const names = (all: readonly Pod[]) => all.map(({ metadata }) => metadata.name).sort();
	t.deepEqual(names(after), names(before), 'the name follows from node and revision');
});

test('with a surge the new pod is there before the old one goes', async (t) => {
	const { client, cache, place } = await start(t, 3);
	const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
	await client.create(DaemonSet, make({ updateStrategy }));
	await runsOn(place, 'n1,n2,n3');
	const seen = { fewest: 3, most: 3 };
	cache.informer(Pod).on(() => {
		const all = Array.from(cache.informer(Pod).list()).filter(({ metadata }) => !metadata.deletionTimestamp);
		const nodes = new Set(
			all
				.filter(({ status }) => status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'))
				.map(({ spec }) => spec.nodeName),
		);
		seen.fewest = Math.min(seen.fewest, nodes.size);
		seen.most = Math.max(seen.most, all.length);
	});
	await edit(place, { spec: { template: template('2', { app: 'logs' }) } });
	await runsOn(place, 'n1,n2,n3', '2');
	t.deepEqual(seen, { fewest: 3, most: 4 });
});

test('a bad template takes as many nodes as may be unavailable, and its successor takes those first', async (t) => {
	const { client, node, place } = await start(t, 3);
	node.ready = (pod) => !pod.spec.containers[0]?.image?.includes('bad');
	await client.create(DaemonSet, make());
	await runsOn(place, 'n1,n2,n3');
	await edit(place, { spec: { template: template('bad', { app: 'logs' }) } });
	await until(place, ({ status }, there) => {
		const bad = there.filter(({ spec }) => spec.containers[0]?.image === 'example:bad');
		return bad.length === 1 && bad[0]?.status?.phase === 'Running' && status?.numberReady === 2 && there.length === 3;
	});
	await edit(place, { spec: { template: template('2', { app: 'logs' }) } });
	await runsOn(place, 'n1,n2,n3', '2');
	t.pass();
});

test('pods that are replaced by hand wait for that hand', async (t) => {
	const { client, place } = await start(t, 2);
	await client.create(DaemonSet, make({ updateStrategy: { type: 'OnDelete' } }));
	const { pods: before } = await runsOn(place, 'n1,n2');
	await edit(place, { spec: { template: template('2', { app: 'logs' }) } });
	await until(place, ({ status }) => status?.updatedNumberScheduled === undefined && status?.numberReady === 2);
	t.deepEqual(
		(await pods(place)).map(({ metadata }) => metadata.uid),
		before.map(({ metadata }) => metadata.uid),
	);
	for (const { metadata } of before) await client.delete(Pod, metadata);
	await runsOn(place, 'n1,n2', '2');
});

test('another revision of the same template replaces no pod', async (t) => {
	const { client, place } = await start(t, 2);
	await client.create(DaemonSet, make());
	const { pods: before } = await runsOn(place, 'n1,n2');
	const [first] = (await client.list(ControllerRevision, { namespace: 'default' })).items;
	if (!first) return t.fail();
	const { name, namespace, labels, ownerReferences } = first.metadata;
	const twin = {
		name: `${name}-2`,
		namespace,
		ownerReferences,
		labels: { ...labels, 'controller-revision-hash': 'twin' },
	};
	await client.create(ControllerRevision, { ...first, metadata: twin, revision: 2 });
	// The set looks at it, and finds its pods as they are to be.
	await edit(place, { spec: { minReadySeconds: 1 } });
	const { pods: after } = await runsOn(place, 'n1,n2');
	t.deepEqual(
		after.map(({ metadata }) => metadata.uid),
		before.map(({ metadata }) => metadata.uid),
	);
});

test('a pod that failed is made anew, and an event says so; pods without owner are adopted', async (t) => {
	const { client, place } = await start(t, 1);
	await client.create(DaemonSet, make());
	const {
		pods: [pod],
	} = await runsOn(place, 'n1');
	if (!pod) return t.fail();
	await client.update(Pod, { ...pod, status: { phase: 'Failed' } }, { subresource: 'status' });
	const {
		pods: [next],
	} = await until(
		place,
		({ status }, [now]) => status?.numberReady === 1 && now !== undefined && now.metadata.uid !== pod.metadata.uid,
	);
	const [message] = await eventually(place, [Event], async () => {
		const all = await events(place, 'FailedDaemonPod');
		return all.length > 0 ? all : undefined;
	});
	t.is(message, `Found failed daemon pod default/${pod.metadata.name} on node n1, will try to kill it`);

	await client.delete(DaemonSet, logs, { propagationPolicy: 'Orphan' });
	await eventually(place, [DaemonSet], async () => ((await found(client.get(DaemonSet, logs))) ? undefined : true));
	await client.create(DaemonSet, make());
	const {
		pods: [adopted],
	} = await runsOn(place, 'n1');
	t.is(adopted?.metadata.uid, next?.metadata.uid);
	t.like(adopted?.metadata.ownerReferences?.[0], { kind: 'DaemonSet', controller: true });
	// Its labels change: it is let go, and another takes its place.
	await client.patch(Pod, adopted?.metadata ?? logs, {
		type: 'merge',
		body: { metadata: { labels: { app: 'debug' } } },
	});
	const free = await eventually(place, [Pod], async () => {
		const all = await pods(place);
		return all.length === 2 ? all.find(({ metadata }) => !metadata.ownerReferences?.length) : undefined;
	});
	t.is(free.metadata.uid, adopted?.metadata.uid);
});

test('a set that may not make its pods says why, and goes on when it may', async (t) => {
	const made = await worldWithQuota(t, 1);
	const { client, place } = await start(t, 2, made);
	await client.create(DaemonSet, make());
	const { set } = await until(place, ({ status }) => status?.conditions !== undefined);
	t.like(set.status?.conditions?.[0], { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate' });
	made.quota.left = 10;
	const { set: after } = await runsOn(place, 'n1,n2');
	t.is(after.status?.conditions, undefined);
});

test('whatever answers are lost, each node gets one pod, and each is replaced once', async (t) => {
	const w = await world(t);
	for (const name of ['n1', 'n2', 'n3']) await addNode(w, name);
	const losses = { left: 0, lost: 0 };
	const client = lossy(w.client, losses);
	await using cache = createCache(client, { signal: w.signal, log: silentLog });
	run(t, { ...w, client, cache }, [daemonSet]);
	run(t, w, [scheduler(), kubelet().controller]);
	const made: string[] = [];
	w.cache.informer(Pod).on(({ object, old }) => {
		if (object && !old) made.push(object.metadata.name);
	});
	losses.left = 6;
	await w.client.create(DaemonSet, make());
	await runsOn(w, 'n1,n2,n3');
	t.is(made.length, 3);
	losses.left = 6;
	await edit(w, { spec: { template: template('2', { app: 'logs' }) } });
	await runsOn(w, 'n1,n2,n3', '2');
	t.is(made.length, 6);
	t.is(new Set(made).size, 6);
	t.true(losses.lost >= 9, `${losses.lost} answers were lost`);
});
