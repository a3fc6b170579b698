/**
 * One repository with every workload, pushed to a platform on real parts that is killed 20 times at moments drawn from a seed,
 * in the middle of its starts as well. At the end no Job is counted wrong, no ordinal was there twice, no claim is lost, and no
 * quota was exceeded.
 */
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { numbers } from '../storms/numbers.ts';
import { type Platform, root, startPlatform } from '../testbed/platform.ts';

const KILLS = 20;
/** The longest that the platform is left alone between two kills, in ms. */
const LONGEST_LIFE_MS = 2_500;

interface Thing {
	readonly metadata: {
		readonly name: string;
		readonly uid: string;
		readonly finalizers?: readonly string[];
		readonly labels?: Readonly<Record<string, string>>;
		readonly deletionTimestamp?: string;
	};
	readonly spec: Readonly<Record<string, unknown>>;
	readonly status: Readonly<Record<string, unknown>>;
}

test('every workload survives a platform that is killed 20 times: nothing is counted wrong, doubled, lost or exceeded', async (t) => {
	t.timeout(900_000);
	await using platform = await startPlatform();
	const { folder, kubectl, driftless, until, engine } = platform;
	const clone = join(folder, 'clone');
	await cp(join(root, 'test/story/repository'), clone, { recursive: true });
	const git = (...args: string[]) => platform.run('git', args, { cwd: clone });
	await git('init', '-q', '-b', 'main');
	await git('add', '-A');
	await git('commit', '-q', '-m', 'All the works');
	const pushed = await git('push', (await driftless('remote')).stdout.trim(), 'HEAD:main');
	t.is(pushed.code, 0, pushed.output);

	const list = async (kind: string): Promise<readonly Thing[]> => {
		const { code, stdout, output } = await kubectl('get', kind, '-n', 'works', '-o', 'json');
		if (code !== 0) throw new Error(output);
		return JSON.parse(stdout).items;
	};
	const claims = await until(
		'all claims are bound',
		() => list('pvc').catch(() => []),
		(all) => all.length === 4 && all.every(({ status }) => status.phase === 'Bound'),
	);

	const random = numbers(Number(process.env.DRIFTLESS_TEST_SEED ?? 1));
	for (let kill = 0; kill < KILLS; kill++) {
		await delay(random() * LONGEST_LIFE_MS);
		await platform.kill();
		const exceeded = await twice(platform);
		t.deepEqual(exceeded, [], `kill ${kill}: no ordinal runs twice`);
		const starting = platform.start();
		if (random() < 0.3) {
			await delay(random() * 500);
			await platform.kill();
			await starting.catch(() => {});
			await platform.start();
		} else await starting;
		const pods = await until(
			'pods can be listed',
			() => list('pods').catch(() => undefined),
			(all) => all !== undefined,
		);
		const live = (pods ?? []).filter(({ status }) => status.phase !== 'Succeeded' && status.phase !== 'Failed');
		t.true(live.length <= 16, `kill ${kill}: the quota of 16 pods holds ${live.length}`);
	}

	const jobs = await until(
		'both Jobs are complete',
		() => list('jobs'),
		(all) => ['indexed', 'bulk'].every((name) => isComplete(all.find(({ metadata }) => metadata.name === name))),
	);
	for (const [name, completions] of [
		['indexed', 12],
		['bulk', 15],
	] as const) {
		const { status } = jobs.find(({ metadata }) => metadata.name === name) ?? {};
		t.is(status?.succeeded, completions, `${name}: ${JSON.stringify(status)}`);
		t.is(status?.failed ?? 0, 0);
		t.deepEqual(status?.uncountedTerminatedPods, {}, `${name}: ${JSON.stringify(status)}`);
	}
	t.is(jobs.find(({ metadata }) => metadata.name === 'indexed')?.status.completedIndexes, '0-11');

	await until(
		'all is in sync',
		async () => driftless('status'),
		({ code }) => code === 0,
	);
	const db = await until(
		'the set is whole',
		() => list('statefulsets'),
		([set]) => set?.status.readyReplicas === 3 && set.status.currentRevision === set.status.updateRevision,
	);
	t.is(db.length, 1);

	// No claim is lost, and what was written to it is there.
	const kept = await list('pvc');
	const identity = (all: readonly Thing[]) =>
		all.map(({ metadata, spec }) => `${metadata.name} ${metadata.uid} ${spec.volumeName}`).sort();
	t.deepEqual(identity(kept), identity(claims));
	const lines = async (claim: string, file: string) =>
		(await readFile(join(await directoryOf(platform, claim), file), 'utf8')).trim().split('\n');
	for (const ordinal of [0, 1, 2])
		t.deepEqual(await lines(`data-db-${ordinal}`, 'starts'), [`db-${ordinal}`], 'each member has started once');
	t.deepEqual(
		(await lines('tally', 'indexed')).map(Number).sort((a, b) => a - b),
		Array.from({ length: 12 }, (_, index) => index),
		'each index ran once',
	);
	const bulk = await lines('tally', 'bulk');
	t.is(bulk.length, 15, bulk.join());
	t.is(new Set(bulk).size, 15);

	await ticks(t, platform, list, () => lines('tally', 'tick'));
	const held = (await list('pods')).filter(
		({ metadata, status }) => ['Succeeded', 'Failed'].includes(String(status.phase)) && metadata.finalizers?.length,
	);
	t.deepEqual(
		held.map(({ metadata }) => metadata.name),
		[],
		'no pod that has ended is held by its counting',
	);

	// What the quota says is used is what is there.
	const [quota] = await until(
		'the quota is counted',
		() => list('resourcequotas'),
		([each]) => each?.status.used !== undefined,
	);
	const live = (await list('pods')).filter(({ status }) => !['Succeeded', 'Failed'].includes(String(status.phase)));
	const used = quota?.status.used as Record<string, string>;
	t.is(used.pods, String(live.length));
	t.is(used.persistentvolumeclaims, '4');
	t.is((await list('daemonsets'))[0]?.status.numberReady, 1);
	t.is((await list('rc'))[0]?.status.readyReplicas, 2);
	const [budget] = await list('pdb');
	t.is(budget?.status.desiredHealthy, 1);
	t.deepEqual(await twice(platform), []);
	t.true((await engine.docker.listContainers()).length > 0);
});

const isComplete = (job: Thing | undefined) =>
	(job?.status.conditions as { type: string; status: string }[] | undefined)?.some(
		({ type, status }) => type === 'Complete' && status === 'True',
	) ?? false;

/** Pods of which two sandboxes run: their names. */
async function twice({ engine }: Platform): Promise<string[]> {
	const all = await engine.docker.listContainers();
	const names = all
		.map(({ Labels }) => Labels)
		.filter((labels) => labels['io.kubernetes.docker.type'] === 'podsandbox')
		.map((labels) => labels['io.kubernetes.pod.name'] ?? '');
	return names.filter((name, index) => names.indexOf(name) !== index);
}

/** The directory of the volume that a claim is bound to. */
async function directoryOf({ kubectl }: Platform, claim: string): Promise<string> {
	const volume = (await kubectl('get', 'pvc', claim, '-n', 'works', '-o', 'jsonpath={.spec.volumeName}')).stdout;
	return (await kubectl('get', 'pv', volume, '-o', 'jsonpath={.spec.local.path}')).stdout;
}

/** Each minute has one run, none is skipped, and each has been done once. */
async function ticks(
	t: ExecutionContext,
	{ until }: Platform,
	list: (kind: string) => Promise<readonly Thing[]>,
	done: () => Promise<string[]>,
): Promise<void> {
	const all = await until(
		'every run of the CronJob is complete',
		async () => (await list('jobs')).filter(({ metadata }) => metadata.name.startsWith('tick-')),
		(runs) => runs.length > 0 && runs.every(isComplete),
	);
	const minutes = all.map(({ metadata }) => Number(metadata.name.slice('tick-'.length))).sort((a, b) => a - b);
	t.deepEqual(
		minutes,
		minutes.map((_, index) => (minutes[0] ?? 0) + index),
		'a run each minute',
	);
	const lines = await done();
	t.is(new Set(lines).size, lines.length, 'each run was done once');
	t.is(lines.length, minutes.length);
}
