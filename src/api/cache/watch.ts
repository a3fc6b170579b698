/**
 * One watcher: an index into a ring plus a filter. It holds nothing of its own, so a slow one costs nothing; when the ring
 * has overtaken it, it ends with 410 Expired and its client lists anew. Once it is up to date it reads the ring of what it
 * selects, so that it is woken by what may concern it and by nothing else.
 */
import { expired } from '../../kinds/status.ts';
import type { Revision } from '../../store/store.ts';
import type { WatchEvent } from '../api.ts';
import { limits } from '../limits.ts';
import type { StoredObject } from '../storage.ts';
import { bookmarkTimer } from './bookmark.ts';
import type { WatchCache } from './cache.ts';
import type { Feed, Part, Trigger } from './feed.ts';
import type { ResourceCache } from './resource.ts';
import type { Change } from './ring.ts';

export interface Watching {
	readonly namespace?: string;
	/** Whether an object is selected; absent when all are. */
	readonly matches?: (stored: StoredObject) => boolean;
	/** What all selected objects have in common, where that is known. */
	readonly trigger?: Trigger;
	/** Where to begin: after a revision, or with the present state as ADDED events. */
	readonly from: { readonly revision: Revision } | 'state';
	readonly bookmarks: boolean;
	/** A bookmark marked as the end of the initial events follows the present state. */
	readonly markInitialEnd: boolean;
	readonly signal: AbortSignal;
	/** Called when the reader has taken what there was at the beginning. */
	readonly begun?: () => void;
}

const tooOld = (wanted: Revision, oldest: Revision) => expired(`too old resource version: ${wanted} (${oldest})`);

/** Batches of events until the signal aborts. Throws 410 Expired when the beginning is too old or the reader too slow. */
export async function* watch(
	cache: WatchCache,
	resource: ResourceCache,
	watching: Watching,
): AsyncGenerator<readonly WatchEvent[]> {
	const { ring } = resource;
	const { signal, trigger } = watching;
	/** Not yet called. */
	let begun = watching.begun;
	using stack = new DisposableStack();
	let feed = resource.feed;
	let next: number;
	/** The feed of what it selects, once it was up to date, and where to go on in the ring of the kind when that has overtaken it. */
	let part: Part | undefined;
	let place = 0;
	/** What the reader knows already. The cache of a shared store may not have come there yet. */
	const known = watching.from === 'state' ? 0 : watching.from.revision;
	if (watching.from === 'state') {
		// No await between reading the state and taking the position: both are of one moment.
		next = ring.end;
		const revision = cache.position;
		const state = resource.list(watching.namespace);
		const { matches } = watching;
		const selected = matches ? state.filter((stored) => matches(stored)) : state;
		yield* added(selected, signal);
		if (watching.markInitialEnd) yield [bookmark(revision, true)];
		begun?.();
		begun = undefined;
	} else {
		const found = ring.after(known);
		if (found === undefined) throw tooOld(known, ring.floor);
		next = found;
	}
	const timer = watching.bookmarks ? stack.use(bookmarkTimer()) : undefined;
	while (!signal.aborted && !cache.closed) {
		if (part && feed === part.feed && next < feed.ring.start) {
			({ feed } = resource);
			next = Math.max(place, part.settled);
		}
		if (next < feed.ring.start)
			throw expired('the watcher was too slow: the changes it has not read yet are no longer kept');
		// The cache was loaded anew, and jumped over the state that the reader had from another server.
		if (ring.skips(known)) throw tooOld(known, cache.position);
		const batch: WatchEvent[] = [];
		while (next < feed.ring.end && batch.length < limits.batch) {
			const change = feed.ring.at(next);
			if (!change) break;
			next++;
			place = change.sequence + 1;
			const event = change.revision > known ? select(change, watching) : undefined;
			if (event) batch.push(event);
		}
		if (batch.length > 0) {
			yield batch;
		} else if (next >= feed.ring.end) {
			begun?.();
			begun = undefined;
			if (trigger && feed === resource.feed) {
				place = next;
				part ??= stack.use(resource.read(trigger));
				({ feed } = part);
				next = feed.ring.end;
			}
			// Never before what the reader asked for: it would go back.
			if (timer?.take()) yield [bookmark(Math.max(cache.position, known), false)];
			// What came in while the bookmark was read needs no waiting.
			else await changed(feed, signal, timer?.rings);
		}
	}
}

function* added(objects: readonly StoredObject[], signal: AbortSignal): Generator<readonly WatchEvent[]> {
	for (let index = 0; index < objects.length && !signal.aborted; index += limits.batch) {
		yield objects.slice(index, index + limits.batch).map((stored) => ({ type: 'ADDED', stored }) as const);
	}
}

/** What a change means to a watcher: an object that comes to match is ADDED to it, one that ceases to is DELETED. */
function select(change: Change, { namespace, matches }: Watching): WatchEvent | undefined {
	const { old, stored, key } = change;
	if (namespace !== undefined && !(key.startsWith(namespace) && key[namespace.length] === '/')) return undefined;
	const was = old && (!matches || matches(old)) ? old : undefined;
	const is = stored && (!matches || matches(stored)) ? stored : undefined;
	if (is) return { type: was ? 'MODIFIED' : 'ADDED', stored: is };
	return was ? { type: 'DELETED', stored: change.gone(was) } : undefined;
}

const bookmark = (revision: Revision, initialEventsEnd: boolean): WatchEvent => ({
	type: 'BOOKMARK',
	resourceVersion: String(revision),
	initialEventsEnd,
});

/** Settles at the next wake-up of the feed, when a bookmark is due, or when the signal aborts. */
function changed(
	feed: Feed,
	signal: AbortSignal,
	rings: ((ring: () => void) => Disposable) | undefined,
): Promise<void> {
	return new Promise((resolve) => {
		using stack = new DisposableStack();
		const done = () => {
			held.dispose();
			resolve();
		};
		stack.use(feed.wait(done));
		if (rings) stack.use(rings(done));
		signal.addEventListener('abort', done);
		stack.defer(() => signal.removeEventListener('abort', done));
		const held = stack.move();
	});
}
