/**
 * A terminal handed over to a remote command: each key goes there as it is, Ctrl-C included. However the process ends,
 * short of being killed outright, the terminal is given back as it was.
 */
import { spawnSync } from 'node:child_process';
import type { ReadStream, WriteStream } from 'node:tty';

export interface TerminalSize {
	readonly width: number;
	readonly height: number;
}

/** Signals that end the process, which must not leave the terminal raw. */
const ENDINGS = ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGINT'] as const;

/** Makes the terminal raw until disposed, or until a signal ends the process. */
export function rawTerminal(input: ReadStream): Disposable {
	const before = input.isRaw;
	const restore = () => void input.setRawMode(before);
	const end = (signal: NodeJS.Signals) => {
		restore();
		leave();
		// As if nobody had listened: whoever waits for us sees the signal.
		process.kill(process.pid, signal);
	};
	const leave = () => {
		for (const signal of ENDINGS) process.off(signal, end);
		process.off('exit', restore);
	};
	for (const signal of ENDINGS) process.on(signal, end);
	process.on('exit', restore);
	input.setRawMode(true);
	passOutput();
	return {
		[Symbol.dispose]() {
			restore();
			leave();
		},
	};
}

/**
 * Node's raw mode still puts a carriage return before each newline that is written, which full-screen programs do not expect:
 * their own terminal, in the container, has done that already. Where stty is missing, only they look odd.
 */
function passOutput(): void {
	spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
}

/** The size of a terminal now, and each new one until the signal aborts. Sizes that nobody took in time are passed over. */
export async function* terminalSizes(output: WriteStream, signal: AbortSignal): AsyncIterable<TerminalSize> {
	let changed = Promise.withResolvers<void>();
	const resize = () => changed.resolve();
	output.on('resize', resize);
	signal.addEventListener('abort', resize);
	try {
		while (!signal.aborted) {
			changed = Promise.withResolvers();
			yield { width: output.columns, height: output.rows };
			await changed.promise;
		}
	} finally {
		output.off('resize', resize);
		signal.removeEventListener('abort', resize);
	}
}
