/** Starts the driver of csi-driver-process.ts, tells it to fail, and reads what it was asked. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What becomes of calls of a method: of so many, or of all. */
export type Order = { readonly times?: number } & (
	| { readonly do: 'hang' | 'die' | 'die after' }
	| {
			readonly do: 'fail';
			readonly code: 'INTERNAL' | 'ABORTED' | 'RESOURCE_EXHAUSTED' | 'UNAVAILABLE' | 'INVALID_ARGUMENT' | 'NOT_FOUND';
			readonly message?: string;
	  }
	| { readonly do: 'answer'; readonly answer: object }
);

export interface CsiDriverSettings {
	readonly name: string;
	readonly root: string;
	readonly socket: string;
	readonly registration: string;
	readonly nodeId: string;
	readonly topology?: Readonly<Record<string, string>>;
	readonly maxVolumes?: number;
	readonly versions?: readonly string[];
	readonly nodeCapabilities?: readonly string[];
	readonly controllerCapabilities?: readonly string[];
	/** Bytes of the largest volume. */
	readonly capacity?: number;
	readonly nodeExpansion?: boolean;
}

export interface Call {
	readonly method: string;
	// biome-ignore lint/suspicious/noExplicitAny: tests look into requests of every shape
	readonly request: any;
}

export interface CsiDriver extends AsyncDisposable {
	readonly name: string;
	/** Where its data lies. */
	readonly root: string;
	/** What it was asked so far, but for what it is asked to be known. */
	calls(): Promise<readonly Call[]>;
	order(orders: Readonly<Record<string, Order>>): Promise<void>;
	/** A volume that is there without having been asked for. */
	volume(id: string): Promise<string>;
	start(): Promise<void>;
	/** Settles when it has died, as it was told. */
	died(): Promise<void>;
	/** As a crash. */
	kill(): Promise<void>;
	/** It takes its leave: its registration goes. */
	stop(): Promise<void>;
}

export const CSI_DRIVER = 'dirs.csi.example.com';

const program = new URL('./csi-driver-process.ts', import.meta.url).pathname;
/** Asked whenever a driver registers. */
const GREETINGS = new Set(['GetInfo', 'NotifyRegistrationStatus', 'NodeGetInfo', 'NodeGetCapabilities']);

/** @param kubeletDir - of the node that it is a driver of. */
export async function startCsiDriver(
	kubeletDir: string,
	options: Partial<Omit<CsiDriverSettings, 'root' | 'socket' | 'registration'>> & { readonly root?: string } = {},
): Promise<CsiDriver> {
	const { name = CSI_DRIVER } = options;
	const own = options.root === undefined;
	const root = options.root ?? (await mkdtemp(join(tmpdir(), 'driftless-csi-')));
	const settings: CsiDriverSettings = {
		nodeId: 'node-of-driver',
		...options,
		name,
		root,
		socket: join(kubeletDir, 'plugins', name, 'csi.sock'),
		registration: join(kubeletDir, 'plugins_registry', `${name}-reg.sock`),
	};
	let child: ChildProcess | undefined;
	const end = async (signal: 'SIGKILL' | 'SIGTERM') => {
		const running = child;
		child = undefined;
		if (!running || running.exitCode !== null || running.signalCode !== null) return;
		const gone = once(running, 'exit');
		running.kill(signal);
		await gone;
	};
	const driver: CsiDriver = {
		name,
		root,
		async calls() {
			const text = await readFile(join(root, 'calls.jsonl'), 'utf8').catch(() => '');
			const all = text.split('\n').flatMap((line) => (line ? [JSON.parse(line) as Call] : []));
			return all.filter(({ method }) => !GREETINGS.has(method));
		},
		async order(orders) {
			const path = join(root, 'orders.json');
			await writeFile(`${path}.test`, JSON.stringify(orders));
			await rename(`${path}.test`, path);
		},
		async volume(id) {
			await mkdir(join(root, 'meta'), { recursive: true });
			await writeFile(join(root, 'meta', `${id}.json`), JSON.stringify({ id, name: id, bytes: 1 << 20 }));
			const path = join(root, 'volumes', id);
			await mkdir(path, { recursive: true });
			return path;
		},
		async start() {
			const started = spawn(process.execPath, [program, JSON.stringify(settings)], {
				stdio: ['ignore', 'pipe', 'inherit'],
			});
			child = started;
			const failed = once(started, 'exit').then(() => {
				throw new Error('the driver ended before it listened');
			});
			if (started.stdout) await Promise.race([once(started.stdout, 'data'), failed]);
			failed.catch(() => {});
		},
		async died() {
			if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
		},
		kill: () => end('SIGKILL'),
		stop: () => end('SIGTERM'),
		async [Symbol.asyncDispose]() {
			await end('SIGKILL');
			if (own) await rm(root, { recursive: true, force: true });
		},
	};
	await driver.start();
	return driver;
}
