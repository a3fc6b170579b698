/**
 * How objects lie in the store. The key is `/registry/GROUP/PLURAL/[NAMESPACE/]NAME` (`core` for the core group). The value
 * is the JSON of the object with `apiVersion`, `kind` and `metadata.resourceVersion` first, the latter empty: the store
 * alone knows the revision, and it is spliced into the bytes when they come back. So an object is serialized once, and
 * what a client gets are those bytes. See docs/decisions/0004-api.md.
 *
 * The first byte of a value says its format: `{` is the first one, this JSON; a later one begins with its number, below 32.
 */
import type { Kind } from '../kinds/kind.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { FieldReaders } from '../kinds/selectors.ts';
import type { Stored } from './api.ts';
import { freeze } from './json.ts';
import { limits } from './limits.ts';

export const registryPrefix = '/registry/';
const marker = Buffer.from('"metadata":{"resourceVersion":"');

/** The newest format that this program reads and writes. */
const FORMAT = 1;

/** A value was written by a newer version of this program: what it says cannot be read here, and must not be passed over. */
export class NewerFormat extends Error {
	override readonly name = 'NewerFormat';
	constructor(storeKey: string, format: number) {
		super(
			`${storeKey} is stored in format ${format}, and this version of driftless reads formats up to ${FORMAT}: ` +
				'a newer version has written it; run that version here as well',
		);
	}
}

/** Throws NewerFormat. */
export function checkFormat(storeKey: string, value: Uint8Array): void {
	const [first = 0] = value;
	const format = first === 0x7b ? 1 : first;
	if (first < 0x20 && format > FORMAT) throw new NewerFormat(storeKey, format);
}

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

/**
 * An object as the store has it. Its `object` is parsed when asked for, and the same one while anybody holds it; by itself it
 * holds it for a while only (see `Parsed`), so that an object at which somebody looked once is not kept in two forms for ever.
 */
export class StoredObject<T extends KubeObject = KubeObject> implements Stored<T> {
	readonly bytes: Uint8Array;
	readonly revision: number;
	#object: T | undefined;
	#held: WeakRef<T> | undefined;
	#attributes: Attributes | undefined;
	/** Where each member of the object that has a value ends in the bytes, in their order; known of what this server has written. */
	readonly #ends: readonly number[] | undefined;

	constructor(bytes: Uint8Array, revision: number, object?: T, ends?: readonly number[]) {
		this.bytes = bytes;
		this.revision = revision;
		this.#object = object;
		this.#ends = ends;
	}

	get object(): T {
		return this.#object ?? this.#revive();
	}

	/** What selectors see of the object. Kept, so that selecting parses each object once. */
	attributes(fields: FieldReaders): Attributes {
		if (this.#attributes?.of !== fields) {
			const { object } = this;
			const read: Record<string, string> = {};
			for (const [path, reader] of Object.entries(fields)) read[path] = reader(object);
			this.#attributes = { of: fields, labels: object.metadata.labels, fields: read };
		}
		return this.#attributes;
	}

	/** The bytes of a member with its key, `"spec":{...}`, where the member is this very value. */
	member(key: string, value: unknown): Uint8Array | undefined {
		const object = this.#ends && (this.#object ?? this.#held?.deref());
		if (!object || object[key as keyof T] !== value) return undefined;
		const index = keysOf(object).indexOf(key);
		const [start, end] = [this.#ends?.[index - 1], this.#ends?.[index]];
		// The first one has no comma before it.
		return start === undefined || end === undefined ? undefined : this.bytes.subarray(start + 1, end);
	}

	/** Whether it holds its object itself. */
	get holds(): boolean {
		return this.#object !== undefined;
	}

	/** From now on the object is held as long as somebody else does. */
	release(): void {
		if (!this.#object) return;
		this.#held = new WeakRef(this.#object);
		this.#object = undefined;
		parsed.left(this);
	}

	#revive(): T {
		const { buffer, byteOffset, byteLength } = this.bytes;
		const object =
			this.#held?.deref() ?? freeze(JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString()) as T);
		this.#object = object;
		parsed.add(this);
		return object;
	}
}

/** The labels and fields of an object. */
export interface Attributes {
	readonly of: FieldReaders;
	readonly labels: KubeObject['metadata']['labels'];
	readonly fields: Readonly<Record<string, string>>;
}

/** The stored objects that hold what was parsed of them: the newest, up to a number of bytes. */
class Parsed {
	readonly #limit: number;
	/** In the order in which they came, those among them that hold nothing any more; those before `#first` are out. */
	#objects: (StoredObject | undefined)[] = [];
	#first = 0;
	#holding = 0;
	#bytes = 0;

	constructor(limit: number) {
		this.#limit = limit;
	}

	/** One that holds its object from now on, and did not before. */
	add(stored: StoredObject): void {
		this.#objects.push(stored);
		this.#holding++;
		this.#bytes += stored.bytes.byteLength;
		while (this.#bytes > this.#limit) {
			this.#objects[this.#first]?.release();
			this.#objects[this.#first++] = undefined;
		}
		if (this.#objects.length <= 2 * this.#holding + SLACK) return;
		this.#objects = this.#objects.filter((each) => each?.holds);
		this.#first = 0;
	}

	/** One does not hold its object any more. */
	left(stored: StoredObject): void {
		this.#holding--;
		this.#bytes -= stored.bytes.byteLength;
	}
}

/** The list of them is cleared of those that are out when it is longer than twice what holds something, and this. */
const SLACK = 1_024;

const parsed = new Parsed(limits.parsed);

/** The stored form of an object before its revision is known. */
export interface Draft {
	readonly value: Uint8Array;
	/** The object as stored at `revision`; the same one however often it is asked for. Freezes the object. */
	finish(revision: number): StoredObject;
}

/**
 * Serializes an object for the store. The object must be the caller's own: it is frozen when the draft is finished. `before` is
 * what it replaces: members that they share, as most patches leave them, are not serialized again.
 */
export function draft(object: KubeObject, before?: StoredObject): Draft {
	const { apiVersion, kind, metadata, ...rest } = object;
	const head = { resourceVersion: '', ...metadata };
	head.resourceVersion = '';
	const own: KubeObject = { apiVersion, kind, metadata: head, ...rest };
	const { value, ends } = serialize(own, before);
	let stored: StoredObject | undefined;
	return {
		value,
		finish(revision) {
			if (stored) return stored.revision === revision ? stored : decode(value, revision);
			head.resourceVersion = String(revision);
			const bytes = splice(value, revision);
			const later = keysOf(own).indexOf('metadata');
			const moved = ends.map((end, index) => (index < later ? end : end + bytes.length - value.length));
			stored = new StoredObject(bytes, revision, freeze(own), moved);
			parsed.add(stored);
			return stored;
		},
	};
}

/** The members that the JSON of an object has. What was parsed of that has no others, and what was written may. */
const keysOf = (object: KubeObject): string[] =>
	Object.keys(object).filter((key) => object[key as keyof KubeObject] !== undefined);

/** The JSON of an object, and where each of its members ends in it. */
function serialize(object: KubeObject, before: StoredObject | undefined): { value: Buffer; ends: readonly number[] } {
	const parts: (string | Uint8Array)[] = [];
	const ends: number[] = [];
	let length = 0;
	for (const [key, member] of Object.entries(object)) {
		if (member === undefined) continue;
		// What is frozen makes V8 serialize all that it is part of in a slower way: the members are serialized each by itself.
		const part = before?.member(key, member) ?? `${JSON.stringify(key)}:${JSON.stringify(member)}`;
		// A comma, or the brace.
		length += 1 + (typeof part === 'string' ? Buffer.byteLength(part) : part.length);
		parts.push(part);
		ends.push(length);
	}
	const value = Buffer.allocUnsafe(length + 1);
	let at = 0;
	for (const part of parts) {
		value[at] = at === 0 ? 0x7b : 0x2c;
		at++;
		if (typeof part === 'string') at += value.write(part, at);
		else {
			value.set(part, at);
			at += part.length;
		}
	}
	value[at] = 0x7d;
	return { value, ends };
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
