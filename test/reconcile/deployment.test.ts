/** Deployments and ReplicaSets on a real API and store; only the nodes are played. */
import test from 'ava';
import { Deployment, Event, Pod, ReplicaSet } from '../../src/kinds/index.ts';
import { deployment as deploymentController } from '../../src/reconcile/workloads/deployment.ts';
import { replicaSet as replicaSetController } from '../../src/reconcile/workloads/replicaset.ts';
import { eventually, run, type World, world } from '../client/world.ts';
import { kubelet, sortedNames } from './kubelet.ts';
import { worldWithQuota } from './quota.ts';
import { deployment as shape, template } from './workloads.ts';

const image = (version: string) => ({ containers: [{ name: 'main', image: `example:${version}` }] });
const REVISION = 'deployment.kubernetes.io/revision';
const web = { name: 'web', namespace: 'default' };

function make(replicas: number, spec: Partial<Deployment['spec']> = {}, version = '1'): Deployment {
	return { ...shape(replicas, spec, version), metadata: { ...web } };
}

async function start(t: Parameters<typeof world>[0]) {
	const place = await world(t);
	const node = kubelet({ anywhere: true });
	const running = run(t, place, [deploymentController, replicaSetController, node.controller]);
	return { ...place, place, node, running };
}

const settled = (place: World, until: (status: NonNullable<Deployment['status']>, target: Deployment) => boolean) =>
	eventually(place, [Deployment, ReplicaSet, Pod], async () => {
		const target = await place.client.get(Deployment, web);
		const { status } = target;
		const seen = status && (status.observedGeneration ?? 0) >= (target.metadata.generation ?? 0);
		return seen && until(status, target) ? target : undefined;
	});
const complete = (place: World) =>
	settled(place, (status, { spec }) => {
		const size = spec.replicas ?? 1;
		return (
			(status.updatedReplicas ?? 0) === size &&
			(status.replicas ?? 0) === size &&
			(status.availableReplicas ?? 0) === size &&
			(status.conditions ?? []).some(({ reason }) => reason === 'NewReplicaSetAvailable')
		);
	});
const sets = async ({ client }: World) => (await client.list(ReplicaSet, { namespace: 'default' })).items;
const pods = async ({ client }: World) => (await client.list(Pod, { namespace: 'default' })).items;
const edit = async ({ client }: World, change: object) =>
	client.patch(Deployment, web, { type: 'merge', body: change });
const setOf = async (place: World, version: string) =>
	(await sets(place)).find((set) => set.spec.template?.spec?.containers[0]?.image === `example:${version}`);
const events = (place: World, reason: string, count: number) =>
	eventually(place, [Event], async () => {
		const { items } = await place.client.list(Event, { namespace: 'default' });
		const found = items.filter((event) => event.reason === reason);
		return found.length >= count ? found.map(({ message }) => message ?? '') : undefined;
	});

test('a deployment becomes a set and pods, and says so as kubectl rollout status reads it', async (t) => {
	const { client, place } = await start(t);
	await client.create(Deployment, make(3));
	const target = await complete(place);
	const [set, ...others] = await sets(place);
	t.is(others.length, 0);
	t.truthy(set);
	if (!set) return;
	const hash = set.metadata.labels?.['pod-template-hash'] ?? '';
	t.is(set.metadata.name, `web-${hash}`);
	t.is(set.spec.selector.matchLabels?.['pod-template-hash'], hash);
	t.is(set.metadata.annotations?.[REVISION], '1');
	t.is(target.metadata.annotations?.[REVISION], '1');
	for (const pod of await pods(place)) {
		t.regex(pod.metadata.name, new RegExp(`^web-${hash}-[a-z0-9]{5}$`));
		t.is(pod.metadata.labels?.['pod-template-hash'], hash);
		t.like(pod.metadata.ownerReferences?.[0], { kind: 'ReplicaSet', uid: set.metadata.uid, controller: true });
	}
	t.is((await pods(place)).length, 3);
	t.like(target.status, { replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3 });
	t.is(target.status?.unavailableReplicas, undefined);
	const condition = (type: string) => target.status?.conditions?.find((one) => one.type === type);
	t.like(condition('Available'), {
		status: 'True',
		reason: 'MinimumReplicasAvailable',
		message: 'Deployment has minimum availability.',
	});
	t.like(condition('Progressing'), {
		status: 'True',
		message: `ReplicaSet "web-${hash}" has successfully progressed.`,
	});
	t.deepEqual(await events(place, 'ScalingReplicaSet', 1), [`Scaled up replica set web-${hash} from 0 to 3`]);
	t.deepEqual(
		(await events(place, 'SuccessfulCreate', 3)).sort(),
		sortedNames(await pods(place)).map((name) => `Created pod: ${name}`),
	);
});

test('a new template rolls, an old one is rolled back to, and the history is right', async (t) => {
	const { client, place } = await start(t);
	await client.create(Deployment, make(3));
	await complete(place);
	await edit(place, { spec: { template: template('2') } });
	let target = await complete(place);
	t.is(target.metadata.annotations?.[REVISION], '2');
	t.is((await setOf(place, '1'))?.spec.replicas, 0);
	t.is((await setOf(place, '2'))?.spec.replicas, 3);

	await edit(place, { spec: { template: template('1') } });
	await eventually(
		place,
		[Deployment],
		async () => (await client.get(Deployment, web)).metadata.annotations?.[REVISION] === '3' || undefined,
	);
	target = await complete(place);
	const back = await setOf(place, '1');
	t.is(back?.metadata.annotations?.[REVISION], '3');
	t.is(back?.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1');
	t.is(back?.spec.replicas, 3);
	t.is((await sets(place)).length, 2);
});

test('a rolling update never has more pods than the surge allows, nor fewer available than it must', async (t) => {
	const { client, cache, place } = await start(t);
	const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } };
	await client.create(Deployment, make(4, { strategy }));
	await complete(place);
	const seen = { most: 0, fewest: 4 };
	cache.informer(Pod).on(() => {
		const active = Array.from(cache.informer(Pod).list()).filter(({ metadata }) => !metadata.deletionTimestamp);
		const ready = active.filter(({ status }) =>
			status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
		);
		seen.most = Math.max(seen.most, active.length);
		seen.fewest = Math.min(seen.fewest, ready.length);
	});
	await edit(place, { spec: { template: template('2') } });
	await eventually(
		place,
		[Deployment, ReplicaSet],
		async () => (await setOf(place, '2'))?.status?.availableReplicas === 4 || undefined,
	);
	await complete(place);
	t.deepEqual(seen, { most: 5, fewest: 4 });
});

test('pods that never become ready stop the rollout, which then misses its deadline and says so', async (t) => {
	const { client, node, place } = await start(t);
	await client.create(Deployment, make(2, { progressDeadlineSeconds: 3 }));
	await complete(place);
	node.ready = (pod) => pod.spec.containers[0]?.image !== 'example:2';
	await edit(place, { spec: { template: template('2') } });
	const target = await settled(
		place,
		({ conditions }) => conditions?.some(({ reason }) => reason === 'ProgressDeadlineExceeded') === true,
	);
	const set = await setOf(place, '2');
	t.like(
		target.status?.conditions?.find(({ type }) => type === 'Progressing'),
		{
			status: 'False',
			message: `ReplicaSet "${set?.metadata.name}" has timed out progressing.`,
		},
	);
	t.is(target.status?.unavailableReplicas, 1);
	t.is((await setOf(place, '1'))?.spec.replicas, 2, 'the old pods stay');

	await edit(place, { spec: { template: template('1') } });
	await complete(place);
	t.is((await setOf(place, '2'))?.spec.replicas, 0);
});

test('recreate: no new pod before the last old one is gone, terminating ones included', async (t) => {
	const { client, cache, node, place } = await start(t);
	// Pods with a node end gracefully; those without would be gone at once.
	const onNode = (version: string) => ({ ...template(version), spec: { ...image(version), nodeName: 'n1' } });
	await client.create(Deployment, make(2, { strategy: { type: 'Recreate' }, template: onNode('1') }));
	await complete(place);
	node.ends = () => false;
	await edit(place, { spec: { template: onNode('2') } });
	const dying = await eventually(place, [Pod], async () => {
		const all = await pods(place);
		return all.every(({ metadata }) => metadata.deletionTimestamp) ? all : undefined;
	});
	t.is(dying.length, 2);
	t.is(await setOf(place, '2'), undefined);
	let together = false;
	cache.informer(Pod).on(() => {
		const images = new Set(Array.from(cache.informer(Pod).list(), ({ spec }) => spec.containers[0]?.image));
		if (images.size > 1) together = true;
	});
	node.ends = () => true;
	for (const { metadata } of dying) await client.delete(Pod, metadata, { gracePeriodSeconds: 0 });
	await complete(place);
	t.false(together);
});

test('paused: the template waits, the size does not; resumed, it rolls', async (t) => {
	const { client, place } = await start(t);
	await client.create(Deployment, make(2));
	await complete(place);
	await edit(place, { spec: { paused: true, replicas: 4, template: template('2') } });
	const paused = await settled(place, (status) => status.availableReplicas === 4);
	t.like(
		paused.status?.conditions?.find(({ type }) => type === 'Progressing'),
		{ status: 'Unknown', reason: 'DeploymentPaused', message: 'Deployment is paused' },
	);
	t.is((await sets(place)).length, 1);
	await edit(place, { spec: { paused: false } });
	await complete(place);
	t.is((await setOf(place, '2'))?.spec.replicas, 4);
});

test('scaling up and down, and to none', async (t) => {
	const { client, place } = await start(t);
	await client.create(Deployment, make(2));
	await complete(place);
	for (const replicas of [5, 1, 0]) {
		await edit(place, { spec: { replicas } });
		await complete(place);
		const left = await eventually(place, [Pod], async () =>
			(await pods(place)).length === replicas ? replicas : undefined,
		);
		t.is(left, replicas);
	}
	t.is((await sets(place)).length, 1);
});

test('the history keeps no more sets than its limit', async (t) => {
	const { client, place } = await start(t);
	await client.create(Deployment, make(1, { revisionHistoryLimit: 1 }));
	await complete(place);
	for (const version of ['2', '3', '4']) {
		await edit(place, { spec: { template: template(version) } });
		await eventually(place, [ReplicaSet], async () => (await setOf(place, version)) && true);
		await complete(place);
	}
	const images = await eventually(place, [ReplicaSet], async () => {
		const all = await sets(place);
		return all.length === 2 ? all.map((set) => set.spec.template?.spec?.containers[0]?.image).sort() : undefined;
	});
	t.deepEqual(images, ['example:3', 'example:4']);
});

test('a pod that is deleted is made again, one that is relabelled is let go and replaced', async (t) => {
	const { client, place } = await start(t);
	await client.create(Deployment, make(2));
	await complete(place);
	const [first, second] = await pods(place);
	if (!first || !second) return t.fail();
	await client.delete(Pod, first.metadata, { gracePeriodSeconds: 0 });
	await client.patch(Pod, second.metadata, { type: 'merge', body: { metadata: { labels: { app: 'debug' } } } });
	await eventually(place, [Pod], async () => {
		const all = await pods(place);
		const fresh = all.filter(({ metadata }) => metadata.labels?.app === 'web' && metadata.name !== first.metadata.name);
		return fresh.length === 2 && all.length === 3 ? true : undefined;
	});
	const released = await eventually(place, [Pod], async () => {
		const pod = await client.get(Pod, second.metadata);
		return pod.metadata.ownerReferences?.length ? undefined : pod;
	});
	t.is(released.metadata.labels?.app, 'debug');
	await complete(place);
});

test('a set and pods that nobody owns are adopted instead of made', async (t) => {
	const { client, place } = await start(t);
	await client.create(Deployment, make(2));
	await complete(place);
	const before = sortedNames(await pods(place));
	await client.delete(Deployment, web, { propagationPolicy: 'Orphan' });
	// Orphaning is the garbage collector's, which does not run here.
	for (const set of await sets(place)) {
		const { ownerReferences: _, ...metadata } = set.metadata;
		await client.update(ReplicaSet, { ...set, metadata });
	}
	const gone = await client.get(Deployment, web).catch(() => undefined);
	if (gone) await edit(place, { metadata: { finalizers: null } });
	const again = await client.create(Deployment, make(2));
	await complete(place);
	const [set] = await sets(place);
	t.is(set?.metadata.ownerReferences?.[0]?.uid, again.metadata.uid);
	t.deepEqual(sortedNames(await pods(place)), before);
});

test('a set that is not allowed its pods says why, and so does its deployment; all goes on when the cause is gone', async (t) => {
	const place = await worldWithQuota(t, 1);
	const { client, quota } = place;
	const node = kubelet({ anywhere: true });
	run(t, place, [deploymentController, replicaSetController, node.controller]);
	await client.create(Deployment, make(40));
	const failing = await settled(
		place,
		({ conditions }) => conditions?.some(({ type }) => type === 'ReplicaFailure') === true,
	);
	const failure = failing.status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
	t.like(failure, { status: 'True', reason: 'FailedCreate' });
	t.regex(failure?.message ?? '', /^pods "web-[0-9a-z]+-" is forbidden: exceeded quota: pods$/);
	const [event] = await events(place, 'FailedCreate', 1);
	t.regex(event ?? '', /^Error creating: pods "web-[0-9a-z]+-" is forbidden: exceeded quota: pods$/);
	t.true(quota.refused < 20, 'the API is not flooded with what it refuses');
	quota.left = 1000;
	const target = await complete(place);
	t.false(target.status?.conditions?.some(({ type }) => type === 'ReplicaFailure'));
	t.is((await pods(place)).length, 40);
});

test('two templates of one hash: the second gets another name', async (t) => {
	const { client, place } = await start(t);
	await client.create(Deployment, make(1));
	await complete(place);
	const [set] = await sets(place);
	if (!set) return t.fail();
	// A set of another owner that has the name which the next template will get.
	const { podTemplateHash } = await import('../../src/reconcile/workloads/pod-template-hash.ts');
	const next = await edit(place, { spec: { paused: true, template: template('2') } });
	const name = `web-${podTemplateHash(next.spec.template)}`;
	const labels = { app: 'other' };
	await client.create(ReplicaSet, {
		apiVersion: 'apps/v1',
		kind: 'ReplicaSet',
		metadata: { name, namespace: 'default', labels },
		spec: { replicas: 0, selector: { matchLabels: labels }, template: template('2', labels) },
	});
	await edit(place, { spec: { paused: false } });
	await eventually(place, [ReplicaSet], async () => {
		const all = await sets(place);
		return (
			all.some(
				(one) =>
					one.spec.replicas === 1 &&
					one.metadata.name !== name &&
					one.spec.template?.spec?.containers[0]?.image === 'example:2',
			) || undefined
		);
	});
	const target = await complete(place);
	t.is(target.status?.collisionCount, 1);
});

test('a settled deployment is looked at, and not written', async (t) => {
	const { client, place, running } = await start(t);
	await client.create(Deployment, make(2));
	await complete(place);
	await edit(place, { metadata: { labels: { seen: 'yes' } } });
	const marked = await edit(place, { metadata: { labels: { seen: 'again' } } });
	const idle = () => {
		const metrics = ['deployment', 'replicaset'].map((name) => running.metrics.get(name));
		return metrics.every((one) => one && one.depth + one.running.size === 0) || undefined;
	};
	await eventually(place, [Deployment, ReplicaSet, Pod], () => {
		const seen = place.cache.informer(Deployment).get('default/web')?.metadata.labels?.seen === 'again';
		return seen && idle();
	});
	t.is((await client.get(Deployment, web)).metadata.resourceVersion, marked.metadata.resourceVersion);
});
