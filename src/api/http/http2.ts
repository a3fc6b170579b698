/**
 * HTTP/2 beside HTTP/1.1: requests and answers in the form that handlers know, and how long a connection is kept.
 * Sources: RFC 9113; the server of the reference API server (Go's net/http) for limits and for how connections end.
 */
import {
	constants,
	Http2ServerRequest,
	Http2ServerResponse,
	type Http2Session,
	type IncomingHttpHeaders,
	type OutgoingHttpHeaders,
	type ServerHttp2Session,
	type ServerHttp2Stream,
} from 'node:http2';
import { Socket } from 'node:net';
import { limits } from '../limits.ts';

const gone = new Socket().destroy();

/** A request whose body comes in time, or not at all. */
export class Request2 extends Http2ServerRequest {
	readonly #socket: Socket;

	constructor(
		stream: ServerHttp2Stream,
		headers: IncomingHttpHeaders,
		options: ConstructorParameters<typeof Http2ServerRequest>[2],
		rawHeaders: readonly string[],
	) {
		super(stream, headers, options, rawHeaders);
		this.#socket = stream.session?.socket ?? gone;
		if (stream.endAfterHeaders) return;
		const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), limits.request);
		const end = () => clearTimeout(timer);
		stream.once('end', end);
		stream.once('close', end);
	}

	// @ts-expect-error Declared as a property, and an accessor in truth.
	override get complete(): boolean {
		return this.stream.endAfterHeaders || this.readableEnded || this.stream.destroyed;
	}

	// @ts-expect-error Declared as a property, and an accessor in truth.
	override get destroyed(): boolean {
		return this.stream.destroyed;
	}

	/** One object for all requests of a connection, by which what is known of it is remembered. That of one that is gone may not be asked. */
	// @ts-expect-error Declared as a property, and an accessor in truth.
	override get socket(): Socket {
		return this.stream.session?.destroyed === false ? this.#socket : gone;
	}
}

/** An answer without trailers: waiting for them costs as much as all else that is sent. */
export class Response2 extends Http2ServerResponse<Request2> {
	// The class is no Writable, although its type says so.
	// @ts-expect-error Declared as a property, and an accessor in truth.
	override get destroyed(): boolean {
		return this.stream.destroyed || this.stream.closed;
	}

	// @ts-expect-error Declared as a property, and an accessor in truth.
	override get closed(): boolean {
		return this.stream.closed;
	}

	override writeHead(code: number, ...rest: unknown[]): this {
		const { stream } = this;
		if (stream.destroyed || stream.closed) return this;
		const headers: OutgoingHttpHeaders = this.getHeaders();
		const more = rest.at(-1);
		// Names and values in turn, as handlers give them.
		if (Array.isArray(more))
			for (let index = 0; index + 1 < more.length; index += 2)
				headers[String(more[index]).toLowerCase()] = more[index + 1];
		headers[constants.HTTP2_HEADER_STATUS] = code;
		this.statusCode = code;
		stream.respond(headers);
		return this;
	}

	/** Breaks the answer off, so that nobody takes it for whole: without an error the stream would end like any other. */
	override destroy(error = new Error('the answer was broken off')): this {
		this.stream.destroy(error);
		return this;
	}

	flushHeaders(): void {
		if (!this.headersSent) this.writeHead(this.statusCode);
	}

	override end(...what: unknown[]): this {
		const { stream } = this;
		// The rest of a body that nobody will read need not come. Source: RFC 9113, 8.1.
		if (!this.req.complete) stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR));
		return super.end(...(what as []));
	}
}

/** Ends a connection when nothing has been asked on it for `limits.keepAlive`: pings keep nothing open. */
export function keepWhileUsed(session: ServerHttp2Session): void {
	let open = 0;
	const close = () => session.close();
	let idle = setTimeout(close, limits.headers);
	session.on('stream', (stream) => {
		if (open++ === 0) clearTimeout(idle);
		stream.once('close', () => {
			if (--open === 0 && !session.destroyed) idle = setTimeout(close, limits.keepAlive);
		});
	});
	session.once('close', () => clearTimeout(idle));
	session.setLocalWindowSize(limits.connectionWindow);
}

const MOST_STREAM = 2 ** 31 - 1;
/** What was on its way when a connection was told to go away has so long (ms) to arrive. As Go's servers do it. */
const ON_ITS_WAY = 1_000;

/** Tells a client to go elsewhere with its next request. What it has sent meanwhile is answered. Source: RFC 9113, 6.8. */
export function sendAway(session: Http2Session | undefined): void {
	if (!session || session.closed) return;
	session.goaway(constants.NGHTTP2_NO_ERROR, MOST_STREAM);
	const timer = setTimeout(() => session.close(), ON_ITS_WAY);
	session.once('close', () => clearTimeout(timer));
}
