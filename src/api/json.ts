/** Plain JSON data: copies, freezing, equality. Faster than structuredClone, and safe against hostile depth by the body limit. */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Whether a value is a JSON object (neither null nor an array). */
export function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

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
		if (key === '__proto__') Object.defineProperty(result, key, { value: copyAny(member), enumerable: true });
		else result[key] = copyAny(member);
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

/** Deep equality of JSON data; the order of members does not count, a member that is undefined is absent. */
export function equal(left: unknown, right: unknown): boolean {
	if (left === right) return true;
	if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
	if (Array.isArray(left)) {
		if (!Array.isArray(right) || left.length !== right.length) return false;
		for (let index = 0; index < left.length; index++) if (!equal(left[index], right[index])) return false;
		return true;
	}
	if (Array.isArray(right)) return false;
	const a = left as Record<string, unknown>;
	const b = right as Record<string, unknown>;
	let members = 0;
	for (const key in a) {
		if (a[key] === undefined) continue;
		members++;
		if (!equal(a[key], b[key])) return false;
	}
	for (const key in b) if (b[key] !== undefined) members--;
	return members === 0;
}
