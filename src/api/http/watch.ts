/** A watch over HTTP: one JSON line an event, written a batch at a time, no further ahead than the client reads. */
import type { Kind } from '../../kinds/kind.ts';
import { ApiError } from '../../kinds/status.ts';
import type { Log } from '../../log.ts';
import type { WatchEvent } from '../api.ts';
import { limits } from '../limits.ts';
import { type IncludeObject, toPartial, toTable } from '../table.ts';
import type { Answer } from './exchange.ts';
import type { Form } from './negotiate.ts';
import { drained } from './respond.ts';

const newline = Buffer.from('}\n');
const heads = {
	ADDED: Buffer.from('{"type":"ADDED","object":'),
	MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
	DELETED: Buffer.from('{"type":"DELETED","object":'),
} as const;

export interface Stream {
	readonly kind: Kind;
	readonly apiVersion: string;
	readonly form: Form;
	readonly includeObject?: IncludeObject;
	readonly now: () => number;
	readonly log: Log;
}

/** Writes events until they end or the client is gone. An error becomes an ERROR event, the last one. */
export async function streamEvents(
	response: Answer,
	events: AsyncIterable<readonly WatchEvent[]>,
	stream: Stream,
): Promise<void> {
	response.statusCode = 200;
	response.setHeader('Content-Type', 'application/json');
	response.setHeader('Cache-Control', 'no-cache, private');
	// The client waits for the headers, even if nothing happens for long.
	response.flushHeaders();
	const write = writerOf(stream);
	try {
		for await (const batch of events) {
			let pieces: Uint8Array[] = [];
			let size = 0;
			for (const event of batch) {
				for (const piece of write(event)) {
					pieces.push(piece);
					size += piece.byteLength;
				}
				if (size < limits.chunk) continue;
				if (!(await flush(response, pieces))) return;
				pieces = [];
				size = 0;
			}
			if (!(await flush(response, pieces))) return;
		}
	} catch (cause) {
		const error =
			cause instanceof ApiError
				? cause
				: new ApiError(500, 'InternalError', 'Internal error occurred: the watch broke');
		if (!(cause instanceof ApiError)) stream.log.error({ err: cause }, 'a watch broke');
		if (!response.destroyed) response.write(`${JSON.stringify({ type: 'ERROR', object: error.status })}\n`);
	} finally {
		if (!response.destroyed) response.end();
	}
}

async function flush(response: Answer, pieces: readonly Uint8Array[]): Promise<boolean> {
	if (response.destroyed) return false;
	if (pieces.length === 0) return true;
	return response.write(Buffer.concat(pieces)) || drained(response);
}

/** The bytes of an event in the form that the client asked for. */
function writerOf({
	kind,
	apiVersion,
	form,
	includeObject,
	now,
}: Stream): (event: WatchEvent) => readonly Uint8Array[] {
	let columns = true;
	const table = (object: unknown) => Buffer.from(JSON.stringify(object));
	return (event) => {
		if (event.type === 'BOOKMARK') return [bookmark(kind, apiVersion, form, event)];
		const head = heads[event.type];
		const { stored } = event;
		if (form.as === 'Table') {
			const { resourceVersion } = stored.object.metadata;
			const one = toTable(kind, [stored.object], { now: now(), columns, includeObject, resourceVersion });
			columns = false;
			return [head, table(one), newline];
		}
		if (form.as) return [head, table(toPartial(stored.object)), newline];
		return [head, stored.bytes, newline];
	};
}

function bookmark(
	kind: Kind,
	apiVersion: string,
	form: Form,
	{ resourceVersion, initialEventsEnd }: Extract<WatchEvent, { type: 'BOOKMARK' }>,
): Buffer {
	const metadata = {
		resourceVersion,
		creationTimestamp: null,
		annotations: initialEventsEnd ? { 'k8s.io/initial-events-end': 'true' } : undefined,
	};
	const object =
		form.as === 'Table'
			? {
					kind: 'Table',
					apiVersion: 'meta.k8s.io/v1',
					metadata: { resourceVersion },
					columnDefinitions: null,
					rows: [],
				}
			: form.as
				? { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata }
				: { kind: kind.kind, apiVersion, metadata };
	return Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
}
