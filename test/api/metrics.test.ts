/** What metrics.k8s.io computes of readings: rates, windows, and who is left out. */
import test from 'ava';
import { measuredBy } from '../../src/api/metrics/index.ts';
import { nodeMetrics, podMetrics } from '../../src/api/metrics/rates.ts';
import { type Reading, readingOf } from '../../src/api/metrics/reading.ts';
import { createReadings } from '../../src/api/metrics/readings.ts';
import { inProcess } from '../../src/client/index.ts';
import { Node, Pod, type PodMetrics } from '../../src/kinds/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';

const START = Date.parse('2030-01-01T00:00:00Z');
const MiB = 2 ** 20;

const node: Node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', labels: { zone: 'a' } }, spec: {} };

function pod(running: readonly string[], metadata: Partial<Pod['metadata']> = {}): Pod {
	const status = (name: string) => ({
		name,
		image: '',
		imageID: '',
		ready: true,
		restartCount: 0,
		state: { running: { startedAt: '2030-01-01T00:00:00Z' } },
	});
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'web', namespace: 'default', uid: 'u1', labels: { app: 'web' }, ...metadata },
		spec: { nodeName: 'n1', containers: running.map((name) => ({ name })) },
		status: { phase: 'Running', containerStatuses: running.map(status) },
	};
}

/** A reading so many seconds after the start; each figure is processor time in seconds, and MiB. */
function reading(at: number, containers: Readonly<Record<string, readonly [number, number]>>, uid = 'u1'): Reading {
	const time = new Date(START + at * 1000).toISOString();
	const figures = ([seconds, mebibytes]: readonly [number, number]) => ({
		cpu: { time, usageCoreNanoSeconds: seconds * 1e9 },
		memory: { time, workingSetBytes: mebibytes * MiB },
	});
	return readingOf({
		node: { nodeName: 'n1', ...figures([at * 2, 100 + at]) },
		pods: [{ podRef: { uid }, containers: Object.entries(containers).map(([name, of]) => ({ name, ...figures(of) })) }],
	});
}

const cpuOf = (metrics: PodMetrics | undefined) => metrics?.containers.map(({ name, usage }) => `${name} ${usage.cpu}`);

test('a rate is what a counter grew by in the window, and memory is what it was at its end', (t) => {
	const metrics = podMetrics(pod(['b', 'a']), [
		reading(0, { a: [1, 10], b: [0, 1] }),
		reading(3, { a: [2.5, 12], b: [0.003, 2] }),
	]);
	t.deepEqual(metrics, {
		apiVersion: 'metrics.k8s.io/v1beta1',
		kind: 'PodMetrics',
		metadata: {
			name: 'web',
			namespace: 'default',
			labels: { app: 'web' },
			creationTimestamp: '2030-01-01T00:00:03Z',
		},
		timestamp: '2030-01-01T00:00:03Z',
		window: '3s',
		containers: [
			{ name: 'a', usage: { cpu: '500m', memory: '12Mi' } },
			{ name: 'b', usage: { cpu: '1m', memory: '2Mi' } },
		],
	});
	t.like(nodeMetrics(node, [reading(0, {}), reading(2.5, {})]), {
		metadata: { name: 'n1', labels: { zone: 'a' } },
		window: '2.5s',
		usage: { cpu: '2', memory: '104960Ki' },
	});
});

test('the window is the shortest that is long enough, and for what is younger the longest that there is', (t) => {
	const old = [0, 3, 4, 5.5].map((at) => reading(at, { a: [at, 1] }));
	t.is(podMetrics(pod(['a']), old)?.window, '2.5s');
	const young = [reading(0, {}), reading(4, { a: [0, 1] }), reading(4.8, { a: [0.1, 1] }), reading(5.5, { a: [1, 1] })];
	t.like(podMetrics(pod(['a']), young), { window: '1.5s' });
});

test('a pod of which not all is measured has no metrics: a part would be taken for the whole', (t) => {
	const cases: readonly [why: string, pod: Pod, readings: readonly Reading[]][] = [
		['one reading says no rate', pod(['a']), [reading(0, { a: [0, 1] })]],
		[
			'a container that was not there before',
			pod(['a', 'b']),
			[reading(0, { a: [0, 1] }), reading(3, { a: [1, 1], b: [1, 1] })],
		],
		['a container that runs and was not read', pod(['a', 'b']), [reading(0, { a: [0, 1] }), reading(3, { a: [1, 1] })]],
		['a counter that has gone back', pod(['a']), [reading(0, { a: [9, 1] }), reading(3, { a: [1, 1] })]],
		['too short to say anything', pod(['a']), [reading(0, { a: [0, 1] }), reading(0.1, { a: [1, 1] })]],
		['another pod of that name', pod(['a']), [reading(0, { a: [0, 1] }, 'u2'), reading(3, { a: [1, 1] }, 'u2')]],
		['nothing runs', pod([]), [reading(0, {}), reading(3, {})]],
	];
	for (const [why, of, readings] of cases) t.is(podMetrics(of, readings), undefined, why);
	const again = [reading(0, { a: [9, 1] }), reading(3, { a: [1, 1] }), reading(4, { a: [1.5, 1] })];
	t.deepEqual(cpuOf(podMetrics(pod(['a']), again)), ['a 500m'], 'a restarted one is measured from its restart');
	const mirror = pod(['a'], { uid: 'shown', annotations: { 'kubernetes.io/config.mirror': 'u1' } });
	t.deepEqual(cpuOf(podMetrics(mirror, [reading(0, { a: [0, 1] }), reading(2, { a: [1, 1] })])), ['a 500m']);
});

test('what an agent says that is no summary is nothing, and what is broken of it is left out', (t) => {
	for (const nothing of [null, 1, 'text', [], {}, { pods: {} }, { pods: [null, {}, { podRef: 1 }] }])
		t.deepEqual([...readingOf(nothing).pods], []);
	const broken = {
		podRef: { uid: 'u1' },
		containers: [{ name: 'a', cpu: { time: 'never', usageCoreNanoSeconds: 1 } }],
	};
	t.is(readingOf({ pods: [broken] }).pods.get('u1')?.size, 0);
});

const quick = { period: 20, interest: 2_000, first: 5, fresh: 5, kept: 10_000, patience: 5_000 };

test('a node is read twice for the first question, on and on for a while, and not any more when nobody asks', async (t) => {
	const stop = new AbortController();
	t.teardown(() => stop.abort());
	let reads = 0;
	let open = 0;
	const closed = Promise.withResolvers<void>();
	const readings = createReadings({
		log: silentLog,
		signal: stop.signal,
		times: { ...quick, interest: 300 },
		open: () => {
			open++;
			return {
				read: async () => reading(++reads, { a: [reads, 1] }),
				[Symbol.dispose]: closed.resolve,
			};
		},
	});
	const [first, same] = await Promise.all([readings.of(node), readings.of(node)]);
	t.deepEqual([first.length, same.length, reads, open], [2, 2, 2, 1], 'those who ask at once share the readings');
	await closed.promise;
	t.true(reads > 2);
	t.is((await readings.of(node)).length, 2, 'it begins anew');
	t.is(open, 2);
});

test('a node that cannot be read is told of once, leaves out its pods alone, and is there again when it answers', async (t) => {
	const stop = new AbortController();
	await using opened = await openTestApi();
	t.teardown(() => stop.abort());
	const told: string[] = [];
	const log = { ...silentLog, warn: (_: object, message: string) => told.push(message) };
	let broken = true;
	let reads = 0;
	const readings = createReadings({
		log,
		signal: stop.signal,
		times: quick,
		open: (of) => ({
			read: async () => {
				if (of().metadata.name === 'n2' && broken) throw new Error('refused');
				return reading(++reads, { main: [reads, 1] }, of().metadata.labels?.uid);
			},
			[Symbol.dispose]() {},
		}),
	});
	const client = inProcess(opened.api, admin);
	for (const name of ['n1', 'n2']) {
		const spec = { nodeName: name, containers: [{ name: 'main', image: 'x' }] };
		const made = await client.create(Pod, { ...pod([]), metadata: { name, namespace: 'default' }, spec });
		await client.update(Pod, { ...made, status: pod(['main']).status ?? {} }, { subresource: 'status' });
		await client.create(Node, { ...node, metadata: { name, labels: { uid: made.metadata.uid ?? '' } } });
	}
	const [, pods] = measuredBy(readings);
	const names = async (asked = {}) => (await pods?.compute(opened.api, asked))?.map(({ metadata }) => metadata.name);
	t.deepEqual(await names(), ['n1']);
	t.deepEqual(await names({ name: 'n2', namespace: 'default' }), []);
	t.deepEqual(await names({ name: 'n3', namespace: 'default' }), []);
	t.deepEqual(told, ['the figures of a node cannot be read; what runs there has none']);
	broken = false;
	for (let seen = await names(); seen?.length !== 2; seen = await names())
		await new Promise((resolve) => setTimeout(resolve, 20));
	t.is(told.length, 1);
});
