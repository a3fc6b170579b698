/**
 * The scheduler on a real API and store in this process: pods that wait are bound to played nodes. What a pod costs in a small and
 * in a large cluster, beside bindings that need no decision, from the same run.
 * Usage: node bench/scheduler.ts [--small 1000/100] [--large 5000/500] [--shapes plain,spread,apart] [--rounds 1]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import { openApi } from '../src/api/index.ts';
import { createCache, inProcess } from '../src/client/index.ts';
import { loadRegistry, Node, Pod } from '../src/kinds/index.ts';
import { runControllers } from '../src/reconcile/index.ts';
import { scheduler } from '../src/reconcile/scheduling/scheduler.ts';
import { openStore } from '../src/store/index.ts';
import { silentLog } from '../test/testbed/silent-log.ts';
import { line, median } from './figures/figures.ts';

/** What a pod may cost in the large cluster, in costs of the small one. */
const BAR_RATIO = 1.2;
const ZONES = 3;
/** As many as the scheduler has under way. */
const BINDINGS_AT_ONCE = 32;

const { values } = parseArgs({
	options: {
		small: { type: 'string', default: '1000/100' },
		large: { type: 'string', default: '5000/500' },
		shapes: { type: 'string', default: 'plain,spread,apart' },
		rounds: { type: 'string', default: '1' },
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

interface Cost {
	readonly ms: number;
	readonly cpuMs: number;
}

/** Makes the world of `nodes` and `pods`, and measures `work` until every pod is bound. */
async function measured(shape: string, nodes: number, pods: number, decide: boolean): Promise<Cost> {
	const directory = await mkdtemp(join(tmpdir(), 'driftless-bench-'));
	await using stack = new AsyncDisposableStack();
	stack.defer(() => rm(directory, { recursive: true, force: true }));
	const stop = new AbortController();
	const { signal } = stop;
	const store = stack.use(await openStore('sqlite', directory));
	const api = stack.use(await openApi({ store, registry: loadRegistry(), log: silentLog }));
	const client = inProcess(api, { name: 'admin', groups: ['system:masters'], userAgent: 'bench' });
	const cache = stack.use(createCache(client, { signal, log: silentLog }));
	stack.defer(() => stop.abort());

	const limit = pLimit(BINDINGS_AT_ONCE);
	const status = { allocatable: { cpu: '40', memory: '64Gi', pods: '110' } };
	const nodeName = (number: number) => `n${number}`;
	await Promise.all(
		Array.from({ length: nodes }, (_, number) =>
			limit(() =>
				client.create(Node, {
					apiVersion: 'v1',
					kind: 'Node',
					metadata: {
						name: nodeName(number),
						labels: {
							'kubernetes.io/hostname': nodeName(number),
							'topology.kubernetes.io/zone': `z${number % ZONES}`,
						},
					},
					spec: {},
					status,
				}),
			),
		),
	);
	const make = shapes[shape];
	if (!make) throw new Error(`there is no shape ${shape}; there are: ${Object.keys(shapes).join(', ')}`);
	const names = Array.from({ length: pods }, (_, number) => ({ namespace: 'default', name: `p${number}` }));
	await Promise.all(
		names.map((metadata, number) =>
			limit(() =>
				client.create(Pod, {
					apiVersion: 'v1',
					kind: 'Pod',
					metadata: { ...metadata, labels: { app: 'web', set: String(number % 20) } },
					spec: {
						containers: [{ name: 'main', image: 'example', resources: { requests: { cpu: '100m', memory: '64Mi' } } }],
						...make(number),
					},
				}),
			),
		),
	);
	const informer = cache.informer(Pod);
	await Promise.all([informer.synced, cache.informer(Node).synced]);
	let bound = 0;
	const done = Promise.withResolvers<void>();
	stack.use(
		informer.on(({ object, old }) => {
			if (object?.spec.nodeName && !old?.spec.nodeName && ++bound === pods) done.resolve();
		}),
	);

	const cpu = process.cpuUsage();
	const began = performance.now();
	let running: Promise<unknown>;
	if (decide)
		running = runControllers({ client, cache, controllers: [scheduler()], log: silentLog, now: Date.now, signal });
	else running = Promise.all(names.map((pod, number) => limit(() => client.bind(pod, nodeName(number % nodes)))));
	await done.promise;
	const ms = performance.now() - began;
	const used = process.cpuUsage(cpu);
	stop.abort();
	await running;
	return { ms: ms / pods, cpuMs: (used.user + used.system) / 1000 / pods };
}

const sizes = [values.small, values.large].map((size) => size.split('/').map(Number) as [number, number]);
const print = ({ ms, cpuMs }: Cost) => `${(ms * 1000).toFixed(0)} µs, ${(cpuMs * 1000).toFixed(0)} µs of cpu`;
/** The run of median cost. */
async function cost(shape: string, [pods, nodes]: [number, number], decide: boolean): Promise<Cost> {
	const runs: Cost[] = [];
	for (let round = 0; round < Number(values.rounds); round++) runs.push(await measured(shape, nodes, pods, decide));
	const middle = median(runs.map(({ cpuMs }) => cpuMs));
	const found = runs.find(({ cpuMs }) => cpuMs === middle);
	if (!found) throw new Error('--rounds must be at least 1');
	return found;
}

// The first run of all warms the process up.
await measured('plain', 10, 200, true);
let missed = false;
for (const shape of values.shapes.split(',')) {
	const costs: Cost[] = [];
	const alone: Cost[] = [];
	for (const size of sizes) {
		const bare = await cost(shape, size, false);
		const ours = await cost(shape, size, true);
		line(`${shape}: ${size[0]} pods on ${size[1]} nodes, bindings alone, per pod`, print(bare));
		line(`${shape}: the same, decided by the scheduler, per pod`, print(ours));
		costs.push(ours);
		alone.push(bare);
	}
	const grown = ([small, large]: Cost[]) => (large?.cpuMs ?? 0) / (small?.cpuMs ?? 1);
	const ratio = grown(costs);
	line(`${shape}: cpu per pod, large to small, of bindings alone`, grown(alone).toFixed(2));
	line(`${shape}: cpu per pod, large to small (bar ${BAR_RATIO})`, ratio.toFixed(2));
	missed ||= ratio > BAR_RATIO;
}
if (missed) process.exitCode = 1;
