/** StatefulSets on a real API and store; only the nodes are played. */
import test, { type ExecutionContext } from 'ava';
import { createCache } from '../../src/client/index.ts';
import { ControllerRevision, Event, PersistentVolumeClaim, Pod, StatefulSet } from '../../src/kinds/index.ts';
import { garbageCollector } from '../../src/reconcile/cleanup/garbage-collector.ts';
import { claimProtection } from '../../src/reconcile/volumes/protection.ts';
import { statefulSet } from '../../src/reconcile/workloads/statefulset.ts';
import { lossy } from '../client/lossy.ts';
import { eventually, found, run, type World, world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { kubelet, sortedNames } from './kubelet.ts';
import { worldWithQuota } from './quota.ts';
import { template } from './workloads.ts';

const db = { name: 'db', namespace: 'default' };
type Spec = Partial<StatefulSet['spec']>;

function make(replicas: number, spec: Spec = {}): StatefulSet {
	return {
		apiVersion: 'apps/v1',
		kind: 'StatefulSet',
		metadata: { ...db },
		spec: {
			serviceName: 'db-peers',
			replicas,
			selector: { matchLabels: { app: 'db' } },
			template: template('1', { app: 'db' }),
			...spec,
		},
	};
}
const claims: Spec = {
	volumeClaimTemplates: [
		{
			metadata: { name: 'data', labels: { tier: 'data' } },
			spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
		},
	],
};

async function start(t: ExecutionContext, place?: World) {
	const made = place ?? (await world(t));
	const node = kubelet({ anywhere: true });
	const running = run(t, made, [statefulSet, claimProtection, garbageCollector(), node.controller]);
	return { ...made, place: made, node, running };
}

const pods = async ({ client }: World) => (await client.list(Pod, { namespace: 'default' })).items;
const claimsOf = async ({ client }: World) =>
	(await client.list(PersistentVolumeClaim, { namespace: 'default' })).items;
const edit = ({ client }: World, body: object) => client.patch(StatefulSet, db, { type: 'merge', body });
/** Looks at the set after each change of anything. */
const until = (place: World, holds: (set: StatefulSet, pods: readonly Pod[]) => boolean) =>
	eventually(
		place,
		[StatefulSet, Pod, PersistentVolumeClaim],
		async () => {
			const set = await place.client.get(StatefulSet, db);
			if ((set.status?.observedGeneration ?? 0) < (set.metadata.generation ?? 0)) return undefined;
			const there = await pods(place);
			return holds(set, there) ? { set, pods: there } : undefined;
		},
		60_000,
	);
const complete = (place: World, image: string) =>
	until(
		place,
		({ spec, status }, there) =>
			status?.readyReplicas === spec.replicas &&
			status?.currentRevision === status?.updateRevision &&
			there.length === spec.replicas &&
			there.every((pod) => pod.spec.containers[0]?.image === `example:${image}` && !pod.metadata.deletionTimestamp),
	);
const events = async ({ client }: World, reason: string) =>
	(await client.list(Event, { namespace: 'default' })).items
		.filter((event) => event.reason === reason)
		.map(({ message }) => message);

test('pods are made in their order, each with its name, its place in DNS, its labels and its claim', async (t) => {
	const { client, cache, place } = await start(t);
	const order: string[] = [];
	cache.informer(Pod).on(({ object, old }) => {
		if (object && !old) order.push(`+${object.metadata.name}`);
		const ready = (pod?: Pod) =>
			pod?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
		if (object && ready(object) && !ready(old)) order.push(object.metadata.name);
	});
	await client.create(StatefulSet, make(3, claims));
	const { set, pods: there } = await complete(place, '1');
	t.deepEqual(order, ['+db-0', 'db-0', '+db-1', 'db-1', '+db-2', 'db-2']);
	const second = there.find(({ metadata }) => metadata.name === 'db-1');
	t.like(second?.metadata.labels, {
		app: 'db',
		'statefulset.kubernetes.io/pod-name': 'db-1',
		'apps.kubernetes.io/pod-index': '1',
		'controller-revision-hash': set.status?.updateRevision,
	});
	t.like(second?.spec, { hostname: 'db-1', subdomain: 'db-peers' });
	t.deepEqual(second?.spec.volumes, [{ name: 'data', persistentVolumeClaim: { claimName: 'data-db-1' } }]);
	const made = await claimsOf(place);
	t.deepEqual(sortedNames(made), ['data-db-0', 'data-db-1', 'data-db-2']);
	t.deepEqual(made[0]?.metadata.labels, { app: 'db', tier: 'data' });
	t.like(set.status, { replicas: 3, currentReplicas: 3, updatedReplicas: 3, availableReplicas: 3, collisionCount: 0 });
	await eventually(place, [Event], async () =>
		(await events(place, 'SuccessfulCreate')).length === 6 ? true : undefined,
	);
	t.true((await events(place, 'SuccessfulCreate')).includes('create Pod db-0 in StatefulSet db successful'));
	t.true(
		(await events(place, 'SuccessfulCreate')).includes('create Claim data-db-0 Pod db-0 in StatefulSet db success'),
	);
});

test('claims outlive their pods, and are found again by the pods of their ordinals', async (t) => {
	const { client, place } = await start(t);
	await client.create(StatefulSet, make(2, claims));
	await complete(place, '1');
	const before = (await claimsOf(place)).map(({ metadata }) => metadata.uid);
	await edit(place, { spec: { replicas: 0 } });
	await until(place, (_, there) => there.length === 0);
	await edit(place, { spec: { replicas: 2 } });
	await complete(place, '1');
	await client.delete(StatefulSet, db);
	await eventually(place, [StatefulSet, Pod], async () =>
		(await pods(place)).length === 0 && !(await found(client.get(StatefulSet, db))) ? true : undefined,
	);
	t.deepEqual(
		(await claimsOf(place)).map(({ metadata }) => metadata.uid),
		before,
	);
	await client.create(StatefulSet, make(2, claims));
	await complete(place, '1');
	t.deepEqual(
		(await claimsOf(place)).map(({ metadata }) => metadata.uid),
		before,
	);
});

test('claims go with what their policy says: the pod that is scaled away, or the set', async (t) => {
	const { client, place } = await start(t);
	await client.create(
		StatefulSet,
		make(3, { ...claims, persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete', whenScaled: 'Delete' } }),
	);
	await complete(place, '1');
	const first = await client.get(PersistentVolumeClaim, { name: 'data-db-0', namespace: 'default' });
	t.like(first.metadata.ownerReferences?.[0], { kind: 'StatefulSet', name: 'db' });
	const third = await client.get(PersistentVolumeClaim, { name: 'data-db-2', namespace: 'default' });
	await edit(place, { spec: { replicas: 2 } });
	await eventually(place, [PersistentVolumeClaim], async () =>
		sortedNames(await claimsOf(place)).join() === 'data-db-0,data-db-1' ? true : undefined,
	);
	// And what comes back in its place is another one.
	await edit(place, { spec: { replicas: 3 } });
	await complete(place, '1');
	const again = await client.get(PersistentVolumeClaim, { name: 'data-db-2', namespace: 'default' });
	t.not(again.metadata.uid, third.metadata.uid);

	await edit(place, { spec: { persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain' } } });
	await eventually(place, [PersistentVolumeClaim], async () =>
		(await claimsOf(place)).every(({ metadata }) => !metadata.ownerReferences?.length) ? true : undefined,
	);
	await edit(place, { spec: { persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete' } } });
	await eventually(place, [PersistentVolumeClaim], async () =>
		(await claimsOf(place)).every(({ metadata }) => metadata.ownerReferences?.[0]?.kind === 'StatefulSet')
			? true
			: undefined,
	);
	await client.delete(StatefulSet, db);
	await eventually(place, [PersistentVolumeClaim, Pod], async () =>
		(await claimsOf(place)).length + (await pods(place)).length === 0 ? true : undefined,
	);
	t.pass();
});

test('a claim that is on its way out holds up its pod until it is gone', async (t) => {
	const { client, place } = await start(t);
	const [claim] = claims.volumeClaimTemplates ?? [];
	await client.create(PersistentVolumeClaim, {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: { name: 'data-db-0', namespace: 'default', finalizers: ['example.com/held'] },
		spec: claim?.spec ?? {},
	});
	const name = { name: 'data-db-0', namespace: 'default' };
	await client.delete(PersistentVolumeClaim, name);
	await client.create(StatefulSet, make(1, claims));
	await until(place, ({ status }) => status?.replicas === 0);
	t.deepEqual(await pods(place), []);
	await client.patch(PersistentVolumeClaim, name, { type: 'merge', body: { metadata: { finalizers: null } } });
	await complete(place, '1');
	t.is((await client.get(PersistentVolumeClaim, name)).metadata.deletionTimestamp, undefined);
});

test('a new template rolls from the last to the first, never two at once, and only beyond the partition', async (t) => {
	const { client, cache, place } = await start(t);
	await client.create(StatefulSet, make(3));
	await complete(place, '1');
	const gone: string[] = [];
	let fewest = 3;
	cache.informer(Pod).on(({ object, old }) => {
		if (old && !object) gone.push(old.metadata.name);
		const ready = Array.from(cache.informer(Pod).list()).filter(
			({ metadata, status }) =>
				!metadata.deletionTimestamp &&
				status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
		);
		fewest = Math.min(fewest, ready.length);
	});
	const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 2 } };
	await edit(place, { spec: { updateStrategy, template: template('2', { app: 'db' }) } });
	const { set } = await until(place, ({ status }) => status?.updatedReplicas === 1 && status.readyReplicas === 3);
	t.not(set.status?.currentRevision, set.status?.updateRevision);
	t.deepEqual(gone, ['db-2']);
	// One that dies before the partition comes back as it was.
	await client.delete(Pod, { name: 'db-0', namespace: 'default' });
	const again = await until(
		place,
		({ status }, there) => status?.currentReplicas === 2 && status.readyReplicas === 3 && there.length === 3,
	);
	t.is(again.pods.find(({ metadata }) => metadata.name === 'db-0')?.spec.containers[0]?.image, 'example:1');
	await edit(place, { spec: { updateStrategy: { rollingUpdate: { partition: 0 } } } });
	await complete(place, '2');
	t.deepEqual(gone, ['db-2', 'db-0', 'db-1', 'db-0']);
	t.is(fewest, 2);
});

test('a bad update is mended by the next one, or by going back, without a hand', async (t) => {
	const { client, node, place } = await start(t);
	node.ready = (pod) => !pod.spec.containers[0]?.image?.includes('bad');
	// Bad from the beginning.
	await client.create(StatefulSet, make(3, { template: template('bad', { app: 'db' }) }));
	await until(place, (_, there) => there.length === 1 && there[0]?.status?.phase === 'Running');
	await edit(place, { spec: { template: template('1', { app: 'db' }) } });
	await complete(place, '1');

	const stuck = (_: StatefulSet, there: readonly Pod[]) =>
		there.some(
			({ metadata, spec, status }) =>
				metadata.name === 'db-2' && spec.containers[0]?.image?.includes('bad') && status?.phase === 'Running',
		);
	await edit(place, { spec: { template: template('bad2', { app: 'db' }) } });
	const { pods: before } = await until(place, stuck);
	await edit(place, { spec: { template: template('2', { app: 'db' }) } });
	await complete(place, '2');

	await edit(place, { spec: { template: template('bad3', { app: 'db' }) } });
	const { pods: healthy } = await until(place, stuck);
	await edit(place, { spec: { template: template('2', { app: 'db' }) } });
	const { pods: after } = await complete(place, '2');
	const uid = (all: readonly Pod[], name: string) => all.find(({ metadata }) => metadata.name === name)?.metadata.uid;
	t.is(uid(after, 'db-0'), uid(healthy, 'db-0'), 'what was well was not touched');
	t.not(uid(after, 'db-0'), uid(before, 'db-0'));
});

test('pods that are replaced by hand wait for that hand', async (t) => {
	const { client, place } = await start(t);
	await client.create(StatefulSet, make(2, { updateStrategy: { type: 'OnDelete' } }));
	await until(place, ({ status }) => status?.readyReplicas === 2);
	const before = (await pods(place)).map(({ metadata }) => metadata.uid);
	await edit(place, { spec: { template: template('2', { app: 'db' }) } });
	await until(place, ({ status }) => status?.updatedReplicas === undefined && status?.readyReplicas === 2);
	t.deepEqual(
		(await pods(place)).map(({ metadata }) => metadata.uid),
		before,
	);
	await client.delete(Pod, { name: 'db-0', namespace: 'default' });
	const { pods: after } = await until(
		place,
		({ status }) => status?.updatedReplicas === 1 && status.readyReplicas === 2,
	);
	t.deepEqual(
		after.map(({ spec }) => spec.containers[0]?.image),
		['example:2', 'example:1'],
	);
});

test('a pod that failed, and one that has ended, is made anew; one that fails again and again with more and more patience', async (t) => {
	const { client, place } = await start(t);
	await client.create(StatefulSet, make(1));
	let {
		pods: [pod],
	} = await complete(place, '1');
	for (const phase of ['Failed', 'Succeeded', 'Failed']) {
		const uid = pod?.metadata.uid;
		if (!pod) return t.fail();
		await client.update(Pod, { ...pod, status: { phase } }, { subresource: 'status' });
		({
			pods: [pod],
		} = await until(
			place,
			({ status }, [now]) => status?.readyReplicas === 1 && now !== undefined && now.metadata.uid !== uid,
		));
	}
	await eventually(place, [Event], async () =>
		(await events(place, 'RecreatingTerminatedPod')).length === 1 ? true : undefined,
	);
	t.true((await events(place, 'RecreatingFailedPod')).includes('StatefulSet default/db is recreating failed Pod db-0'));
	t.deepEqual(await events(place, 'RecreatingTerminatedPod'), [
		'StatefulSet default/db is recreating terminated Pod db-0',
	]);
});

test('a pod whose labels no longer fit is let go, and taken back when they do', async (t) => {
	const { client, place } = await start(t);
	await client.create(StatefulSet, make(1));
	await complete(place, '1');
	const name = { name: 'db-0', namespace: 'default' };
	const relabel = (app: string) => client.patch(Pod, name, { type: 'merge', body: { metadata: { labels: { app } } } });
	await relabel('debug');
	const owned = async (yes: boolean) =>
		eventually(place, [Pod], async () => {
			const pod = await client.get(Pod, name);
			return Boolean(pod.metadata.ownerReferences?.length) === yes ? pod : undefined;
		});
	const free = await owned(false);
	await relabel('db');
	t.is((await owned(true)).metadata.uid, free.metadata.uid);
});

test('the history has its limit, and a revision that is in use is not counted', async (t) => {
	const { client, place } = await start(t);
	await client.create(StatefulSet, make(1, { revisionHistoryLimit: 2 }));
	await complete(place, '1');
	for (const version of ['2', '3', '4', '5']) {
		await edit(place, { spec: { template: template(version, { app: 'db' }) } });
		await complete(place, version);
	}
	const revisions = await eventually(place, [ControllerRevision], async () => {
		const { items } = await client.list(ControllerRevision, { namespace: 'default' });
		return items.length === 3 ? items : undefined;
	});
	t.deepEqual(revisions.map(({ revision }) => revision).sort(), [3, 4, 5]);
});

test('a revision of the name that is not of the set counts as a collision, and another name is found', async (t) => {
	const { client, place } = await start(t);
	await client.create(StatefulSet, make(1));
	const { set } = await complete(place, '1');
	const name = { name: set.status?.updateRevision ?? '', namespace: 'default' };
	await client.delete(StatefulSet, db);
	await eventually(place, [ControllerRevision, Pod], async () =>
		(await found(client.get(ControllerRevision, name))) || (await pods(place)).length > 0 ? undefined : true,
	);
	await client.create(ControllerRevision, {
		apiVersion: 'apps/v1',
		kind: 'ControllerRevision',
		metadata: name,
		data: { spec: {} },
		revision: 1,
	});
	await client.create(StatefulSet, make(1));
	const { set: again } = await complete(place, '1');
	t.is(again.status?.collisionCount, 1);
	t.not(again.status?.updateRevision, name.name);
});

test('a set that may not make its pods says why, and goes on when it may', async (t) => {
	const made = await worldWithQuota(t, 1);
	const { client, place } = await start(t, made);
	await client.create(StatefulSet, make(2));
	const { set } = await until(place, ({ status }) => status?.conditions !== undefined);
	t.like(set.status?.conditions?.[0], { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate' });
	t.regex(set.status?.conditions?.[0]?.message ?? '', /pods "db-1" is forbidden: exceeded quota: pods/);
	const failures = async () => (await events(place, 'FailedCreate'))[0];
	const message = await eventually(place, [Event], failures);
	t.regex(message ?? '', /create Pod db-1 in StatefulSet db failed error: pods "db-1" is forbidden/);
	made.quota.left = 10;
	const { set: after } = await complete(place, '1');
	t.is(after.status?.conditions, undefined);
});

test('whatever answers are lost, each ordinal is made once, with one claim, and replaced once', async (t) => {
	const w = await world(t);
	const losses = { left: 0, lost: 0 };
	const client = lossy(w.client, losses);
	await using cache = createCache(client, { signal: w.signal, log: silentLog });
	run(t, { ...w, client, cache }, [statefulSet]);
	run(t, w, [kubelet({ anywhere: true }).controller]);
	const made: string[] = [];
	w.cache.informer(Pod).on(({ object, old }) => {
		if (object && !old) made.push(object.metadata.name);
	});
	losses.left = 12;
	await w.client.create(StatefulSet, make(3, claims));
	await complete(w, '1');
	t.deepEqual(made, ['db-0', 'db-1', 'db-2']);
	losses.left = 12;
	await edit(w, { spec: { template: template('2', { app: 'db' }) } });
	await complete(w, '2');
	t.deepEqual(made, ['db-0', 'db-1', 'db-2', 'db-2', 'db-1', 'db-0']);
	t.deepEqual(sortedNames(await claimsOf(w)), ['data-db-0', 'data-db-1', 'data-db-2']);
	t.is((await w.client.list(ControllerRevision)).items.length, 2);
	t.is(losses.lost + losses.left, 24);
	t.true(losses.lost >= 15, `${losses.lost} answers were lost`);
});
