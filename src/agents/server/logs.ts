/** GET /containerLogs/NAMESPACE/POD/CONTAINER: a container's log as plain text, to its end or followed. */

import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { badRequest } from '../../kinds/index.ts';
import type { Engine } from '../engine/index.ts';
import type { Mirror } from '../pods/mirror.ts';
import { findContainer, type Pods, type Target } from './find.ts';

export async function serveLogs(
	response: ServerResponse,
	context: { engine: Engine; mirror: Mirror; pods: Pods; now: () => number; signal: AbortSignal },
	target: Target,
	query: URLSearchParams,
): Promise<void> {
	const { engine, mirror, pods, now } = context;
	const options = logOptions(query, now());
	const { container } = findContainer(pods, mirror, target, query.get('previous') === 'true');
	const closed = new AbortController();
	response.once('close', () => closed.abort());
	const signal = AbortSignal.any([closed.signal, context.signal]);
	const log = await engine.containers.logs(container.id, { ...options, tty: container.tty, signal });
	const stop = () => log.destroy();
	signal.addEventListener('abort', stop, { once: true });
	response.writeHead(200, { 'content-type': 'text/plain' });
	// The first line may come much later: the caller must know by then that it has been heard.
	response.flushHeaders();
	let left = options.limitBytes;
	try {
		for await (const { payload } of log) {
			const part = payload.length > left ? payload.subarray(0, left) : payload;
			left -= part.length;
			if (!response.write(part)) await once(response, 'drain', { signal });
			if (left <= 0) break;
		}
		response.end();
	} catch (error) {
		// The caller has gone, or the engine has: what was sent was true.
		if (!signal.aborted) response.destroy(error as Error);
	} finally {
		signal.removeEventListener('abort', stop);
		log.destroy();
	}
}

interface LogQuery {
	readonly follow: boolean;
	readonly tail?: number;
	readonly since?: number;
	readonly timestamps: boolean;
	readonly limitBytes: number;
}

/** Reads the query parameters of PodLogOptions. Throws ApiError 400 for what is malformed. */
export function logOptions(query: URLSearchParams, now: number): LogQuery {
	const count = (name: string): number | undefined => {
		const text = query.get(name);
		if (text === null || text === '') return undefined;
		const value = Number(text);
		if (!Number.isInteger(value) || value < 0) throw badRequest(`${name} must be a non-negative integer: ${text}`);
		return value;
	};
	const seconds = count('sinceSeconds');
	const time = query.get('sinceTime');
	const parsed = time ? Date.parse(time) : undefined;
	if (parsed !== undefined && Number.isNaN(parsed)) throw badRequest(`sinceTime must be a time of RFC 3339: ${time}`);
	return {
		follow: query.get('follow') === 'true',
		tail: count('tailLines'),
		since: seconds !== undefined ? now / 1000 - seconds : parsed !== undefined ? parsed / 1000 : undefined,
		timestamps: query.get('timestamps') === 'true',
		limitBytes: count('limitBytes') ?? Number.POSITIVE_INFINITY,
	};
}
