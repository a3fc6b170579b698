/** Carries the streams of a command, or of a container's own process, between the engine and a caller on any protocol. */
import type { Output, Streams } from '../engine/index.ts';

/** Who has asked for the process, at the other end of a connection. */
export interface Caller {
	/** Hands over what the caller sends from now on. `input` may ask for patience: the next comes once it has settled. */
	listen(to: {
		input(data: Uint8Array): Promise<void> | undefined;
		inputEnded(): void;
		resized(columns: number, rows: number): void;
		gone(): void;
	}): void;
	/** Settles at once, or when a slow caller has caught up. To one that has gone it does nothing. */
	send(channel: 'stdout' | 'stderr' | 'error', payload: Uint8Array): Promise<void>;
	/** Says that all has been said. */
	close(): Promise<void>;
	readonly connected: boolean;
}

export interface Process extends Streams {
	/** What to send in place of the output when that has ended without any. */
	instead?(): Promise<Output | undefined>;
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
	/** Once the output has ended; undefined where there is no code to report (attach). */
	exitCode(): Promise<number | undefined>;
	resize(columns: number, rows: number): Promise<void>;
}

/** Carries a process's streams until the process or the caller ends, and tells the caller how it ended. */
export async function serveProcess(caller: Caller, process: Process): Promise<void> {
	const { input, output } = process;
	const gone = new AbortController();
	const ended = new AbortController();
	let sized: Promise<void> = Promise.resolve();
	// Both ends may break at any time; the other is closed then.
	input.on('error', () => undefined);
	caller.listen({
		input: (data) => receive(data, process, ended.signal),
		inputEnded: () => void (process.stdin && input.end()),
		resized(columns, rows) {
			// One after the other: the last is the one that stays. One that comes after the terminal has gone is worth nothing.
			sized = sized.then(() => process.resize(columns, rows)).catch(() => undefined);
		},
		gone() {
			gone.abort();
			ended.abort();
			output.destroy();
		},
	});
	let status: object;
	let silent = true;
	const carry = async (from: Output) => {
		for await (const { channel, payload } of from) {
			silent = false;
			if (process[channel]) await caller.send(channel, payload);
		}
	};
	try {
		await carry(output);
		ended.abort();
		const other = silent && (await process.instead?.());
		if (other) {
			// A caller who goes ends this one too.
			const stop = () => other.destroy();
			gone.signal.addEventListener('abort', stop, { once: true });
			await carry(other);
		}
		status = statusOf(await process.exitCode());
	} catch (error) {
		if (!caller.connected) return;
		status = failure((error as Error).message);
	}
	await finish(caller, status);
}

/** Tells the caller why nothing runs, and closes. */
export async function refuse(caller: Caller, message: string): Promise<void> {
	caller.listen({ input: () => undefined, inputEnded() {}, resized() {}, gone() {} });
	await finish(caller, failure(message));
}

/** A process that reads slowly holds its caller back, until it or the caller has ended. */
function receive(data: Uint8Array, { input, stdin }: Process, ended: AbortSignal): Promise<void> | undefined {
	if (!stdin || data.length === 0 || ended.aborted || !input.writable || input.write(data)) return undefined;
	return new Promise((resolve) => {
		const go = () => {
			for (const event of ['drain', 'close']) input.off(event, go);
			ended.removeEventListener('abort', go);
			resolve();
		};
		for (const event of ['drain', 'close']) input.on(event, go);
		ended.addEventListener('abort', go, { once: true });
	});
}

async function finish(caller: Caller, status: object): Promise<void> {
	await caller.send('error', Buffer.from(JSON.stringify(status)));
	await caller.close();
}

function statusOf(code: number | undefined): object {
	if (code === undefined || code === 0) return { metadata: {}, status: 'Success' };
	return {
		metadata: {},
		status: 'Failure',
		message: `command terminated with non-zero exit code: exit status ${code}`,
		reason: 'NonZeroExitCode',
		details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
	};
}

const failure = (message: string) => ({
	metadata: {},
	status: 'Failure',
	message: `Internal error occurred: ${message}`,
	reason: 'InternalError',
	details: { causes: [{ message }] },
	code: 500,
});

/** The size of a terminal, as callers send it; undefined where it is none. */
export function parseSize(json: string): { columns: number; rows: number } | undefined {
	try {
		const { Width, Height } = JSON.parse(json) as { Width?: number; Height?: number };
		return Width && Height ? { columns: Width, rows: Height } : undefined;
	} catch {
		return undefined;
	}
}
