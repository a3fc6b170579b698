/**
 * How objects lie in the store. The key is `/registry/GROUP/PLURAL/[NAMESPACE/]NAME` (`core` for the core group). The value
 * is the JSON of the object with `apiVersion`, `kind` and `metadata.resourceVersion` first, the latter empty: the store
 * alone knows the revision, and it is spliced into the bytes when they come back. So an object is serialized once, and
 * what a client gets are those bytes. See docs/decisions/0004-api.md.
 */
import type { Kind } from '../kinds/kind.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { Stored } from './api.ts';
import { freeze } from './json.ts';

export const registryPrefix = '/registry/';
const marker = Buffer.from('"metadata":{"resourceVersion":"');

type Resource = Pick<Kind, 'group' | 'plural'>;

/** `apps/deployments`, `core/pods`: the part of the key that names the kind. */
export const resourceOf = (kind: Resource) => `${kind.group || 'core'}/${kind.plural}`;

/** The store's key of an object; `key` is `namespace/name`, or `name`. */
export const storageKey = (kind: Resource, key: string) => `${registryPrefix}${resourceOf(kind)}/${key}`;

/** Splits a key of the store into resource and object key; undefined for keys that are not of that form. */
export function parseStorageKey(storeKey: string): { resource: string; key: string } | undefined {
	const group = storeKey.indexOf('/', registryPrefix.length);
	const plural = group < 0 ? -1 : storeKey.indexOf('/', group + 1);
	if (plural < 0) return undefined;
	return { resource: storeKey.slice(registryPrefix.length, plural), key: storeKey.slice(plural + 1) };
}

/** An object as the store has it. Its `object` is parsed when first asked for. */
export class StoredObject<T extends KubeObject = KubeObject> implements Stored<T> {
	readonly bytes: Uint8Array;
	readonly revision: number;
	#object: T | undefined;

	constructor(bytes: Uint8Array, revision: number, object?: T) {
		this.bytes = bytes;
		this.revision = revision;
		this.#object = object;
	}

	get object(): T {
		this.#object ??= freeze(
			JSON.parse(Buffer.from(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength).toString()) as T,
		);
		return this.#object;
	}
}

/** The stored form of an object before its revision is known. */
export interface Draft {
	readonly value: Uint8Array;
	/** The object as stored at `revision`; the same one however often it is asked for. Freezes the object. */
	finish(revision: number): StoredObject;
}

/** Serializes an object for the store. The object must be the caller's own: it is frozen when the draft is finished. */
export function draft(object: KubeObject): Draft {
	const { apiVersion, kind, metadata, ...rest } = object;
	const head = { resourceVersion: '', ...metadata };
	head.resourceVersion = '';
	const own: KubeObject = { apiVersion, kind, metadata: head, ...rest };
	const value = Buffer.from(JSON.stringify(own));
	let stored: StoredObject | undefined;
	return {
		value,
		finish(revision) {
			if (stored) return stored.revision === revision ? stored : decode(value, revision);
			head.resourceVersion = String(revision);
			stored = new StoredObject(splice(value, revision), revision, freeze(own));
			return stored;
		},
	};
}

/** The object of a value of the store. */
export const decode = (value: Uint8Array, revision: number) => new StoredObject(splice(value, revision), revision);

/** The last state of an object at the revision of its removal, as a DELETED event carries it. */
export function removedAt(stored: StoredObject, revision: number): StoredObject {
	return new StoredObject(splice(stored.bytes, revision), revision);
}

/** The bytes with `revision` as metadata.resourceVersion, whatever stands there. Throws when they are not of the stored form. */
function splice(value: Uint8Array, revision: number): Uint8Array {
	const source = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
	const found = source.indexOf(marker);
	if (found < 0)
		throw new Error(
			'a stored value has no resourceVersion at the head of its metadata: it was not written by this program',
		);
	const start = found + marker.length;
	const end = source.indexOf('"', start);
	const digits = String(revision);
	// Not from the pool: the bytes live as long as the object, and would keep a whole slab with them.
	const bytes = Buffer.allocUnsafeSlow(start + digits.length + (source.length - end));
	source.copy(bytes, 0, 0, start);
	bytes.write(digits, start, 'latin1');
	source.copy(bytes, start + digits.length, end);
	return bytes;
}
