/** Objects as text: YAML and JSON with sorted keys as kubectl prints them, and their names. */
import { stringify } from 'yaml';
import type { Kind, KubeObject } from '../../kinds/index.ts';
import { kindName } from './resource-types.ts';

export type ObjectFormat = 'yaml' | 'json' | 'name';

/** `deployment.apps/web`. */
export const nameOf = (kind: Pick<Kind, 'group' | 'singular'>, name: string): string => `${kindName(kind)}/${name}`;

/** One object as it is, several as a List. Without a newline at the end. */
export function formatObjects(
	objects: readonly KubeObject[],
	format: 'yaml' | 'json',
	{ list = objects.length !== 1, showManagedFields = false } = {},
): string {
	const shown = showManagedFields ? objects : objects.map(withoutManagedFields);
	const value = sortKeys(list ? { apiVersion: 'v1', items: shown, kind: 'List', metadata: {} } : shown[0]);
	if (format === 'json') return JSON.stringify(value, null, 4);
	// The rules of YAML 1.1 put in quotes what any reader might take for something else than text.
	return stringify(value, { version: '1.1', lineWidth: 0, indentSeq: false, aliasDuplicateObjects: false }).trimEnd();
}

function withoutManagedFields<T extends KubeObject>(object: T): T {
	if (!object.metadata.managedFields) return object;
	const { managedFields: _, ...metadata } = object.metadata;
	return { ...object, metadata };
}

function sortKeys(value: unknown): unknown {
	if (Array.isArray(value)) return value.map(sortKeys);
	if (typeof value !== 'object' || value === null) return value;
	const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
	return Object.fromEntries(entries.map(([key, field]) => [key, sortKeys(field)]));
}
