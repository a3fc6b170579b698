import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { configMap, fails, inSync, noStack, pod, startWorld, succeeds, times, type World } from './world.ts';

let world: World;

test.before(async () => {
	world = await startWorld({ stopped: true });
	// A disk of its own, small enough to be filled.
	await world.run('mkdir', [world.dataDir]);
	await world.run('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=700', 'tmpfs', world.dataDir]);
	await world.start();
	await world.push({ 'a.yaml': configMap('a'), 'pod.yaml': pod('sleeper') });
	await running();
});

test.after.always(async () => {
	await world.stop();
	await world.run('umount', ['--lazy', world.dataDir]);
	await world[Symbol.asyncDispose]();
});

const running = () =>
	world.until(
		'the pod runs',
		() => world.kubectl('get', 'pod', 'sleeper', '-o', 'jsonpath={.status.phase}'),
		({ stdout }) => stdout === 'Running',
	);
const containers = async () => (await world.engine.docker.listContainers()).map(({ Id }) => Id).sort();
const fill = () => world.run('sh', ['-c', `cat /dev/zero > ${filler()}; true`]);
const filler = () => join(world.dataDir, 'filler');
const FULL = /driftless\.db cannot grow, its disk is full: free some space/;

test.serial(
	'on a full disk what runs goes on, writes say why they fail, and all goes on when there is space',
	async (t) => {
		const before = await containers();
		await fill();
		// What was acknowledged before the first refusal counts, however little space is left.
		const acknowledged: string[] = [];
		const refused = await world.until(
			'a write is refused',
			async () => {
				const name = `c${acknowledged.length}`;
				const result = await world.kubectl('create', 'configmap', name, `--from-literal=key=${'x'.repeat(20_000)}`);
				if (result.code === 0) acknowledged.push(name);
				return result;
			},
			({ code }) => code !== 0,
		);
		t.regex(refused.stderr, FULL);
		t.notRegex(refused.stderr, /\n.*\n/, 'one line');
		succeeds(t, await world.kubectl('get', 'configmap', 'a'), 'reads go on');
		const push = await world.push({ 'a.yaml': configMap('a', '2') });
		fails(t, push);
		t.regex(push.output, /No space left on device|disk is full|unable to create temporary object directory/);
		succeeds(t, await world.driftless('status', '-o', 'json'));
		t.deepEqual(await containers(), before);
		await world.until(
			'the log says so',
			async () => world.printed(),
			(printed) => FULL.test(printed),
		);
		await world.until(
			'leadership, which cannot be renewed, is given up',
			async () => world.printed(),
			(printed) => printed.includes('leadership lost'),
		);

		await rm(filler());
		await world.until(
			'a write succeeds',
			() => world.kubectl('create', 'configmap', 'after'),
			({ code }) => code === 0,
		);
		const { stdout } = await world.kubectl('get', 'configmap', '-o', 'name');
		for (const name of acknowledged) t.regex(stdout, new RegExp(`configmap/${name}$`, 'm'));
		const remote = (await world.driftless('remote')).stdout.trim();
		await world.until(
			'the refused push is accepted',
			() => world.git('push', remote, 'HEAD:main'),
			({ code }) => code === 0,
		);
		await world.until(
			'it is applied',
			() => world.kubectl('get', 'configmap', 'a', '-o', 'jsonpath={.data.key}'),
			({ stdout }) => stdout === '2',
		);
		await world.status('all is in sync', inSync);
		t.deepEqual(await containers(), before);
		for (const line of ['the lease cannot be renewed', 'the node lease cannot be renewed', 'the lease cannot be taken'])
			t.true(times(world.printed(), line) <= 1, `${line} once:\n${world.printed()}`);
		t.true(noStack(world.printed()), world.printed());
	},
);

test.serial('killed while its disk is full, it starts when there is space, and has lost nothing', async (t) => {
	const before = await containers();
	await fill();
	await world.kill();
	const { code, stderr } = await world.driftless('up', '--node-name', 'node-1', '--http-port', '7081');
	t.is(code, 2);
	t.is(stderr.trim().split('\n').length, 1, stderr);
	t.regex(stderr, /ENOSPC|disk is full/);
	t.true(stderr.includes(world.dataDir), stderr);
	await rm(filler());
	await world.start();
	await world.status('all is in sync', inSync);
	succeeds(t, await world.kubectl('get', 'configmap', 'after'));
	await running();
	t.deepEqual(await containers(), before);
});
