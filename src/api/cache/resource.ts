/**
 * The present objects of one kind, sorted by key, and the ring of their changes. A namespace is a range of the sorted
 * keys, so that a namespaced list costs what it returns. Synchronous and without I/O: cache.ts feeds it.
 */
import type { Revision } from '../../store/store.ts';
import { limits } from '../limits.ts';
import type { StoredObject } from '../storage.ts';
import { Change, Ring } from './ring.ts';

interface Item {
	readonly key: string;
	stored: StoredObject;
}

/** The objects of a kind as of one revision, for lists that are read in pages. */
export interface Snapshot {
	readonly revision: Revision;
	readonly keys: readonly string[];
	readonly objects: readonly StoredObject[];
	/** Milliseconds since the epoch. */
	readonly taken: number;
}

/** `[from, to)` of a sorted list. */
export interface Range {
	readonly from: number;
	readonly to: number;
}

export class ResourceCache {
	readonly #byKey = new Map<string, Item>();
	#sorted: Item[] = [];
	readonly ring: Ring;
	#snapshots: Snapshot[] = [];
	#waiting: (() => void)[] = [];
	/** Counts the wake-ups that are no change: a reader that sees it grow sends a bookmark. */
	ticks = 0;

	constructor(floor: Revision) {
		this.ring = new Ring(limits.events, floor);
	}

	get size(): number {
		return this.#sorted.length;
	}

	get(key: string): StoredObject | undefined {
		return this.#byKey.get(key)?.stored;
	}

	/** The objects by their keys, in no order. */
	*entries(): Iterable<readonly [key: string, stored: StoredObject]> {
		for (const [key, { stored }] of this.#byKey) yield [key, stored];
	}

	/** Adds objects without events, in ascending order of their keys: the first list. */
	load(key: string, stored: StoredObject): void {
		const item = { key, stored };
		this.#byKey.set(key, item);
		const last = this.#sorted.at(-1);
		if (!last || last.key < key) this.#sorted.push(item);
		else this.#sorted.splice(this.#position(key), 0, item);
	}

	put(key: string, stored: StoredObject): void {
		const item = this.#byKey.get(key);
		this.ring.push(new Change(key, stored.revision, item?.stored, stored));
		if (item) item.stored = stored;
		else this.load(key, stored);
	}

	remove(key: string, revision: Revision): void {
		const item = this.#byKey.get(key);
		if (!item) return;
		this.ring.push(new Change(key, revision, item.stored, undefined));
		this.#byKey.delete(key);
		this.#sorted.splice(this.#position(key), 1);
	}

	/** Starts anew at `revision`: watchers get 410, since what happened in between is not known. */
	reset(revision: Revision): void {
		this.#byKey.clear();
		this.#sorted = [];
		this.#snapshots = [];
		this.ring.reset(revision);
	}

	/** The objects of a namespace (of all when absent), in order. */
	list(namespace: string | undefined): StoredObject[] {
		const { from, to } = this.#range(namespace);
		const objects = new Array<StoredObject>(to - from);
		for (let index = from; index < to; index++) objects[index - from] = (this.#sorted[index] as Item).stored;
		return objects;
	}

	count(namespace: string | undefined): number {
		const { from, to } = this.#range(namespace);
		return to - from;
	}

	/** All objects as of now, which the caller says is `revision`. The same one while nothing has changed. */
	snapshot(revision: Revision, now: number): Snapshot {
		const known = this.snapshotAt(revision, now);
		if (known) return known;
		const keys = new Array<string>(this.#sorted.length);
		const objects = new Array<StoredObject>(this.#sorted.length);
		for (const [index, item] of this.#sorted.entries()) {
			keys[index] = item.key;
			objects[index] = item.stored;
		}
		const snapshot = { revision, keys, objects, taken: now };
		this.#snapshots.push(snapshot);
		if (this.#snapshots.length > limits.snapshots) this.#snapshots.shift();
		return snapshot;
	}

	snapshotAt(revision: Revision, now: number): Snapshot | undefined {
		if (this.#snapshots.length) this.#snapshots = this.#snapshots.filter((it) => now - it.taken < limits.snapshotAge);
		return this.#snapshots.find((snapshot) => snapshot.revision === revision);
	}

	/** Calls back once at the next change or tick. */
	wait(callback: () => void): Disposable {
		this.#waiting.push(callback);
		return {
			[Symbol.dispose]: () => {
				const index = this.#waiting.indexOf(callback);
				if (index >= 0) this.#waiting.splice(index, 1);
			},
		};
	}

	wake(): void {
		if (this.#waiting.length === 0) return;
		const waiting = this.#waiting;
		this.#waiting = [];
		for (const callback of waiting) callback();
	}

	#position(key: string): number {
		let low = 0;
		let high = this.#sorted.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.#sorted[middle] as Item).key < key) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	#range(namespace: string | undefined): Range {
		if (namespace === undefined) return { from: 0, to: this.#sorted.length };
		return { from: this.#position(`${namespace}/`), to: this.#position(afterNamespace(namespace)) };
	}
}

/** The first key that can no longer lie in the namespace: `0` is the character after `/`. */
export const afterNamespace = (namespace: string) => `${namespace}0`;

/** The range of a namespace in sorted keys, beginning after the key `after`. */
export function rangeOf(keys: readonly string[], namespace: string | undefined, after: string | undefined): Range {
	const from = namespace === undefined ? 0 : lowerBound(keys, `${namespace}/`);
	const to = namespace === undefined ? keys.length : lowerBound(keys, afterNamespace(namespace));
	// The successor of a key in the order of strings.
	return { from: after === undefined ? from : Math.max(from, lowerBound(keys, `${after}\u0000`)), to };
}

function lowerBound(keys: readonly string[], key: string): number {
	let low = 0;
	let high = keys.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if ((keys[middle] as string) < key) low = middle + 1;
		else high = middle;
	}
	return low;
}
