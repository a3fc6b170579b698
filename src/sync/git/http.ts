/** The HTTP client under isomorphic-git: bounded in time and size, and with errors that a person can act on. */
import type { GitHttpRequest, GitHttpResponse, HttpClient } from 'isomorphic-git';

export interface HttpLimits {
	/** Milliseconds until the first byte, and between bytes. */
	readonly idle: number;
	/** Milliseconds for one request with its answer. */
	readonly total: number;
	/** Bytes of one answer. isomorphic-git holds a pack in memory. */
	readonly bytes: number;
}

export const defaultLimits: HttpLimits = { idle: 30_000, total: 600_000, bytes: 256 * 1024 * 1024 };

/** Thrown for what has no HTTP status: time and size. Its message is a clause (`did not answer within 30 s`). */
export class HttpLimitError extends Error {
	override readonly name = 'HttpLimitError';
}

export function createHttp(limits: HttpLimits, signal: AbortSignal): HttpClient {
	return {
		async request({ url, method = 'GET', headers = {}, body }: GitHttpRequest): Promise<GitHttpResponse> {
			const watchdog = createWatchdog(limits, signal);
			try {
				const response = await fetch(url, {
					method,
					headers,
					body: body && (await collect(body)),
					signal: watchdog.signal,
				});
				watchdog.alive();
				// All of it, before any of it is believed: isomorphic-git takes a stream that breaks off for one that ends, and
				// half a list of references looks like deleted branches.
				const content = await readAll(response, limits, watchdog);
				if (response.ok && isCutOff(response, content)) throw new HttpLimitError('broke its answer off');
				return {
					url: response.url,
					method,
					statusCode: response.status,
					statusMessage: response.statusText,
					headers: Object.fromEntries(response.headers),
					body: once(content),
				};
			} finally {
				watchdog.stop();
			}
		},
	};
}

async function collect(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
	const parts: Uint8Array[] = [];
	for await (const part of body) parts.push(part);
	return new Uint8Array(Buffer.concat(parts));
}

async function readAll(response: Response, limits: HttpLimits, watchdog: Watchdog): Promise<Uint8Array> {
	const parts: Uint8Array[] = [];
	let size = 0;
	for await (const chunk of response.body ?? []) {
		watchdog.alive();
		size += chunk.length;
		if (size > limits.bytes)
			throw new HttpLimitError(`sent more than ${inMebi(limits.bytes)} MiB, which is too much to fetch`);
		parts.push(chunk);
	}
	return Buffer.concat(parts);
}

/**
 * Every answer of the smart protocol ends with a flush packet, or is an error packet: what a server that died half-way
 * sent does not. Source: gitprotocol-http and gitprotocol-v2.
 */
function isCutOff(response: Response, content: Uint8Array): boolean {
	if (!response.headers.get('content-type')?.startsWith('application/x-git-upload-pack')) return false;
	const text = (start: number, end?: number) => Buffer.from(content.subarray(start, end)).toString('latin1');
	return text(-4) !== '0000' && text(4, 8) !== 'ERR ';
}

const inMebi = (bytes: number) => Math.round((bytes / 1024 / 1024) * 10) / 10;

async function* once(content: Uint8Array): AsyncIterableIterator<Uint8Array> {
	yield content;
}

interface Watchdog {
	readonly signal: AbortSignal;
	alive(): void;
	stop(): void;
}

function createWatchdog({ idle, total }: HttpLimits, outer: AbortSignal): Watchdog {
	const late = new AbortController();
	const give = (ms: number, what: string) =>
		setTimeout(() => late.abort(new HttpLimitError(`${what} ${Math.round(ms / 100) / 10} s`)), ms);
	const silence = give(idle, 'did not answer within');
	const end = give(total, 'had not sent everything after');
	const stop = () => {
		clearTimeout(silence);
		clearTimeout(end);
	};
	outer.addEventListener('abort', stop, { once: true });
	return {
		signal: AbortSignal.any([late.signal, outer]),
		alive: () => void silence.refresh(),
		stop() {
			stop();
			outer.removeEventListener('abort', stop);
		},
	};
}
