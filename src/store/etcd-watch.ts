import type { IEvent, IWatchResponse } from 'etcd3';
import type { Members } from './etcd-members.ts';
import { Compacted, type Event, type Revision } from './store.ts';

/** A new watch must be confirmed within this time, in ms, or another member is asked. */
const CREATE_TIMEOUT_MS = 3000;

/** Pauses between attempts, in ms: the first, doubled up to the last. */
const FIRST_BACKOFF_MS = 50;
const LAST_BACKOFF_MS = 1000;

/** What to watch: etcd's keys, and how to read its events. */
export interface WatchRange {
	readonly key: Buffer;
	readonly range_end: Buffer;
	readonly toEvent: (event: IEvent) => Event;
}

/**
 * The events of a range after a revision, gapless over failures of members: each new stream starts at the last revision seen.
 *
 * It uses the watch RPC itself: etcd3's watcher resumes after the revision of the last response's header, which while it
 * catches up lies beyond the events received so far, and so loses events when the stream breaks then.
 *
 * @throws Compacted.
 */
export async function* watchEtcd(
	members: Members,
	range: WatchRange,
	after: Revision,
	abort: AbortSignal,
): AsyncGenerator<readonly Event[], void> {
	const signal = AbortSignal.any([abort, members.closing]);
	let position = after;
	let backoff = FIRST_BACKOFF_MS;
	while (!signal.aborted) {
		try {
			for await (const { events, upTo } of follow(members, range, position, signal)) {
				position = upTo;
				backoff = FIRST_BACKOFF_MS;
				if (events.length > 0) yield events;
			}
		} catch (error) {
			if (error instanceof Compacted) throw error;
			if (!(error instanceof Broken)) throw error;
			await members.pause(backoff, signal);
			backoff = Math.min(backoff * 2, LAST_BACKOFF_MS);
		}
	}
	if (!abort.aborted) throw members.closedError();
}

/** A stream of a watch that ended before its time, for whatever cause; already logged. */
class Broken extends Error {}

/** One stream, until it breaks. */
async function* follow(members: Members, range: WatchRange, after: Revision, signal: AbortSignal) {
	const { stream, failed, recovered } = await members.watch().catch((error: unknown) => {
		throw new Broken('no stream', { cause: error });
	});
	const cancel = () => stream.cancel();
	// A stream that is cancelled reports so as an error, also when nobody reads it any more.
	stream.on('error', () => undefined);
	signal.addEventListener('abort', cancel);
	const confirmation = setTimeout(cancel, CREATE_TIMEOUT_MS);
	try {
		if (signal.aborted) return;
		// From `after` itself, not from the next revision: etcd then refuses exactly what lies before its compaction, and what
		// it sends of `after` again is dropped. 0 would mean "from now".
		const start_revision = Math.max(after, 1);
		const { key, range_end } = range;
		stream.write({ create_request: { key, range_end, start_revision, progress_notify: true, fragment: true } });
		const assembly = assemble(range.toEvent, after);
		for await (const response of stream as AsyncIterable<IWatchResponse>) {
			clearTimeout(confirmation);
			const oldest = Number(response.compact_revision);
			if (oldest > 0) throw new Compacted(oldest);
			if (response.canceled) throw new Error(`etcd ended the watch: ${response.cancel_reason}`);
			recovered();
			if (signal.aborted) return;
			yield assembly(response);
		}
		throw new Error('etcd ended the stream');
	} catch (error) {
		if (signal.aborted) return;
		if (error instanceof Compacted) throw error;
		failed(error);
		throw new Broken('stream broken', { cause: error });
	} finally {
		clearTimeout(confirmation);
		signal.removeEventListener('abort', cancel);
		stream.cancel();
	}
}

/**
 * Puts the responses of one watch together to whole commits. etcd splits large responses (`fragment`) anywhere, also within
 * a revision: the events of the newest revision wait for the response that is not marked as a fragment.
 */
export function assemble(toEvent: (event: IEvent) => Event, after: Revision) {
	let position = after;
	let held: Event[] = [];
	return (response: Pick<IWatchResponse, 'created' | 'fragment' | 'events' | 'header'>) => {
		const events = held;
		for (const raw of response.events) {
			const event = toEvent(raw);
			if (event.revision > position) events.push(event);
		}
		const newest = events.at(-1)?.revision;
		if (newest === undefined) {
			// Nothing but a sign of progress: all events up to this revision have been sent.
			if (!response.created && !response.fragment && response.events.length === 0) {
				position = Math.max(position, Number(response.header.revision));
			}
			return { events, upTo: position };
		}
		const whole = response.fragment ? events.findIndex(({ revision }) => revision === newest) : events.length;
		held = events.splice(whole);
		position = events.at(-1)?.revision ?? position;
		return { events, upTo: position };
	};
}
