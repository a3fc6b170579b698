/** `up --engine simulated`: the whole platform without a container engine. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { connectEngine } from '../../src/agents/index.ts';
import { hermeticEnvironment } from '../testbed/git.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { follow, program, type Result, type Running } from './driftless.ts';

const PATIENCE_MS = Number(process.env.DRIFTLESS_TEST_PATIENCE_MS ?? 90_000);

test('without an engine of containers pods are simulated where that is asked for, and the platform says so', async (t) => {
	t.timeout(5 * PATIENCE_MS);
	await using stack = new AsyncDisposableStack();
	const folder = await mkdtemp(join(tmpdir(), 'driftless-simulated-'));
	stack.defer(() => rm(folder, { recursive: true, force: true }));
	const env = { ...hermeticEnvironment(folder), DOCKER_HOST: 'unix:///nowhere/docker.sock' };
	const data = ['--data-dir', join(folder, 'data')];
	const begin = (...args: string[]): Running => {
		const child = spawn(program, args, { cwd: folder, env });
		stack.defer(() => end(child));
		return follow(child);
	};
	const run = async (...args: string[]): Promise<Result> => {
		const running = begin(...data, ...args);
		running.child.stdin?.end();
		const [code, signal] = (await once(running.child, 'close')) as [number | null, NodeJS.Signals | null];
		return { stdout: running.stdout(), stderr: running.stderr(), code, signal };
	};
	const until = async (args: readonly string[], wanted: (seen: Result) => boolean): Promise<Result> => {
		const deadline = Date.now() + PATIENCE_MS;
		for (;;) {
			const seen = await run(...args);
			if (wanted(seen)) return seen;
			if (Date.now() > deadline) throw new Error(`${args.join(' ')}: last seen ${JSON.stringify(seen)}`);
			await delay(500);
		}
	};
	const ports = ['--api-port', '0', '--http-port', '0', '--agent-port', '0', '--node-name', 'pretended'];

	const up = begin(...data, 'up', ...ports, '--engine', 'simulated');
	await up.until(/driftless is ready/);
	await up.until(/the engine of this node is simulated: nothing runs/);
	const manifest = /```yaml\n(apiVersion: apps\/v1\n[^`]*pretended[^`]*)```/.exec(
		readFileSync(new URL('../../docs/operate.md', import.meta.url), 'utf8'),
	)?.[1];
	const applying = begin(...data, 'apply', '-f', '-');
	applying.child.stdin?.end(manifest);
	await applying.until(/deployment.*pretended.*created/);

	const pods = await until(
		['get', 'pods', '-l', 'app=pretended'],
		({ stdout }) => stdout.match(/2\/2 +Running/g)?.length === 3,
	);
	const name = /pretended-\S+/.exec(pods.stdout)?.[0] ?? '';
	const status = await run('status');
	t.regex(status.stdout, /! node pretended is simulated: nothing runs on it/);
	t.regex((await run('get', 'nodes', '-o', 'wide')).stdout, /simulated: nothing runs here.*simulated:\/\/1/);
	t.is((await run('logs', name, '-c', 'main')).stdout, 'ready to serve\n');
	const command = await run('exec', name, '-c', 'main', '--', 'true');
	t.not(command.code, 0);
	t.regex(command.stderr, /nothing runs here: the engine of this node is simulated/);
	const other = ['--data-dir', join(folder, 'other'), '--kubeconfig', join(folder, 'data/kubeconfig')];
	const agent = begin(...other, 'agent', '--engine', 'simulated', '--node-name', 'beside', '--agent-port', '0');
	await agent.until(/the engine of this node is simulated/);
	await until(['get', 'nodes'], ({ stdout }) => /^beside +Ready /m.test(stdout));
	const taints = async (node: string) => /^Taints:.*$/m.exec((await run('describe', 'node', node)).stdout)?.[0];
	t.regex((await taints('beside')) ?? '', /driftless.io\/simulated:NoSchedule/);
	t.notRegex((await taints('pretended')) ?? '', /simulated/);
	await end(agent.child);
	const leaving = begin(...other, 'down');
	await once(leaving.child, 'close');
	t.regex(leaving.stdout(), /^removed 0 containers$/m);
	t.notRegex(leaving.stdout(), /service rules/);
	await end(up.child);
	t.regex(up.stdout(), /stopping; what is simulated ends with it/);

	const { signal } = new AbortController();
	const real = () =>
		connectEngine({ dataDir: join(folder, 'data'), dockerHost: env.DOCKER_HOST, log: silentLog, signal });
	await t.throwsAsync(real, {
		message: /^the engine of the data directory \S+ is simulated: start it with --engine simu/,
	});
	const down = await run('down');
	t.regex(down.stdout, /^removed 0 containers$/m);
	t.notRegex(down.stdout, /service rules/, 'a simulated node has none of the machine’s');
	await t.throwsAsync(real, { message: /^No container engine answers at/ });
});

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode) return;
	const gone = once(child, 'close');
	child.kill('SIGTERM');
	await gone;
}
