/**
 * The objects of one kind, sorted by key, and the ring of their changes. A namespace is a range of the sorted keys, so that a
 * namespaced list costs what it returns; a past state is the present one with the changes since undone. Synchronous and
 * without I/O: cache.ts feeds it.
 */
import type { Revision } from '../../store/store.ts';
import type { StoredObject } from '../storage.ts';
import { Feed, Feeds, type Part, type Trigger } from './feed.ts';
import { Change, Ring } from './ring.ts';
import { type Item, Sorted } from './sorted.ts';

/** An object with its key. */
export type Keyed = readonly [key: string, stored: StoredObject];

/** What was there at a revision, of the keys that have changed since: undefined where nothing was. */
export type Undone = ReadonlyMap<string, StoredObject | undefined>;

const nothing: Undone = new Map();

/** The keys of the objects by the value of a field. */
interface Index {
	readonly read: Trigger['read'];
	readonly keys: Map<string, Set<string>>;
}

export class ResourceCache {
	#byKey = new Map<string, Item<StoredObject>>();
	#sorted = new Sorted<StoredObject>();
	/** Every change of the kind. */
	readonly feed: Feed;
	readonly #feeds = new Feeds();
	readonly #touched = new Set<Feed>();
	/** By field; each is made when it is first asked for. */
	readonly #indexes = new Map<string, Index>();

	constructor(floor: Revision) {
		this.feed = new Feed(new Ring(floor));
	}

	get ring(): Ring {
		return this.feed.ring;
	}

	get size(): number {
		return this.#sorted.size;
	}

	get(key: string): StoredObject | undefined {
		return this.#byKey.get(key)?.value;
	}

	/** Adds an object without a change: the first list. */
	load(key: string, stored: StoredObject): void {
		const item = { key, value: stored };
		this.#byKey.set(key, item);
		this.#sorted.add(item);
	}

	put(key: string, stored: StoredObject): void {
		const item = this.#byKey.get(key);
		this.#push(new Change(key, stored.revision, item?.value, stored));
		// What it was is read by few, and soon.
		item?.value.release();
		if (item) item.value = stored;
		else this.load(key, stored);
	}

	remove(key: string, revision: Revision): void {
		const item = this.#byKey.get(key);
		if (!item) return;
		this.#push(new Change(key, revision, item.value, undefined));
		item.value.release();
		this.#byKey.delete(key);
		this.#sorted.remove(key);
	}

	/**
	 * Becomes the state of `revision`, in ascending order of keys, in one step, with a change for each object that differs: of
	 * what happened to it after `known`, the state until now, only that is told. An object made anew is one removed and one
	 * created.
	 */
	replace(state: readonly Keyed[], known: Revision, revision: Revision): void {
		const changes: Change[] = [];
		const items = state.map(([key, value]) => ({ key, value }));
		const byKey = new Map(items.map((item) => [item.key, item]));
		for (const { key, value: stored } of items) {
			const old = this.get(key);
			if (old?.revision === stored.revision) continue;
			const same = old && old.object.metadata.uid === stored.object.metadata.uid;
			if (old && !same) changes.push(new Change(key, stored.revision, old, undefined));
			changes.push(new Change(key, stored.revision, same ? old : undefined, stored));
		}
		for (const { key, value: stored } of this.#sorted.range(''))
			if (!byKey.has(key)) changes.push(new Change(key, revision, stored, undefined));
		changes.sort((one, other) => one.revision - other.revision);
		this.ring.skip(known, revision);
		for (const change of changes) this.#push(change);
		this.#sorted = new Sorted(items);
		this.#byKey = byKey;
	}

	/** The objects of a namespace (of all when absent), in order. */
	list(namespace: string | undefined): StoredObject[] {
		return this.#sorted.values(...range(namespace));
	}

	/** The objects of a namespace (of all when absent) that have something in common, in order. */
	find({ field, value, read }: Trigger, namespace: string | undefined): StoredObject[] {
		let index = this.#indexes.get(field);
		if (!index) {
			index = { read, keys: new Map() };
			this.#indexes.set(field, index);
			for (const { key, value } of this.#sorted.range('')) enter(index, read(value, key), key);
		}
		const keys = [...(index.keys.get(value) ?? [])].filter((key) => within(key, namespace, undefined));
		return keys.toSorted((one, other) => (one < other ? -1 : 1)).flatMap((key) => this.get(key) ?? []);
	}

	/** What to undo for the state of a past revision; undefined when the ring does not reach back so far. */
	since(revision: Revision): Undone | undefined {
		const start = this.ring.after(revision);
		if (start === undefined) return undefined;
		if (start === this.ring.end) return nothing;
		const undone = new Map<string, StoredObject | undefined>();
		for (let at = start; at < this.ring.end; at++) {
			const change = this.ring.at(at);
			if (change && !undone.has(change.key)) undone.set(change.key, change.old);
		}
		return undone;
	}

	/** The objects of a namespace after a key, in order: as they are now, or as they were with what `undone` says. */
	*walk(namespace: string | undefined, after?: string, undone: Undone = nothing): Generator<Keyed> {
		const gone = this.#gone(namespace, after, undone);
		let next = 0;
		for (const { key, value: stored } of this.#sorted.range(...range(namespace, after))) {
			for (let lost = gone[next]; lost && lost[0] < key; lost = gone[++next]) yield lost;
			const before = undone.has(key) ? undone.get(key) : stored;
			if (before) yield [key, before];
		}
		yield* gone.slice(next);
	}

	/** How many objects `walk` would give. */
	count(namespace: string | undefined, after?: string, undone: Undone = nothing): number {
		let made = 0;
		for (const [key, old] of undone) if (!old && this.#byKey.has(key) && within(key, namespace, after)) made++;
		return this.#sorted.count(...range(namespace, after)) - made + this.#gone(namespace, after, undone).length;
	}

	/** The changes of the objects that have something in common, from now on. */
	read(trigger: Trigger): Part & Disposable {
		return this.#feeds.read(trigger);
	}

	/** Wakes those whom the changes since the last call may concern. */
	wake(): void {
		this.feed.wake();
		for (const feed of this.#touched) feed.wake();
		this.#touched.clear();
	}

	/** Wakes everybody, whatever has changed. */
	wakeAll(): void {
		this.feed.wake();
		for (const feed of this.#feeds.all()) feed.wake();
	}

	#push(change: Change): void {
		change.sequence = this.ring.end;
		this.feed.push(change);
		for (const feed of this.#feeds.push(change)) this.#touched.add(feed);
		const { key, old, stored } = change;
		for (const index of this.#indexes.values()) {
			if (old) leave(index, index.read(old, key), key);
			if (stored) enter(index, index.read(stored, key), key);
		}
	}

	/** The objects that were there and are no more, in order. */
	#gone(namespace: string | undefined, after: string | undefined, undone: Undone): Keyed[] {
		const gone: Keyed[] = [];
		for (const [key, old] of undone)
			if (old && !this.#byKey.has(key) && within(key, namespace, after)) gone.push([key, old]);
		return gone.sort(([one], [other]) => (one < other ? -1 : 1));
	}
}

/** The first key that can no longer lie in the namespace: `0` is the character after `/`. */
const afterNamespace = (namespace: string) => `${namespace}0`;

/** The keys of a namespace (of all when absent) that lie after a key: the first one, and that behind the last. */
function range(namespace: string | undefined, after?: string): [from: string, to: string | undefined] {
	const first = namespace === undefined ? '' : `${namespace}/`;
	// A key and a zero are the successor of the key in the order of strings.
	const from = after !== undefined && after >= first ? `${after}\u0000` : first;
	return [from, namespace === undefined ? undefined : afterNamespace(namespace)];
}

const within = (key: string, namespace: string | undefined, after: string | undefined) =>
	(namespace === undefined || key.startsWith(`${namespace}/`)) && (after === undefined || key > after);

function enter({ keys }: Index, value: string, key: string): void {
	const known = keys.get(value);
	if (known) known.add(key);
	else keys.set(value, new Set([key]));
}

function leave({ keys }: Index, value: string, key: string): void {
	const known = keys.get(value);
	known?.delete(key);
	if (known?.size === 0) keys.delete(value);
}
