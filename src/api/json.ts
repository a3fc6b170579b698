/** Plain JSON data: copies and freezing. Faster than structuredClone, and safe against hostile depth by the body limit. */
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

/** Freezes JSON data to its leaves. A part that is frozen already is taken to be frozen wholly. */
export function freeze<T>(value: T): T {
	if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
	if (Array.isArray(value)) for (const member of value) freeze(member);
	else for (const key in value) freeze((value as Record<string, unknown>)[key]);
	return Object.freeze(value);
}
