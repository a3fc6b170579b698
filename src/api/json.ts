/** Plain JSON data: copies and freezing. Faster than structuredClone, and safe against hostile depth by the body limit. */
import { deepEqual } from '../kinds/equal.ts';
import { setMember } from '../kinds/mergetype.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Whether a value is a JSON object (neither null nor an array). */
export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value of a request as text, for messages and comparisons: text as it is, all else as JSON. String() would call what the request calls toString. */
export const asText = (value: unknown): string => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));

/** A deep copy of JSON data. Members that are undefined are left out, as serialization would. */
export function copy<T>(value: T): T {
	// The only cast of this file: the copy has the shape of its original.
	return copyAny(value) as T;
}

function copyAny(value: unknown): unknown {
	if (typeof value !== 'object' || value === null) return value;
	if (Array.isArray(value)) {
		const result = new Array<unknown>(value.length);
		for (let index = 0; index < value.length; index++) result[index] = copyAny(value[index]);
		return result;
	}
	const result: Record<string, unknown> = {};
	for (const key in value) {
		const member = (value as Record<string, unknown>)[key];
		if (member === undefined) continue;
		setMember(result, key, copyAny(member));
	}
	return result;
}

/**
 * Puts parts of `old` into `next` where they are the same: so nothing walks, freezes or keeps them twice. Only members of the
 * two, not what lies deeper; those of `but` stay as they are.
 */
export function share(next: object, old: object, but: ReadonlySet<string>): void {
	const to = next as Record<string, unknown>;
	const from = old as Readonly<Record<string, unknown>>;
	for (const key in to) {
		const member = to[key];
		if (typeof member !== 'object' || member === null || but.has(key) || !Object.hasOwn(from, key)) continue;
		if (member !== from[key] && deepEqual(member, from[key])) to[key] = from[key];
	}
}

/** Copies those members of an object that are frozen. */
export function thaw(object: object): void {
	const members = object as Record<string, unknown>;
	for (const key in members) {
		const member = members[key];
		if (typeof member === 'object' && Object.isFrozen(member)) members[key] = copy(member);
	}
}

/**
 * Freezes JSON data to its leaves. A part that is frozen already is taken to be frozen wholly. The sets of fields of
 * managedFields are left out: they are half of an object, and those who work with them never change one (kinds/fieldset.ts).
 */
export function freeze<T>(value: T): T {
	if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
	if (Array.isArray(value)) for (const member of value) freeze(member);
	else for (const key in value) if (key !== 'fieldsV1') freeze((value as Record<string, unknown>)[key]);
	return Object.freeze(value);
}
