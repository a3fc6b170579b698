/** What ConfigMaps and Secrets have in common: keys, a limit of size, and immutability. */
import { deepEqual } from '../equal.ts';
import { configKey } from '../names.ts';
import type { KubeObject } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

/** All values together, in bytes. Source: Kubernetes documentation, "ConfigMaps" and "Secrets". */
export const DATA_MAX = 1024 * 1024;

export function validateKeys(
	map: Readonly<Record<string, unknown>> | undefined,
	path: string,
	errors: FieldError[],
): void {
	for (const key of Object.keys(map ?? {}))
		for (const wrong of configKey(key)) errors.push(fieldError.invalid(`${path}[${key}]`, key, wrong));
}

/** How many bytes base64 text stands for. */
export function decodedLength(base64: string): number {
	return Buffer.byteLength(base64, 'base64');
}

type Immutable = KubeObject & { readonly immutable?: boolean };

/** Refuses changes of the named fields, and of the mark itself, once an object is marked as immutable. */
export function validateImmutable<T extends Immutable>(
	object: T,
	old: T | undefined,
	fields: readonly (keyof T & string)[],
	errors: FieldError[],
): void {
	if (!old?.immutable) return;
	const detail = 'field is immutable when `immutable` is set';
	if (!object.immutable) errors.push(fieldError.forbidden('immutable', detail));
	for (const field of fields)
		if (!deepEqual(object[field] ?? {}, old[field] ?? {})) errors.push(fieldError.forbidden(field, detail));
}
