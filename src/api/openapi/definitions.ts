/** The schemas that a set of operations needs: named in them, and all that those refer to. */
import type { Kind } from '../../kinds/kind.ts';
import type { Schema, Schemas } from '../../kinds/schema.ts';
import { listSchema, names, type Path } from './operations.ts';

const prefix = '#/components/schemas/';
const ref = (name: string): Schema => ({ $ref: prefix + name });

/** Schemas by name, in alphabetical order. What no schema is known of is an object of unknown fields. */
export function definitionsOf(
	kinds: readonly Kind[],
	paths: readonly Path[],
	schemas: Schemas,
): Readonly<Record<string, Schema>> {
	const own = new Map(kinds.flatMap((kind) => ownSchemas(kind, schemas)));
	const found = new Map<string, Schema>();
	const add = (name: string) => {
		if (found.has(name)) return;
		const schema = own.get(name) ?? schemas[name] ?? unknown(name);
		found.set(name, schema);
		for (const target of referencesOf(schema)) add(target);
	};
	for (const name of own.keys()) add(name);
	for (const { operations } of paths)
		for (const { body, answer } of operations) for (const name of [body, answer]) if (name) add(name);
	return Object.fromEntries([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const unknown = (name: string): Schema =>
	name === names.patch
		? { type: 'object', description: 'A patch in the format that the media type of the request names.' }
		: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

/** The schema of a kind and of its list, which clients find by group, version and kind. */
function ownSchemas(kind: Kind, schemas: Schemas): [string, Schema][] {
	const about = (name: string) => [{ group: kind.group, version: kind.version, kind: name }];
	const schema = schemas[kind.schema] ?? unknown(kind.schema);
	const list: Schema = schemas[listSchema(kind)] ?? {
		type: 'object',
		description: `${kind.kind}List is a list of ${kind.kind}.`,
		required: ['items'],
		properties: {
			apiVersion: { type: 'string' },
			kind: { type: 'string' },
			metadata: ref(names.listMeta),
			items: { type: 'array', items: ref(kind.schema) },
		},
	};
	return [
		[kind.schema, identified(schema, about(kind.kind))],
		[listSchema(kind), identified(list, about(`${kind.kind}List`))],
	];
}

const identified = (schema: Schema, about: NonNullable<Schema['x-kubernetes-group-version-kind']>): Schema =>
	schema['x-kubernetes-group-version-kind'] ? schema : { ...schema, 'x-kubernetes-group-version-kind': about };

function* referencesOf(schema: Schema): Iterable<string> {
	if (schema.$ref) yield schema.$ref.slice(prefix.length);
	for (const part of schema.allOf ?? []) yield* referencesOf(part);
	for (const property of Object.values(schema.properties ?? {})) yield* referencesOf(property);
	if (typeof schema.additionalProperties === 'object') yield* referencesOf(schema.additionalProperties);
	if (schema.items) yield* referencesOf(schema.items);
}
