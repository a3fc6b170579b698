/**
 * Pods on a node: 30 created at once to all Running, beside the same 60 containers started by the raw engine API with the
 * same parallelism; and one pod from its creation to Running, less what the engine takes for its two containers.
 * Usage: node bench/pods.ts [--pods 30] [--rounds 3] [--parallel 8]. Needs root, Docker and busybox-static.
 */
import { parseArgs } from 'node:util';
import pLimit from 'p-limit';
import type { Informer } from '../src/client/index.ts';
import { Pod } from '../src/kinds/index.ts';
import { examplePod, startNode, type TestNode, WAIT } from '../test/agents/node.ts';
import { line, median } from './figures/figures.ts';

const BAR_RATIO = 1.25;
const BAR_LATENCY_MS = 300;

const { values } = parseArgs({
	options: {
		pods: { type: 'string', default: '30' },
		rounds: { type: 'string', default: '3' },
		parallel: { type: 'string', default: '8' },
	},
});
const parallel = Number(values.parallel);

/** The containers of `count` pods by the raw engine API: milliseconds until the last has started. */
async function raw(node: TestNode, count: number): Promise<number> {
	const { docker } = node.engine;
	const limit = pLimit(parallel);
	const began = performance.now();
	await Promise.all(
		Array.from({ length: count }, (_, index) =>
			limit(async () => {
				const pause = await docker.createContainer({
					name: `raw_pause_${index}`,
					Image: 'driftless/pause:1',
					Hostname: `raw-${index}`,
					HostConfig: { NetworkMode: 'driftless', IpcMode: 'shareable' },
				});
				await pause.start();
				const main = await docker.createContainer({
					name: `raw_main_${index}`,
					Image: 'driftless/example:1',
					Entrypoint: WAIT,
					HostConfig: { NetworkMode: `container:${pause.id}`, IpcMode: `container:${pause.id}` },
				});
				await main.start();
			}),
		),
	);
	const took = performance.now() - began;
	const all = await docker.listContainers({ all: true, filters: { name: ['raw_'] } });
	await Promise.all(all.map(({ Id }) => docker.getContainer(Id).remove({ force: true })));
	return took;
}

/** `count` pods created at once: milliseconds until the API says of the last that it is Running. */
async function pods(node: TestNode, informer: Informer<Pod>, count: number): Promise<number> {
	const names = new Set(Array.from({ length: count }, (_, index) => `bench-${index}`));
	const until = (wanted: (name: string, pod: Pod | undefined) => boolean) =>
		new Promise<void>((resolve) => {
			const left = new Set(names);
			const watching = informer.on(({ key, object }) => {
				const name = key.split('/')[1] ?? '';
				if (wanted(name, object)) left.delete(name);
				if (left.size === 0) {
					queueMicrotask(() => watching[Symbol.dispose]());
					resolve();
				}
			});
		});
	const began = performance.now();
	const running = until((_, pod) => pod?.status?.phase === 'Running');
	await Promise.all([...names].map((name) => node.client.create(Pod, examplePod(name, {}))));
	await running;
	const took = performance.now() - began;
	const gone = until((_, pod) => pod === undefined);
	await Promise.all([...names].map((name) => node.client.delete(Pod, { namespace: 'default', name })));
	await gone;
	return took;
}

await using node = await startNode();
const { cache } = await node.runAgent({ parallelStarts: parallel });
const informer = cache.informer(Pod);
await informer.synced;
// The first start of an engine is its slowest.
await raw(node, 1);
await pods(node, informer, 1);

const count = Number(values.pods);
const many: { ours: number[]; raw: number[] } = { ours: [], raw: [] };
for (let round = 0; round < Number(values.rounds); round++) {
	many.raw.push(await raw(node, count));
	many.ours.push(await pods(node, informer, count));
}
const single: { ours: number[]; raw: number[] } = { ours: [], raw: [] };
for (let round = 0; round < 9; round++) {
	single.raw.push(await raw(node, 1));
	single.ours.push(await pods(node, informer, 1));
}
const ratio = median(many.ours) / median(many.raw);
const extra = median(single.ours) - median(single.raw);
line(`${count} pods by the raw engine API, ${parallel} at once`, `${(median(many.raw) / 1000).toFixed(2)} s`);
line(`${count} pods created at once, to all Running`, `${(median(many.ours) / 1000).toFixed(2)} s`);
line(`ratio (bar ${BAR_RATIO})`, ratio.toFixed(2));
line('one pod by the raw engine API, median', `${median(single.raw).toFixed(0)} ms`);
line('one pod from creation to Running, median', `${median(single.ours).toFixed(0)} ms`);
line(`the difference (bar ${BAR_LATENCY_MS} ms)`, `${extra.toFixed(0)} ms`);
if (ratio > BAR_RATIO || extra > BAR_LATENCY_MS) process.exitCode = 1;
