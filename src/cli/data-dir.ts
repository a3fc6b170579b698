/** The data directory: where it is, what lies where in it, and that only one process serves it. */
import { accessSync, constants, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { UserError } from './user-error.ts';

/** The format of a data directory that this version writes, and the newest that it reads. */
const FORMAT = 1;

/** What a running process tells the commands beside it. */
export interface Running {
	readonly pid: number;
	/** `https://127.0.0.1:6443`. */
	readonly api: string;
	/** `http://127.0.0.1:7080`. */
	readonly http: string;
}

/** `--data-dir`, or DRIFTLESS_DATA_DIR, or /var/lib/driftless for root and ~/.local/share/driftless for others. */
export function dataDirectory(option: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
	const named = option ?? env.DRIFTLESS_DATA_DIR;
	if (named) return resolve(named);
	return process.getuid?.() === 0 ? SYSTEM_DATA : join(homedir(), '.local/share/driftless');
}

/** Of root, where nobody names another. */
const SYSTEM_DATA = '/var/lib/driftless';
/** Where plugins that know of Kubernetes look for a node. Source: Kubernetes documentation, "Local Files And Paths Used By The Kubelet". */
const SYSTEM_KUBELET = '/var/lib/kubelet';

/**
 * Where the plugins of a node have their sockets and volumes: `--kubelet-dir`, or the place that they expect where the node is
 * the machine's own. One that was given a data directory may be one of several on the machine, and keeps its plugins there.
 *
 * @param dataDir - the node's.
 */
export function kubeletDirectory(option: string | undefined, dataDir: string): string {
	if (option) return resolve(option);
	return dataDir === SYSTEM_DATA || dataDir.startsWith(`${SYSTEM_DATA}/`) ? SYSTEM_KUBELET : join(dataDir, 'kubelet');
}

/** Makes the directory, takes it for this process, and checks its format. Released when the process ends, however it ends. */
export function takeDataDirectory(directory: string): Disposable {
	try {
		mkdirSync(directory, { recursive: true, mode: 0o700 });
	} catch (error) {
		throw new UserError(
			`the data directory ${directory} cannot be made: ${(error as Error).message}; name another with --data-dir`,
		);
	}
	try {
		accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
	} catch (error) {
		throw unwritable(directory, error);
	}
	const lock = lockFile(directory);
	try {
		checkFormat(directory);
	} catch (error) {
		lock.close();
		throw error;
	}
	return { [Symbol.dispose]: () => lock.close() };
}

/** A lock that the kernel takes back when the process dies: SQLite's own, held by an open transaction. */
function lockFile(directory: string): DatabaseSync {
	const path = join(directory, 'lock');
	let lock: DatabaseSync;
	try {
		lock = new DatabaseSync(path);
	} catch (error) {
		throw unwritable(directory, error);
	}
	try {
		lock.exec('PRAGMA busy_timeout = 500; BEGIN EXCLUSIVE');
		return lock;
	} catch (error) {
		lock.close();
		if (!/locked|busy/i.test((error as Error).message))
			throw new UserError(`${path} cannot be locked: ${(error as Error).message}`);
		const pid = readRunning(directory)?.pid;
		throw new UserError(
			`another driftless serves the data directory ${directory}${pid ? ` (process ${pid})` : ''}; stop it first, or name another directory with --data-dir`,
		);
	}
}

const unwritable = (directory: string, error: unknown) =>
	new UserError(
		`the data directory ${directory} cannot be written: ${(error as Error).message}; name another with --data-dir`,
	);

function checkFormat(directory: string): void {
	const path = join(directory, 'format');
	const text = readOptional(path);
	if (text === undefined) {
		// Whole or not at all: the process may be killed in between.
		writeFileSync(`${path}.new`, `${FORMAT}\n`, { flush: true });
		renameSync(`${path}.new`, path);
		return;
	}
	const format = Number(text.trim());
	if (!Number.isSafeInteger(format) || format < 1)
		throw new UserError(
			`${path} does not say a format: it holds ${JSON.stringify(text.slice(0, 40))}; is ${directory} a data directory of driftless?`,
		);
	if (format > FORMAT)
		throw new UserError(
			`the data directory ${directory} has format ${format}, written by a newer driftless; this version reads formats up to ${FORMAT}. Install the newer version, or name another directory with --data-dir`,
		);
}

/** What the process that serves the directory wrote; undefined where none ever did. */
export function readRunning(directory: string): Running | undefined {
	const text = readOptional(join(directory, 'running.json'));
	if (text === undefined) return undefined;
	try {
		return JSON.parse(text) as Running;
	} catch {
		return undefined;
	}
}

export function writeRunning(directory: string, running: Running): void {
	writeFileSync(join(directory, 'running.json'), `${JSON.stringify(running)}\n`, { mode: 0o600 });
}

function readOptional(path: string): string | undefined {
	try {
		return readFileSync(path, 'utf8');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
		throw new UserError(`${path} cannot be read: ${(error as Error).message}`);
	}
}
