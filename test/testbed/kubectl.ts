/** Real kubectl against a server under test. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface KubectlResult {
	readonly stdout: string;
	readonly stderr: string;
	/** Exit code; null where a signal ended it. */
	readonly code: number | null;
}

export interface KubectlOptions {
	/** Written to its standard input. */
	readonly input?: string;
	/** Added to the environment (EDITOR, ...). */
	readonly env?: Readonly<Record<string, string>>;
	/** Kills it. */
	readonly signal?: AbortSignal;
}

export interface Kubectl extends Disposable {
	(...args: readonly [...string[]]): Promise<KubectlResult>;
	(...args: readonly [...string[], KubectlOptions]): Promise<KubectlResult>;
	/** Standard output; throws an error with what kubectl said where it fails. */
	ok(...args: readonly (string | KubectlOptions)[]): Promise<string>;
}

/** kubectl with a kubeconfig, with a home of its own, so that nothing of this machine's user counts. */
export function kubectl(kubeconfig: string): Kubectl {
	const home = mkdtempSync(join(tmpdir(), 'driftless-kubectl-'));
	const run = (...all: readonly (string | KubectlOptions)[]): Promise<KubectlResult> => {
		const args = all.filter((arg): arg is string => typeof arg === 'string');
		const options = all.find((arg): arg is KubectlOptions => typeof arg !== 'string') ?? {};
		return new Promise((resolve, reject) => {
			const child = spawn('kubectl', ['--kubeconfig', kubeconfig, ...args], {
				env: { PATH: process.env.PATH, HOME: home, KUBECONFIG: kubeconfig, ...options.env },
				stdio: ['pipe', 'pipe', 'pipe'],
				signal: options.signal,
				killSignal: 'SIGKILL',
			});
			let stdout = '';
			let stderr = '';
			child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
				stdout += chunk;
			});
			child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
				stderr += chunk;
			});
			// A kubectl that ends without reading its input breaks the pipe.
			child.stdin.on('error', () => {});
			child.stdin.end(options.input ?? '');
			child.on('error', (error) => {
				if (error.name !== 'AbortError') reject(error);
			});
			child.on('close', (code) => resolve({ stdout, stderr, code }));
		});
	};
	const ok = async (...args: readonly (string | KubectlOptions)[]) => {
		const { stdout, stderr, code } = await run(...args);
		const line = args.filter((arg) => typeof arg === 'string').join(' ');
		if (code !== 0) throw new Error(`kubectl ${line} ended with ${code}: ${stderr}${stdout}`);
		return stdout;
	};
	return Object.assign(run, {
		ok,
		[Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
	});
}
