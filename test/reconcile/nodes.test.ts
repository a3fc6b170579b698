import test from 'ava';
import type { NodeCondition } from 'kubernetes-types/core/v1.js';
import { type Client, createCache } from '../../src/client/index.ts';
import { Event, formatRange, Node, Pod, parseRange, type Range } from '../../src/kinds/index.ts';
import { podGc } from '../../src/reconcile/cleanup/pod-gc.ts';
import { nodeCidr } from '../../src/reconcile/nodes/node-cidr.ts';
import { freeRange } from '../../src/reconcile/nodes/pod-ranges.ts';
import { handClock } from '../client/clock.ts';
import { eventually, found, pass, run, settled, type World, world } from '../client/world.ts';
import { silentLog } from '../testbed/silent-log.ts';

const START = Date.parse('2030-01-01T00:00:00Z');
const READY: NodeCondition = { type: 'Ready', status: 'True' };

/** A node as its agent registers it. */
async function makeNode(w: World, name: string, conditions: NodeCondition[] = [READY]): Promise<Node> {
	await w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {} });
	return report(w, name, conditions);
}

const report = (w: World, name: string, conditions: NodeCondition[] = [READY]) =>
	w.client.patch(Node, { name }, { type: 'strategic', body: { status: { conditions } } }, { subresource: 'status' });

async function makePod(
	w: World,
	name: string,
	nodeName: string | undefined,
	more: Partial<Pod['spec']> = {},
): Promise<void> {
	await w.client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, namespace: 'default' },
		spec: { nodeName, containers: [{ name: 'main', image: 'example' }], ...more },
	});
}

const podStatus = (w: World, name: string, status: Pod['status']) =>
	w.client.patch(
		Pod,
		{ name, namespace: 'default' },
		{ type: 'strategic', body: { status } },
		{ subresource: 'status' },
	);

const getPod = (w: World, name: string) => found(w.client.get(Pod, { name, namespace: 'default' }));

const nodeThat = (w: World, name: string, is: (node: Node) => boolean | undefined) =>
	eventually(w, [Node], async () => {
		const node = await w.client.get(Node, { name });
		return is(node) ? node : undefined;
	});

test('free ranges: the lowest that meets no other, of any size', (t) => {
	const range = (cidr: string): Range => {
		const parsed = parseRange(cidr);
		if (!parsed) throw new Error(`no range: ${cidr}`);
		return parsed;
	};
	const free = (network: string, bits: number, ...used: string[]) => {
		const found = freeRange(range(network), bits, used.map(range));
		return found && formatRange(found);
	};
	t.is(free('10.244.0.0/16', 24), '10.244.0.0/24');
	t.is(free('10.244.0.0/16', 24, '10.244.1.0/24', '10.244.0.0/24'), '10.244.2.0/24');
	t.is(free('10.244.0.0/16', 24, '10.244.0.0/24', '10.244.2.0/24'), '10.244.1.0/24');
	t.is(free('10.244.0.0/16', 24, '10.244.0.128/25'), '10.244.1.0/24');
	t.is(free('10.244.0.0/16', 24, '10.244.0.0/22', '10.244.1.0/24'), '10.244.4.0/24');
	t.is(free('10.0.0.0/30', 31, '10.0.0.0/31', '10.0.0.2/31'), undefined);
	t.is(free('192.168.0.0/23', 24, '10.0.0.0/8'), '192.168.0.0/24');
	for (const broken of ['10.0.0.0', '10.0.0.256/24', '10.0.0.0/33', 'fd00::/64', ''])
		t.is(parseRange(broken), undefined);
	t.throws(() => nodeCidr({ network: '10.0.0.0/25' }), { message: /10\.0\.0\.0\/25/ });
});

test('each node gets a range of its own, the first one the first, and a range that comes back is given again', async (t) => {
	const w = await world(t);
	run(t, w, [nodeCidr()]);
	const cidr = async (name: string) => (await nodeThat(w, name, (node) => Boolean(node.spec.podCIDR))).spec.podCIDR;
	await makeNode(w, 'first');
	t.is(await cidr('first'), '10.244.0.0/24');
	const names = Array.from({ length: 10 }, (_, at) => `n-${at}`);
	await Promise.all(names.map((name) => makeNode(w, name)));
	const given = await Promise.all(names.map(cidr));
	t.is(new Set(given).size, 10);
	const freed = (await w.client.get(Node, { name: 'n-3' })).spec.podCIDR;
	await w.client.delete(Node, { name: 'n-3' });
	await makeNode(w, 'late');
	t.is(await cidr('late'), freed);
});

test('more than 256 nodes have a range each where these are smaller, or the network is larger', async (t) => {
	const w = await world(t);
	run(t, w, [nodeCidr({ network: '10.0.0.0/15', nodeBits: 24 })]);
	const names = Array.from({ length: 300 }, (_, at) => `n-${at}`);
	await Promise.all(
		names.map((name) => w.client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {} })),
	);
	const given = await eventually(w, [Node], () => {
		const ranges = Array.from(w.cache.informer(Node).list(), ({ spec }) => spec.podCIDR);
		return ranges.length === names.length && ranges.every(Boolean) ? ranges : undefined;
	});
	t.is(new Set(given).size, names.length);
	t.true(given.every((range) => /^10\.[01]\.\d+\.0\/24$/.test(range ?? '')));
});

test('two who both believe to lead give no range to two nodes', async (t) => {
	const w = await world(t);
	/** Each sees late what the other has given. */
	const late: Client = {
		...w.client,
		async *watch(kind, options) {
			for await (const batch of w.client.watch(kind, options)) {
				await new Promise((resolve) => setTimeout(resolve, 20));
				yield batch;
			}
		},
	};
	const names = Array.from({ length: 40 }, (_, at) => `n-${at}`);
	for (const _ of ['one', 'other']) {
		const cache = createCache(late, { signal: w.signal, log: silentLog });
		t.teardown(() => cache[Symbol.asyncDispose]());
		run(t, { ...w, cache }, [nodeCidr()]);
	}
	await Promise.all(names.map((name) => makeNode(w, name)));
	const given = await Promise.all(
		names.map(async (name) => (await nodeThat(w, name, (node) => Boolean(node.spec.podCIDR))).spec.podCIDR),
	);
	t.is(new Set(given).size, names.length);
});

test('a node for which no range is left is told so', async (t) => {
	const w = await world(t);
	run(t, w, [nodeCidr({ network: '10.0.0.0/24' })]);
	await makeNode(w, 'one');
	await nodeThat(w, 'one', (node) => Boolean(node.spec.podCIDR));
	await makeNode(w, 'two');
	const event = await eventually(w, [Event], () => [...w.cache.informer(Event).list()][0]);
	t.is(event.reason, 'CIDRNotAvailable');
	t.is(event.involvedObject.name, 'two');
	t.is(event.source?.component, 'node-cidr-controller');
});

test('pods of a node that is gone fail and go, after a while in which it could have come back', async (t) => {
	const w = await world(t);
	const clock = handClock();
	for (const name of ['gone', 'back', 'here']) {
		await makeNode(w, name);
		await makePod(w, `on-${name}`, name);
	}
	const ends: (string | undefined)[] = [];
	using _ = w.cache.informer(Pod).on(({ object, old }) => {
		if (!object) ends.push(`${old?.metadata.name} ${old?.status?.phase}`);
	});
	const running = run(t, w, [podGc()], () => START + clock.now(), clock);
	await w.cache.synced();
	await w.client.delete(Node, { name: 'gone' });
	await w.client.delete(Node, { name: 'back' });
	await w.cache.informer(Node).until(() => w.cache.informer(Node).size === 1, w.signal);
	await pass(running, clock, 30);
	await makeNode(w, 'back');
	await w.cache.informer(Node).until(() => w.cache.informer(Node).size === 2, w.signal);
	t.deepEqual(ends, []);
	await pass(running, clock, 11);
	await eventually(w, [Pod], async () => ((await getPod(w, 'on-gone')) ? undefined : true));
	await eventually(w, [Pod], () => (ends.length > 0 ? true : undefined));
	await pass(running, clock, 60);
	t.deepEqual(ends, ['on-gone Failed']);
	t.truthy(await getPod(w, 'on-back'));
	t.truthy(await getPod(w, 'on-here'));
});

test('deleted pods of a silent node that a person puts out of service go without its agent, the others stay', async (t) => {
	const w = await world(t);
	for (const name of ['dead', 'alive']) {
		await makeNode(w, name, [{ type: 'Ready', status: name === 'dead' ? 'Unknown' : 'True' }]);
		await makePod(w, `leaving-${name}`, name);
		await makePod(w, `staying-${name}`, name);
		await w.client.delete(Pod, { name: `leaving-${name}`, namespace: 'default' });
	}
	const running = run(t, w, [podGc()]);
	await w.cache.synced();
	t.truthy(await getPod(w, 'leaving-dead'));
	const taints = [{ key: 'node.kubernetes.io/out-of-service', value: 'nodeshutdown', effect: 'NoExecute' }];
	for (const name of ['alive', 'dead'])
		await settled(
			w,
			running,
			Node,
			await w.client.patch(Node, { name }, { type: 'merge', body: { spec: { taints } } }),
		);
	await eventually(w, [Pod], async () => ((await getPod(w, 'leaving-dead')) ? undefined : true));
	for (const name of ['staying-dead', 'leaving-alive', 'staying-alive']) t.truthy(await getPod(w, name));
});

test('of too many finished pods the oldest go', async (t) => {
	const w = await world(t);
	await makeNode(w, 'n');
	for (const name of ['a', 'b', 'c', 'd']) {
		await makePod(w, name, 'n');
		if (name !== 'a') await podStatus(w, name, { phase: 'Succeeded' });
	}
	run(t, w, [podGc({ mostFinished: 2 })]);
	await eventually(w, [Pod], async () => ((await w.client.list(Pod)).items.length === 3 ? true : undefined));
	t.truthy(await getPod(w, 'a'));
});
