/**
 * A DaemonSet on played nodes, with the scheduler: created to all pods bound; beside as many pods that are made and bound without any
 * decision, from the same run. Then what one more node costs.
 * Usage: node bench/daemons.ts [--nodes 1000] [--rounds 3]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import { openApi } from '../src/api/index.ts';
import { createCache, inProcess } from '../src/client/index.ts';
import { DaemonSet, loadRegistry, Node, Pod } from '../src/kinds/index.ts';
import { runControllers } from '../src/reconcile/index.ts';
import { scheduler } from '../src/reconcile/scheduling/scheduler.ts';
import { daemonSet } from '../src/reconcile/workloads/daemonset.ts';
import { openStore } from '../src/store/index.ts';
import { silentLog } from '../test/testbed/silent-log.ts';
import { line, median } from './figures/figures.ts';

const BAR_MS = 1500;
/** As many as the scheduler has under way. */
const AT_ONCE = 32;

const { values } = parseArgs({
	options: { nodes: { type: 'string', default: '1000' }, rounds: { type: 'string', default: '3' } },
});
const nodes = Number(values.nodes);

const nodeOf = (name: string): Node => ({
	apiVersion: 'v1',
	kind: 'Node',
	metadata: { name, labels: { 'kubernetes.io/hostname': name } },
	spec: {},
	status: { allocatable: { cpu: '4', memory: '8Gi', pods: '110' } },
});
const containers = [{ name: 'main', image: 'example', resources: { requests: { cpu: '10m', memory: '16Mi' } } }];

interface Times {
	readonly bare: number;
	readonly bareCpu: number;
	readonly all: number;
	readonly allCpu: number;
	/** One node more, to its pod being bound. */
	readonly one: number;
}

async function measured(): Promise<Times> {
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
	const limit = pLimit(AT_ONCE);
	const names = Array.from({ length: nodes }, (_, number) => `n${number}`);
	await Promise.all(names.map((name) => limit(() => client.create(Node, nodeOf(name)))));
	const informer = cache.informer(Pod);
	await Promise.all([informer.synced, cache.informer(Node).synced]);

	let cpu = process.cpuUsage();
	let began = performance.now();
	const cpuMs = () => {
		const used = process.cpuUsage(cpu);
		return (used.user + used.system) / 1000;
	};
	await Promise.all(
		names.map((node) =>
			limit(async () => {
				const metadata = { name: `bare-${node}`, namespace: 'default' };
				await client.create(Pod, { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } });
				await client.bind(metadata, node);
			}),
		),
	);
	const bare = performance.now() - began;
	const bareCpu = cpuMs();
	await client.deleteCollection(Pod, { namespace: 'default' }, { gracePeriodSeconds: 0 });
	await informer.until(() => informer.size === 0, AbortSignal.timeout(120_000));

	const controllers = [daemonSet, scheduler()];
	const running = runControllers({ client, cache, controllers, log: silentLog, now: Date.now, signal });
	await cache.informer(DaemonSet).synced;
	const bound = async (count: number) => {
		let left = count;
		const done = Promise.withResolvers<void>();
		using _ = informer.on(({ object, old }) => {
			if (object?.spec.nodeName && !old?.spec.nodeName && --left === 0) done.resolve();
		});
		await done.promise;
	};
	cpu = process.cpuUsage();
	began = performance.now();
	const all = bound(nodes);
	await client.create(DaemonSet, {
		apiVersion: 'apps/v1',
		kind: 'DaemonSet',
		metadata: { name: 'logs', namespace: 'default' },
		spec: {
			selector: { matchLabels: { app: 'logs' } },
			template: { metadata: { labels: { app: 'logs' } }, spec: { containers } },
		},
	});
	await all;
	const allMs = performance.now() - began;
	const allCpu = cpuMs();
	// Until the set has counted what there is, so that one node more is all that it has to do.
	const sets = cache.informer(DaemonSet);
	await sets.until(
		() => sets.get('default/logs')?.status?.currentNumberScheduled === nodes,
		AbortSignal.timeout(120_000),
	);
	began = performance.now();
	// What is there already is told as an add.
	const one = bound(nodes + 1);
	await client.create(Node, nodeOf('one-more'));
	await one;
	const oneMs = performance.now() - began;
	stop.abort();
	await running;
	return { bare, bareCpu, all: allMs, allCpu, one: oneMs };
}

// Code is compiled by what it meets.
await measured();
const rounds: Times[] = [];
for (let round = 0; round < Number(values.rounds); round++) rounds.push(await measured());
const of = (name: keyof Times) => median(rounds.map((times) => times[name]));
const print = (ms: number, cpu: number) => `${ms.toFixed(0)} ms, ${cpu.toFixed(0)} ms of cpu`;
line(`${nodes} pods made and bound, without a decision`, print(of('bare'), of('bareCpu')));
line(`a DaemonSet on ${nodes} nodes, to all bound (bar ${BAR_MS} ms)`, print(of('all'), of('allCpu')));
line('one node more, to its pod bound', `${of('one').toFixed(0)} ms`);
if (of('all') > BAR_MS) process.exitCode = 1;
