/** Jobs and CronJobs through the front door, on a real engine: pushed, run, named when they fail, and killed in the middle. */

import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { root } from '../testbed/platform.ts';
import { configMap, startWorld, succeeds, type World } from './world.ts';

let world: World;
test.before(async () => {
	world = await startWorld();
});
test.after.always(() => world[Symbol.asyncDispose]());

interface Listed {
	readonly items: readonly {
		readonly metadata: {
			readonly name: string;
			readonly finalizers?: string[];
			readonly ownerReferences?: { readonly name: string }[];
		};
		readonly status?: {
			readonly phase?: string;
			readonly succeeded?: number;
			readonly failed?: number;
			readonly uncountedTerminatedPods?: object;
			readonly conditions?: { readonly type: string; readonly status: string; readonly reason?: string }[];
		};
	}[];
}
const list = async (kind: string) =>
	JSON.parse((await world.kubectl('get', kind, '-o', 'json')).stdout || '{"items":[]}') as Listed;
const jobs = () => list('jobs');
const end = ({ status }: Listed['items'][number]) =>
	status?.conditions?.find(({ type, status: is }) => is === 'True' && (type === 'Complete' || type === 'Failed'));

const container = (command: string) =>
	`restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: driftless/example:1
        imagePullPolicy: IfNotPresent
        command: ["/bin/sh", "-c", "${command}"]`;
const job = (name: string, spec: string, command: string) =>
	`apiVersion: batch/v1\nkind: Job\nmetadata: { name: ${name} }\nspec:\n  ${spec}\n  template:\n    spec:\n      ${container(command)}\n`;

test.serial('the examples are pushed, run to their end, and leave a healthy Application', async (t) => {
	const folder = `${root}manifests-example/jobs/`;
	const files: Record<string, string> = {};
	for (const file of await readdir(folder)) files[file] = await readFile(folder + file, 'utf8');
	succeeds(t, await world.push(files), 'push');
	const all = await world.until('both Jobs have ended', jobs, ({ items }) => items.length === 2 && items.every(end));
	t.deepEqual(
		all.items.map(({ metadata, status }) => [metadata.name, status?.succeeded, status?.failed]),
		[
			['migrate', 1, undefined],
			['render', 4, undefined],
		],
	);
	const { stdout } = await world.kubectl('logs', '-l', 'job-name=render', '--prefix=false');
	t.deepEqual(
		stdout.trim().split('\n').sort(),
		['0', '1', '2', '3'].map((index) => `part ${index} on render-${index}`),
	);
	const { stdout: status } = await world.status(
		'all is healthy',
		({ stdout }) => /Healthy/.test(stdout) && !/Progressing/.test(stdout),
	);
	t.notRegex(status, /Degraded/);
});

test.serial('what fails, never fires or may not change is named', async (t) => {
	await world.push({
		'migrate.yaml': undefined,
		'render.yaml': undefined,
		'tidy.yaml': undefined,
		'bad.yaml': job('bad', 'backoffLimit: 0', 'exit 3'),
		'never.yaml': `apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: never }\nspec:\n  schedule: "0 0 30 2 *"\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          ${container('true').replaceAll('\n', '\n    ')}\n`,
	});
	const { stdout } = await world.status(
		'both are named',
		({ stdout: seen }) => /bad.*specified backoff limit/s.test(seen) && /never.*never fires/s.test(seen),
	);
	t.regex(stdout, /Degraded/);
	const zone = await world.push({
		'zone.yaml': (await readFile(`${root}manifests-example/jobs/tidy.yaml`, 'utf8')).replace(
			'Europe/Zurich',
			'Europe/Atlantis',
		),
	});
	t.not(zone.code, 0);
	t.regex(zone.output, /zone\.yaml.*spec\.timeZone.*unknown time zone Europe\/Atlantis/s);
	await world.git('reset', '--hard', 'HEAD~1');
	const changed = await world.push({ 'bad.yaml': job('bad', 'backoffLimit: 0', 'exit 4') });
	t.regex(changed.output, /bad\.yaml.*spec\.template.*field is immutable/s);
	t.not(changed.code, 0);
	await world.git('reset', '--hard', 'HEAD~1');
	// An empty repository would prune nothing.
	await world.push({ 'bad.yaml': undefined, 'never.yaml': undefined, 'kept.yaml': configMap('kept') });
	await world.until('the Jobs are gone', jobs, ({ items }) => items.length === 0);
});

test.serial('whenever the process is killed, each pod of a Job is counted once, and no Job is lost', async (t) => {
	const sent = await world.push({
		'plain.yaml': job('plain', 'completions: 12\n  parallelism: 3', 'sleep 0.3'),
		'parts.yaml': job(
			'parts',
			'completions: 10\n  parallelism: 3\n  completionMode: Indexed\n  backoffLimitPerIndex: 0',
			'sleep 0.2; [ $JOB_COMPLETION_INDEX -ne 4 ]',
		),
	});
	succeeds(t, sent, 'push');
	await world.until('the Jobs are there', jobs, ({ items }) => items.length === 2);
	// At moments that follow no rhythm of the controller.
	for (const ms of [130, 470, 20, 900, 310]) {
		await delay(ms);
		await world.kill();
		await world.start();
	}
	const all = await world.until('the Jobs have ended', jobs, ({ items }) => items.length === 2 && items.every(end));
	const pods = await list('pods');
	for (const each of all.items) {
		const own = pods.items.filter(({ metadata }) =>
			metadata.ownerReferences?.some(({ name }) => name === each.metadata.name),
		);
		const of = (phase: string) => own.filter(({ status }) => status?.phase === phase).length;
		const said = JSON.stringify(each.status);
		t.is(each.status?.succeeded ?? 0, of('Succeeded'), said);
		t.is(each.status?.failed ?? 0, of('Failed'), said);
		t.is(of('Succeeded') + of('Failed'), own.length, said);
		t.deepEqual(each.status?.uncountedTerminatedPods, {}, said);
		t.true(
			own.every(({ metadata }) => !metadata.finalizers?.length),
			said,
		);
	}
	const [parts, plain] = all.items;
	t.like(parts?.status, { succeeded: 9, failed: 1, completedIndexes: '0-3,5-9', failedIndexes: '4' } as object);
	t.is(parts && end(parts)?.reason, 'FailedIndexes');
	t.is(plain?.status?.succeeded, 12);
});
