/** driftless logs and exec, against a real agent on a real engine. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { Pod, Service } from '../../src/kinds/index.ts';
import { eventually, running, startNode, type TestNode } from '../agents/node.ts';
import { type Driftless, driftless, program } from './driftless.ts';
import { onTerminal } from './terminal.ts';

let node: TestNode;
let run: Driftless;

const forever = 'trap "exit 0" TERM; sleep 3600 & wait';

test.before(async () => {
	node = await startNode();
	await node.runAgent();
	run = driftless(node.server.kubeconfig);
	const write = 'echo first; echo second; echo third';
	await node.pod(
		'web',
		{
			containers: [
				{ name: 'app', command: ['sh', '-c', `${write}; ${forever}`] },
				{ name: 'side', command: ['sh', '-c', `echo beside; ${forever}`] },
			],
		},
		{ labels: { app: 'web' } },
	);
	await node.pod('talker', { containers: [{ name: 'app', command: ['sh', '-c', `${write}; ${forever}`] }] });
	await node.pod('crashed', {
		containers: [{ name: 'app', command: ['sh', '-c', 'echo run; exit 1'] }],
		restartPolicy: 'OnFailure',
	});
	await node.client.create(Service, {
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { name: 'web', namespace: 'default' },
		spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
	});
	await node.until('web', running);
	await node.until('talker', running);
	const lines = async (...args: string[]) => (await run('logs', ...args)).stdout;
	await eventually('app has written', async () => (await lines('web', '-c', 'app')).includes('third'));
	await eventually('side has written', async () => (await lines('web', '-c', 'side')).includes('beside'));
});

test.after.always(async () => {
	run?.[Symbol.dispose]();
	await node?.[Symbol.asyncDispose]();
});

test('logs are what the container wrote, of the first container unless told otherwise', async (t) => {
	const { code, stdout, stderr } = await run('logs', 'web');
	t.deepEqual([code, stdout], [0, 'first\nsecond\nthird\n']);
	t.is(stderr, 'Defaulted container "app" out of: app, side\n');
	const side = await run('logs', 'web', '-c', 'side');
	t.deepEqual([side.stdout, side.stderr], ['beside\n', '']);
	t.is((await run('logs', 'pod/web', 'side')).stdout, 'beside\n');
});

test('--tail, --timestamps and --since cut and mark lines', async (t) => {
	t.is(await run.ok('logs', 'web', '-c', 'app', '--tail', '2'), 'second\nthird\n');
	t.is(await run.ok('logs', 'web', '-c', 'app', '--tail=-1'), 'first\nsecond\nthird\n');
	t.regex(await run.ok('logs', 'web', '-c', 'app', '--timestamps', '--tail=1'), /^\d{4}-\d\d-\d\dT[\d:.]+Z third\n$/);
	t.is(await run.ok('logs', 'web', '-c', 'app', '--since-time', '2100-01-01T00:00:00Z'), '');
});

test('--all-containers and --prefix tell containers apart; TYPE/NAME and -l find the pods', async (t) => {
	t.is(
		await run.ok('logs', 'web', '--all-containers', '--prefix', '--tail=1'),
		'[pod/web/app] third\n[pod/web/side] beside\n',
	);
	t.is(await run.ok('logs', 'svc/web', '-c', 'side'), 'beside\n');
	t.is(await run.ok('logs', '-l', 'app=web', '-c', 'side'), 'beside\n');
});

test('-f goes on until it is interrupted', async (t) => {
	const { signal, stdout } = await run('logs', '-f', 'talker', {
		async meanwhile({ child, until }) {
			await until(/third/);
			const { code } = await run('exec', 'talker', '--', 'sh', '-c', 'echo later > /proc/1/fd/1');
			t.is(code, 0);
			await until(/later/);
			child.kill('SIGINT');
		},
	});
	t.deepEqual([signal, stdout], ['SIGINT', 'first\nsecond\nthird\nlater\n']);
});

test('--previous is the container before its restart', async (t) => {
	await node.until('crashed', (pod) => (pod.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0);
	t.is(await run.ok('logs', 'crashed', '--previous'), 'run\n');
	const { code, stderr } = await run('logs', 'web', '-c', 'app', '-p');
	t.is(code, 1);
	t.is(stderr, 'error: previous terminated container "app" in pod "web" not found\n');
});

test('what has no logs says why in one line', async (t) => {
	for (const [args, status, message] of [
		[['logs', 'nobody'], 1, /pods "nobody" not found/],
		[['logs', 'web', '-c', 'nobody'], 1, /pod web has no container "nobody"; it has: app, side/],
		[['logs'], 2, /whose logs\?/],
		[['logs', 'cm/kube-root-ca.crt'], 1, /error: /],
		[['logs', 'web', '--since=1m', '--since-time=2026-01-01T00:00:00Z'], 2, /exclude each other/],
		[['logs', 'web', '--since=soon'], 2, /It takes a duration such as 90s, 5m or 1h30m/],
	] as const) {
		const { code, stderr } = await run(...args);
		t.is(code, status, args.join(' '));
		t.regex(stderr, message);
	}
});

test('exec passes output on as it is, and its exit status is that of the command', async (t) => {
	const { code, stdout, stderr } = await run('exec', 'web', '-q', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7');
	t.deepEqual([code, stdout, stderr], [7, 'out\n', 'err\n']);
	t.is((await run('exec', 'web', '-c', 'app', '--', 'true')).code, 0);
});

test('exec -i passes standard input on, and its end', async (t) => {
	const input = Buffer.alloc(300_000, 'abcdefghij\n');
	const { code, stdout } = await run('exec', '-i', 'web', '-c', 'app', '--', 'cat', { input });
	t.is(code, 0);
	t.true(stdout === input.toString());
	t.is((await run('exec', 'web', '-c', 'app', '--', 'cat', { input })).stdout, '');
});

test('a command that ends does not wait for standard input', async (t) => {
	const { code } = await run('exec', '-i', 'web', '-c', 'app', '--', 'true', { meanwhile: async () => {} });
	t.is(code, 0);
});

test('words behind -- are the command, also where they look like options', async (t) => {
	t.is(await run.ok('exec', 'web', '-q', '--', 'echo', '-n', '--help', '-c', 'x'), '--help -c x');
});

test('what cannot be run says why', async (t) => {
	const none = await run('exec', 'web');
	t.deepEqual([none.code, none.stderr], [2, 'error: what shall run? driftless exec web -- COMMAND\n']);
	t.not((await run('exec', 'web', '-q', '--', 'no-such-program')).code, 0);
	t.is((await run('exec', 'nobody', '--', 'true')).code, 1);
	const piped = await run('exec', '-it', 'web', '-q', '--', 'tty', { input: '' });
	t.regex(piped.stderr, /^warning: standard input is no terminal/);
	t.is(piped.stdout, 'not a tty\n');
});

const interactive = (words: string, pod = 'web') =>
	`${program} --kubeconfig ${node.server.kubeconfig} exec -it ${pod} -q -- ${words}`;

test('exec -it is a terminal in the container: its size, its keys, its exit status; ours is given back', async (t) => {
	await onTerminal(interactive('sh'), async ({ ended, resize, settings, stdout, type, until }) => {
		await until(/\/ # /);
		// A size travels beside the keys: the shell may answer with the one before.
		const sized = (size: string) => `until stty size | grep -x "${size}"; do sleep 0.05; done\n`;
		type(sized('24 80'));
		await until(/\r\n24 80\r\n/);
		await resize(111, 33);
		type(sized('33 111'));
		await until(/\r\n33 111\r\n/);
		// It speaks when it has the terminal: a key that came sooner would be the shell's.
		type('sh -c "echo a\'\'sleep; exec sleep 1000"\n');
		await until(/\r\nasleep/);
		type('\u0003');
		await until(/\^C\s*\/ # /);
		type('echo still $((40 + 2))\n');
		await until(/still 42/);
		type('exit 5\n');
		t.is(await ended, 5);
		const { before, after } = settings();
		t.is(after, before);
		t.regex(stdout(), /\^C/);
		// Lines come as the terminal in the container wrote them.
		t.notRegex(stdout(), /\r\r\n/);
	});
});

test('the terminal is given back when a signal ends the command', async (t) => {
	const script = `sh -c 'echo $$ > "$HERE/pid"; exec ${interactive('sh')}'`;
	await onTerminal(
		script,
		async ({ ended, settings, until }) => {
			await until(/\/ # /);
			process.kill(Number(readFileSync(join(run.folder, 'pid'), 'utf8')), 'SIGTERM');
			t.is(await ended, 143);
			const { before, after } = settings();
			t.is(after, before);
		},
		{ HERE: run.folder },
	);
});

test('the terminal is given back when the pod goes away', async (t) => {
	await node.pod('short', { containers: [{ name: 'app', command: ['sh', '-c', forever] }] });
	await node.until('short', running);
	await onTerminal(interactive('sh', 'short'), async ({ ended, settings, until }) => {
		await until(/\/ # /);
		await node.client.delete(Pod, { name: 'short', namespace: 'default' }, { gracePeriodSeconds: 0 });
		t.not(await ended, 0);
		const { before, after } = settings();
		t.is(after, before);
	});
});
