/** What a container's processes read and write: logs, commands, attached streams. */
import type { Writable } from 'node:stream';

export interface LogOptions {
	readonly follow: boolean;
	/** The last so many lines; all when absent. */
	readonly tail?: number;
	/** Seconds since the epoch, with fractions. */
	readonly since?: number;
	readonly timestamps: boolean;
	/** Whether the container has a terminal. */
	readonly tty: boolean;
	readonly signal?: AbortSignal;
}

/** A piece of what a process has written; with a terminal all of it is stdout. */
export interface Chunk {
	readonly channel: 'stdout' | 'stderr';
	readonly payload: Uint8Array;
}

/** What a process writes, in order and as it comes. It can be read once. */
export interface Output extends AsyncIterable<Chunk> {
	/** Gives it up; whoever reads it gets the error. */
	destroy(error?: Error): void;
}

/** The input and the output of a process. Destroying one gives up both. */
export interface Streams {
	/** Ended, it closes the input while output still comes. */
	readonly input: Writable;
	readonly output: Output;
}

/** A process beside the container's own. */
export interface Execution extends Streams {
	/** After the output has ended: its exit code. */
	exitCode(): Promise<number>;
	/** Ends it, and what it has started, where it still runs and that can be done. */
	kill(): Promise<void>;
	resize(columns: number, rows: number): Promise<void>;
}

export interface ExecOptions {
	readonly command: readonly string[];
	readonly stdin: boolean;
	readonly tty: boolean;
	readonly signal?: AbortSignal;
}

export interface AttachOptions {
	readonly stdin: boolean;
	readonly tty: boolean;
	readonly signal?: AbortSignal;
}

/** All output as text, stdout and stderr in the order they came, cut after `limit` bytes. */
export async function collect(output: Output, limit: number): Promise<string> {
	const parts: Uint8Array[] = [];
	let length = 0;
	for await (const { payload } of output) {
		if (length < limit) parts.push(payload.subarray(0, limit - length));
		length += payload.length;
	}
	return Buffer.concat(parts).toString();
}
