/**
 * The process of cluster DNS as its node sees it: one that runs and is of this version and configuration is taken over, any
 * other is relieved by a new one without a question unanswered. It outlives who started it.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { backoff, describe, faults, pause } from '../../client/index.ts';
import type { Log } from '../../log.ts';
import { endProcesses } from './processes.ts';

export interface DnsProcessOptions {
	/** A folder of its own: configuration, sockets, what it knew last, its log. */
	readonly folder: string;
	/** Of a user that may read services, endpoint slices and namespaces. */
	readonly kubeconfig: string;
	readonly podNetwork: string;
	readonly serviceNetwork: string;
	readonly clusterDns: string;
	readonly clusterDomain: string;
	readonly log: Log;
}

/** What the process is told. */
export interface DnsConfig extends Omit<DnsProcessOptions, 'log' | 'folder'> {
	/** Of this version and configuration. */
	readonly id: string;
	readonly folder: string;
	/** The database of what it knew last. */
	readonly known: string;
}

/** What it says to whoever connects to its socket, and again when that changes. */
export interface Hello {
	readonly id: string;
	readonly pid: number;
	/** Whether it answers on the address of cluster DNS. */
	readonly serving: boolean;
}

const here = fileURLToPath(new URL('.', import.meta.url));
const program = join(here, 'program.ts');
/** A process that has not begun to serve by then is told of, and waited for on; in ms. */
const START_MS = 20_000;
/** Between looks at a process that starts, in ms. */
const LOOK_MS = 50;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 30_000;
/** A log that has grown beyond so many bytes begins anew at the next start. */
const MAX_LOG_BYTES = 4 << 20;

/** Keeps a process running until the signal aborts, and leaves it running then. */
export async function keepDnsRunning(options: DnsProcessOptions, signal: AbortSignal): Promise<void> {
	const { folder, log } = options;
	const known = faults(log);
	const retry = backoff({ firstMs: FIRST_RETRY_MS, longestMs: LONGEST_RETRY_MS });
	while (!signal.aborted) {
		try {
			await mkdir(folder, { recursive: true, mode: 0o700 });
			const config = await configOf(options);
			using running = (await find(config)) ?? (await start(config, signal));
			await served(running, signal, () =>
				known.failed(
					'dns',
					config.clusterDns,
					`cluster DNS does not serve on ${config.clusterDns}:53 yet; its log is ${logOf(folder)}`,
				),
			);
			if (signal.aborted) return;
			known.healed('dns', 'cluster DNS is served again');
			retry.reset();
			await endOthers(folder, running.hello?.pid);
			await running.ended(signal);
			if (!signal.aborted) throw new Error('the process has ended');
		} catch (error) {
			if (signal.aborted) return;
			known.failed(
				'dns',
				error,
				`cluster DNS does not run: ${describe(error)}; it is started again (its log: ${logOf(folder)})`,
			);
		}
		await pause(retry.next(), signal);
	}
}

/** Ends every process of the folder, also one that has just been started: none writes there any more when this returns. */
export async function stopDns(folder: string): Promise<void> {
	await rm(configFile(folder), { force: true });
	await endProcesses(configFile(folder));
}

const configFile = (folder: string) => join(folder, 'config.json');
const logOf = (folder: string) => join(folder, 'dns.log');

/** Of a socket in the folder, which is its process's own: who ends takes his away, whatever has come in his place. */
export const socketName = (id: string, pid: number): string => `${id}-${pid}.sock`;

/** The path of a socket has a limit, and that of the folder may be longer: it is the directory in which the process works. */
const reachable = (pid: number | string, name: string) => `/proc/${pid}/cwd/${name}`;

async function configOf({ log: _, ...config }: DnsProcessOptions): Promise<DnsConfig> {
	const hash = createHash('sha256')
		.update(JSON.stringify(config))
		.update(await readFile(config.kubeconfig));
	for (const file of readdirSync(here).sort()) hash.update(file).update(readFileSync(join(here, file)));
	return { ...config, id: hash.digest('hex').slice(0, 8), known: join(config.folder, 'known.db') };
}

/** One that runs, of this version and configuration. */
async function find({ folder, id }: DnsConfig): Promise<Running | undefined> {
	for (const file of await readdir(folder)) {
		const [of, pid] = file.split(/[-.]/);
		const running = of === id && pid && (await meet(reachable(pid, file)));
		if (running) return running;
	}
	return undefined;
}

async function start(config: DnsConfig, signal: AbortSignal): Promise<Running> {
	const { folder } = config;
	const file = configFile(folder);
	await writeFile(file, JSON.stringify(config), { mode: 0o600 });
	const size = await stat(logOf(folder)).then(
		({ size }) => size,
		() => 0,
	);
	const output = openSync(logOf(folder), size > MAX_LOG_BYTES ? 'w' : 'a', 0o600);
	const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, file], {
		cwd: folder,
		detached: true,
		stdio: ['ignore', output, output],
		env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE },
	});
	closeSync(output);
	child.unref();
	let failure: string | undefined;
	child.on('error', (error) => {
		failure = error.message;
	});
	child.on('exit', (code, by) => {
		failure ??= `it ended with ${code ?? by}`;
	});
	while (!signal.aborted) {
		const running = child.pid && (await meet(reachable(child.pid, socketName(config.id, child.pid))));
		if (running) return running;
		if (failure) throw new Error(failure);
		await pause(LOOK_MS, signal);
	}
	throw new Error('stopped');
}

interface Running extends Disposable {
	/** As it said last. */
	readonly hello: Hello | undefined;
	/** Settles at its end, or when the signal aborts. */
	ended(signal: AbortSignal): Promise<void>;
	/** Settles when it says something, at its end, or when the signal aborts. */
	said(signal: AbortSignal): Promise<void>;
}

/** The process that listens at the socket; undefined where none does. */
async function meet(path: string): Promise<Running | undefined> {
	const socket = await new Promise<Socket | undefined>((resolve) => {
		const trying = connect(path);
		trying.once('connect', () => resolve(trying));
		trying.once('error', () => resolve(undefined));
	});
	if (!socket) return undefined;
	let hello: Hello | undefined;
	let waiting: (() => void)[] = [];
	const wake = () => {
		const all = waiting;
		waiting = [];
		for (const each of all) each();
	};
	socket.on('error', () => socket.destroy());
	socket.on('close', wake);
	createInterface({ input: socket }).on('line', (line) => {
		try {
			hello = JSON.parse(line) as Hello;
		} catch {
			// Not ours: it says nothing that could be understood.
		}
		wake();
	});
	const until = (over: () => boolean, signal: AbortSignal) =>
		new Promise<void>((resolve) => {
			const look = () => {
				if (!over() && !signal.aborted && !socket.destroyed) waiting.push(look);
				else {
					signal.removeEventListener('abort', look);
					resolve();
				}
			};
			signal.addEventListener('abort', look);
			look();
		});
	return {
		get hello() {
			return hello;
		},
		ended: (signal) => until(() => socket.destroyed, signal),
		said(signal) {
			const before = hello;
			return until(() => hello !== before, signal);
		},
		[Symbol.dispose]: () => socket.destroy(),
	};
}

/** Settles when it serves. Throws where it has ended before. `late` is called once where that takes long. */
async function served(running: Running, signal: AbortSignal, late: () => void): Promise<void> {
	const timer = setTimeout(late, START_MS);
	const gone = running.ended(signal).then(() => true);
	try {
		while (!signal.aborted && !running.hello?.serving) {
			const over = await Promise.race([gone, running.said(signal).then(() => false)]);
			if (over && !signal.aborted) throw new Error('the process has ended before it served');
		}
	} finally {
		clearTimeout(timer);
	}
}

/** Ends the processes of other versions and configurations, and those that nobody can reach; clears up what they have left. */
async function endOthers(folder: string, own: number | undefined): Promise<void> {
	await endProcesses(configFile(folder), own);
	for (const file of await readdir(folder))
		if (file.endsWith('.sock') && !file.endsWith(`-${own}.sock`)) await rm(join(folder, file), { force: true });
}
