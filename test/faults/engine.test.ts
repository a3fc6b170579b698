import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { configMap, fails, noStack, pod, startWorld, succeeds, times, type World } from './world.ts';

let world: World;

/** Shifts the wall clock of `up` by as many milliseconds as a file says: what a person or NTP does to a machine's clock. */
const skew = (file: string) => `
import { readFileSync } from 'node:fs';
const now = Date.now;
const Real = Date;
Date.now = () => now() + Number(readFileSync(${JSON.stringify(file)}, 'utf8'));
globalThis.Date = new Proxy(Real, {
	construct: (target, args, as) => Reflect.construct(target, args.length ? args : [Real.now()], as),
});
`;

test.before(async () => {
	world = await startWorld({ store: 'etcd', stopped: true, env: { NODE_OPTIONS: '--import=./skew.mjs' } });
	await world.write({ '../clock': '0', '../skew.mjs': skew(join(world.folder, 'clock')) });
	// The engine comes later.
	await world.engine.kill();
	await world.start();
});

test.after.always(() => world[Symbol.asyncDispose]());

const node = () => world.kubectl('get', 'nodes');
const ready = ({ stdout }: { stdout: string }) => / Ready /.test(stdout);
const phase = (name: string) => world.kubectl('get', 'pod', name, '-o', 'jsonpath={.status.phase}');
const isRunning = ({ stdout }: { stdout: string }) => stdout === 'Running';
/** Every container with the time of its start: none was replaced or restarted while this stays the same. */
const containers = async () => {
	const all = await world.engine.docker.listContainers();
	const seen = await Promise.all(all.map(({ Id }) => world.engine.docker.getContainer(Id).inspect()));
	return seen.map(({ Name, State }) => `${Name} ${State.StartedAt}`).sort();
};

test.serial('without an engine all but containers works, and pods run when there is one', async (t) => {
	await world.until(
		'it says what is missing',
		async () => world.printed(),
		(printed) => /the node agent cannot run: No container engine answers at unix:\S+ \(DOCKER_HOST\)/.test(printed),
	);
	succeeds(t, await world.push({ 'a.yaml': configMap('a'), 'good.yaml': pod('good') }));
	const { stdout } = await world.status('the status says so', ({ stdout }) => stdout.includes('! node'));
	t.regex(
		stdout,
		/^! node node-1 has not been ready for \S+: the node agent cannot run: No container engine answers at unix:\S+ \(DOCKER_HOST\)/m,
	);
	t.regex(stdout, /Pod default\/good: in sync, Progressing/);
	await world.engine.start();
	await world.until('the pod runs', () => phase('good'), isRunning);
	t.notRegex((await world.driftless('status')).stdout, /^!/m);
	t.is(times(world.printed(), 'the node agent cannot run'), 1, world.printed());
});

test.serial(
	'an image or a command that does not exist is named in the status, and is no more when it is mended',
	async (t) => {
		await world.push({
			'image.yaml': pod('image', { image: '127.0.0.1:9/no-such-image:1' }),
			'command.yaml': pod('command', { command: 'no-such-command' }),
		});
		const { stdout } = await world.status(
			'both are named',
			({ stdout }) =>
				/default\/image: in sync, Degraded \(main: .*no-such-image:1/.test(stdout) &&
				/default\/command: in sync, Degraded \(main: .*exec: "no-such-command": executable file not found/.test(stdout),
		);
		t.notRegex(stdout, /default\/good/, 'a neighbour is not affected');
		succeeds(t, await world.push({ 'image.yaml': pod('image'), 'command.yaml': pod('mended') }));
		for (const name of ['image', 'mended']) await world.until('it runs', () => phase(name), isRunning);
		await world.status('all is well', ({ stdout, code }) => code === 0 && /Healthy/.test(stdout));
	},
);

test.serial('`up` may be stopped, or killed, and started again: no container notices', async (t) => {
	const before = await containers();
	t.is(before.length, 6);
	t.is(await world.stop(), 0);
	t.deepEqual(await containers(), before);
	await world.start();
	await world.until('the node is ready', node, ready);
	await world.kill();
	await world.start();
	await world.until('the node is ready', node, ready);
	succeeds(t, await world.kubectl('exec', 'good', '--', 'true'));
	await world.status('all is well', ({ stdout, code }) => code === 0 && /Healthy/.test(stdout));
	t.deepEqual(await containers(), before);
});

test.serial('a clock that jumps, forth and back, restarts nothing and stops nothing', async (t) => {
	const before = await containers();
	for (const [round, hours] of [6, -6, 0].entries()) {
		await writeFile(join(world.folder, 'clock'), String(hours * 3_600_000));
		const value = `round-${round}`;
		const push = await world.push({ 'a.yaml': configMap('a', value) });
		succeeds(t, push);
		await world.until(
			`it goes on at ${hours} h`,
			() => world.kubectl('get', 'configmap', 'a', '-o', 'jsonpath={.data.key}'),
			({ stdout }) => stdout === value,
		);
		await world.until('the node is ready', node, ready);
		succeeds(t, await world.kubectl('logs', 'good'));
	}
	t.deepEqual(await containers(), before);
});

test.serial('a network that is cut leaves the machine itself at work', async (t) => {
	const before = await containers();
	await world.engine.exec('ip link set eth0 down');
	try {
		succeeds(t, await world.push({ 'a.yaml': configMap('a', 'cut off') }));
		succeeds(t, await world.kubectl('exec', 'good', '--', 'true'));
		await world.status('all is well', ({ stdout, code }) => code === 0 && /Healthy/.test(stdout));
	} finally {
		await world.engine.exec(
			'ip link set eth0 up && ip route replace default via $(ip -4 -o addr show eth0 | sed "s/.*inet \\([0-9.]*\\)\\.2\\/.*/\\1.1/")',
		);
	}
	t.deepEqual(await containers(), before);
});

test.serial('while etcd is down the API says so, containers run on, and nothing acknowledged is lost', async (t) => {
	const before = await containers();
	succeeds(t, await world.kubectl('create', 'configmap', 'acknowledged'));
	await world.etcd?.kill();
	const refused = await world.until(
		'a write is refused',
		() => world.kubectl('create', 'configmap', 'refused', '--request-timeout=20s'),
		({ code }) => code !== 0,
	);
	t.regex(refused.stderr, /the store is not available: no member of etcd answers \(127\.0\.0\.1:2379\)/);
	t.notRegex(refused.stderr, /Resolution note|\n.*\n/);
	t.deepEqual(await containers(), before);
	await world.etcd?.start();
	await world.until(
		'a write succeeds',
		() => world.kubectl('create', 'configmap', 'after'),
		({ code }) => code === 0,
	);
	succeeds(t, await world.kubectl('get', 'configmap', 'acknowledged'));
	await world.until(
		'a push is applied',
		() => world.push({ 'a.yaml': configMap('a', 'after etcd') }),
		({ code }) => code === 0,
	);
	await world.until(
		'it is there',
		() => world.kubectl('get', 'configmap', 'a', '-o', 'jsonpath={.data.key}'),
		({ stdout }) => stdout === 'after etcd',
	);
	for (const line of ['a pod status could not be written', 'reconcile failed', 'events cannot be written'])
		t.true(times(world.printed(), line) <= 1, `${line} once:\n${world.printed()}`);
	t.deepEqual(await containers(), before);
	t.true(noStack(world.printed()), world.printed());
});

test.serial('an engine that dies while `up` starts is told by status, though the node was there before', async (t) => {
	t.is(await world.stop(), 0);
	await world.engine.kill();
	await world.start();
	const { stdout } = await world.status('the status says so', ({ stdout }) => stdout.includes('! node'));
	t.regex(stdout, /^! node node-1 has not been ready for \S+: the node agent cannot run: No container engine answers/m);
	await world.engine.start();
	await world.status('all is well', ({ stdout, code }) => code === 0 && /Healthy/.test(stdout) && !/^!/m.test(stdout));
});

test.serial(
	'an engine killed by hand is told by node and status, and its pods run again when it is back',
	async (t) => {
		await world.engine.kill();
		const { stdout } = await world.status('the status says so', ({ stdout }) => stdout.includes('! node'));
		t.regex(
			stdout,
			/^! node node-1 has not been ready for \S+: container runtime is down: the engine at unix:\S+ does not answer/m,
		);
		const logs = await world.kubectl('logs', 'good');
		fails(t, logs);
		t.regex(logs.stderr, /the engine at unix:\S+ does not answer/);
		succeeds(t, await world.push({ 'late.yaml': pod('late') }), 'the control plane goes on');
		await world.engine.start();
		for (const name of ['good', 'image', 'mended', 'late']) await world.until('it runs', () => phase(name), isRunning);
		await world.until('the node is ready', node, ready);
		await world.status(
			'all is well',
			({ stdout, code }) => code === 0 && /Healthy/.test(stdout) && !/^!/m.test(stdout),
		);
		t.is((await containers()).length, 8, 'each runs once');
		t.is(times(world.printed(), 'the container engine does not answer'), 1, world.printed());
		t.true(noStack(world.printed()), world.printed());
		t.notRegex(world.printed(), /defect|MaxListeners/);
	},
);
