/** The engine that driftless starts itself, and the connection to one that it does not. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { gatewayMode } from '../../src/agents/engine/docker/network.ts';
import { pauseProgram } from '../../src/agents/engine/docker/pause.ts';
import { execRootOf } from '../../src/agents/engine/docker/supervise.ts';
import { connectEngine } from '../../src/agents/index.ts';
import { mountsBelow, unmountBelow } from '../../src/agents/volumes/mount.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { eventually } from './node.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('connect-process.ts', import.meta.url));

/** The process within a namespace of its own, so that its dockerd does not touch this machine's network. */
function connect(netns: string, dataDir: string, task = 'follow'): { child: ChildProcess; said: string[] } {
	const env = { ...process.env, DOCKER_HOST: '' };
	const args = [`--net=/run/netns/${netns}`, process.execPath, program, dataDir, task];
	const child = spawn('nsenter', args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
	const said: string[] = [];
	createInterface(child.stdout).on('line', (line) => said.push(line));
	return { child, said };
}

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode) return;
	const exit = once(child, 'exit');
	child.kill('SIGKILL');
	await exit;
}

test('where no engine runs one is started; it outlives us, is found again, revived when it dies, and stopped when asked', async (t) => {
	const netns = `driftengine${process.pid}`;
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-engine-'));
	const children: ChildProcess[] = [];
	const begin = (task?: string) => {
		const started = connect(netns, dataDir, task);
		children.push(started.child);
		return started;
	};
	const pid = async () => Number(await readFile(join(dataDir, 'docker', 'dockerd.pid'), 'utf8'));
	await run('ip', ['netns', 'add', netns]);
	try {
		const first = begin();
		await eventually('the engine answers', async () => first.said.includes('connected'));
		t.is(first.said[0], join(dataDir, 'docker'));
		const firstPid = await pid();
		await end(first.child);
		t.true(existsSync(`/proc/${firstPid}`), 'it runs on');

		const second = begin();
		await eventually('the same engine answers', async () => second.said.includes('connected'));
		t.is(await pid(), firstPid);

		process.kill(firstPid, 'SIGKILL');
		await eventually(
			'a new one is started',
			async () => second.said.filter((line) => line === 'connected').length === 2,
		);
		t.not(await pid(), firstPid);
		t.true(second.said.includes('disconnected'));
		await end(second.child);

		const last = await pid();
		// As what watches over a container holds the folder for a moment longer than dockerd lives.
		const holder = spawn('sleep', ['3600'], { cwd: join(dataDir, 'docker'), stdio: 'ignore' });
		children.push(holder);
		const third = begin('stop');
		const ended = once(third.child, 'exit');
		await eventually(
			'dockerd has ended',
			async () => !(await readFile(`/proc/${last}/cmdline`, 'utf8').catch(() => '')),
		);
		// It has met the holder by then, or has nothing to wait for.
		await delay(300);
		await end(holder);
		t.deepEqual(await ended, [0, null]);
		await eventually('it has ended', async () => !(await readFile(`/proc/${last}/cmdline`, 'utf8').catch(() => '')));
		t.deepEqual(await mountsBelow(dataDir), [], 'nothing is mounted any more, though one was killed');
		t.false(existsSync(execRootOf(dataDir)));
	} finally {
		for (const child of children) await end(child);
		await run('ip', ['netns', 'delete', netns]);
		await unmountBelow(dataDir, new AbortController().signal);
		await rm(execRootOf(dataDir), { recursive: true, force: true });
		await rm(dataDir, { recursive: true, force: true });
	}
});

test('an engine that is named but does not answer is said to, with its name', async (t) => {
	const { signal } = new AbortController();
	const options = { dockerHost: 'unix:///nowhere/docker.sock', dataDir: '/nowhere', log: silentLog, signal };
	await t.throwsAsync(connectEngine(options), {
		message: /No container engine answers at unix:\/\/\/nowhere\/docker.sock \(DOCKER_HOST\)/,
	});
});

test('the pause program is a tiny static executable that runs until it is asked to end', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'driftless-pause-'));
	let child: ChildProcess | undefined;
	try {
		const file = join(folder, 'pause');
		const program = pauseProgram(process.arch === 'arm64' ? 'arm64' : 'amd64');
		t.true(program.length < 300);
		await writeFile(file, program, { mode: 0o755 });
		child = spawn(file);
		const { pid } = child;
		await once(child, 'spawn');
		// It hears signals once it is in rt_sigtimedwait.
		const waits = process.arch === 'arm64' ? '137 ' : '128 ';
		await eventually('it waits', async () => (await readFile(`/proc/${pid}/syscall`, 'utf8')).startsWith(waits));
		const exit = once(child, 'exit');
		child.kill('SIGTERM');
		t.deepEqual(await exit, [0, null]);
	} finally {
		if (child) await end(child);
		await rm(folder, { recursive: true, force: true });
	}
});

test('pods may be reached from other machines where the engine would drop that, and no engine is told a word it refuses', (t) => {
	const option = { 'com.docker.network.bridge.gateway_mode_ipv4': 'nat-unprotected' };
	for (const version of ['20.10.24+dfsg1', '26.1.5', '28.0.0', '29.1.2'])
		t.deepEqual(gatewayMode(version), option, version);
	t.deepEqual(gatewayMode('27.5.1'), {});
});
