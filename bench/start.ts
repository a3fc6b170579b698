/** From the start of the process to `driftless is ready`, with nothing and with 10,000 stored objects; the limit is the start of Node.js itself with an empty program. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openApi } from '../src/api/index.ts';
import { inProcess } from '../src/client/index.ts';
import { ConfigMap, Deployment, type Dynamic, type Kind, loadRegistry, Secret } from '../src/kinds/index.ts';
import { openStore } from '../src/store/index.ts';
import { silentLog } from '../test/testbed/silent-log.ts';
import { median } from './figures/figures.ts';

const OBJECTS = 10_000;
const ROUNDS = 5;
const launcher = fileURLToPath(new URL('../bin/driftless', import.meta.url));

/** 4,500 ConfigMaps, 4,500 Secrets, 1,000 Deployments without replicas. */
async function fill(dataDir: string): Promise<void> {
	await using store = await openStore('sqlite', dataDir);
	await using api = await openApi({ store, registry: loadRegistry(), log: silentLog });
	const client = inProcess(api, { name: 'admin', groups: ['system:masters'], userAgent: 'bench' });
	const text = 'x'.repeat(600);
	const one = (index: number) => {
		const metadata = { name: `o${index}`, namespace: 'default' };
		if (index % 10 === 0) {
			const labels = { app: `o${index}` };
			const spec = {
				replicas: 0,
				selector: { matchLabels: labels },
				template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'web:1' }] } },
			};
			return client.create(Deployment, { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec });
		}
		const [kind, name]: [Kind<Dynamic>, string] =
			index % 2 ? [ConfigMap as unknown as Kind<Dynamic>, 'ConfigMap'] : [Secret as unknown as Kind<Dynamic>, 'Secret'];
		return client.create(kind, {
			apiVersion: 'v1',
			kind: name,
			metadata,
			data: { text: index % 2 ? text : Buffer.from(text).toString('base64') },
		});
	};
	for (let start = 0; start < OBJECTS; start += 500)
		await Promise.all(Array.from({ length: 500 }, (_, index) => one(start + index)));
}

/** Milliseconds until the program has printed `text`; then it is stopped. */
async function time(command: string, args: readonly string[], text: string): Promise<number> {
	const started = performance.now();
	const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
	let printed = '';
	for await (const chunk of child.stdout) {
		printed += chunk;
		if (printed.includes(text)) break;
	}
	const took = performance.now() - started;
	if (child.exitCode === null) {
		const ended = once(child, 'exit');
		child.kill('SIGTERM');
		await ended;
	}
	return took;
}

async function rounds(run: () => Promise<number>): Promise<string> {
	const times: number[] = [];
	for (let round = 0; round < ROUNDS; round++) times.push(await run());
	return `${median(times).toFixed(0)} ms (${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)})`;
}

const folder = await mkdtemp(join(tmpdir(), 'driftless-bench-'));
const server = (dataDir: string) =>
	time(launcher, ['--data-dir', dataDir, 'server', '--api-port', '0', '--http-port', '0'], 'driftless is ready');
await server(join(folder, 'empty'));
console.log(`start to ready, nothing stored: ${await rounds(() => server(join(folder, 'empty')))}`);
await server(join(folder, 'full'));
await fill(join(folder, 'full'));
await server(join(folder, 'full'));
console.log(
	`start to ready, ${OBJECTS} objects stored: ${await rounds(() => server(join(folder, 'full')))} (bar 1500)`,
);
console.log(`limit, node -e: ${await rounds(() => time(process.execPath, ['-e', "console.log('hello')"], 'hello'))}`);
await rm(folder, { recursive: true });
