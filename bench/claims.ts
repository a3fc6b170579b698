/**
 * A pod with a claim of the class `standard`, both created at once, to Running, beside the same pod without a claim, each placed by the
 * scheduler. Usage: node bench/claims.ts [--rounds 15]. Needs root, Docker and busybox-static.
 */
import { parseArgs } from 'node:util';
import { createCache } from '../src/client/index.ts';
import { PersistentVolume, PersistentVolumeClaim, Pod, StorageClass } from '../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../src/reconcile/index.ts';
import { eventually, examplePod, startNode, WAIT } from '../test/agents/node.ts';
import { claim } from '../test/reconcile/volume-objects.ts';
import { silentLog } from '../test/testbed/silent-log.ts';
import { line, median } from './figures/figures.ts';

/** What a claim may add, in ms. */
const BAR_MS = 50;

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } });

await using node = await startNode();
const agent = await node.runAgent();
const { client } = node;
const stop = new AbortController();
const { signal } = stop;
const cache = createCache(client, { signal, log: silentLog });
const controllers = runControllers({
	client,
	cache,
	controllers: clusterControllers(),
	log: silentLog,
	now: Date.now,
	signal,
});
await eventually('the class standard', () => client.get(StorageClass, { name: 'standard' }).catch(() => undefined));
const informer = agent.cache.informer(Pod);
const volumes = cache.informer(PersistentVolume);

/** Milliseconds from the first create until the API says of the pod that it runs. */
async function once(name: string, withClaim: boolean): Promise<number> {
	const until = (wanted: (pod: Pod | undefined) => boolean) =>
		new Promise<void>((resolve) => {
			const watching = cache.informer(Pod).on(({ key, object }) => {
				if (key !== `default/${name}` || !wanted(object)) return;
				queueMicrotask(() => watching[Symbol.dispose]());
				resolve();
			});
		});
	const running = until((pod) => pod?.status?.phase === 'Running');
	const began = performance.now();
	if (withClaim) await client.create(PersistentVolumeClaim, claim(name, { class: 'standard' }));
	await client.create(
		Pod,
		examplePod(name, {
			nodeName: undefined,
			...(withClaim && { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: name } }] }),
			containers: [
				{ name: 'main', command: WAIT, ...(withClaim && { volumeMounts: [{ name: 'data', mountPath: '/data' }] }) },
			],
		}),
	);
	await running;
	const took = performance.now() - began;
	const gone = until((pod) => pod === undefined);
	if (withClaim) await client.delete(PersistentVolumeClaim, { namespace: 'default', name });
	await client.delete(Pod, { namespace: 'default', name });
	await gone;
	await eventually('no volume is left', async () => volumes.size === 0);
	return took;
}

await informer.synced;
for (const [index, withClaim] of [false, true].entries()) await once(`warm-${index}`, withClaim);
const took: { plain: number[]; claimed: number[] } = { plain: [], claimed: [] };
for (let round = 0; round < Number(values.rounds); round++) {
	took.plain.push(await once(`plain-${round}`, false));
	took.claimed.push(await once(`claimed-${round}`, true));
}
const more = median(took.claimed) - median(took.plain);
line('a pod without a claim, created to Running, median', `${median(took.plain).toFixed(0)} ms`);
line('a pod with a claim of the class standard, median', `${median(took.claimed).toFixed(0)} ms`);
line(`the difference (bar ${BAR_MS} ms)`, `${more.toFixed(0)} ms`);
if (more > BAR_MS) process.exitCode = 1;
stop.abort();
await controllers;
