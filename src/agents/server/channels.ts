/**
 * Commands over WebSocket: Kubernetes' remote command channels. Each message's first byte is its channel.
 * Source: KEP-4006 and the protocol constants of apimachinery's remotecommand package.
 */
import type { Duplex, Readable } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import { frames } from '../engine/frames.ts';

export const V5 = 'v5.channel.k8s.io';
export const V4 = 'v4.channel.k8s.io';

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const RESIZE = 4;
/** v5 only: the next byte is the channel that the peer has closed. */
const CLOSE = 255;

/** More than so many bytes on their way to a slow reader stop the output until it has caught up. */
const HIGH_WATER_BYTES = 1 << 20;
const NORMAL_CLOSURE = 1000;

export interface Process {
	readonly stream: Duplex;
	/** What to send in place of the output when the stream has ended without any. */
	instead?(): Promise<Readable | undefined>;
	readonly tty: boolean;
	readonly stdin: boolean;
	readonly stdout: boolean;
	readonly stderr: boolean;
	/** Once the output has ended; undefined where there is no code to report (attach). */
	exitCode(): Promise<number | undefined>;
	resize(columns: number, rows: number): Promise<void>;
}

/** Carries a process's streams over the socket until the process or the caller ends. */
export async function serveProcess(socket: WebSocket, process: Process): Promise<void> {
	const { stream } = process;
	socket.on('message', (data) => receive(bytes(data), process));
	socket.once('close', () => stream.destroy());
	// Both ends may break at any time; the other is closed then.
	socket.on('error', () => stream.destroy());
	stream.on('error', () => undefined);
	socket.resume();
	let status: object;
	let silent = true;
	const carry = async (output: Readable) => {
		for await (const { channel, payload } of frames(output, process.tty)) {
			silent = false;
			if (channel === 'stdout' ? process.stdout : process.stderr) {
				await send(socket, channel === 'stdout' ? STDOUT : STDERR, payload);
			}
		}
	};
	try {
		await carry(stream);
		const other = silent && (await process.instead?.());
		if (other) {
			// A caller who goes ends this one too.
			socket.once('close', () => other.destroy());
			await carry(other);
		}
		status = statusOf(await process.exitCode());
	} catch (error) {
		if (socket.readyState !== socket.OPEN) return;
		status = failure((error as Error).message);
	}
	await finish(socket, status);
}

/** Tells the caller over the error channel why nothing runs, and closes. */
export async function refuse(socket: WebSocket, message: string): Promise<void> {
	socket.resume();
	await finish(socket, failure(message));
}

function receive(data: Buffer, { stream, stdin, resize }: Process): void {
	const [channel, argument] = data;
	const payload = data.subarray(1);
	if (channel === STDIN && stdin && payload.length > 0 && stream.writable) {
		stream.write(payload);
	} else if (channel === CLOSE && argument === STDIN && stdin) {
		stream.end();
	} else if (channel === RESIZE) {
		const size = parseSize(payload);
		// A size that comes before the terminal is there or after it has gone is worth nothing.
		if (size) void resize(size.columns, size.rows).catch(() => undefined);
	}
}

function parseSize(payload: Buffer): { columns: number; rows: number } | undefined {
	try {
		const { Width, Height } = JSON.parse(payload.toString()) as { Width?: number; Height?: number };
		return Width && Height ? { columns: Width, rows: Height } : undefined;
	} catch {
		return undefined;
	}
}

async function finish(socket: WebSocket, status: object): Promise<void> {
	await send(socket, ERROR, Buffer.from(JSON.stringify(status)));
	socket.close(NORMAL_CLOSURE);
}

/** Sends, and waits where the reader is slow. */
function send(socket: WebSocket, channel: number, payload: Uint8Array): Promise<void> {
	const message = Buffer.concat([Buffer.of(channel), payload]);
	return new Promise((resolve) => {
		const slow = socket.bufferedAmount > HIGH_WATER_BYTES;
		// A socket that has closed takes nothing; its close event ends the process's stream.
		socket.send(message, { binary: true }, () => slow && resolve());
		if (!slow) resolve();
	});
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

function bytes(data: RawData): Buffer {
	if (Array.isArray(data)) return Buffer.concat(data);
	return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
