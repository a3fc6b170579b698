/** A ring of changes and who waits for the next one: of a whole kind, or of those of its objects that have one thing in common. */
import { limits } from '../limits.ts';
import type { StoredObject } from '../storage.ts';
import { type Change, Ring, type RingBounds } from './ring.ts';

export class Feed {
	readonly ring: Ring;
	#waiting = new Set<() => void>();
	#told = true;

	constructor(ring: Ring) {
		this.ring = ring;
	}

	/** Calls back once at the next wake-up, unless disposed before. */
	wait(callback: () => void): Disposable {
		this.#waiting.add(callback);
		return { [Symbol.dispose]: () => void this.#waiting.delete(callback) };
	}

	/** How many wait for the next change, with all before it read. */
	get upToDate(): number {
		return this.#told ? this.#waiting.size : 0;
	}

	push(change: Change): void {
		this.#told = false;
		this.ring.push(change);
	}

	wake(): void {
		this.#told = true;
		if (this.#waiting.size === 0) return;
		const waiting = this.#waiting;
		this.#waiting = new Set();
		for (const callback of waiting) callback();
	}
}

/**
 * What all objects that a watcher selects have in common, so that it need not look at the changes of others: a field, and
 * the value that it asks for. (Kubernetes' cacher calls it a trigger.)
 */
export interface Trigger {
	readonly field: string;
	readonly value: string;
	/** The value of the field of an object; `key` is the object's key in its kind. */
	readonly read: (stored: StoredObject, key: string) => string;
}

/**
 * The changes of some objects of a kind. It keeps what one of its readers has yet to read, and of that only a little: there may
 * be as many of these as there are watches, and each change may be of a large object.
 */
export interface Part {
	readonly feed: Feed;
	/** All its readers have what comes before this place in the ring of the kind. */
	readonly settled: number;
}

/** Who falls further behind goes on in the ring of the kind. */
const little: RingBounds = {
	changes: limits.feedChanges,
	changeBytes: limits.feedBytes,
	changeAge: limits.changeAge,
	changesLeast: 0,
};

/** The feeds of one field, by value. */
interface Indexed {
	readonly read: Trigger['read'];
	readonly feeds: Map<string, { readonly feed: Feed; settled: number; readers: number }>;
}

/** The feeds of a kind by what their readers have in common. Each exists while somebody reads it. */
export class Feeds {
	readonly #fields = new Map<string, Indexed>();

	/** The feed of a trigger, which has the changes from now on. It ends with its last reader. */
	read({ field, value, read }: Trigger): Part & Disposable {
		const indexed = this.#fields.get(field) ?? { read, feeds: new Map() };
		this.#fields.set(field, indexed);
		const entry = indexed.feeds.get(value) ?? { feed: new Feed(new Ring(0, little)), settled: 0, readers: 0 };
		indexed.feeds.set(value, entry);
		entry.readers++;
		return {
			feed: entry.feed,
			get settled() {
				return entry.settled;
			},
			[Symbol.dispose]: () => {
				if (--entry.readers > 0) return;
				indexed.feeds.delete(value);
				if (indexed.feeds.size === 0) this.#fields.delete(field);
			},
		};
	}

	/** Hands a change to the feeds that it concerns: those of what the object was, and of what it is. Returns them. */
	*push(change: Change): Generator<Feed> {
		const { old, stored, key } = change;
		for (const { read, feeds } of this.#fields.values()) {
			const was = old && read(old, key);
			const is = stored && read(stored, key);
			for (const value of was === is ? [is] : [was, is]) {
				const found = value === undefined ? undefined : feeds.get(value);
				if (!found) continue;
				if (found.feed.upToDate === found.readers) {
					found.feed.ring.clear();
					found.settled = change.sequence;
				}
				found.feed.push(change);
				yield found.feed;
			}
		}
	}

	*all(): Generator<Feed> {
		for (const { feeds } of this.#fields.values()) for (const { feed } of feeds.values()) yield feed;
	}
}
