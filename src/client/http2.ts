/**
 * Connections of HTTP/2 to a server: all requests and watches share one, as far as the server lets them, and another is made
 * when it is full or told to go away. Source: RFC 9113.
 */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { isIP } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';

/** Streams on one connection until the server has said how many it takes: RFC 9113, 6.5.2, recommends no less. */
const STREAMS_AT_FIRST = 100;
/** How much of what the server allows is used: one on Node.js counts a stream for some turns longer than we do, and refuses what is over. */
const FILLED = 0.8;
/** How long a connection may take to be made (ms). */
const DIAL_MS = 60_000;
/** Bytes of one stream, and of all together, that may come before they are read: a large list goes on without waiting for us. */
const STREAM_WINDOW_BYTES = 1 << 20;
const CONNECTION_WINDOW_BYTES = 4 << 20;
/** The server is asked whether it still lives, and has so long to answer (ms). Go's clients: 30 s and 15 s. */
const PING_EVERY_MS = 30_000;
const PING_ANSWER_MS = 15_000;

export interface Sent {
	readonly stream: ClientHttp2Stream;
	/** Whether the connection had served others before: it may have gone just as it was used. */
	readonly reused: boolean;
}

export interface Connections extends Disposable {
	/** Begins a request. Undefined where the server does not speak HTTP/2. Throws what went wrong with a new connection. */
	request(
		headers: Readonly<Record<string, string>>,
		options: { readonly signal?: AbortSignal; readonly endStream: boolean },
	): Promise<Sent | undefined>;
	/** Lets what is under way come to its end, and the connections with it. */
	retire(): void;
}

interface Connection {
	readonly session: ClientHttp2Session;
	/** Streams that it may have, and has. */
	most: number;
	open: number;
	served: boolean;
}

/** Of the server at `origin`; after `keepAliveMs` without traffic the kernel asks whether it still lives. */
export function createConnections(origin: URL, tls: ConnectionOptions, keepAliveMs: number): Connections {
	const connections = new Set<Connection>();
	let dialing: Promise<Connection | undefined> | undefined;
	let disposed = false;

	const take = (connection: Connection): Connection => {
		// As agents of HTTP/1.1 do it: what nobody uses keeps no process.
		if (connection.open++ === 0) connection.session.ref();
		return connection;
	};
	const leave = (connection: Connection) => {
		if (--connection.open === 0) connection.session.unref();
	};
	/** A place on a connection that has room. */
	const taken = () => {
		for (const connection of connections)
			if (!connection.session.closed && connection.open < connection.most) return take(connection);
		return undefined;
	};
	const open = async (): Promise<Connection | undefined> => {
		const socket = await dial(origin, tls);
		if (socket.alpnProtocol !== 'h2' || disposed) {
			socket.destroy();
			return undefined;
		}
		socket.setKeepAlive(true, keepAliveMs).setNoDelay(true);
		const settings = { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false };
		const session = connect(origin, { createConnection: () => socket, settings });
		const connection: Connection = { session, most: STREAMS_AT_FIRST, open: 0, served: false };
		connections.add(connection);
		session.once('close', () => connections.delete(connection));
		// What it breaks with is told to those who use it.
		session.on('error', () => {});
		session.on('remoteSettings', ({ maxConcurrentStreams }) => {
			connection.most = Math.max(1, Math.floor((maxConcurrentStreams ?? connection.most) * FILLED));
		});
		session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
		session.unref();
		lookAfter(connection);
		return connection;
	};
	const connected = async (signal: AbortSignal | undefined): Promise<Connection | undefined> => {
		for (;;) {
			dialing ??= open().finally(() => {
				dialing = undefined;
			});
			const made = await unlessAborted(dialing, signal);
			if (!made) return undefined;
			// One that ends at once would be made again and again: whoever uses it is told.
			const place = made.session.closed ? take(made) : taken();
			if (place) return place;
		}
	};
	return {
		async request(headers, options) {
			const used = taken() ?? (await connected(options.signal));
			if (!used) return undefined;
			const { session, served: reused } = used;
			const stream = session.request(headers, options);
			stream.once('response', () => {
				used.served = true;
			});
			stream.once('close', () => leave(used));
			return { stream, reused };
		},
		retire() {
			for (const { session } of connections) session.close();
		},
		[Symbol.dispose]() {
			disposed = true;
			for (const { session } of connections) session.destroy();
		},
	};
}

/** A TLS connection on which both sides have chosen a version of HTTP. */
function dial(origin: URL, tls: ConnectionOptions): Promise<TLSSocket> {
	const host = origin.hostname.replace(/^\[|\]$/g, '');
	return new Promise((resolve, reject) => {
		const socket = connectTls({
			host,
			port: Number(origin.port || 443),
			...tls,
			// An address is no name of a server. Source: RFC 6066, 3.
			servername: tls.servername ?? (isIP(host) ? '' : host),
			ALPNProtocols: ['h2', 'http/1.1'],
		});
		socket.once('error', reject);
		socket.setTimeout(DIAL_MS, () => socket.destroy(new Error(`no connection within ${DIAL_MS / 1000} s`)));
		socket.once('secureConnect', () => {
			socket.setTimeout(0);
			socket.off('error', reject);
			resolve(socket);
		});
	});
}

/** Ends a connection whose server has gone without a word: what waits on it would wait for each request's own time. */
function lookAfter({ session }: Connection): void {
	const timer = setInterval(() => {
		const late = setTimeout(() => session.destroy(new Error('the server does not answer a ping')), PING_ANSWER_MS);
		late.unref();
		if (!session.ping(() => clearTimeout(late))) clearTimeout(late);
	}, PING_EVERY_MS);
	timer.unref();
	session.once('close', () => clearInterval(timer));
}

/** What a promise gives, or the reason of the signal where that aborts first. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
	if (!signal) return promise;
	const { promise: aborted, reject } = Promise.withResolvers<never>();
	const abort = () => reject(signal.reason);
	signal.addEventListener('abort', abort, { once: true });
	return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', abort));
}

/** The bytes of an answer. Throws where it breaks off, which the stream alone does not tell. */
export async function* wholeBody(stream: ClientHttp2Stream): AsyncGenerator<Buffer, void> {
	yield* stream as AsyncIterable<Buffer>;
	if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw new Error('the answer broke off');
}

/** Whether the server has said that it did nothing of a request. Source: RFC 9113, 8.7. */
export const wasUnseen = (stream: ClientHttp2Stream, error: NodeJS.ErrnoException): boolean =>
	stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || error.code === 'ERR_HTTP2_GOAWAY_SESSION';
