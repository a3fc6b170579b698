/** Writes answers: stored bytes as they are, errors as Status objects, large ones compressed and in pieces. */
import type { Writable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { constants, createGzip, gzip as gzipCallback } from 'node:zlib';
import type { ApiError } from '../../kinds/status.ts';
import { limits } from '../limits.ts';
import type { Request, Response } from './exchange.ts';
import type { Form } from './negotiate.ts';
import { yamlOf } from './yaml-answer.ts';

const gzip = promisify(gzipCallback);

/**
 * Kubernetes adds a short text to these warnings: code 299, no agent. One that is there already is not said again: a write
 * that is tried again finds the same. Source: RFC 7234, 5.5; KEP-1693.
 */
export function addWarning(response: Response, message: string): void {
	// Header values are latin-1 without control characters.
	const text = message
		.replaceAll(/[\\"]/g, '\\$&')
		.replaceAll(/[^\x20-\x7e]/g, '?')
		.slice(0, 1024);
	const warning = `299 - "${text}"`;
	const before = [response.getHeader('Warning') ?? []].flat().map(String);
	// Clients read only so many headers; what is beyond is left out, as upstream does.
	if (before.includes(warning) || before.join('').length + warning.length > limits.warnings) return;
	response.appendHeader('Warning', warning);
}

/** Sends JSON bytes, as YAML where the client wants that. */
export async function sendBytes(
	request: Request,
	response: Response,
	code: number,
	bytes: Uint8Array,
	form: Form,
): Promise<void> {
	if (form.media === 'yaml') {
		const body = yamlOf(JSON.parse(Buffer.from(bytes).toString()) as object);
		return send(request, response, code, 'application/yaml', Buffer.from(body));
	}
	return send(request, response, code, 'application/json', bytes);
}

export const sendJson = (
	request: Request,
	response: Response,
	code: number,
	value: unknown,
	form: Form = { media: 'json' },
) => sendBytes(request, response, code, Buffer.from(JSON.stringify(value)), form);

/** Sends a body of any type. */
export async function send(
	request: Request,
	response: Response,
	code: number,
	type: string,
	bytes: Uint8Array,
): Promise<void> {
	let body = bytes;
	const headers = ['Content-Type', type];
	if (!response.hasHeader('Cache-Control')) headers.push(...uncached);
	if (bytes.byteLength > limits.gzip && acceptsGzip(request)) {
		// Level 1: on a fast network compressing costs more time than it saves.
		body = await gzip(bytes, { level: constants.Z_BEST_SPEED });
		headers.push('Content-Encoding', 'gzip');
		response.appendHeader('Vary', 'Accept-Encoding');
	}
	headers.push('Content-Length', String(body.byteLength));
	response.writeHead(code, headers);
	response.end(request.method === 'HEAD' ? undefined : body);
}

/** Answers are of this moment, and for this user. */
const uncached = ['Cache-Control', 'no-cache, private'] as const;

const acceptsGzip = (request: Request) =>
	/(^|,)\s*gzip\s*(,|;(?!\s*q=0(\.0*)?\s*(,|$))|$)/.test(String(request.headers['accept-encoding'] ?? ''));

/**
 * Sends a body in pieces, made as they are asked for, so that a large one is never whole in memory: no further ahead than the
 * client reads, and other work of the process in between. A client that takes longer than `within` ms is cut off, since a list
 * has its seats until it is sent. Source: Kubernetes API server, `--request-timeout`.
 */
export async function sendPieces(
	request: Request,
	response: Response,
	type: string,
	pieces: Iterable<Uint8Array>,
	within: number = limits.request,
): Promise<void> {
	const until = performance.now() + within;
	const chunks = inChunks(pieces);
	const first = await chunks.next();
	const second = first.done ? first : await chunks.next();
	if (response.destroyed) return;
	if (second.done) return send(request, response, 200, type, first.done ? Buffer.alloc(0) : first.value);
	const zipped = acceptsGzip(request);
	if (zipped) response.appendHeader('Vary', 'Accept-Encoding');
	const headers = ['Content-Type', type, ...uncached, ...(zipped ? ['Content-Encoding', 'gzip'] : [])];
	response.writeHead(200, headers);
	if (request.method === 'HEAD') {
		response.end();
		return;
	}
	const zip = zipped ? createGzip({ level: constants.Z_BEST_SPEED }) : undefined;
	zip?.on('error', () => response.destroy());
	zip?.pipe(response);
	const into = zip ?? response;
	try {
		for (
			let next: IteratorResult<Uint8Array> = first;
			!next.done;
			next = next === first ? second : await chunks.next()
		) {
			if (into.write(next.value)) await setImmediate();
			else if (!(await drained(response, into, until - performance.now()))) return;
			if (response.destroyed) return;
		}
		into.end();
	} finally {
		if (response.destroyed) zip?.destroy();
	}
}

/** Pieces joined to chunks of about `limits.chunk`. Some are dear to make: other work has its turn between them, too. */
async function* inChunks(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
	let parts: Uint8Array[] = [];
	let size = 0;
	let began = performance.now();
	for (const piece of pieces) {
		parts.push(piece);
		size += piece.byteLength;
		if (size >= limits.chunk) {
			yield Buffer.concat(parts);
			parts = [];
			size = 0;
			began = performance.now();
		} else if (performance.now() - began > limits.slice) {
			await setImmediate();
			began = performance.now();
		}
	}
	if (size > 0) yield Buffer.concat(parts);
}

/** Settles when the client has read what waits for it: true; or when it is gone, or has not in time (ms), then cut off: false. `into` leads to it. */
export function drained(
	response: Writable,
	into: Writable = response,
	within = Number.POSITIVE_INFINITY,
): Promise<boolean> {
	if (response.destroyed) return Promise.resolve(false);
	return new Promise((resolve) => {
		const finish = (alive: boolean) => {
			clearTimeout(timer);
			into.off('drain', onDrain);
			response.off('close', onClose);
			resolve(alive);
		};
		const onDrain = () => finish(true);
		const onClose = () => finish(false);
		const timer = setTimeout(
			() => {
				response.destroy();
				finish(false);
			},
			Math.min(within, limits.watchStall),
		);
		into.on('drain', onDrain);
		response.on('close', onClose);
	});
}

/** Sends an error as its Status. */
export function sendError(request: Request, response: Response, error: ApiError): void {
	const { status } = error;
	const bytes = Buffer.from(JSON.stringify(status));
	const retry = status.details?.retryAfterSeconds;
	if (retry) response.setHeader('Retry-After', retry);
	if (status.code === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="kubernetes"');
	response.statusCode = status.code;
	response.setHeader('Content-Type', 'application/json');
	response.setHeader('Content-Length', bytes.length);
	// A body that was not read whole leaves the connection in the middle of it.
	if (!request.complete && request.httpVersionMajor === 1) response.setHeader('Connection', 'close');
	response.end(request.method === 'HEAD' ? undefined : bytes);
}
