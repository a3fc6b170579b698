/** Programs of the machine that may have to wait for a file server. */
import { spawn } from 'node:child_process';
import { addAbortListener } from 'node:events';
import { within } from './deadline.ts';

/**
 * Runs a program to its end. The last argument is what it is about. One that does not answer in time keeps nothing waiting,
 * not even the end of this process; it throws then.
 *
 * @returns its exit code, and what it said of its errors.
 */
export async function run(
	program: string,
	args: readonly string[],
	signal: AbortSignal,
	timeoutMs?: number,
): Promise<{ readonly code: number | null; readonly said: string }> {
	const begin = () => {
		const { promise, resolve, reject } = Promise.withResolvers<{ code: number | null; said: string }>();
		const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
		let said = '';
		child.stderr.setEncoding('utf8').on('data', (text: string) => {
			said += text;
		});
		child.on('error', reject);
		child.on('close', (code) => resolve({ code, said: said.trim() }));
		child.unref();
		const closing = addAbortListener(signal, () => child.stderr.destroy());
		return promise.finally(() => closing[Symbol.dispose]());
	};
	return await within(`${program} of ${args.at(-1)}`, begin, signal, timeoutMs);
}

/**
 * Settles once the path answers, whether something is there or not. A look from within this process, at a file server that is
 * gone, would keep a thread of Node's for ever, and with it the files of all pods and the end of the process.
 */
export async function answers(path: string, signal: AbortSignal): Promise<void> {
	await run('stat', ['-L', '--', path], signal);
}
