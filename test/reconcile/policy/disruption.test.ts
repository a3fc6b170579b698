/** Budgets as the controller keeps them, and evictions as the API lets them through, on a real store. */
import test from 'ava';
import { ApiError, Deployment, Event, Pod, PodDisruptionBudget, ReplicaSet } from '../../../src/kinds/index.ts';
import { disruption, staleDisruption } from '../../../src/reconcile/policy/disruption.ts';
import { handClock } from '../../client/clock.ts';
import { caller, eventually, pass, run, type World, world } from '../../client/world.ts';
import { admin } from '../../testbed/api.ts';
import { servers } from '../../testbed/servers.ts';

const namespace = 'default';
const podBody = (name: string, more: object = {}) => ({
	apiVersion: 'v1',
	kind: 'Pod' as const,
	metadata: { name, namespace, labels: { app: 'web' }, ...more },
	spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
});
const runningStatus = (ready = true) => ({
	phase: 'Running',
	conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
});
async function addPod({ client }: Pick<World, 'client'>, name: string, ready = true, more: object = {}) {
	const made = await client.create(Pod, podBody(name, more) as Pod);
	return client.update(Pod, { ...made, status: runningStatus(ready) } as Pod, { subresource: 'status' });
}
const budgetBody = (spec: object, name = 'b') =>
	({
		apiVersion: 'policy/v1',
		kind: 'PodDisruptionBudget',
		metadata: { name, namespace },
		spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
	}) as PodDisruptionBudget;
const statusWhen = (place: World, holds: (status: NonNullable<PodDisruptionBudget['status']>) => boolean) =>
	eventually(place, [PodDisruptionBudget, Pod], async () => {
		const { status } = await place.client.get(PodDisruptionBudget, { name: 'b', namespace });
		return status && holds(status) ? status : undefined;
	});
const evict = ({ api }: Pick<World, 'api'>, name: string, deleteOptions: object = {}, options = {}) =>
	api.create(
		{ kind: Pod, namespace, name, subresource: 'eviction' } as never,
		{ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace }, deleteOptions },
		options,
		caller,
	);
const refusalOf = async (attempt: Promise<unknown>) => {
	try {
		await attempt;
		return undefined;
	} catch (error) {
		if (error instanceof ApiError) return error.status;
		throw error;
	}
};

test('a budget follows its pods, and evictions spend it', async (t) => {
	const place = await world(t);
	const { client } = place;
	run(t, place, [disruption]);
	for (const name of ['p1', 'p2', 'p3']) await addPod(place, name);
	await client.create(PodDisruptionBudget, budgetBody({ minAvailable: 2 }));
	await statusWhen(place, (status) => status.disruptionsAllowed === 1);
	t.deepEqual(await refusalOf(evict(place, 'p1', {}, { dryRun: true })), undefined, 'a dry run spends nothing');
	await evict(place, 'p1');
	const after = await client.get(Pod, { name: 'p1', namespace });
	t.truthy(after.metadata.deletionTimestamp);
	t.like(
		after.status?.conditions?.find(({ type }) => type === 'DisruptionTarget'),
		{ status: 'True', reason: 'EvictionByEvictionAPI', message: 'Eviction API: evicting' },
	);
	t.like(await refusalOf(evict(place, 'p2')), {
		code: 429,
		reason: 'TooManyRequests',
		message: "Cannot evict pod as it would violate the pod's disruption budget.",
	});
	const exhausted = await statusWhen(place, (status) => status.currentHealthy === 2);
	t.is(exhausted.disruptedPods, undefined, 'the pod shows as leaving');
	const refused = await refusalOf(evict(place, 'p2', {}, { dryRun: true }));
	t.deepEqual(refused?.details?.causes, [
		{ reason: 'DisruptionBudget', message: 'The disruption budget b needs 2 healthy pods and has 2 currently' },
	]);
	await addPod(place, 'p4');
	await statusWhen(place, (status) => status.disruptionsAllowed === 1);
	await evict(place, 'p2', { gracePeriodSeconds: 0 });
	t.is((await refusalOf(client.get(Pod, { name: 'p2', namespace })))?.code, 404);
});

for (const count of [1, 2])
	test(`of 40 evictions at once just as many are let through as the budget allows, with ${count} servers`, async (t) => {
		const apis = await servers(t, count);
		const [api] = apis as [(typeof apis)[number]];
		const pods = Array.from({ length: 40 }, (_, i) => `p${i}`);
		for (const name of pods) {
			await api.create({ kind: Pod, namespace }, podBody(name), {}, admin);
			const status = { kind: Pod, namespace, name, subresource: 'status' } as const;
			await api.patch(status, { type: 'merge', body: { status: runningStatus() } }, {}, admin);
		}
		const { object } = await api.create(
			{ kind: PodDisruptionBudget, namespace },
			budgetBody({ minAvailable: 27 }),
			{},
			admin,
		);
		const status = {
			observedGeneration: object.metadata.generation,
			currentHealthy: 40,
			desiredHealthy: 27,
			expectedPods: 40,
			disruptionsAllowed: 13,
		};
		const target = { kind: PodDisruptionBudget, namespace, name: 'b', subresource: 'status' } as const;
		await api.update(target, { ...object, status }, {}, admin);
		const results = await Promise.all(pods.map((name, i) => refusalOf(evict({ api: apis[i % count] } as never, name))));
		t.is(results.filter((refused) => refused === undefined).length, 13);
		t.true(results.every((refused) => refused === undefined || refused.code === 429));
		const left = (await api.list({ kind: Pod, namespace }, {}, admin)).items.filter(
			(each) => !each.object.metadata.deletionTimestamp,
		);
		t.is(left.length, 27);
		const spent = await api.get({ kind: PodDisruptionBudget, namespace, name: 'b' }, {}, admin);
		t.is(spent.object.status?.disruptionsAllowed, 0);
		t.is(Object.keys(spent.object.status?.disruptedPods ?? {}).length, 13);
		t.like(spent.object.status?.conditions?.[0], { type: 'DisruptionAllowed', status: 'False' });
	});

const spec = { minAvailable: 1 };
const free: [string, object, object, object, number | undefined][] = [
	['a pod that has not begun is nobody’s loss', spec, { phase: 'Pending' }, {}, undefined],
	['a pod that has ended is nobody’s loss', spec, { phase: 'Succeeded' }, {}, undefined],
	['a ready pod is protected', spec, runningStatus(), { currentHealthy: 1, desiredHealthy: 1 }, 429],
	[
		'a pod that is not ready is protected while too few are',
		spec,
		runningStatus(false),
		{ currentHealthy: 0, desiredHealthy: 1 },
		429,
	],
	[
		'a pod that is not ready may go where enough are',
		spec,
		runningStatus(false),
		{ currentHealthy: 1, desiredHealthy: 1 },
		undefined,
	],
	[
		'a pod that is not ready may always go where the budget says so',
		{ ...spec, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
		runningStatus(false),
		{ currentHealthy: 0, desiredHealthy: 1 },
		undefined,
	],
	[
		'a ready pod is protected by that budget all the same',
		{ ...spec, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
		runningStatus(),
		{ currentHealthy: 1, desiredHealthy: 1 },
		429,
	],
];
for (const [what, budget, podStatus, figures, code] of free)
	test(`eviction: ${what}`, async (t) => {
		const place = await world(t);
		const { client } = place;
		const made = await client.create(Pod, podBody('p') as Pod);
		await client.update(Pod, { ...made, status: podStatus } as Pod, { subresource: 'status' });
		const b = await client.create(PodDisruptionBudget, budgetBody(budget));
		const status = { observedGeneration: b.metadata.generation, disruptionsAllowed: 0, expectedPods: 1, ...figures };
		await client.update(PodDisruptionBudget, { ...b, status } as PodDisruptionBudget, { subresource: 'status' });
		t.is((await refusalOf(evict(place, 'p')))?.code, code);
	});

test('a budget that nobody has looked at yet, or that has changed, lets nobody go', async (t) => {
	const place = await world(t);
	await addPod(place, 'p');
	await place.client.create(PodDisruptionBudget, budgetBody({ minAvailable: 0 }));
	const refused = await refusalOf(evict(place, 'p'));
	t.is(refused?.code, 429);
	t.is(refused?.details?.retryAfterSeconds, 10);
	t.is(refused?.details?.causes?.[0]?.message, 'The disruption budget b is still being processed by the server.');
});

test('a pod with two budgets cannot be evicted, and is told so', async (t) => {
	const place = await world(t);
	const { client } = place;
	run(t, place, [disruption]);
	await addPod(place, 'p');
	await client.create(PodDisruptionBudget, budgetBody({ minAvailable: 0 }));
	await client.create(PodDisruptionBudget, budgetBody({ minAvailable: 0 }, 'other'));
	const refused = await refusalOf(evict(place, 'p'));
	t.is(refused?.code, 500);
	t.is(
		refused?.message,
		'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
	);
	await eventually(place, [Event], async () =>
		(await client.list(Event, { namespace })).items.find(({ reason }) => reason === 'MultiplePodDisruptionBudgets'),
	);
});

test('a share is of what the controllers of the pods want: of a Deployment, not of its sets', async (t) => {
	const place = await world(t);
	const { client } = place;
	run(t, place, [disruption]);
	const template = { metadata: { labels: { app: 'web' } }, spec: podBody('x').spec };
	const selector = { matchLabels: { app: 'web' } };
	const made = await client.create(Deployment, {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'd', namespace },
		spec: { replicas: 10, selector, template: { ...template, spec: { containers: template.spec.containers } } },
	} as Deployment);
	const owned = (kind: string, apiVersion: string, { metadata }: { metadata: { name: string; uid?: string } }) => ({
		ownerReferences: [{ apiVersion, kind, name: metadata.name, uid: metadata.uid ?? '', controller: true }],
	});
	for (const name of ['old', 'new']) {
		const set = await client.create(ReplicaSet, {
			apiVersion: 'apps/v1',
			kind: 'ReplicaSet',
			metadata: { name, namespace, ...owned('Deployment', 'apps/v1', made) },
			spec: { replicas: 4, selector, template: { ...template, spec: { containers: template.spec.containers } } },
		} as ReplicaSet);
		for (const i of [1, 2, 3, 4]) await addPod(place, `${name}${i}`, true, owned('ReplicaSet', 'apps/v1', set));
	}
	await client.create(PodDisruptionBudget, budgetBody({ maxUnavailable: '30%' }));
	const status = await statusWhen(place, ({ currentHealthy }) => currentHealthy === 8);
	t.like(status, { expectedPods: 10, desiredHealthy: 7, disruptionsAllowed: 1 });
});

test('a share of pods whose controller has no scale allows nothing, and says why', async (t) => {
	const place = await world(t);
	const { client } = place;
	run(t, place, [disruption]);
	const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'm', uid: 'u', controller: true }];
	await addPod(place, 'p', true, { ownerReferences });
	await client.create(PodDisruptionBudget, budgetBody({ maxUnavailable: '50%' }));
	const status = await statusWhen(place, ({ conditions }) => conditions?.[0]?.reason === 'SyncFailed');
	t.is(status.disruptionsAllowed, 0);
	t.regex(status.conditions?.[0]?.message ?? '', /does not implement the scale subresource/);
});

test('a pod that was to go and stays is not disrupted any more after two minutes', async (t) => {
	const clock = handClock();
	const place = await world(t);
	const { client } = place;
	const now = () => Date.parse('2030-01-01T00:00:00Z') + clock.now();
	const running = run(t, place, [staleDisruption], now, clock);
	const made = await client.create(Pod, podBody('p') as Pod);
	const conditions = [
		{ type: 'DisruptionTarget', status: 'True', reason: 'Test', lastTransitionTime: '2030-01-01T00:00:00Z' },
	];
	await client.update(Pod, { ...made, status: { ...runningStatus(), conditions } } as Pod, { subresource: 'status' });
	const target = async () => (await client.get(Pod, { name: 'p', namespace })).status?.conditions?.[0]?.status;
	await pass(running, clock, 110);
	t.is(await target(), 'True');
	await pass(running, clock, 15);
	t.is(await target(), 'False');
});
