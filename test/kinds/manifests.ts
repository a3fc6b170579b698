/** Real manifests as the tests use them, and the way of an object through its kind as the API server takes it. */
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import {
	type Dynamic,
	type FieldError,
	type Kind,
	type KubeObject,
	loadRegistry,
	prune,
	validateObject,
	validateSchema,
} from '../../src/kinds/index.ts';

export const registry = loadRegistry();
export const now = Date.parse('2026-01-02T12:00:00Z');

/** Every object of manifests/guestbook.yaml: at least one of each built-in kind. */
export function manifests(): Dynamic[] {
	const text = readFileSync(new URL('./manifests/guestbook.yaml', import.meta.url), 'utf8');
	return parseAllDocuments(text).map((document) => document.toJS() as Dynamic);
}

export function kindOf(object: KubeObject): Kind {
	const kind = registry.of(object.apiVersion, object.kind);
	if (!kind) throw new Error(`${object.apiVersion} ${object.kind} is not registered`);
	return kind;
}

export function schemaOf(object: KubeObject) {
	const schema = registry.schemas[kindOf(object).schema];
	if (!schema) throw new Error(`${object.kind} has no schema`);
	return schema;
}

/** Decodes, defaults and prepares a copy of the object, and says what is wrong with it: `field: detail`. */
export function admit(input: unknown, old?: KubeObject): { object: Dynamic; errors: string[]; causes: FieldError[] } {
	const object = structuredClone(input) as Dynamic;
	const kind = kindOf(object);
	const { mistyped } = validateSchema(object, schemaOf(object), registry.schemas);
	if (mistyped[0]) throw new Error(mistyped[0].message);
	prune(object, schemaOf(object), registry.schemas);
	kind.defaults(object);
	kind.prepare(object, old);
	const causes = validateObject(kind, object, old, registry.schemas);
	return { object, causes, errors: causes.map(({ field, detail }) => `${field}: ${detail}`) };
}

/** The cells of an object's line, by column name, and those of -o wide. */
export function cells(object: KubeObject, at = now): Record<string, unknown> {
	return Object.fromEntries(kindOf(object).columns.map((column) => [column.name, column.cell(object, at)]));
}

/** Merges plain data into a copy: objects by key, everything else replaced; undefined takes away. */
export function changed<T>(object: T, change: unknown): T {
	if (typeof change !== 'object' || change === null || Array.isArray(change)) return structuredClone(change) as T;
	const made = (typeof object === 'object' && object !== null && !Array.isArray(object) ? { ...object } : {}) as Record<
		string,
		unknown
	>;
	for (const [key, value] of Object.entries(change)) {
		if (value === undefined) delete made[key];
		else made[key] = changed(made[key], value);
	}
	return structuredClone(made) as T;
}

/** What lies at a path in plain data: `at(pod, 'spec.containers.0.image')`; undefined where there is nothing. */
export function at(value: unknown, path: string): unknown {
	let current = value;
	for (const part of path.split('.')) current = (current as Record<string, unknown> | undefined)?.[part];
	return current;
}
