/** Nodes that fall silent, on a real API and store; only the agents and the time are played. */
import test, { type ExecutionContext } from 'ava';
import { Lease, Node, Pod } from '../../src/kinds/index.ts';
import { type Census, createPace, evictionRate } from '../../src/reconcile/nodes/disruption.ts';
import { nodeLifecycle } from '../../src/reconcile/nodes/node-lifecycle.ts';
import { taintEviction } from '../../src/reconcile/nodes/taint-eviction.ts';
import { handClock } from '../client/clock.ts';
import { found, pass, run, world } from '../client/world.ts';

const START = Date.parse('2030-01-01T00:00:00Z');
const READY = { type: 'Ready', status: 'True' };
/** How often agents give a sign of life, in seconds. */
const BEAT = 10;

/** A cluster of nodes that live until they are silenced, each with one pod of its name. */
async function cluster(t: ExecutionContext, nodes: Readonly<Record<string, string>>) {
	const w = await world(t);
	const { client } = w;
	const clock = handClock();
	const now = () => START + clock.now();
	const alive = new Set(Object.keys(nodes));
	const beat = async (name: string) => {
		const spec = { renewTime: new Date(now()).toISOString().replace('Z', '000Z') };
		const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name }, spec };
		await client.patch(Lease, { name, namespace: 'kube-node-lease' }, { type: 'apply', body, force: true });
	};
	const report = async (name: string) => {
		await client.patch(
			Node,
			{ name },
			{ type: 'strategic', body: { status: { conditions: [READY] } } },
			{ subresource: 'status' },
		);
		await beat(name);
	};
	const add = async (name: string, zone: string) => {
		const labels = { 'topology.kubernetes.io/zone': zone };
		await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, spec: {} });
		alive.add(name);
		await report(name);
	};
	const addPod = async (name: string, nodeName: string, more: Partial<Pod['spec']> = {}) => {
		const spec = { nodeName, containers: [{ name: 'main', image: 'example' }], ...more };
		await client.create(Pod, { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' }, spec });
		const body = { status: { phase: 'Running', conditions: [READY] } };
		await client.patch(Pod, { name, namespace: 'default' }, { type: 'strategic', body }, { subresource: 'status' });
	};
	for (const [name, zone] of Object.entries(nodes)) {
		await add(name, zone);
		await addPod(name, name);
	}
	const running = run(t, w, [nodeLifecycle, taintEviction], now, clock);
	await w.cache.synced();
	const taintsOf = async (name: string) =>
		((await client.get(Node, { name })).spec.taints ?? [])
			.map(({ key, effect }) => `${key.split('/')[1]}:${effect}`)
			.sort();
	return {
		client,
		running,
		add,
		addPod,
		taintsOf,
		/** So many seconds go by; who is alive gives signs of it. */
		async pass(seconds: number) {
			for (let left = seconds; left > 0; left -= BEAT) {
				await pass(running, clock, Math.min(left, BEAT));
				for (const name of alive) await beat(name);
			}
			await pass(running, clock, 0);
		},
		silence: (...names: string[]) => names.forEach((name) => void alive.delete(name)),
		async wake(name: string) {
			alive.add(name);
			await report(name);
		},
		ready: async (name: string) =>
			(await client.get(Node, { name })).status?.conditions?.find(({ type }) => type === 'Ready')?.status,
		pod: (name: string) => found(client.get(Pod, { name, namespace: 'default' })),
		/** Which of the nodes' pods must leave. */
		async evicted() {
			const { items } = await client.list(Pod, { namespace: 'default' });
			const left = new Set(
				items.filter(({ metadata }) => !metadata.deletionTimestamp).map(({ metadata }) => metadata.name),
			);
			return Object.keys(nodes).filter((name) => !left.has(name));
		},
		/** Which nodes' pods are to leave sooner or later. */
		async evicting() {
			const { items } = await client.list(Node);
			return items
				.filter(({ spec }) => spec.taints?.some(({ effect }) => effect === 'NoExecute'))
				.map(({ metadata }) => metadata.name);
		},
	};
}

const conditionOf = (pod: Pod | undefined, type: string) =>
	pod?.status?.conditions?.find((condition) => condition.type === type);

test('a node that falls silent is Unknown and tainted, its pods do not serve and then go; when it reports again all is well', async (t) => {
	const c = await cluster(t, { alive: '', other: '', silent: '' });
	await c.addPod('staying', 'silent', { tolerations: [{ operator: 'Exists' }] });
	await c.pass(20);
	c.silence('silent');
	await c.pass(30);
	t.is(await c.ready('silent'), 'True');
	await c.pass(20);
	t.is(await c.ready('silent'), 'Unknown');
	t.deepEqual(await c.taintsOf('silent'), ['unreachable:NoExecute', 'unreachable:NoSchedule']);
	for (const name of ['silent', 'staying'])
		t.like(conditionOf(await c.pod(name), 'Ready'), { status: 'False', reason: 'NodeNotReady' });
	t.is(await c.ready('alive'), 'True');
	t.deepEqual(await c.taintsOf('alive'), []);
	t.deepEqual(await c.evicted(), []);

	await c.pass(300);
	t.deepEqual(await c.evicted(), ['silent']);
	const leaving = await c.pod('silent');
	t.like(conditionOf(leaving, 'DisruptionTarget'), { status: 'True', reason: 'DeletionByTaintManager' });
	t.is((await c.pod('staying'))?.metadata.deletionTimestamp, undefined);

	await c.wake('silent');
	await c.pass(1);
	t.deepEqual(await c.taintsOf('silent'), []);
	t.is(await c.ready('silent'), 'True');
});

test('while every node is silent nobody is evicted; as soon as there is another node to go to, pods go in their time', async (t) => {
	const c = await cluster(t, { one: '', two: '' });
	await c.pass(10);
	c.silence('one', 'two');
	await c.pass(1000);
	t.deepEqual(await c.taintsOf('one'), ['unreachable:NoSchedule']);
	t.deepEqual(await c.evicted(), []);
	await c.wake('one');
	await c.pass(100);
	// The time before counts for nothing: nobody could have come back then.
	t.deepEqual(await c.evicting(), ['two']);
	t.deepEqual(await c.evicted(), []);
	await c.pass(250);
	t.deepEqual(await c.evicted(), ['two']);
});

test('a server that is cut off from most nodes moves nothing to itself; when they are back, the one that is dead is emptied', async (t) => {
	const c = await cluster(t, { server: '', a: '', b: '', c: '' });
	await c.pass(10);
	c.silence('a', 'b', 'c');
	await c.pass(2000);
	for (const name of ['a', 'b', 'c']) t.deepEqual(await c.taintsOf(name), ['unreachable:NoSchedule'], name);
	t.deepEqual(await c.evicted(), []);
	await c.wake('a');
	await c.wake('b');
	await c.pass(350);
	t.deepEqual(await c.evicted(), ['c']);
});

test('nodes that were to be emptied are not any more when so many fail that it is rather the network', async (t) => {
	const c = await cluster(t, { server: '', a: '', b: '', c: '' });
	await c.pass(10);
	c.silence('a');
	await c.pass(60);
	t.deepEqual(await c.evicting(), ['a']);
	c.silence('b', 'c');
	await c.pass(60);
	t.deepEqual(await c.evicting(), []);
	await c.pass(1000);
	t.deepEqual(await c.evicted(), []);
});

test('of nodes that fail together one in ten seconds begins to lose its pods', async (t) => {
	const names = Array.from({ length: 8 }, (_, at) => `n${at}`);
	const c = await cluster(t, Object.fromEntries(names.map((name) => [name, ''])));
	await c.pass(10);
	c.silence('n0', 'n1', 'n2');
	const counts = new Map<number, number>();
	for (let second = 0; second < 90; second++) {
		await c.pass(1);
		const count = (await c.evicting()).length;
		if (!counts.has(count)) counts.set(count, second);
	}
	const [first = 0, second = 0, third = 0] = [1, 2, 3].map((count) => counts.get(count));
	t.true(second - first >= 10 && third - second >= 10, JSON.stringify([...counts]));
});

test('a zone that is wholly gone is emptied while another is well', async (t) => {
	const c = await cluster(t, { a1: 'a', b1: 'b', b2: 'b', b3: 'b' });
	await c.pass(10);
	c.silence('b1', 'b2', 'b3');
	await c.pass(400);
	t.deepEqual(await c.evicted(), ['b1', 'b2', 'b3']);
});

test('what happens to one pod of a dead node is no cause to look at the others', async (t) => {
	const c = await cluster(t, { alive: '', other: '', dead: '' });
	for (let at = 0; at < 50; at++) await c.addPod(`p${at}`, 'dead');
	await c.pass(10);
	c.silence('dead');
	await c.pass(60);
	const looks = () => c.running.metrics.get('taint-eviction')?.works.count ?? 0;
	const before = looks();
	const body = { metadata: { labels: { changed: 'yes' } } };
	await c.client.patch(Pod, { name: 'p7', namespace: 'default' }, { type: 'merge', body });
	await c.client.patch(Node, { name: 'dead' }, { type: 'merge', body });
	await c.pass(30);
	t.is(looks() - before, 1);
});

const rates: [title: string, zone: Census, cluster: Census, rate: number][] = [
	['one of many', { ready: 9, unready: 1 }, { ready: 9, unready: 1 }, 0.1],
	['one of two', { ready: 1, unready: 1 }, { ready: 1, unready: 1 }, 0.1],
	['just under the threshold', { ready: 46, unready: 54 }, { ready: 46, unready: 54 }, 0.1],
	['at the threshold, in a large cluster', { ready: 45, unready: 55 }, { ready: 45, unready: 55 }, 0.01],
	['at the threshold, in a small one', { ready: 9, unready: 11 }, { ready: 9, unready: 11 }, 0],
	['a small cluster has 50 nodes', { ready: 10, unready: 40 }, { ready: 10, unready: 40 }, 0],
	['a large one more', { ready: 10, unready: 41 }, { ready: 10, unready: 41 }, 0.01],
	['all of a zone, while others are well', { ready: 0, unready: 3 }, { ready: 3, unready: 3 }, 0.1],
	['all of the cluster', { ready: 0, unready: 3 }, { ready: 0, unready: 300 }, 0],
	['a well zone beside one that is disrupted', { ready: 3, unready: 1 }, { ready: 4, unready: 40 }, 0.1],
];
for (const [title, zone, whole, rate] of rates) {
	test(`how fast nodes are emptied when these fail: ${title}`, (t) => t.is(evictionRate(zone, whole), rate));
}

test('nodes of a zone pass one after the other, those of another do not wait for them', (t) => {
	const pace = createPace();
	t.is(pace.take('a', 0.1, 0), 0);
	t.is(pace.take('a', 0.1, 4_000), 6_000);
	t.is(pace.take('b', 0.1, 4_000), 0);
	t.is(pace.take('a', 0.01, 10_000), 90_000);
	t.is(pace.take('a', 0.1, 10_000), 0);
	pace.giveBack('a');
	t.is(pace.take('a', 0.1, 10_000), 0);
});
