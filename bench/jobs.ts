/**
 * A Job of many completions on a node whose engine runs nothing, from its creation to Complete, beside as many bare pods that the
 * same node takes from creation to their end, so many at once.
 * Usage: node bench/jobs.ts [--completions 1000] [--parallelism 50] [--rounds 3].
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import { simulatedEngine } from '../src/agents/engine/simulated/index.ts';
import { runAgent } from '../src/agents/index.ts';
import { createCache, inProcess, recordEvents } from '../src/client/index.ts';
import { Job, jobEnd, Namespace, Pod } from '../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../src/reconcile/index.ts';
import { giveRange, NODE } from '../test/agents/node.ts';
import { admin, serveTestApi } from '../test/testbed/api.ts';
import { silentLog as log } from '../test/testbed/silent-log.ts';
import { line, median } from './figures/figures.ts';

const BAR_MS = 10_000;
const { values } = parseArgs({
	options: {
		completions: { type: 'string', default: '1000' },
		parallelism: { type: 'string', default: '50' },
		rounds: { type: 'string', default: '3' },
	},
});
const [completions, parallelism, rounds] = [values.completions, values.parallelism, values.rounds].map(Number);

await using stack = new AsyncDisposableStack();
const dataDir = await mkdtemp(join(tmpdir(), 'driftless-bench-jobs-'));
stack.defer(() => rm(dataDir, { recursive: true, force: true }));
const server = stack.use(await serveTestApi({ log }));
const client = inProcess(server.api, { ...admin, userAgent: 'bench' });
for (const name of ['default', 'kube-node-lease'])
	await client
		.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} })
		.catch(() => undefined);
const abort = new AbortController();
const { signal } = abort;
const kubelet = client.as('kubelet');
const cache = stack.use(createCache(kubelet, { signal, log }));
const events = recordEvents(kubelet, { component: 'kubelet', host: NODE, now: Date.now, log, signal });
const engine = stack.use(simulatedEngine({ cpus: 64, memory: 2 ** 38 }));
const where = { nodeName: NODE, dataDir, address: '127.0.0.1', port: 0, clientCa: server.pki.authority.cert };
const agent = stack.use(await runAgent({ client: kubelet, cache, events, engine, ...where, log, signal }));
await giveRange(client, '10.244.0.0/20');
await agent.ready;
const own = stack.use(createCache(client, { signal, log }));
const running = runControllers({
	client,
	cache: own,
	controllers: clusterControllers(),
	log,
	now: Date.now,
	signal,
});
stack.defer(async () => {
	abort.abort();
	await running;
});

const template = {
	metadata: { annotations: { 'simulated.driftless.io/run-seconds': '0' } },
	spec: {
		restartPolicy: 'Never',
		terminationGracePeriodSeconds: 0,
		tolerations: [{ operator: 'Exists' }],
		containers: [{ name: 'main', image: 'example/work:1' }],
	},
};
const finished = ({ status }: Pod) => status?.phase === 'Succeeded' || status?.phase === 'Failed';
/** Settles when the object of the name is as wanted. */
function until<T extends Job | Pod>(
	kind: typeof Job | typeof Pod,
	name: string,
	wanted: (object: T) => unknown,
): Promise<T> {
	const { promise, resolve } = Promise.withResolvers<T>();
	const subscription = own.informer(kind as never).on(({ object }) => {
		const seen = object as T | undefined;
		if (seen?.metadata.name === name && wanted(seen)) resolve(seen);
	});
	return promise.finally(() => subscription[Symbol.dispose]());
}

async function job(name: string, completionMode: string): Promise<number> {
	const done = until<Job>(Job, name, jobEnd);
	const began = performance.now();
	await client.create(Job, {
		apiVersion: 'batch/v1',
		kind: 'Job',
		metadata: { name, namespace: 'default' },
		spec: { completions, parallelism, completionMode, template },
	});
	const { status } = await done;
	const took = performance.now() - began;
	if (status?.succeeded !== completions) throw new Error(`${name} is not complete: ${JSON.stringify(status)}`);
	await client.delete(Job, { name, namespace: 'default' }, { propagationPolicy: 'Background' });
	return took;
}

async function bare(round: number): Promise<number> {
	const limit = pLimit(parallelism ?? 1);
	const names = Array.from({ length: completions ?? 0 }, (_, index) => `bare-${round}-${index}`);
	const waiting = new Map<string, () => void>();
	const subscription = own.informer(Pod).on(({ object }) => {
		if (object && finished(object)) waiting.get(object.metadata.name)?.();
	});
	const began = performance.now();
	await Promise.all(
		names.map((name) =>
			limit(async () => {
				const ended = new Promise<void>((resolve) => waiting.set(name, resolve));
				const metadata = { name, namespace: 'default', annotations: template.metadata.annotations };
				await client.create(Pod, { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec });
				await ended;
			}),
		),
	);
	const took = performance.now() - began;
	subscription[Symbol.dispose]();
	await client.deleteCollection(Pod, { namespace: 'default' });
	return took;
}

/** Seconds that pass, and milliseconds of processor time for each pod: those vary less from machine to machine. */
interface Figure {
	readonly seconds: number;
	readonly cpuMs: number;
}

async function measured(run: () => Promise<number>): Promise<Figure> {
	const before = process.cpuUsage();
	const ms = await run();
	const { user, system } = process.cpuUsage(before);
	// What clears away the pods of a round is no part of the next.
	while (own.informer(Pod).size > 0) await delay(100);
	return { seconds: ms / 1000, cpuMs: (user + system) / 1000 / (completions ?? 1) };
}

const figures: Record<'bare' | 'NonIndexed' | 'Indexed', Figure[]> = { bare: [], NonIndexed: [], Indexed: [] };
for (let round = 0; round < (rounds ?? 1); round++) {
	figures.bare.push(await measured(() => bare(round)));
	for (const mode of ['NonIndexed', 'Indexed'] as const)
		figures[mode].push(await measured(() => job(`${mode.toLowerCase()}-${round}`, mode)));
}
const told = (all: readonly Figure[]) =>
	`${median(all.map(({ seconds }) => seconds)).toFixed(2)} s, ${median(all.map(({ cpuMs }) => cpuMs)).toFixed(1)} ms of cpu a pod`;
line(`${completions} bare pods, ${parallelism} at once`, told(figures.bare));
for (const mode of ['NonIndexed', 'Indexed'] as const) {
	line(
		`Job (${mode}), ${completions} completions, ${parallelism} at once (bar ${BAR_MS / 1000} s)`,
		told(figures[mode]),
	);
	if (median(figures[mode].map(({ seconds }) => seconds)) * 1000 > BAR_MS) process.exitCode = 1;
}
