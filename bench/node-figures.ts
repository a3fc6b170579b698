/**
 * What a reading of the figures costs the agent: processor time of this process for each running container, for the summary, the
 * resource metrics and the detailed ones, beside asking the engine for the same (whose own work is not in its figure).
 * Usage: node bench/node-figures.ts [--pods 20] [--rounds 50]. Needs root, Docker and busybox-static.
 */
import { parseArgs } from 'node:util';
import { createDiskMeter, createFigures } from '../src/agents/figures/index.ts';
import type { Mirror } from '../src/agents/pods/mirror.ts';
import { cadvisorFamilies } from '../src/agents/server/cadvisor.ts';
import { resourceFamilies } from '../src/agents/server/metrics.ts';
import { type Sources, summary } from '../src/agents/server/summary.ts';
import { exposition } from '../src/metrics.ts';
import { NODE, running, startNode, WAIT } from '../test/agents/node.ts';
import { line, median } from './figures/figures.ts';

const BAR_MS = 0.2;
const { values } = parseArgs({
	options: { pods: { type: 'string', default: '20' }, rounds: { type: 'string', default: '50' } },
});
const count = Number(values.pods);

await using node = await startNode();
const { engine } = await node.runAgent();
const names = Array.from({ length: count }, (_, index) => `bench-${index}`);
const container = (name: string) => ({ name, image: 'driftless/example:1', command: WAIT });
await Promise.all(names.map((name) => node.pod(name, { containers: [container('main'), container('side')] })));
const pods = await Promise.all(names.map((name) => node.until(name, running)));

// Known once, as the agent's copy of the engine has them.
const parts = await Promise.all((await engine.parts.list(NODE)).map(({ id }) => engine.parts.inspect(id)));
const known = parts.filter((part) => part !== undefined);
const mirror = { of: (uid: string) => known.filter((part) => part.pod.uid === uid) } as Pick<Mirror, 'of'> as Mirror;
const containers = known.filter(({ kind }) => kind === 'container').length;
const stop = new AbortController();
const { dataDir } = node.engine;
const now = Date.now;
const sources: Sources = {
	engine,
	info: await engine.info(),
	figures: createFigures(engine, now),
	disk: createDiskMeter(now, stop.signal),
	node: NODE,
	dataDir,
	now,
};

/** Milliseconds of processor time for each container, the median of the rounds. */
async function cost(read: () => Promise<unknown>, rounds = Number(values.rounds)): Promise<number> {
	for (let warm = 0; warm < 5; warm++) await read();
	const costs: number[] = [];
	for (let round = 0; round < rounds; round++) {
		const before = process.cpuUsage();
		await read();
		const { user, system } = process.cpuUsage(before);
		costs.push((user + system) / 1000 / containers);
	}
	return median(costs);
}

const readings = {
	'the summary, brief, as JSON': async () => JSON.stringify(await summary(sources, mirror, pods, { brief: true })),
	'the summary, whole, as JSON': async () => JSON.stringify(await summary(sources, mirror, pods)),
	'/metrics/resource': async () => exposition(resourceFamilies(await summary(sources, mirror, pods, { brief: true }))),
	'/metrics/cadvisor': async () => exposition(await cadvisorFamilies(sources, mirror, pods)),
};
line('containers that run (beside their sandboxes)', String(containers));
for (const [name, read] of Object.entries(readings)) {
	const ms = await cost(read);
	line(`${name}, for each container (bar ${BAR_MS} ms)`, `${ms.toFixed(3)} ms`);
	if (ms > BAR_MS) process.exitCode = 1;
}
const asked = await cost(() => Promise.all(known.map(({ id }) => engine.parts.usage(id))), 10);
line('the engine asked instead, on our side alone', `${asked.toFixed(3)} ms`);
stop.abort();
