/** The objects of an informer with their indexes. Knows nothing of lists and watches. */
import { type Key, type KubeObject, keyOf } from '../kinds/object.ts';
import type { IndexFunction } from './informer.ts';

interface Index<T> {
	readonly of: IndexFunction<T & KubeObject>;
	readonly keys: Map<string, Set<Key>>;
}

export interface Copy<T extends KubeObject> {
	readonly objects: ReadonlyMap<Key, T>;
	/** Puts the object in, or takes the key out when it is undefined. Returns what was there before. */
	set(key: Key, object: T | undefined): T | undefined;
	by(index: string, value: string): Iterable<T>;
	count(index: string, value: string): number;
	addIndex(name: string, of: IndexFunction<T>): void;
}

/** `name` is the kind's, for errors. */
export function createCopy<T extends KubeObject>(name: string): Copy<T> {
	const objects = new Map<Key, T>();
	const indexes = new Map<string, Index<T>>();

	const keysOf = (index: string, value: string) => {
		const found = indexes.get(index);
		if (!found) throw new Error(`informer of ${name} has no index ${index}: add it before reading by it`);
		return found.keys.get(value);
	};
	const enter = (index: Index<T>, key: Key, value: string) => {
		const keys = index.keys.get(value);
		if (keys) keys.add(key);
		else index.keys.set(value, new Set([key]));
	};
	const leave = (index: Index<T>, key: Key, value: string) => {
		const keys = index.keys.get(value);
		keys?.delete(key);
		if (keys?.size === 0) index.keys.delete(value);
	};

	const copy: Copy<T> = {
		objects,
		set(key, object) {
			const old = objects.get(key);
			if (object) objects.set(key, object);
			else objects.delete(key);
			for (const index of indexes.values()) {
				const before = old ? index.of(old) : [];
				const after = object ? index.of(object) : [];
				for (const value of before) if (!after.includes(value)) leave(index, key, value);
				for (const value of after) if (!before.includes(value)) enter(index, key, value);
			}
			return old;
		},
		*by(index, value) {
			for (const key of keysOf(index, value) ?? []) {
				const object = objects.get(key);
				if (object) yield object;
			}
		},
		count: (index, value) => keysOf(index, value)?.size ?? 0,
		addIndex(name, of) {
			if (indexes.has(name)) return;
			const index: Index<T> = { of, keys: new Map() };
			indexes.set(name, index);
			for (const [key, object] of objects) for (const value of of(object)) enter(index, key, value);
		},
	};
	copy.addIndex('namespace', ({ metadata }) => (metadata.namespace ? [metadata.namespace] : []));
	copy.addIndex('owner', ({ metadata }) => (metadata.ownerReferences ?? []).map((owner) => owner.uid));
	return copy;
}

export interface Replaced<T> {
	readonly key: Key;
	readonly object?: T;
}

/** What makes a copy equal to a list: every listed object, and every held key that the list lacks. */
export function* replacing<T extends KubeObject>(copy: Copy<T>, items: readonly T[]): Iterable<Replaced<T>> {
	const listed = new Set<Key>();
	for (const object of items) {
		const key = keyOf(object);
		listed.add(key);
		yield { key, object };
	}
	for (const key of [...copy.objects.keys()]) if (!listed.has(key)) yield { key };
}
