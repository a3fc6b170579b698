/** git as a child process: no shell, no configuration but our own, bounded in time and output. */
import { type ChildProcess, execFile } from 'node:child_process';

/** Milliseconds after which a short command is given up. */
const COMMAND_TIME = 60_000;
/** Bytes that a short command may print. */
const COMMAND_OUTPUT = 16 * 1024 * 1024;
/** cat-file's --batch-command came with it. */
const LEAST_VERSION = [2, 36] as const;

export class GitError extends Error {
	override readonly name = 'GitError';
}

/**
 * The environment of every git child: of the user's own only the path. No system or user configuration, no prompts.
 * Repositories of other owners may be read, and nothing that their configuration names is run: objects that a partial clone
 * lacks are not fetched for it (that would run its transport), and no filter turns one content into another.
 */
export function gitEnvironment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
	return {
		PATH: process.env.PATH,
		TMPDIR: process.env.TMPDIR,
		LC_ALL: 'C.UTF-8',
		GIT_CONFIG_NOSYSTEM: '1',
		GIT_CONFIG_GLOBAL: '/dev/null',
		GIT_CONFIG_COUNT: '1',
		GIT_CONFIG_KEY_0: 'safe.directory',
		GIT_CONFIG_VALUE_0: '*',
		GIT_TERMINAL_PROMPT: '0',
		GIT_OPTIONAL_LOCKS: '0',
		GIT_NO_LAZY_FETCH: '1',
		// What a commit's id names, and nothing that a reference below refs/replace, which no clone has, puts in its place.
		GIT_NO_REPLACE_OBJECTS: '1',
		// For versions that do not know that variable (before 2.45): no transport is allowed.
		GIT_ALLOW_PROTOCOL: '',
		...extra,
	};
}

/** The user as whom a child runs, with no other group of his. */
export interface Identity {
	readonly uid: number;
	readonly gid: number;
}

/** How a child runs as somebody. He may look into it: it does not stand where this process does, which he might not get to otherwise. */
export const spawnedAs = (as: Identity | undefined) => as && { uid: as.uid, gid: as.gid, cwd: '/' };

export interface CommandOptions {
	readonly gitdir?: string;
	/** Default: as this process. */
	readonly as?: Identity;
	readonly signal?: AbortSignal;
	/** More of its environment. */
	readonly env?: NodeJS.ProcessEnv;
	/** Milliseconds after which it is given up. Default: a minute. */
	readonly time?: number;
	/** What it reads. */
	readonly input?: string;
}

/** Runs a command to its end and gives what it printed. Throws GitError with git's own complaint. */
export function git(
	args: readonly string[],
	{ gitdir, as, signal, env: more, input, time = COMMAND_TIME }: CommandOptions = {},
): Promise<string> {
	const env = gitEnvironment({ ...(gitdir !== undefined && { GIT_DIR: gitdir }), ...more });
	return new Promise((resolve, reject) => {
		const limits = { timeout: time, maxBuffer: COMMAND_OUTPUT, killSignal: 'SIGKILL' } as const;
		const options = { ...spawnedAs(as), ...limits, env, signal };
		const child = execFile('git', args, options, (error, stdout, stderr) => {
			if (!error) return resolve(stdout);
			if (signal?.aborted) return reject(signal.reason);
			reject(new GitError(complaint(args, error, stderr, time), { cause: error }));
		});
		// A child that reads nothing, or is gone, says so by its exit.
		child.stdin?.on('error', () => {});
		child.stdin?.end(input);
	});
}

function complaint(
	args: readonly string[],
	error: Error & { code?: unknown; killed?: boolean },
	stderr: string,
	time: number,
): string {
	if (error.code === 'ENOENT') return 'git is needed and is not installed: install the package git';
	if (error.killed) return `git ${args[0]} took longer than ${time / 1000} s, and was stopped`;
	const lines = stderr.split('\n').filter((line) => line.trim());
	return `git ${args[0]}: ${lines.at(-1)?.replace(/^(?:fatal|error): /, '') ?? error.message}`;
}

/** Throws GitError where git is missing or too old. */
export async function requireGit(): Promise<void> {
	const text = await git(['--version']);
	const [major = 0, minor = 0] = /(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number) ?? [];
	const [least, leastMinor] = LEAST_VERSION;
	if (major > least || (major === least && minor >= leastMinor)) return;
	throw new GitError(`git ${major}.${minor} is too old: driftless needs git ${LEAST_VERSION.join('.')} or newer`);
}

/** Settles when a child is gone. */
export function exited(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return Promise.resolve();
	return new Promise((resolve) => child.once('exit', () => resolve()));
}
