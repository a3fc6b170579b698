import { isDeepStrictEqual } from 'node:util';

/** Whether two values say the same as JSON: the order of fields does not matter, and a field that is undefined is none. */
export function sameJson(a: unknown, b: unknown): boolean {
	return a === b || isDeepStrictEqual(plain(a), plain(b));
}

function plain(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(plain);
	if (typeof value !== 'object' || value === null) return value;
	return Object.fromEntries(
		Object.entries(value).flatMap(([key, inner]) => (inner === undefined ? [] : [[key, plain(inner)]])),
	);
}
