/**
 * A local copy of the objects of one kind, or of those that are selected, kept current by one list and one watch, with indexes. It resumes its watch
 * after a break and lists anew after 410 Gone; handlers then see the differences only.
 */
import type { Kind } from '../kinds/kind.ts';
import type { Key, KubeObject } from '../kinds/object.ts';

/** What changed: `old` is absent on an add, `object` is absent on a delete. */
export interface Delta<T extends KubeObject> {
	readonly key: Key;
	readonly object?: T;
	readonly old?: T;
}

/** Which values of an index an object is found under. */
export type IndexFunction<T extends KubeObject> = (object: T) => readonly string[];

/** What of a kind is followed; all of it where nothing is said. */
export interface Selection {
	readonly namespace?: string;
	readonly labelSelector?: string;
	/** `spec.nodeName=n1`. What selects by an equal field costs the API what changes of it, and no more. */
	readonly fieldSelector?: string;
}

export interface Informer<T extends KubeObject = KubeObject> {
	readonly kind: Kind<T>;
	get(key: Key): T | undefined;
	/** All objects, in no order. */
	list(): Iterable<T>;
	readonly size: number;
	/** The objects under a value of a named index. Built in: `namespace`, `owner` (uid of each owner reference). */
	by(index: string, value: string): Iterable<T>;
	/** How many objects `by` would give, without looking at them. */
	count(index: string, value: string): number;
	/** Adds an index; objects already held are indexed at once. The same name twice is the same index. */
	addIndex(name: string, of: IndexFunction<T>): void;
	/** Calls the handler for each change, and for each object already held as an add. Handlers must not throw or block. */
	on(handler: (delta: Delta<T>) => void): Disposable;
	/** Settles when the first list is complete. */
	readonly synced: Promise<void>;
	/**
	 * The newest revision of the store that the copy has seen: every write up to it to what it selects is in the copy. Writes to
	 * what it does not select move it late, by bookmarks. 0 before the first list.
	 */
	readonly revision: number;
	/** Settles when the condition, asked again after each change of the copy or its revision, holds. Rejects with the signal's reason. */
	until(condition: () => boolean, signal: AbortSignal): Promise<void>;
}

/** One informer a kind and selection, shared by all that ask for it; started when first asked for, stopped with the cache. */
export interface Cache extends AsyncDisposable {
	informer<T extends KubeObject>(kind: Kind<T>, selection?: Selection): Informer<T>;
	/** Settles when every informer asked for so far has its first list. */
	synced(): Promise<void>;
}
