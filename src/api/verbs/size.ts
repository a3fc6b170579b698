/**
 * How large an object is, before anything is computed of it: who owns each of its fields, its differences, its rules and its
 * stored form cost more than the rest of a write, and would be for nothing where the store cannot take it.
 */
import type { Kind } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import { ApiError } from '../../kinds/status.ts';
import { limits } from '../limits.ts';

/** Throws 413 for an object that has more bytes than an object may have, whoever owns its fields. */
export function checkSize(kind: Kind, object: Dynamic): void {
	refuse(kind, object, leastOfMembers(object, 'metadata') + leastOfMembers(object.metadata, 'managedFields'));
}

/** As `checkSize`, with the owners that a client has written into it. */
export function checkSizeOwned(kind: Kind, object: Dynamic): void {
	refuse(kind, object, leastOfMembers(object));
}

function refuse(kind: Kind, object: Dynamic, length: number): void {
	if (length > limits.object) throw tooLarge(kind, object, `: at least ${length} bytes, the limit is ${limits.object}`);
}

export const tooLarge = (kind: Kind, { metadata: { name, generateName } }: KubeObject, why: string) =>
	new ApiError(413, 'RequestEntityTooLarge', `${kind.kind} "${name || generateName || ''}" is too large${why}`);

/** The bytes that the JSON of a value has at least: as many as it has where all its text is ASCII, but for some commas and numbers. */
function leastLength(value: unknown): number {
	if (typeof value === 'string') return value.length + 2;
	if (typeof value !== 'object' || value === null) return 1;
	if (!Array.isArray(value)) return leastOfMembers(value);
	let length = 2;
	for (const item of value) length += leastLength(item);
	return length;
}

function leastOfMembers(object: object, but?: string): number {
	const members = object as Readonly<Record<string, unknown>>;
	let length = 2;
	for (const key in members) if (key !== but) length += key.length + 3 + leastLength(members[key]);
	return length;
}
