/** What decoding does to an object beside checking it. Each schema is compiled once into closures. */
import { canonicalQuantity, isQuantity } from './quantity.ts';
import { resolveStrictly, type Schema, type Schemas } from './schema.ts';

/**
 * Makes of an object what Kubernetes' decoder makes of it: fields that the schema does not have are dropped, and so are
 * fields that are null; a null in a list or in a map is the zero of its type, as Go has it (an empty object, an empty
 * string, 0); quantities take their canonical form (cpu 0.5 is 500m). In place; returns the object.
 */
export function prune<T>(object: T, schema: Schema, schemas: Schemas): T {
	pruneOf(schema, schemas)(object);
	return object;
}

/** Prunes a value, and returns what stands in its place. */
type Prune = (value: unknown) => unknown;

const prunes = new WeakMap<Schema, Prune>();
const keep: Prune = (value) => value;

function pruneOf(schema: Schema, schemas: Schemas): Prune {
	const known = prunes.get(schema);
	if (known) return known;
	// Set before it is compiled: types may contain themselves.
	let compiled = keep;
	prunes.set(schema, (value) => compiled(value));
	compiled = compile(schema, schemas);
	prunes.set(schema, compiled);
	return compiled;
}

function compile(schema: Schema, schemas: Schemas): Prune {
	const resolved = resolveStrictly(schema, schemas);
	if (resolved !== schema) return pruneOf(resolved, schemas);
	if (schema.format === 'quantity') return (value) => (isQuantity(value) ? canonicalQuantity(value) : value);
	if (schema.type === 'array') return schema.items ? pruneList(schema.items, schemas) : keep;
	if (schema.type !== 'object') return keep;
	return schema.properties ? pruneStruct(schema, schemas) : pruneMap(schema, schemas);
}

/** What Go makes of a null where it keeps a value; a value of any type stays null. */
function zeroOf(schema: Schema, schemas: Schemas): () => unknown {
	const { type, format } = resolveStrictly(schema, schemas);
	if (format === 'quantity') return () => '0';
	if (format === 'int-or-string') return () => 0;
	switch (type) {
		case 'object':
			return () => ({});
		case 'array':
			return () => [];
		case 'string':
			// The zero time is written as null.
			return format === 'date-time' ? () => null : () => '';
		case 'integer':
		case 'number':
			return () => 0;
		case 'boolean':
			return () => false;
		default:
			return () => null;
	}
}

function pruneList(items: Schema, schemas: Schemas): Prune {
	const item = pruneOf(items, schemas);
	const zero = zeroOf(items, schemas);
	return (value) => {
		if (Array.isArray(value))
			for (let index = 0; index < value.length; index++) {
				const before: unknown = value[index];
				const after = before === null ? zero() : item(before);
				if (after !== before) value[index] = after;
			}
		return value;
	};
}

function pruneMap(schema: Schema, schemas: Schemas): Prune {
	const values = schema.additionalProperties;
	if (typeof values !== 'object') return keep;
	const entry = pruneOf(values, schemas);
	const zero = zeroOf(values, schemas);
	return (value) => {
		if (!isObject(value)) return value;
		for (const key of Object.keys(value)) {
			const before = value[key];
			const after = before === null ? zero() : entry(before);
			if (after !== before) value[key] = after;
		}
		return value;
	};
}

function pruneStruct(schema: Schema, schemas: Schemas): Prune {
	const properties = new Map<string, Prune>();
	for (const [name, property] of Object.entries(schema.properties ?? {}))
		properties.set(name, pruneOf(property, schemas));
	const open = schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true;
	return (value) => {
		if (!isObject(value)) return value;
		for (const key of Object.keys(value)) {
			const property = properties.get(key);
			const before = value[key];
			if (!property) {
				if (!open) delete value[key];
			} else if (before === null) delete value[key];
			else {
				const after = property(before);
				if (after !== before) value[key] = after;
			}
		}
		return value;
	};
}

function isObject(value: unknown): value is Record<string, unknown> {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
