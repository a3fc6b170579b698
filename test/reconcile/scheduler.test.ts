/** The scheduler on a real API and store; only the nodes are played. */
import test from 'ava';
import type { Client } from '../../src/client/index.ts';
import { ApiError, Event, Namespace, Node, Pod, SchedulerConfig } from '../../src/kinds/index.ts';
import { type SchedulerOptions, scheduler } from '../../src/reconcile/scheduling/scheduler.ts';
import { eventually, run, type World, world } from '../client/world.ts';
import { node as nodeShape } from './workloads.ts';

async function addNode({ client }: World, name: string, cpu = '4', spec: Node['spec'] = {}, zone = 'z1') {
	const labels = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': zone };
	const made = await client.create(Node, { ...nodeShape(name, spec), metadata: { name, labels } });
	const resources = { cpu, memory: '8Gi', pods: '110' };
	const status = { capacity: resources, allocatable: resources };
	return client.update(Node, { ...made, status }, { subresource: 'status' });
}

const addPod = ({ client }: World, name: string, cpu = '1', spec: Partial<Pod['spec']> = {}, labels = {}) =>
	client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, namespace: 'default', labels },
		spec: { containers: [{ name: 'main', image: 'example', resources: { requests: { cpu } } }], ...spec },
	});

const podsBy = async ({ client }: World) => (await client.list(Pod, { namespace: 'default' })).items;
const bound = (place: World, count: number) =>
	eventually(place, [Pod], async () => {
		const found = (await podsBy(place)).filter(({ spec }) => spec.nodeName);
		return found.length >= count ? found : undefined;
	});
const refused = (place: World, name: string) =>
	eventually(place, [Pod], async () => {
		const { status } = await place.client.get(Pod, { name, namespace: 'default' });
		return status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
	});
/** What is said where nobody is less urgent. */
const vain = (nodes: number) =>
	` preemption: 0/${nodes} nodes are available: ${nodes} No preemption victims found for incoming pod.`;
const perNode = (pods: readonly Pod[]) => {
	const counts = new Map<string, number>();
	for (const { spec } of pods) counts.set(spec.nodeName ?? '', (counts.get(spec.nodeName ?? '') ?? 0) + 1);
	return Object.fromEntries([...counts].sort());
};

async function start(t: Parameters<typeof world>[0], options?: SchedulerOptions) {
	const place = await world(t);
	const running = run(t, place, [scheduler(options)]);
	return { place, client: place.client, running };
}

test('a pod gets a node, a condition and an event', async (t) => {
	const { place, client } = await start(t);
	await addNode(place, 'n1');
	await addPod(place, 'a');
	const [pod] = await bound(place, 1);
	t.is(pod?.spec.nodeName, 'n1');
	t.like(
		pod?.status?.conditions?.find(({ type }) => type === 'PodScheduled'),
		{ status: 'True' },
	);
	const event = await eventually(place, [Event], async () =>
		(await client.list(Event, { namespace: 'default' })).items.find(({ reason }) => reason === 'Scheduled'),
	);
	t.is(event.message, 'Successfully assigned default/a to n1');
	t.is(event.source?.component ?? event.reportingComponent, 'default-scheduler');
});

test('pods created at once do not overcommit a node, and spread', async (t) => {
	const { place } = await start(t);
	for (const name of ['n1', 'n2', 'n3']) await addNode(place, name);
	await Promise.all(Array.from({ length: 14 }, (_, index) => addPod(place, `p${index}`)));
	const pods = await bound(place, 12);
	t.deepEqual(perNode(pods), { n1: 4, n2: 4, n3: 4 });
	const left = (await podsBy(place)).filter(({ spec }) => !spec.nodeName);
	t.is(left.length, 2);
	for (const { metadata } of left)
		t.like(await refused(place, metadata.name), {
			reason: 'Unschedulable',
			message: `0/3 nodes are available: 3 Insufficient cpu.${vain(3)}`,
		});
});

test('round robin takes the nodes in turn', async (t) => {
	const { place } = await start(t, { strategy: 'round-robin' });
	for (const name of ['n1', 'n2', 'n3']) await addNode(place, name);
	const nodes: string[] = [];
	for (const name of ['a', 'b', 'c', 'd']) {
		await addPod(place, name, name === 'a' ? '3' : '100m');
		const found = await eventually(place, [Pod], async () => {
			const { spec } = await place.client.get(Pod, { name, namespace: 'default' });
			return spec.nodeName;
		});
		nodes.push(found);
	}
	t.deepEqual(nodes, ['n1', 'n2', 'n3', 'n1']);
});

test('a pod that fits nowhere is placed when a node comes, changes, or is freed', async (t) => {
	const { place, client } = await start(t);
	await addPod(place, 'a');
	t.is((await refused(place, 'a')).message, 'no nodes available to schedule pods');
	await addNode(place, 'n1', '1');
	t.is((await bound(place, 1))[0]?.metadata.name, 'a');

	await addPod(place, 'b');
	t.is((await refused(place, 'b')).message, `0/1 nodes are available: 1 Insufficient cpu.${vain(1)}`);
	await client.delete(Pod, { name: 'a', namespace: 'default' }, { gracePeriodSeconds: 0 });
	t.is((await bound(place, 1))[0]?.metadata.name, 'b');

	await addPod(place, 'c');
	await refused(place, 'c');
	const done = await client.get(Pod, { name: 'b', namespace: 'default' });
	await client.update(Pod, { ...done, status: { ...done.status, phase: 'Succeeded' } }, { subresource: 'status' });
	await eventually(
		place,
		[Pod],
		async () => (await client.get(Pod, { name: 'c', namespace: 'default' })).spec.nodeName,
	);

	await addPod(place, 'd', '1', { tolerations: [{ key: 'new', operator: 'Exists' }] });
	await refused(place, 'd');
	await addNode(place, 'n2', '4', { unschedulable: true });
	await eventually(place, [Pod], async () =>
		(await refused(place, 'd')).message?.includes('1 node(s) were unschedulable') ? true : undefined,
	);
	await client.patch(Node, { name: 'n2' }, { type: 'merge', body: { spec: { unschedulable: null } } });
	await eventually(
		place,
		[Pod],
		async () => (await client.get(Pod, { name: 'd', namespace: 'default' })).spec.nodeName,
	);
	t.pass();
});

test('the more urgent pod gets the room, then the older', async (t) => {
	const place = await world(t);
	for (const [name, priorityClassName] of [
		['old', undefined],
		['young', undefined],
		['urgent', 'system-cluster-critical'],
	] as const)
		await addPod(place, name, '1', { priorityClassName });
	await addNode(place, 'n1', '2');
	run(t, place, [scheduler()]);
	const names = (await bound(place, 2)).map(({ metadata }) => metadata.name).sort();
	t.deepEqual(names, ['old', 'urgent']);
	await refused(place, 'young');
});

test('a configuration gives pods of other scheduler names a strategy, and takes it away', async (t) => {
	const { place, client } = await start(t);
	for (const name of ['n1', 'n2']) await addNode(place, name);
	const spec = { profiles: [{ schedulerName: 'packing', strategy: 'most-allocated' as const }] };
	for (const name of ['a', 'b', 'c']) await addPod(place, name, '1', { schedulerName: 'packing' });
	await addPod(place, 'mine');
	await bound(place, 1);
	t.is((await podsBy(place)).filter((pod) => pod.spec.nodeName).length, 1, 'nobody places the others');
	const config = await client.create(SchedulerConfig, {
		apiVersion: 'driftless.io/v1',
		kind: 'SchedulerConfig',
		metadata: { name: 'default' },
		spec,
	});
	const pods = await bound(place, 4);
	const packed = pods.filter(({ metadata }) => metadata.name !== 'mine');
	t.is(new Set(packed.map((pod) => pod.spec.nodeName)).size, 1, 'they are packed on one node');
	await client.delete(SchedulerConfig, config.metadata);
	await addPod(place, 'late', '1', { schedulerName: 'packing' });
	await addPod(place, 'other');
	await bound(place, 5);
	t.is((await client.get(Pod, { name: 'late', namespace: 'default' })).spec.nodeName, undefined);
});

test('pods of other schedulers, and gated ones, are left alone', async (t) => {
	const { place } = await start(t);
	await addNode(place, 'n1');
	await addPod(place, 'other', '1', { schedulerName: 'mine' });
	await addPod(place, 'gated', '1', { schedulingGates: [{ name: 'example.com/wait' }] });
	await addPod(place, 'own');
	const pods = await bound(place, 1);
	t.deepEqual(
		pods.map(({ metadata }) => metadata.name),
		['own'],
	);
	const gated = { name: 'gated', namespace: 'default' };
	t.like((await place.client.get(Pod, gated)).status?.conditions?.[0], {
		type: 'PodScheduled',
		status: 'False',
		reason: 'SchedulingGated',
	});
	await t.throwsAsync(place.client.bind(gated, 'n1'), { message: /non-empty .spec.schedulingGates/ });
	await place.client.patch(
		Pod,
		{ name: 'gated', namespace: 'default' },
		{ type: 'merge', body: { spec: { schedulingGates: null } } },
	);
	const both = (await bound(place, 2)).map(({ metadata }) => metadata.name).sort();
	t.deepEqual(both, ['gated', 'own']);
});

test('a pod that takes the name of one that is being bound gets a node of its own', async (t) => {
	const place = await world(t);
	await addNode(place, 'n1');
	await addNode(place, 'n2');
	await addPod(place, 'web', '1', { nodeSelector: { 'kubernetes.io/hostname': 'n1' } });
	let replaced = false;
	const replacing = (client: Client): Client => ({
		...client,
		as: (name) => replacing(client.as(name)),
		async bind(pod, node) {
			if (!replaced) {
				replaced = true;
				await place.client.delete(Pod, { name: 'web', namespace: 'default' }, { gracePeriodSeconds: 0 });
				await addPod(place, 'web', '1', { nodeSelector: { 'kubernetes.io/hostname': 'n2' } });
			}
			await client.bind(pod, node);
		},
	});
	run(t, { ...place, client: replacing(place.client) }, [scheduler()]);
	const [pod] = await bound(place, 1);
	t.true(replaced);
	t.is(pod?.spec.nodeName, 'n2');
});

/** A client whose next binding goes as `next` says. */
function binding(client: Client, next: (bind: () => Promise<void>) => Promise<void>): Client {
	let first = true;
	const wrapped = (inner: Client): Client => ({
		...inner,
		as: (name) => wrapped(inner.as(name)),
		async bind(pod, node) {
			const turn = first;
			first = false;
			if (turn) await next(() => inner.bind(pod, node));
			else await inner.bind(pod, node);
		},
	});
	return wrapped(client);
}
const away = () => new ApiError(503, 'ServiceUnavailable', 'the store is away');

test('a binding that is refused is told of, and the pod is bound later', async (t) => {
	const place = await world(t);
	const { client } = place;
	await addNode(place, 'n1', '1');
	await addPod(place, 'a');
	run(t, { ...place, client: binding(client, () => Promise.reject(away())) }, [scheduler()]);
	t.is((await bound(place, 1))[0]?.spec.nodeName, 'n1');
	const event = await eventually(place, [Event], async () =>
		(await client.list(Event, { namespace: 'default' })).items.find(({ reason }) => reason === 'FailedScheduling'),
	);
	t.is(event.message, 'binding rejected: the store is away');
});

test('a pod whose binding was carried out and not answered takes its room all the same', async (t) => {
	const place = await world(t);
	const { client } = place;
	await addNode(place, 'n1', '1');
	await addPod(place, 'a');
	const unanswered = binding(client, async (bind) => {
		await bind();
		throw away();
	});
	run(t, { ...place, client: unanswered }, [scheduler()]);
	await bound(place, 1);
	await addPod(place, 'b');
	t.is((await refused(place, 'b')).message, `0/1 nodes are available: 1 Insufficient cpu.${vain(1)}`);
});

test('pods created at once that must be apart never share a node, and the rest wait for another', async (t) => {
	const { place } = await start(t);
	for (const name of ['n1', 'n2', 'n3']) await addNode(place, name);
	const labelSelector = { matchLabels: { app: 'db' } };
	const affinity = {
		podAntiAffinity: {
			requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'kubernetes.io/hostname', labelSelector }],
		},
	};
	await Promise.all(
		Array.from({ length: 5 }, (_, index) => addPod(place, `p${index}`, '100m', { affinity }, { app: 'db' })),
	);
	t.deepEqual(perNode(await bound(place, 3)), { n1: 1, n2: 1, n3: 1 });
	const left = (await podsBy(place)).filter(({ spec }) => !spec.nodeName);
	t.is(left.length, 2);
	for (const { metadata } of left)
		t.is(
			(await refused(place, metadata.name)).message,
			`0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.${vain(3)}`,
		);
	await addNode(place, 'n4');
	t.deepEqual(perNode(await bound(place, 4)), { n1: 1, n2: 1, n3: 1, n4: 1 });
});

test('pods created at once spread over zones as they must', async (t) => {
	const { place } = await start(t);
	await addNode(place, 'a1', '40', {}, 'a');
	for (const name of ['b1', 'b2', 'b3']) await addNode(place, name, '40', {}, 'b');
	const topologySpreadConstraints = [
		{
			maxSkew: 1,
			topologyKey: 'topology.kubernetes.io/zone',
			whenUnsatisfiable: 'DoNotSchedule',
			labelSelector: { matchLabels: { app: 'web' } },
		},
	];
	await Promise.all(
		Array.from({ length: 12 }, (_, index) =>
			addPod(place, `p${index}`, '100m', { topologySpreadConstraints }, { app: 'web' }),
		),
	);
	t.deepEqual(perNode(await bound(place, 12)), { a1: 6, b1: 2, b2: 2, b3: 2 });
});

test('a pod that other namespaces keep off is placed when their labels change', async (t) => {
	const { place, client } = await start(t);
	await addNode(place, 'n1');
	await client.create(Namespace, {
		apiVersion: 'v1',
		kind: 'Namespace',
		metadata: { name: 'rival', labels: { team: 'x' } },
		spec: {},
	});
	const spec = { containers: [{ name: 'main', image: 'example' }], nodeName: 'n1' };
	await client.create(Pod, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'there', namespace: 'rival' }, spec });
	const namespaceSelector = { matchLabels: { team: 'x' } };
	await addPod(place, 'p', '100m', {
		affinity: {
			podAntiAffinity: {
				requiredDuringSchedulingIgnoredDuringExecution: [
					{ topologyKey: 'kubernetes.io/hostname', labelSelector: {}, namespaceSelector },
				],
			},
		},
	});
	t.regex((await refused(place, 'p')).message ?? '', /1 node\(s\) didn't match pod anti-affinity rules/);
	await client.patch(Namespace, { name: 'rival' }, { type: 'merge', body: { metadata: { labels: { team: 'y' } } } });
	await eventually(
		place,
		[Pod],
		async () => (await client.get(Pod, { name: 'p', namespace: 'default' })).spec.nodeName,
	);
	t.pass();
});

test('a scheduler that takes over knows what is on the nodes', async (t) => {
	const { place, running } = await start(t);
	await addNode(place, 'n1', '2');
	await addPod(place, 'a');
	await bound(place, 1);
	await running.stop();
	await addPod(place, 'b');
	await addPod(place, 'c');
	run(t, place, [scheduler()]);
	t.is((await bound(place, 2)).length, 2);
	await eventually(place, [Pod], async () => {
		const waiting = (await podsBy(place)).filter(({ spec }) => !spec.nodeName);
		return waiting.length === 1 && waiting[0]?.status?.conditions?.some(({ reason }) => reason === 'Unschedulable')
			? true
			: undefined;
	});
	t.is((await bound(place, 2)).length, 2);
});

test('a thousand waiting pods find ten nodes', async (t) => {
	const place = await world(t);
	for (let number = 0; number < 10; number++) await addNode(place, `n${number}`, '40');
	await Promise.all(Array.from({ length: 1000 }, (_, index) => addPod(place, `p${index}`, '100m')));
	const cpu = process.cpuUsage();
	run(t, place, [scheduler()]);
	const pods = await bound(place, 1000);
	t.log(`${Math.round(process.cpuUsage(cpu).user / 1000)} ms of CPU, the API's and the store's included`);
	t.deepEqual(new Set(Object.values(perNode(pods))), new Set([100]));
});
