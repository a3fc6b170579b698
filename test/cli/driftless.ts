/** The real command, as a process of its own, on a machine without kubectl. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const program = fileURLToPath(new URL('../../bin/driftless', import.meta.url));

export interface Result {
	readonly stdout: string;
	readonly stderr: string;
	/** Exit status; null where a signal ended it. */
	readonly code: number | null;
	readonly signal: NodeJS.Signals | null;
}

export interface RunOptions {
	/** Written to its standard input, which is then closed. */
	readonly input?: string | Uint8Array;
	readonly cwd?: string;
	readonly env?: Readonly<Record<string, string>>;
	/** Given the process when it runs. */
	readonly meanwhile?: (running: Running) => Promise<void>;
}

/** A process that runs, and what it has said so far. */
export interface Running {
	readonly child: ChildProcess;
	stdout(): string;
	stderr(): string;
	/** Settles when what it has written to either matches. */
	until(text: RegExp): Promise<void>;
}

export interface Driftless extends Disposable {
	(...args: readonly [...string[]]): Promise<Result>;
	(...args: readonly [...string[], RunOptions]): Promise<Result>;
	/** Standard output; throws where the command fails. */
	ok(...args: readonly (string | RunOptions)[]): Promise<string>;
	/** An empty folder of its own, gone with it. */
	readonly folder: string;
	/** The environment that its processes have. */
	readonly env: Readonly<Record<string, string>>;
}

/** `driftless --kubeconfig FILE ...`, or without, where it is not given. */
export function driftless(kubeconfig?: string): Driftless {
	const home = mkdtempSync(join(tmpdir(), 'driftless-cli-'));
	const bin = mkdtempSync(join(tmpdir(), 'driftless-path-'));
	// All that the launcher needs of the machine.
	for (const tool of ['readlink', 'dirname']) symlinkSync(`/usr/bin/${tool}`, join(bin, tool));
	const env = { PATH: bin, HOME: home, TZ: 'UTC' };
	const run = (...all: readonly (string | RunOptions)[]): Promise<Result> => {
		const args = all.filter((arg): arg is string => typeof arg === 'string');
		const options = all.find((arg): arg is RunOptions => typeof arg !== 'string') ?? {};
		return start([...(kubeconfig ? ['--kubeconfig', kubeconfig] : []), ...args], options, env, home);
	};
	const ok = async (...args: readonly (string | RunOptions)[]) => {
		const { stdout, stderr, code } = await run(...args);
		const line = args.filter((arg) => typeof arg === 'string').join(' ');
		if (code !== 0) throw new Error(`driftless ${line} ended with ${code}: ${stderr}${stdout}`);
		return stdout;
	};
	return Object.assign(run, {
		ok,
		folder: home,
		env,
		[Symbol.dispose]() {
			rmSync(home, { recursive: true, force: true });
			rmSync(bin, { recursive: true, force: true });
		},
	});
}

function start(
	args: readonly string[],
	options: RunOptions,
	env: Record<string, string>,
	cwd: string,
): Promise<Result> {
	return new Promise((resolve, reject) => {
		const child = spawn(program, args, { cwd: options.cwd ?? cwd, env: { ...env, ...options.env } });
		const running = follow(child);
		// A command that ends without reading its input breaks the pipe.
		child.stdin.on('error', () => {});
		if (!options.meanwhile || options.input !== undefined) child.stdin.end(options.input ?? '');
		child.on('error', reject);
		child.on('close', (code, signal) => resolve({ stdout: running.stdout(), stderr: running.stderr(), code, signal }));
		options.meanwhile?.(running).catch((error) => {
			child.kill('SIGKILL');
			reject(error);
		});
	});
}

/** Gathers what a process writes. */
export function follow(child: ChildProcess): Running {
	let stdout = '';
	let stderr = '';
	let wake = Promise.withResolvers<void>();
	let ended = false;
	const news = () => {
		wake.resolve();
		wake = Promise.withResolvers();
	};
	child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
		stdout += chunk;
		news();
	});
	child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
		stderr += chunk;
		news();
	});
	child.on('close', () => {
		ended = true;
		news();
	});
	return {
		child,
		stdout: () => stdout,
		stderr: () => stderr,
		async until(text) {
			while (!text.test(stdout) && !text.test(stderr)) {
				if (ended) throw new Error(`it ended without saying ${text}: ${stdout}${stderr}`);
				await wake.promise;
			}
		},
	};
}
