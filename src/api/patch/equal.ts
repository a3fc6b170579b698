/**
 * Equality of JSON values. A null member and a missing one are the same: the API does not store nulls.
 */
import { type Fields, isFields, memberOf } from '../../kinds/mergetype.ts';

export function equalJson(a: unknown, b: unknown): boolean {
	if (a === b) return true;
	if (Array.isArray(a)) {
		if (!Array.isArray(b) || a.length !== b.length) return false;
		for (let i = 0; i < a.length; i++) if (!equalJson(a[i], b[i])) return false;
		return true;
	}
	return isFields(a) && isFields(b) && equalFields(a, b);
}

function equalFields(a: Fields, b: Fields): boolean {
	let members = 0;
	for (const key in a) {
		const value = a[key];
		if (value === null || value === undefined) continue;
		if (!equalJson(value, memberOf(b, key))) return false;
		members++;
	}
	for (const key in b) {
		const value = b[key];
		if (value !== null && value !== undefined) members--;
	}
	return members === 0;
}
