/** `driftless up` as a user runs it: a process of its own, on a machine of its own (a network namespace with a container engine). */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stopDns } from '../../src/proxy/index.ts';
import { startEngine, type TestEngine } from './engine.ts';
import { hermeticEnvironment } from './git.ts';

export interface Result {
	readonly code: number | null;
	readonly stdout: string;
	readonly stderr: string;
	/** Both, in the order in which they came. */
	readonly output: string;
}

export interface Platform extends AsyncDisposable {
	readonly engine: TestEngine;
	readonly dataDir: string;
	/** A folder for the test's files. */
	readonly folder: string;
	/** What `up` has printed since it was last started. */
	printed(): string;
	/** Runs a program on the machine, in `folder`. */
	run(
		program: string,
		args: readonly string[],
		options?: { readonly cwd?: string; readonly input?: string; readonly env?: Readonly<Record<string, string>> },
	): Promise<Result>;
	driftless(...args: string[]): Promise<Result>;
	/** As the administrator. */
	kubectl(...args: string[]): Promise<Result>;
	/** Starts `up` and waits until it says that it is ready. */
	start(): Promise<void>;
	/** Ends it with SIGKILL. */
	kill(): Promise<void>;
	/** Ends it with SIGTERM and gives its exit status. */
	stop(): Promise<number | null>;
	/** Asks again until the condition holds; fails after a minute with what was last seen. */
	until<T>(what: string, look: () => Promise<T>, condition: (seen: T) => boolean): Promise<T>;
	/** The etcd under it, where it has one. */
	readonly etcd?: { kill(): Promise<void>; start(): Promise<void> };
}

export const root = fileURLToPath(new URL('../..', import.meta.url));
const READY = 'driftless is ready';
const PATIENCE_MS = 60_000;

export interface PlatformOptions {
	/** Default sqlite; `etcd` starts one on the machine. */
	readonly store?: 'sqlite' | 'etcd';
	/** More arguments of `up`. */
	readonly args?: readonly string[];
	/** Do not wait for it: the test starts it. */
	readonly stopped?: boolean;
	/** More of its environment; DOCKER_HOST of an engine that is none, say. */
	readonly env?: Readonly<Record<string, string>>;
}

export async function startPlatform(options: PlatformOptions = {}): Promise<Platform> {
	await using stack = new AsyncDisposableStack();
	const engine = stack.use(await startEngine());
	const folder = await mkdtemp(join(tmpdir(), 'driftless-platform-'));
	stack.defer(() => rm(folder, { recursive: true, force: true }));
	const dataDir = join(folder, 'data');
	const within = (program: string, args: readonly string[]) =>
		['nsenter', [`--net=/run/netns/${engine.netns}`, program, ...args]] as const;
	const env = {
		...hermeticEnvironment(folder),
		DOCKER_HOST: engine.dockerHost,
		DRIFTLESS_DATA_DIR: dataDir,
		KUBECONFIG: join(dataDir, 'kubeconfig'),
	};

	const etcd = options.store === 'etcd' ? stack.use(await startEtcd(within, join(folder, 'etcd'))) : undefined;
	let up: ChildProcess | undefined;
	let printed = '';

	const run: Platform['run'] = (program, args, { cwd = folder, input, env: more } = {}) =>
		new Promise((resolve, reject) => {
			const [command, rest] = within(program, args);
			const child = spawn(command, rest, { cwd, env: { ...env, ...more }, stdio: ['pipe', 'pipe', 'pipe'] });
			const out: [string, string, string] = ['', '', ''];
			child.stdout.setEncoding('utf8').on('data', (text: string) => {
				out[0] += text;
				out[2] += text;
			});
			child.stderr.setEncoding('utf8').on('data', (text: string) => {
				out[1] += text;
				out[2] += text;
			});
			child.on('error', reject);
			child.on('close', (code) => resolve({ code, stdout: out[0], stderr: out[1], output: out[2] }));
			child.stdin.on('error', () => {});
			child.stdin.end(input);
		});
	const end = async (signal: NodeJS.Signals): Promise<number | null> => {
		const child = up;
		up = undefined;
		if (!child || child.exitCode !== null || child.signalCode) return child?.exitCode ?? null;
		const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
		child.kill(signal);
		return ended;
	};
	stack.defer(async () => {
		await end('SIGTERM');
		// It goes on without the platform, as it should.
		await stopDns(join(dataDir, 'dns'));
	});

	const platform: Omit<Platform, keyof AsyncDisposable> = {
		engine,
		dataDir,
		folder,
		printed: () => printed,
		run,
		driftless: (...args) => run(join(root, 'bin/driftless'), args),
		kubectl: (...args) => run('kubectl', args),
		async start() {
			printed = '';
			const store = etcd ? ['--store', 'etcd://127.0.0.1:2379'] : [];
			// The agent's address must be one that no other test's machine has.
			const [command, rest] = within(join(root, 'bin/driftless'), [
				'up',
				'--node-name',
				'node-1',
				'--advertise-address',
				engine.address,
				...store,
				...(options.args ?? []),
			]);
			const child = spawn(command, rest, {
				cwd: folder,
				env: { ...env, ...options.env },
				stdio: ['ignore', 'pipe', 'pipe'],
			});
			up = child;
			for (const stream of [child.stdout, child.stderr]) {
				stream.setEncoding('utf8').on('data', (text: string) => {
					printed += text;
					if (process.env.DRIFTLESS_TEST_LOG) process.stderr.write(text);
				});
			}
			while (!printed.includes(READY)) {
				if (child.exitCode !== null || child.signalCode)
					throw new Error(`up has ended with ${child.exitCode ?? child.signalCode}: ${printed}`);
				await delay(20);
			}
		},
		kill: async () => void (await end('SIGKILL')),
		stop: () => end('SIGTERM'),
		async until(what, look, condition) {
			const deadline = Date.now() + PATIENCE_MS;
			for (;;) {
				const seen = await look();
				if (condition(seen)) return seen;
				if (Date.now() > deadline)
					throw new Error(
						`${what}: not within ${PATIENCE_MS / 1_000} s; last seen: ${JSON.stringify(seen)}\nup has printed: ${printed}`,
					);
				await delay(100);
			}
		},
		etcd,
	};
	if (!options.stopped) await platform.start();
	const life = stack.move();
	return { ...platform, [Symbol.asyncDispose]: () => life[Symbol.asyncDispose]() };
}

async function startEtcd(
	within: (program: string, args: readonly string[]) => readonly [string, readonly string[]],
	data: string,
): Promise<AsyncDisposable & { kill(): Promise<void>; start(): Promise<void> }> {
	let child: ChildProcess | undefined;
	const start = async () => {
		const [command, args] = within('etcd', [
			'--data-dir',
			data,
			'--listen-client-urls',
			'http://127.0.0.1:2379',
			'--advertise-client-urls',
			'http://127.0.0.1:2379',
			'--listen-peer-urls',
			'http://127.0.0.1:2380',
			'--logger',
			'zap',
			'--log-outputs',
			'/dev/null',
		]);
		child = spawn(command, args, { stdio: 'ignore' });
	};
	const kill = async () => {
		const last = child;
		child = undefined;
		if (!last || last.exitCode !== null) return;
		const ended = new Promise((resolve) => last.once('exit', resolve));
		last.kill('SIGKILL');
		await ended;
	};
	await start();
	return { start, kill, [Symbol.asyncDispose]: kill };
}
