/**
 * From `git push` of a new Deployment of one pod to its container running, as the engine tells it, through a platform that
 * runs as a user runs it; less what the engine takes for the same two containers by its raw API, started in between.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { lines } from '../src/agents/engine/docker/lines.ts';
import { startPlatform } from '../test/testbed/platform.ts';
import { line, median } from './figures/figures.ts';

const ROUNDS = 11;
const BAR_MS = 300;
const WAIT = ['sleep', '100000'];

await using platform = await startPlatform();
const { docker } = platform.engine;
const clone = join(platform.folder, 'clone');
const git = async (...args: string[]) => {
	const { code, output } = await platform.run('git', args, { cwd: clone });
	if (code !== 0) throw new Error(output);
};
await mkdir(clone);
await git('init', '-q', '-b', 'main');
const remote = (await platform.driftless('remote')).stdout.trim();

const manifest = (name: string) => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{ name: ${name}, image: driftless/example:1, command: ${JSON.stringify(WAIT)} }]
`;

/** Milliseconds from the start of `git push` to the start of the container that it asks for. */
async function pushed(name: string): Promise<number> {
	await writeFile(join(clone, `${name}.yaml`), manifest(name));
	await git('add', '-A');
	await git('commit', '-q', '-m', name);
	const filters = { event: ['start'], label: [`io.kubernetes.container.name=${name}`] };
	const events = (await docker.getEvents({ filters } as object)) as NodeJS.ReadableStream & { destroy(): void };
	const began = performance.now();
	const running = (async () => {
		for await (const _ of lines(events)) return performance.now() - began;
		throw new Error('the engine has closed its events');
	})();
	await git('push', '-q', remote, 'HEAD:main');
	const took = await running;
	events.destroy();
	return took;
}

/** Milliseconds that the engine takes for a pause container and one beside it. */
async function raw(round: number): Promise<number> {
	const start = async (name: string, rest: Docker.ContainerCreateOptions) => {
		const container = await docker.createContainer({ name: `raw_${name}_${round}`, ...rest });
		await container.start();
		return container;
	};
	const began = performance.now();
	const pause = await start('pause', {
		Image: 'driftless/pause:1',
		HostConfig: { NetworkMode: 'driftless', IpcMode: 'shareable' },
	});
	const shared = `container:${pause.id}`;
	const main = await start('main', {
		Image: 'driftless/example:1',
		Entrypoint: WAIT,
		HostConfig: { NetworkMode: shared, IpcMode: shared },
	});
	const took = performance.now() - began;
	await Promise.all([main, pause].map((container) => container.remove({ force: true })));
	return took;
}

// The first of each is its slowest: the engine's first start, and the repository's first push.
await pushed('warm');
await raw(0);
const ours: number[] = [];
const engine: number[] = [];
for (let round = 1; round <= ROUNDS; round++) {
	ours.push(await pushed(`web-${round}`));
	engine.push(await raw(round));
}
const extra = median(ours) - median(engine);
line('git push to container running, median', `${median(ours).toFixed(0)} ms`);
line('the same two containers by the raw engine API, median', `${median(engine).toFixed(0)} ms`);
line(`the difference (bar ${BAR_MS} ms)`, `${extra.toFixed(0)} ms`);
if (extra > BAR_MS) process.exitCode = 1;
