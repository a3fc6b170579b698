/** What the platform costs at rest, with 1,000 objects and 20 running pods: CPU of one core over a minute, and memory. The engine beside it, for comparison. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { startPlatform } from '../test/testbed/platform.ts';

const OBJECTS = 1_000;
const PODS = 20;
const SETTLE_MS = 20_000;
const SPAN_MS = 60_000;
/** Of /proc/PID/stat. */
const TICKS_PER_SECOND = 100;

await using platform = await startPlatform();
const manifests = [
	...Array.from({ length: OBJECTS - PODS - 10 }, (_, index) => ({
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: `o${index}`, namespace: 'default' },
		data: { text: 'x'.repeat(600) },
	})),
	{
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', namespace: 'default' },
		spec: {
			replicas: PODS,
			selector: { matchLabels: { app: 'web' } },
			template: {
				metadata: { labels: { app: 'web' } },
				spec: {
					terminationGracePeriodSeconds: 0,
					containers: [{ name: 'web', image: 'driftless/example:1', command: ['sleep', '100000'] }],
				},
			},
		},
	},
];
await platform.run('kubectl', ['apply', '--server-side', '-f', '-'], {
	input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }),
});
await platform.until(
	'the pods run',
	() => platform.kubectl('get', 'deployment', 'web', '-o', 'jsonpath={.status.readyReplicas}'),
	({ stdout }) => stdout === String(PODS),
);

const { pid } = JSON.parse(await readFile(`${platform.dataDir}/running.json`, 'utf8')) as { pid: number };
const engine = Number(
	(await platform.run('pgrep', ['-f', `dockerd.*${platform.engine.socketPath}`])).stdout.split('\n')[0],
);
const ticks = async (process: number) => {
	const fields = (await readFile(`/proc/${process}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
	return Number(fields[11]) + Number(fields[12]);
};
const memory = async (process: number) =>
	Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${process}/status`, 'utf8'))?.[1]) / 1024;
await delay(SETTLE_MS);
for (const [name, process, bar] of [
	['driftless', pid, ' (bar 1 % and 200 MB)'],
	['dockerd', engine, ''],
] as const) {
	const before = await ticks(process);
	await delay(SPAN_MS / 2);
	const used = ((await ticks(process)) - before) / TICKS_PER_SECOND;
	console.log(
		`idle, ${OBJECTS} objects and ${PODS} pods, ${name}: ${((used / (SPAN_MS / 2_000)) * 100).toFixed(2)} % of a core, ${(await memory(process)).toFixed(0)} MB${bar}`,
	);
}
