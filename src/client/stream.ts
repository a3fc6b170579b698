/**
 * Streams of a pod over HTTP: its logs, and commands run in it. Commands speak the WebSocket channel protocol of
 * Kubernetes (v5.channel.k8s.io, or v4 with older servers; source: KEP-4006 and apimachinery's remotecommand constants).
 */
import type { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type RawData, WebSocket } from 'ws';
import { ApiError, type Status, serviceUnavailable } from '../kinds/index.ts';
import type { Name } from './client.ts';
import { errorOf, fromStatus, isStatus, unreachable } from './failure.ts';
import type { HttpClient } from './http.ts';
import { tlsOf } from './transport.ts';

export interface LogOptions {
	readonly container?: string;
	readonly follow?: boolean;
	/** The logs of the container before this one. */
	readonly previous?: boolean;
	readonly tailLines?: number;
	readonly sinceSeconds?: number;
	/** RFC 3339. */
	readonly sinceTime?: string;
	readonly timestamps?: boolean;
	readonly limitBytes?: number;
	readonly signal: AbortSignal;
}

/** Quiet containers say nothing for hours: a followed log has no end of its own. */
const LOG_SILENCE_MS = 24 * 3600_000;

/** The bytes of a container's log. Ends with the log, or when the signal aborts. Throws ApiError. */
export async function* logs(client: HttpClient, pod: Name, options: LogOptions): AsyncIterable<Uint8Array> {
	const { signal, ...parameters } = options;
	if (signal.aborted) return;
	const search = searchOf(parameters);
	try {
		const { body } = await client.transport.ask({
			path: `${podPath(pod)}/log?${search}`,
			headers: { 'user-agent': client.name, accept: '*/*' },
			signal,
			stream: true,
			silenceMs: LOG_SILENCE_MS,
		});
		yield* body;
	} catch (error) {
		if (signal.aborted) return;
		throw error instanceof ApiError ? error : unreachable(error, client.transport.config);
	}
}

export interface ExecOptions {
	readonly container?: string;
	/** The command and its arguments; none to attach to the container's own process. */
	readonly command?: readonly string[];
	readonly tty?: boolean;
	readonly stdin?: AsyncIterable<Uint8Array>;
	readonly stdout?: Writable;
	/** With a terminal everything comes on stdout. */
	readonly stderr?: Writable;
	/** The sizes of the terminal: the first one, and each new one. */
	readonly sizes?: AsyncIterable<{ readonly width: number; readonly height: number }>;
	readonly signal: AbortSignal;
}

/** The channels: the first byte of each message. */
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const ERROR = 3;
const RESIZE = 4;
/** v5 only: the second byte is the channel that has ended. */
const CLOSE = 255;
const V5 = 'v5.channel.k8s.io';
const V4 = 'v4.channel.k8s.io';

/**
 * Runs a command in a container and returns its exit status. Throws ApiError when it could not be run or the connection broke,
 * and the signal's reason when aborted. Does not end `stdout` and `stderr`.
 */
export async function exec(client: HttpClient, pod: Name, options: ExecOptions): Promise<number> {
	const { signal, stdin, stdout, stderr, tty = false, command, container } = options;
	signal.throwIfAborted();
	const search = searchOf({
		container,
		stdin: Boolean(stdin),
		stdout: Boolean(stdout),
		stderr: Boolean(stderr) && !tty,
		tty,
	});
	for (const word of command ?? []) search.append('command', word);
	const { config } = client.transport;
	const address = `${config.server.replace(/^http/, 'ws')}${podPath(pod)}/${command ? 'exec' : 'attach'}?${search}`;
	const socket = new WebSocket(address, [V5, V4], {
		...tlsOf(config),
		headers: { 'user-agent': client.name, ...(config.token && { authorization: `Bearer ${config.token}` }) },
		perMessageDeflate: false,
	});
	const feeding = new AbortController();
	const { promise: ended, resolve, reject } = Promise.withResolvers<number>();
	let outcome: Status | undefined;

	const abort = () => {
		reject(signal.reason);
		socket.terminate();
	};
	signal.addEventListener('abort', abort, { once: true });
	socket.on('unexpected-response', (_request, response) => {
		text(response).then((body) => reject(errorOf(response.statusCode ?? 500, body)), reject);
	});
	socket.on('error', (error) => reject(unreachable(error, config)));
	socket.on('message', (data: RawData) => {
		const message = bytesOf(data);
		const rest = message.subarray(1);
		if (message[0] === STDOUT && stdout) pour(socket, stdout, rest);
		else if (message[0] === STDERR && stderr) pour(socket, stderr, rest);
		else if (message[0] === ERROR && rest.length > 0) outcome = parseStatus(rest);
	});
	socket.on('close', () => {
		if (!outcome) reject(serviceUnavailable(`the connection to ${config.server} ended before the command`));
		else exitStatus(outcome, resolve, reject);
	});
	socket.on('open', () => {
		const until = AbortSignal.any([signal, feeding.signal]);
		const failed = (error: unknown) => {
			reject(error);
			socket.terminate();
		};
		if (stdin) {
			feed(socket, stdin, (chunk) => framed(STDIN, chunk), until)
				.then(() => {
					if (socket.protocol === V5 && socket.readyState === WebSocket.OPEN) socket.send(Uint8Array.of(CLOSE, STDIN));
				})
				.catch(failed);
		}
		if (options.sizes) {
			const frame = ({ width, height }: { width: number; height: number }) =>
				framed(RESIZE, Buffer.from(JSON.stringify({ Width: width, Height: height })));
			feed(socket, options.sizes, frame, until).catch(failed);
		}
	});
	try {
		return await ended;
	} finally {
		feeding.abort();
		signal.removeEventListener('abort', abort);
		if (socket.readyState !== WebSocket.CLOSED) socket.terminate();
	}
}

/** Sends what comes, one message after the other has left, until it ends or the signal aborts. */
async function feed<T>(
	socket: WebSocket,
	source: AsyncIterable<T>,
	frame: (part: T) => Uint8Array,
	signal: AbortSignal,
) {
	const iterator = source[Symbol.asyncIterator]();
	const stopped = new Promise<undefined>((resolve) =>
		signal.addEventListener('abort', () => resolve(undefined), { once: true }),
	);
	while (!signal.aborted) {
		const next = await Promise.race([iterator.next(), stopped]);
		if (!next || next.done || socket.readyState !== WebSocket.OPEN) break;
		const message = frame(next.value);
		await new Promise<void>((resolve) => socket.send(message, () => resolve()));
	}
	// Not awaited: a source that waits for its next part (a terminal) may settle this only then.
	if (signal.aborted) iterator.return?.()?.catch(() => undefined);
}

/** Writes, and stops reading from the socket while the writer is full. */
function pour(socket: WebSocket, writer: Writable, chunk: Uint8Array): void {
	if (writer.write(chunk)) return;
	socket.pause();
	writer.once('drain', () => socket.resume());
}

/** A Status on the error channel carries the exit status: Success is 0, a NonZeroExitCode names it among its causes. */
function exitStatus(status: Status, resolve: (code: number) => void, reject: (error: unknown) => void): void {
	const cause = status.details?.causes?.find(({ reason }) => reason === 'ExitCode');
	const code = Number(cause?.message);
	if (status.status === 'Success') resolve(0);
	else if (cause && Number.isInteger(code)) resolve(code);
	else reject(fromStatus(status));
}

function parseStatus(bytes: Uint8Array): Status | undefined {
	try {
		const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
		return isStatus(value) || hasStatus(value) ? (value as Status) : undefined;
	} catch {
		return undefined;
	}
}

/** Kubelets leave out the kind. */
const hasStatus = (value: unknown) => typeof value === 'object' && value !== null && 'status' in value;

function framed(channel: number, chunk: Uint8Array): Uint8Array {
	const message = new Uint8Array(chunk.length + 1);
	message[0] = channel;
	message.set(chunk, 1);
	return message;
}

const bytesOf = (data: RawData): Uint8Array =>
	Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? new Uint8Array(data) : data;

const podPath = ({ namespace, name }: Name) =>
	`/api/v1/namespaces/${encodeURIComponent(namespace ?? 'default')}/pods/${encodeURIComponent(name)}`;

function searchOf(parameters: object): URLSearchParams {
	const search = new URLSearchParams();
	for (const [name, value] of Object.entries(parameters)) {
		if (value !== undefined && value !== false) search.set(name, String(value));
	}
	return search;
}
