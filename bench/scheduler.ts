/**
 * The scheduler on a real API and store in this process: pods that wait are bound to played nodes. What a pod costs in a small and
 * in a large cluster, beside bindings that need no decision, and the decision without a store, from the same run. The process is warm
 * before the first round, and each round has both sizes, so that what slows the machine down slows both.
 * Usage: node bench/scheduler.ts [--small 1000/100] [--large 5000/500] [--shapes plain,spread,apart,preferred] [--rounds 5]
 * With `--large 10000/1000` it tells how many pods of a thousand nodes are bound a second.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pLimit from 'p-limit';
import { openApi } from '../src/api/index.ts';
import { createCache, inProcess } from '../src/client/index.ts';
import { loadRegistry, Node, Pod } from '../src/kinds/index.ts';
import { runControllers } from '../src/reconcile/index.ts';
import { schedule, type Turn } from '../src/reconcile/scheduling/schedule.ts';
import { scheduler } from '../src/reconcile/scheduling/scheduler.ts';
import { createSnapshot } from '../src/reconcile/scheduling/snapshot.ts';
import { wantedOf } from '../src/reconcile/scheduling/wanted.ts';
import { openStore } from '../src/store/index.ts';
import { silentLog } from '../test/testbed/silent-log.ts';
import { line, median } from './figures/figures.ts';

/** What a pod may cost in the large cluster, in costs of the small one. */
const BAR_RATIO = 1.2;
/** What pods with wishes (spread over nodes, rather apart) may take, in times of pods without. */
const BAR_PREFERRED = 1.6;
/** Pods without wishes that are bound a second. */
const BAR_RATE = 1000;
const ZONES = 3;
/** Rounds before those that count: code is compiled by what it meets. */
const WARM_ROUNDS = 2;
/** Of decisions alone, which take little. */
const DECISION_ROUNDS = 7;
/** As many as the scheduler has under way. */
const BINDINGS_AT_ONCE = 32;

const { values } = parseArgs({
	options: {
		small: { type: 'string', default: '1000/100' },
		large: { type: 'string', default: '5000/500' },
		shapes: { type: 'string', default: 'plain,spread,apart,preferred' },
		rounds: { type: 'string', default: '5' },
	},
});

/** What pods of a bench ask for beside resources; `apart` fits two of a kind on no node. */
const shapes: Record<string, (number: number) => Partial<Pod['spec']>> = {
	plain: () => ({}),
	spread: () => ({
		topologySpreadConstraints: [
			['topology.kubernetes.io/zone', 'DoNotSchedule'],
			['kubernetes.io/hostname', 'ScheduleAnyway'],
		].map(([topologyKey = '', whenUnsatisfiable = '']) => ({
			maxSkew: 1,
			topologyKey,
			whenUnsatisfiable,
			labelSelector: { matchLabels: { app: 'web' } },
		})),
	}),
	preferred: () => ({
		topologySpreadConstraints: [
			{
				maxSkew: 1,
				topologyKey: 'kubernetes.io/hostname',
				whenUnsatisfiable: 'ScheduleAnyway',
				labelSelector: { matchLabels: { app: 'web' } },
			},
		],
		affinity: {
			podAntiAffinity: {
				preferredDuringSchedulingIgnoredDuringExecution: [
					{
						weight: 100,
						podAffinityTerm: {
							topologyKey: 'kubernetes.io/hostname',
							labelSelector: { matchLabels: { app: 'web' } },
						},
					},
				],
			},
		},
	}),
	apart: (number) => ({
		affinity: {
			podAntiAffinity: {
				requiredDuringSchedulingIgnoredDuringExecution: [
					{ topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { set: String(number % 20) } } },
				],
			},
		},
	}),
};

/** As with --expose-gc, which whoever starts a benchmark need not know. */
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

interface Cost {
	readonly ms: number;
	readonly cpuMs: number;
}

const nodeName = (number: number) => `n${number}`;
const nodeOf = (number: number): Node => ({
	apiVersion: 'v1',
	kind: 'Node',
	metadata: {
		name: nodeName(number),
		labels: { 'kubernetes.io/hostname': nodeName(number), 'topology.kubernetes.io/zone': `z${number % ZONES}` },
	},
	spec: {},
	status: { allocatable: { cpu: '40', memory: '64Gi', pods: '110' } },
});

const podOf = (shape: string, number: number): Pod => {
	const make = shapes[shape];
	if (!make) throw new Error(`there is no shape ${shape}; there are: ${Object.keys(shapes).join(', ')}`);
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: `p${number}`, namespace: 'default', labels: { app: 'web', set: String(number % 20) } },
		spec: {
			containers: [{ name: 'main', image: 'example', resources: { requests: { cpu: '100m', memory: '64Mi' } } }],
			...make(number),
		},
	};
};

/** Makes the world of `nodes` and `pods`, and measures `work` until every pod is bound. */
async function measured(shape: string, nodes: number, pods: number, decide: boolean): Promise<Cost> {
	const directory = await mkdtemp(join(tmpdir(), 'driftless-bench-'));
	await using stack = new AsyncDisposableStack();
	stack.defer(() => rm(directory, { recursive: true, force: true }));
	const stop = new AbortController();
	const { signal } = stop;
	const store = stack.use(await openStore('sqlite', directory));
	const api = stack.use(await openApi({ store, alone: true, registry: loadRegistry(), log: silentLog }));
	const client = inProcess(api, { name: 'admin', groups: ['system:masters'], userAgent: 'bench' });
	const cache = stack.use(createCache(client, { signal, log: silentLog }));
	stack.defer(() => stop.abort());

	const limit = pLimit(BINDINGS_AT_ONCE);
	await Promise.all(Array.from({ length: nodes }, (_, number) => limit(() => client.create(Node, nodeOf(number)))));
	const made = Array.from({ length: pods }, (_, number) => podOf(shape, number));
	await Promise.all(made.map((pod) => limit(() => client.create(Pod, pod))));
	const informer = cache.informer(Pod);
	await Promise.all([informer.synced, cache.informer(Node).synced]);
	let bound = 0;
	const done = Promise.withResolvers<void>();
	stack.use(
		informer.on(({ object, old }) => {
			if (object?.spec.nodeName && !old?.spec.nodeName && ++bound === pods) done.resolve();
		}),
	);

	// What the rounds before have left is not paid for by this one.
	collectGarbage();
	const cpu = process.cpuUsage();
	const began = performance.now();
	let running: Promise<unknown>;
	if (decide)
		running = runControllers({ client, cache, controllers: [scheduler()], log: silentLog, now: Date.now, signal });
	else
		running = Promise.all(
			made.map(({ metadata }, number) => limit(() => client.bind(metadata, nodeName(number % nodes)))),
		);
	await done.promise;
	const ms = performance.now() - began;
	const used = process.cpuUsage(cpu);
	stop.abort();
	await running;
	return { ms: ms / pods, cpuMs: (used.user + used.system) / 1000 / pods };
}

/** Microseconds of cpu that a decision takes: a row of pods on nodes that fill up. */
function decisions(shape: string, nodes: number, pods: number): number {
	const snapshot = createSnapshot();
	for (let number = 0; number < nodes; number++) snapshot.setNode(nodeOf(number));
	const wanted = Array.from({ length: pods }, (_, number) => {
		const pod = podOf(shape, number);
		return wantedOf({ ...pod, metadata: { ...pod.metadata, uid: String(number) } });
	});
	let turn: Turn = { from: 0, last: '' };
	const cpu = process.cpuUsage();
	for (const each of wanted) {
		const placement = schedule(each, snapshot, 'least-allocated', turn);
		if (!('node' in placement)) throw new Error(`a pod of the shape ${shape} has no place: ${placement.message}`);
		turn = { from: (turn.from + placement.looked) % nodes, last: placement.node };
		snapshot.reserve(each, placement.node);
	}
	const used = process.cpuUsage(cpu);
	return (used.user + used.system) / pods;
}

type Size = readonly [pods: number, nodes: number];
const sizeOf = (text: string): Size => {
	const [pods = 0, nodes = 0] = text.split('/').map(Number);
	return [pods, nodes];
};
const sizes = { small: sizeOf(values.small), large: sizeOf(values.large) };
const print = ({ ms, cpuMs }: Cost) => `${(ms * 1000).toFixed(0)} µs, ${(cpuMs * 1000).toFixed(0)} µs of cpu`;
const middle = (costs: readonly Cost[]): Cost => ({
	ms: median(costs.map(({ ms }) => ms)),
	cpuMs: median(costs.map(({ cpuMs }) => cpuMs)),
});

/** What a pod of the shape costs in both sizes, in turn, and how often the large cost has the small one of the same round. */
async function costs(shape: string, decide: boolean) {
	const small: Cost[] = [];
	const large: Cost[] = [];
	for (let round = 0; round < Number(values.rounds); round++)
		for (const [found, [pods, nodes]] of [
			[small, sizes.small],
			[large, sizes.large],
		] as const)
			found.push(await measured(shape, nodes, pods, decide));
	const grown = median(large.map(({ cpuMs }, round) => cpuMs / (small[round]?.cpuMs ?? 0)));
	return { small: middle(small), large: middle(large), grown };
}

let missed = false;
/** Milliseconds a pod takes, by shape. */
const times = new Map<string, number>();
for (const shape of values.shapes.split(',')) {
	const [pods, nodes] = sizes.small;
	for (let round = 0; round < WARM_ROUNDS; round++)
		for (const decide of [false, true]) await measured(shape, nodes, pods, decide);
	const bare = await costs(shape, false);
	const ours = await costs(shape, true);
	times.set(shape, ours.large.ms);
	for (const size of ['small', 'large'] as const) {
		const [pods, nodes] = sizes[size];
		line(`${shape}: ${pods} pods on ${nodes} nodes, bindings alone, per pod`, print(bare[size]));
		line(`${shape}: the same, decided by the scheduler, per pod`, print(ours[size]));
	}
	const alone: { small: number[]; large: number[] } = { small: [], large: [] };
	for (let round = 0; round < DECISION_ROUNDS; round++)
		for (const size of ['small', 'large'] as const) {
			const [pods, nodes] = sizes[size];
			alone[size].push(decisions(shape, nodes, pods));
		}
	const [small, large] = [median(alone.small), median(alone.large)];
	line(
		`${shape}: a decision alone, small and large, of cpu`,
		`${small.toFixed(0)} µs, ${large.toFixed(0)} µs: ${(large / small).toFixed(2)}`,
	);
	line(`${shape}: cpu per pod, large to small, of bindings alone`, bare.grown.toFixed(2));
	line(`${shape}: cpu per pod, large to small (bar ${BAR_RATIO})`, ours.grown.toFixed(2));
	missed ||= ours.grown > BAR_RATIO;
}
const [plain, preferred] = [times.get('plain'), times.get('preferred')];
if (plain) {
	const rate = 1000 / plain;
	line(`plain: pods bound a second, large (bar ${BAR_RATE})`, rate.toFixed(0));
	missed ||= rate < BAR_RATE;
}
if (plain && preferred) {
	line(`preferred: time per pod, in times of plain, large (bar ${BAR_PREFERRED})`, (preferred / plain).toFixed(2));
	missed ||= preferred / plain > BAR_PREFERRED;
}
if (missed) process.exitCode = 1;
