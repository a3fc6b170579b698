/**
 * Events tell of the recent past: those that nobody has written for an hour are removed, as the reference API server lets them
 * expire. When an event was written follows from its revision, and so no event is read for it: each sweep notes how far the
 * store had come, and what is no newer than the note of an hour ago is too old. The time of events from before the start is that
 * which a few of them tell. Source: kube-apiserver's --event-ttl.
 */
import type { Event } from '../kinds/core/event.ts';
import type { Log } from '../log.ts';
import { Conflict, type Store } from '../store/store.ts';
import type { WatchCache } from './cache/cache.ts';
import { limits } from './limits.ts';
import { type StoredObject, storageKey } from './storage.ts';

const events = { group: '', plural: 'events' };
/** How often old events are looked for (ms), and how many keys one commit removes. */
const every = 60_000;
const batch = 100;
/** How many of the events from before the start are asked for their time. */
const samples = 60;

export interface Expiry extends AsyncDisposable {
	/** Removes what is too old now. */
	sweep(): Promise<void>;
}

/** What was written by then: everything up to a revision. */
interface Note {
	/** Milliseconds since the epoch. */
	readonly at: number;
	readonly revision: number;
}

/** An event by its key in the store, at its revision. */
interface Old {
	readonly key: string;
	readonly modified: number;
}

/** Sweeps every minute until disposed. What is written meanwhile stays: a removal expects the revision it has seen. */
export function expireEvents(store: Store, cache: WatchCache, log: Log, now: () => number): Expiry {
	const resource = cache.of(events);
	const notes = notesOf(resource.list(undefined));
	/** What is no newer is too old. */
	let oldest = 0;
	let faulty = false;
	let sweeping: Promise<void> | undefined;

	const sweep = async () => {
		notes.push({ at: now(), revision: cache.position });
		while (notes[0] && now() - notes[0].at > limits.eventAge) oldest = notes.shift()?.revision ?? oldest;
		const old: Old[] = [];
		for (const [key, { revision }] of resource.walk(undefined))
			if (revision <= oldest) old.push({ key: storageKey(events, key), modified: revision });
		try {
			for (let at = 0; at < old.length; at += batch) await remove(store, old.slice(at, at + batch));
			faulty = false;
		} catch (cause) {
			// The next sweep tries again; a fault that lasts is told once.
			if (!faulty) log.warn({ err: cause }, 'old events could not be removed; trying again');
			faulty = true;
		}
	};
	const timer = setInterval(() => {
		sweeping ??= sweep().finally(() => {
			sweeping = undefined;
		});
	}, every);
	return {
		sweep,
		async [Symbol.asyncDispose]() {
			clearInterval(timer);
			await sweeping;
		},
	};
}

/** Removes all of them but those that have been written, or removed by another server, meanwhile. */
async function remove(store: Store, old: readonly Old[]): Promise<void> {
	let left = old;
	while (left.length > 0) {
		try {
			await store.commit({ deletes: left.map(({ key }) => key), expect: left });
			return;
		} catch (cause) {
			const others = cause instanceof Conflict ? left.filter(({ key }) => key !== cause.key) : left;
			if (others.length === left.length) throw cause;
			left = others;
		}
	}
}

/** When the events there are were written, by the times that some of them tell. */
function notesOf(stored: readonly StoredObject[]): Note[] {
	const sorted = stored.toSorted((one, other) => one.revision - other.revision);
	const notes: Note[] = [];
	for (let sample = 1; sample <= samples; sample++) {
		const event = sorted[Math.ceil((sorted.length * sample) / samples) - 1];
		if (!event || event.revision === notes.at(-1)?.revision) continue;
		// Not by its `object`, which would be kept.
		const at = eventTime(JSON.parse(Buffer.from(event.bytes).toString()) as Event);
		notes.push({ at: Math.max(at, notes.at(-1)?.at ?? 0), revision: event.revision });
	}
	return notes;
}

/** When an event was last true, in milliseconds since the epoch. */
export function eventTime({ metadata, lastTimestamp, eventTime: time, series }: Event): number {
	const newest = series?.lastObservedTime ?? lastTimestamp ?? time ?? metadata.creationTimestamp;
	const at = Date.parse(String(newest));
	return Number.isNaN(at) ? 0 : at;
}
