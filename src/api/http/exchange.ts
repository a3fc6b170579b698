/** A request and its answer as handlers see them, whichever version of HTTP carries them. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { Caller } from '../api.ts';

/** What the requests of node:http and node:http2 have in common. */
export interface Request extends Readable {
	readonly httpVersionMajor: number;
	readonly method?: string | undefined;
	readonly url?: string | undefined;
	readonly headers: IncomingHttpHeaders;
	/** Names and values in turn, as they came. */
	readonly rawHeaders: string[];
	readonly socket: Socket;
	/** Whether it has come whole. */
	readonly complete: boolean;
}

/** What a stream of a log or of events is written to: a response, or the frames of a WebSocket. */
export interface Answer extends Writable {
	statusCode: number;
	readonly headersSent: boolean;
	setHeader(name: string, value: string | number | readonly string[]): unknown;
	/** Sends the head of the answer, even if nothing else happens for long. */
	flushHeaders(): void;
}

/** What the responses of node:http and node:http2 have in common. */
export interface Response extends Answer {
	getHeader(name: string): string | number | readonly string[] | undefined;
	hasHeader(name: string): boolean;
	appendHeader(name: string, value: string): unknown;
	/** `headers` are names and values in turn. */
	writeHead(code: number, headers: string[]): unknown;
}

/** A request in work. */
export interface Exchange<R = Response> {
	readonly request: Request;
	readonly response: R;
	readonly query: URLSearchParams;
	readonly caller: Caller;
	/** Aborts when the server closes and, for watches and streams, when the client goes. */
	readonly signal: AbortSignal;
	/** Called when a watch has sent what there was when it began. */
	readonly begun?: () => void;
}

/** Runs what goes on until it is told to end: its signal is aborted when the answer's connection closes, or the server does (`closing`). */
export async function whileOpen(
	response: Answer,
	closing: AbortSignal,
	run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
	const gone = new AbortController();
	const end = () => gone.abort();
	response.on('close', end);
	closing.addEventListener('abort', end);
	try {
		if (closing.aborted || response.destroyed) end();
		await run(gone.signal);
	} finally {
		closing.removeEventListener('abort', end);
	}
}
