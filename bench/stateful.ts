/**
 * A StatefulSet of 10 on the real engine, in its order: created to all ready, beside the same 20 containers (pause and one's own) made one
 * pod after the other by the raw engine API. Each pod waits for the one before it, so that what is added to a pod adds up.
 * Usage: node bench/stateful.ts [--pods 10] [--rounds 3]. Needs root, Docker and busybox-static.
 */
import { parseArgs } from 'node:util';
import { createCache } from '../src/client/index.ts';
import { StatefulSet } from '../src/kinds/index.ts';
import { runControllers } from '../src/reconcile/index.ts';
import { scheduler } from '../src/reconcile/scheduling/scheduler.ts';
import { statefulSet } from '../src/reconcile/workloads/statefulset.ts';
import { startNode, type TestNode, WAIT } from '../test/agents/node.ts';
import { silentLog } from '../test/testbed/silent-log.ts';
import { line, median } from './figures/figures.ts';

const BAR_RATIO = 1.3;

const { values } = parseArgs({
	options: { pods: { type: 'string', default: '10' }, rounds: { type: 'string', default: '3' } },
});
const count = Number(values.pods);
const db = { name: 'db', namespace: 'default' };

/** The containers of the pods by the raw engine API, one pod after the other, in milliseconds. */
async function raw({ engine: { docker } }: TestNode): Promise<number> {
	const began = performance.now();
	for (let index = 0; index < count; index++) {
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
	}
	const took = performance.now() - began;
	const all = await docker.listContainers({ all: true, filters: { name: ['raw_'] } });
	await Promise.all(all.map(({ Id }) => docker.getContainer(Id).remove({ force: true })));
	return took;
}

await using node = await startNode();
await node.runAgent();
const stop = new AbortController();
const { signal } = stop;
const { client } = node;
const cache = createCache(client, { signal, log: silentLog });
const controllers = [statefulSet, scheduler()];
const running = runControllers({ client, cache, controllers, log: silentLog, now: Date.now, signal });
const informer = cache.informer(StatefulSet);
await informer.synced;

/** The set's size, and milliseconds until as many are ready, or gone. */
async function sized(replicas: number): Promise<number> {
	const began = performance.now();
	await client.patch(StatefulSet, db, { type: 'merge', body: { spec: { replicas } } });
	await informer.until(() => {
		const { status } = informer.get('default/db') ?? {};
		return (status?.readyReplicas ?? 0) === replicas && status?.replicas === replicas;
	}, AbortSignal.timeout(120_000));
	return performance.now() - began;
}

await client.create(StatefulSet, {
	apiVersion: 'apps/v1',
	kind: 'StatefulSet',
	metadata: db,
	spec: {
		serviceName: 'db',
		replicas: 0,
		selector: { matchLabels: { app: 'db' } },
		template: {
			metadata: { labels: { app: 'db' } },
			spec: {
				terminationGracePeriodSeconds: 0,
				containers: [
					{ name: 'main', image: 'driftless/example:1', imagePullPolicy: 'IfNotPresent', command: [...WAIT] },
				],
			},
		},
	},
});
// The first start of an engine is its slowest.
await raw(node);
await sized(1);
await sized(0);

const times: { ours: number[]; raw: number[] } = { ours: [], raw: [] };
for (let round = 0; round < Number(values.rounds); round++) {
	times.raw.push(await raw(node));
	times.ours.push(await sized(count));
	await sized(0);
}
const ratio = median(times.ours) / median(times.raw);
line(`${count} pods by the raw engine API, one after the other`, `${(median(times.raw) / 1000).toFixed(2)} s`);
line(`a StatefulSet of ${count} in its order, to all ready`, `${(median(times.ours) / 1000).toFixed(2)} s`);
line(`ratio (bar ${BAR_RATIO})`, ratio.toFixed(2));
stop.abort();
await running;
await cache[Symbol.asyncDispose]();
if (ratio > BAR_RATIO) process.exitCode = 1;
