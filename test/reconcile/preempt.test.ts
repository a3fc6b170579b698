/** Whose place a more urgent pod takes: the decision, and then on a real API and store, where only the nodes are played. */
import test from 'ava';
import type { Client } from '../../src/client/index.ts';
import { Event, Node, Pod, PodDisruptionBudget, PriorityClass } from '../../src/kinds/index.ts';
import { type Budget, preempt } from '../../src/reconcile/scheduling/preempt.ts';
import { schedule } from '../../src/reconcile/scheduling/schedule.ts';
import { scheduler } from '../../src/reconcile/scheduling/scheduler.ts';
import { wantedOf } from '../../src/reconcile/scheduling/wanted.ts';
import { eventually, run, type World, world } from '../client/world.ts';
import { asks, type Case, snapshotOf } from './placing.ts';
import { ago, node } from './workloads.ts';

const sized = (name: string, cpu = '4'): Node => ({ ...node(name), status: { allocatable: { cpu, pods: '110' } } });

interface Shape {
	cpu?: string;
	priority?: number;
	/** Started so many seconds ago. */
	age?: number;
	labels?: Record<string, string>;
	spec?: Partial<Pod['spec']>;
}
const running = (
	name: string,
	nodeName: string,
	{ cpu = '1', priority = 0, age = 100, labels = {}, spec }: Shape = {},
): Pod => {
	const made = asks(
		name,
		{ cpu },
		{ nodeName, priority, containers: [{ name: 'main', resources: { requests: { cpu } } }], ...spec },
	);
	return { ...made, metadata: { ...made.metadata, labels }, status: { phase: 'Running', startTime: ago(age) } };
};
const urgent = (cpu: string, priority = 100, spec: Partial<Pod['spec']> = {}) =>
	asks('urgent', { cpu }, { priority, ...spec });

/** `node: victims`, or why not. */
function decide(wanted: Pod, place: Case, budgets: readonly Budget[] = []): string {
	const snapshot = snapshotOf(place);
	const before = JSON.stringify([...snapshot.nodes.values()].map(({ used, pods }) => [used, [...pods.keys()].sort()]));
	const refusal = schedule(wantedOf(wanted), snapshot, 'least-allocated', { from: 0, last: '' });
	if ('node' in refusal) return `fits on ${refusal.node}`;
	const found = preempt(wantedOf(wanted), snapshot, refusal.helpable ?? [], () => budgets);
	const after = JSON.stringify([...snapshot.nodes.values()].map(({ used, pods }) => [used, [...pods.keys()].sort()]));
	if (before !== after) throw new Error('the snapshot is not as it was');
	if (!('node' in found)) return [...found.reasons].map(([reason, count]) => `${count} ${reason}`).join(', ');
	return `${found.node}: ${found.victims.map(({ metadata }) => metadata.name).join(' ')}`;
}

const budget = (app: string, allowed: number, disrupted: string[] = []): Budget => ({
	allowed,
	disrupted: new Set(disrupted),
	matches: (labels) => labels?.app === app,
});
const app = { labels: { app: 'web' } };
const apart = {
	affinity: {
		podAntiAffinity: {
			requiredDuringSchedulingIgnoredDuringExecution: [
				{ topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { app: 'web' } } },
			],
		},
	},
};
const hosted = (name: string) => ({ ...sized(name), metadata: { name, labels: { 'kubernetes.io/hostname': name } } });

const cases: [string, Pod, Case, string, Budget[]?][] = [
	[
		'nobody goes for an equal',
		urgent('1', 5),
		{ nodes: [sized('n1', '1')], bound: [running('a', 'n1', { priority: 5 })] },
		'1 No preemption victims found for incoming pod',
	],
	[
		'as few go as must',
		urgent('2'),
		{ nodes: [sized('n1')], bound: ['a', 'b', 'c', 'd'].map((name, age) => running(name, 'n1', { age })) },
		'n1: b a',
	],
	[
		'the less urgent go before the more urgent',
		urgent('1'),
		{
			nodes: [sized('n1', '2')],
			bound: [running('low', 'n1', { priority: 1 }), running('middle', 'n1', { priority: 50 })],
		},
		'n1: low',
	],
	[
		'where all that could go are not enough, nobody goes',
		urgent('3'),
		{ nodes: [sized('n1')], bound: [running('high', 'n1', { cpu: '3', priority: 1000 }), running('low', 'n1')] },
		'1 Insufficient cpu',
	],
	[
		'a node that is refused for another reason is not emptied',
		urgent('1', 100, { nodeSelector: { disk: 'ssd' } }),
		{ nodes: [sized('n1', '1')], bound: [running('a', 'n1')] },
		'',
	],
	[
		'the node whose most urgent victim is the least urgent',
		urgent('4'),
		{
			nodes: [sized('n1'), sized('n2')],
			bound: [
				running('a', 'n1', { cpu: '4', priority: 10 }),
				running('b', 'n2', { cpu: '2', priority: 9 }),
				running('c', 'n2', { cpu: '2', priority: 9 }),
			],
		},
		'n2: b c',
	],
	[
		'then the smallest sum',
		urgent('4'),
		{
			nodes: [sized('n1'), sized('n2')],
			bound: [
				running('a', 'n1', { cpu: '2', priority: 10 }),
				running('b', 'n1', { cpu: '2', priority: 9 }),
				running('c', 'n2', { cpu: '2', priority: 10 }),
				running('d', 'n2', { cpu: '2', priority: 1 }),
			],
		},
		'n2: c d',
	],
	[
		'fewer of the same priority',
		urgent('4'),
		{
			nodes: [sized('n1'), sized('n2')],
			bound: [running('a', 'n1', { cpu: '2' }), running('b', 'n1', { cpu: '2' }), running('c', 'n2', { cpu: '4' })],
		},
		'n2: c',
	],
	[
		'also where their priority is below zero',
		urgent('4'),
		{
			nodes: [sized('n1'), sized('n2')],
			bound: [
				running('a', 'n1', { cpu: '2', priority: -5 }),
				running('b', 'n1', { cpu: '2', priority: -5 }),
				running('c', 'n2', { cpu: '4', priority: -5 }),
			],
		},
		'n2: c',
	],
	[
		'then those that have started last',
		urgent('4'),
		{
			nodes: [sized('n1'), sized('n2')],
			bound: [running('old', 'n1', { cpu: '4', age: 500 }), running('young', 'n2', { cpu: '4', age: 5 })],
		},
		'n2: young',
	],
	[
		'then the first node',
		urgent('4'),
		{
			nodes: [sized('n1'), sized('n2')],
			bound: [running('a', 'n1', { cpu: '4' }), running('b', 'n2', { cpu: '4' })],
		},
		'n1: a',
	],
	[
		'fewer broken budgets before all else',
		urgent('4'),
		{
			nodes: [sized('n1'), sized('n2')],
			bound: [running('a', 'n1', { cpu: '4', ...app }), running('b', 'n2', { cpu: '4', priority: 90 })],
		},
		'n2: b',
		[budget('web', 0)],
	],
	[
		'of the pods of a node those that no budget protects',
		urgent('1'),
		{ nodes: [sized('n1', '2')], bound: [running('a', 'n1', app), running('b', 'n1', { priority: 90 })] },
		'n1: b',
		[budget('web', 0)],
	],
	[
		'a budget is broken where nothing else helps',
		urgent('4'),
		{ nodes: [sized('n1')], bound: [running('a', 'n1', { cpu: '4', ...app })] },
		'n1: a',
		[budget('web', 0)],
	],
	[
		'a budget allows so many, and no more',
		urgent('2'),
		{
			nodes: [sized('n1')],
			bound: [
				running('a', 'n1', { ...app, age: 3 }),
				running('b', 'n1', { ...app, age: 2 }),
				running('c', 'n1', { ...app, age: 1 }),
				running('d', 'n1', { priority: 50 }),
			],
		},
		'n1: d a',
		[budget('web', 1)],
	],
	[
		'what a budget has counted already breaks it no more',
		urgent('1'),
		{ nodes: [sized('n1', '2')], bound: [running('a', 'n1', app), running('b', 'n1', { priority: 90 })] },
		'n1: a',
		[budget('web', 0, ['a'])],
	],
	[
		'a pod that may not stand beside another takes its place',
		asks('urgent', {}, { priority: 9, ...apart }),
		{ nodes: [hosted('n1')], bound: [running('a', 'n1', app), running('b', 'n1')] },
		'n1: a',
	],
	[
		'a pod that keeps others off goes, too',
		{ ...asks('urgent', {}, { priority: 9 }), metadata: { name: 'urgent', namespace: 'default', uid: 'u', ...app } },
		{ nodes: [hosted('n1')], bound: [running('a', 'n1', { spec: apart })] },
		'n1: a',
	],
	[
		'room that others wait for is not there twice',
		urgent('2'),
		{
			nodes: [sized('n1'), sized('n2')],
			bound: [
				running('a', 'n1', { cpu: '2' }),
				running('b', 'n1', { cpu: '2', priority: 1000 }),
				running('c', 'n2', { cpu: '4', priority: 50 }),
			],
			waiting: [
				{
					...asks('first', { cpu: '2' }, { priority: 100 }),
					status: { phase: 'Pending', nominatedNodeName: 'n1' },
				},
			],
		},
		'n2: c',
	],
];
for (const [what, wanted, place, expected, budgets] of cases)
	test(`preemption: ${what}`, (t) => t.is(decide(wanted, place, budgets), expected));

// The loop.

async function addNode({ client }: World, name: string, cpu = '2') {
	const labels = { 'kubernetes.io/hostname': name };
	const made = await client.create(Node, { ...node(name), metadata: { name, labels } });
	const resources = { cpu, memory: '8Gi', pods: '110' };
	await client.update(
		Node,
		{ ...made, status: { capacity: resources, allocatable: resources } },
		{ subresource: 'status' },
	);
}
const addPod = (
	{ client }: World,
	name: string,
	cpu: string,
	priorityClassName?: string,
	spec: Partial<Pod['spec']> = {},
) =>
	client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, namespace: 'default', labels: { app: name } },
		spec: {
			containers: [{ name: 'main', image: 'example', resources: { requests: { cpu } } }],
			priorityClassName,
			...spec,
		},
	});
const addClass = ({ client }: World, name: string, value: number, more: object = {}) =>
	client.create(PriorityClass, {
		apiVersion: 'scheduling.k8s.io/v1',
		kind: 'PriorityClass',
		metadata: { name },
		value,
		...more,
	});
const get = (client: Client, name: string) => client.get(Pod, { name, namespace: 'default' });
const until = (place: World, name: string, holds: (pod: Pod) => boolean) =>
	eventually(place, [Pod], async () => {
		const pod = await get(place.client, name);
		return holds(pod) ? pod : undefined;
	});

test('a more urgent pod gets the place of a less urgent one, which has its grace and is told', async (t) => {
	const place = await world(t);
	const { client } = place;
	await addClass(place, 'high', 1000);
	await addNode(place, 'n1');
	run(t, place, [scheduler()]);
	await addPod(place, 'low', '2');
	await until(place, 'low', ({ spec }) => spec.nodeName === 'n1');
	const { metadata } = await addPod(place, 'urgent', '2', 'high');
	const victim = await until(place, 'low', (pod) => pod.metadata.deletionTimestamp !== undefined);
	t.is(victim.metadata.deletionGracePeriodSeconds, 30, 'it keeps its grace');
	t.like(
		victim.status?.conditions?.find(({ type }) => type === 'DisruptionTarget'),
		{
			status: 'True',
			reason: 'PreemptionByScheduler',
			message: 'default-scheduler: preempting to accommodate a higher priority pod',
		},
	);
	const waits = await until(place, 'urgent', ({ status }) => status?.nominatedNodeName !== undefined);
	t.is(waits.status?.nominatedNodeName, 'n1');
	const event = await eventually(place, [Event], async () =>
		(await client.list(Event, { namespace: 'default' })).items.find(({ reason }) => reason === 'Preempted'),
	);
	t.is(event.message, `Preempted by pod ${metadata.uid} on node n1`);
	t.is(event.involvedObject.name, 'low');
	await client.delete(Pod, { name: 'low', namespace: 'default' }, { gracePeriodSeconds: 0 });
	const placed = await until(place, 'urgent', ({ spec }) => spec.nodeName !== undefined);
	t.is(placed.spec.nodeName, 'n1');
});

test('a pod of a class that does not preempt waits, and says so', async (t) => {
	const place = await world(t);
	await addClass(place, 'patient', 1000, { preemptionPolicy: 'Never' });
	await addNode(place, 'n1');
	run(t, place, [scheduler()]);
	await addPod(place, 'low', '2');
	await until(place, 'low', ({ spec }) => spec.nodeName === 'n1');
	await addPod(place, 'urgent', '2', 'patient');
	const waits = await until(place, 'urgent', ({ status }) => status?.conditions?.[0] !== undefined);
	t.is(
		waits.status?.conditions?.[0]?.message,
		'0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.',
	);
	t.is((await get(place.client, 'low')).metadata.deletionTimestamp, undefined);
});

test('pods that preempt at once take each a place of its own, and no more go than must', async (t) => {
	const place = await world(t);
	await addClass(place, 'high', 1000);
	for (const name of ['n1', 'n2', 'n3', 'n4']) await addNode(place, name);
	run(t, place, [scheduler()]);
	for (let i = 0; i < 8; i++) await addPod(place, `low${i}`, '1');
	for (let i = 0; i < 8; i++) await until(place, `low${i}`, ({ spec }) => spec.nodeName !== undefined);
	await Promise.all([0, 1, 2].map((i) => addPod(place, `urgent${i}`, '1', 'high')));
	const nominated: string[] = [];
	for (let i = 0; i < 3; i++)
		await until(place, `urgent${i}`, ({ status }) => {
			if (status?.nominatedNodeName) nominated.push(status.nominatedNodeName);
			return status?.nominatedNodeName !== undefined;
		});
	const leaving = async () =>
		(await place.client.list(Pod, { namespace: 'default' })).items.filter(({ metadata }) => metadata.deletionTimestamp);
	const gone = await eventually(place, [Pod], async () => ((await leaving()).length >= 3 ? leaving() : undefined));
	t.is(gone.length, 3);
	for (const { metadata } of gone) await place.client.delete(Pod, metadata, { gracePeriodSeconds: 0 });
	for (let i = 0; i < 3; i++) await until(place, `urgent${i}`, ({ spec }) => spec.nodeName !== undefined);
	t.is((await leaving()).length, 0, 'nobody else has had to go');
});

test('a budget steers whose place is taken', async (t) => {
	const place = await world(t);
	const { client } = place;
	await addClass(place, 'high', 1000);
	for (const name of ['n1', 'n2']) await addNode(place, name);
	const made = await client.create(PodDisruptionBudget, {
		apiVersion: 'policy/v1',
		kind: 'PodDisruptionBudget',
		metadata: { name: 'kept', namespace: 'default' },
		spec: { minAvailable: 1, selector: { matchLabels: { app: 'kept' } } },
	});
	t.is(made.status?.disruptionsAllowed, 0);
	run(t, place, [scheduler()]);
	await addPod(place, 'kept', '2');
	await addPod(place, 'free', '2');
	for (const name of ['kept', 'free']) await until(place, name, ({ spec }) => spec.nodeName !== undefined);
	await addPod(place, 'urgent', '2', 'high');
	await until(place, 'free', ({ metadata }) => metadata.deletionTimestamp !== undefined);
	t.is((await get(client, 'kept')).metadata.deletionTimestamp, undefined);
});
