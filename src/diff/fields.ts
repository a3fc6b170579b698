/**
 * The fields in which two states of one object differ, addressed as server-side apply addresses them: the items of a
 * keyed list by their keys, not by their place. Pure.
 */
import { equalJson } from '../api/patch/index.ts';
import type { PathElement } from '../kinds/fieldset.ts';
import { resolve, type Schema, type Schemas } from '../kinds/index.ts';
import { type Fields, isFields, memberOf } from '../kinds/mergetype.ts';

/** A field that differs. `live` or `desired` is undefined where that side has no such field. */
export interface FieldDifference {
	readonly path: readonly PathElement[];
	readonly live: unknown;
	readonly desired: unknown;
}

/** Fields of metadata that the API server writes itself, and which no manifest can mean. */
const serverSide = new Set([
	'managedFields',
	'resourceVersion',
	'generation',
	'creationTimestamp',
	'uid',
	'selfLink',
	'deletionTimestamp',
	'deletionGracePeriodSeconds',
]);

/** The deepest fields in which `live` and `desired` differ; server-set metadata and status count for nothing. */
export function differences(
	live: object,
	desired: object,
	schema: Schema | undefined,
	schemas: Schemas,
): FieldDifference[] {
	const found: FieldDifference[] = [];
	const root = resolve(schema, schemas);
	for (const name of union(live as Fields, desired as Fields)) {
		if (name === 'status' || name === 'apiVersion' || name === 'kind') continue;
		const [a, b] = [(live as Fields)[name], (desired as Fields)[name]];
		const inner = child(root, name, schemas);
		if (name !== 'metadata' || !isFields(a) || !isFields(b)) {
			compare(a, b, inner, schemas, [{ field: name }], found);
			continue;
		}
		for (const field of union(a, b)) {
			if (!serverSide.has(field))
				compare(a[field], b[field], child(inner, field, schemas), schemas, [{ field: name }, { field }], found);
		}
	}
	return found;
}

function compare(
	live: unknown,
	desired: unknown,
	schema: Schema | undefined,
	schemas: Schemas,
	path: readonly PathElement[],
	found: FieldDifference[],
): void {
	// A null is no value: the next apply would not send a change of it.
	if (equalJson(live ?? undefined, desired ?? undefined)) return;
	if (isFields(live) && isFields(desired) && schema?.['x-kubernetes-map-type'] !== 'atomic') {
		for (const name of union(live, desired))
			compare(
				memberOf(live, name),
				memberOf(desired, name),
				child(schema, name, schemas),
				schemas,
				[...path, { field: name }],
				found,
			);
		return;
	}
	if (Array.isArray(live) && Array.isArray(desired)) {
		const before = found.length;
		const keys = schema?.['x-kubernetes-list-type'] === 'map' ? schema['x-kubernetes-list-map-keys'] : undefined;
		const items = resolve(schema?.items, schemas);
		if (keys) compareKeyed(live, desired, keys, items, schemas, path, found);
		else if (schema?.['x-kubernetes-list-type'] === 'set') compareSets(live, desired, path, found);
		// Equal item for item, so only their order differs: then the list as a whole does. Also for atomic lists.
		if (found.length > before) return;
	}
	found.push({ path, live, desired });
}

function compareKeyed(
	live: readonly unknown[],
	desired: readonly unknown[],
	keys: readonly string[],
	items: Schema | undefined,
	schemas: Schemas,
	path: readonly PathElement[],
	found: FieldDifference[],
): void {
	const identity = (item: unknown) => JSON.stringify(keys.map((key) => keyValue(item, key, items)));
	const wanted = new Map(desired.map((item) => [identity(item), item]));
	const seen = new Set<string>();
	const step = (item: unknown): PathElement => ({
		key: Object.fromEntries(keys.map((key) => [key, keyValue(item, key, items)])),
	});
	for (const item of live) {
		const id = identity(item);
		seen.add(id);
		compare(item, wanted.get(id), items, schemas, [...path, step(item)], found);
	}
	for (const [id, item] of wanted) {
		if (!seen.has(id)) found.push({ path: [...path, step(item)], live: undefined, desired: item });
	}
}

function compareSets(
	live: readonly unknown[],
	desired: readonly unknown[],
	path: readonly PathElement[],
	found: FieldDifference[],
): void {
	for (const value of live)
		if (!desired.some((other) => equalJson(value, other)))
			found.push({ path: [...path, { value }], live: value, desired: undefined });
	for (const value of desired)
		if (!live.some((other) => equalJson(value, other)))
			found.push({ path: [...path, { value }], live: undefined, desired: value });
}

/** A key that is absent has the default that its schema names (a port's protocol is TCP). */
export function keyValue(item: unknown, key: string, items: Schema | undefined): unknown {
	return (isFields(item) ? item[key] : undefined) ?? items?.properties?.[key]?.default;
}

function child(schema: Schema | undefined, name: string, schemas: Schemas): Schema | undefined {
	const inner =
		(schema?.properties && Object.hasOwn(schema.properties, name) ? schema.properties[name] : undefined) ??
		(typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined);
	if (!inner) return undefined;
	const resolved = resolve(inner, schemas);
	if (resolved === inner || !resolved) return resolved;
	// What stands beside a $ref says how this field merges.
	const { $ref: _, allOf: __, ...beside } = inner;
	return Object.keys(beside).length === 0 ? resolved : { ...resolved, ...beside };
}

function union(a: Fields, b: Fields): Set<string> {
	return new Set([...Object.keys(a), ...Object.keys(b)]);
}

/** The path as field names and list indexes into `object`, for as far as `object` has it. */
export function indexesInto(object: unknown, path: readonly PathElement[]): (string | number)[] {
	const indexes: (string | number)[] = [];
	let current = object;
	for (const step of path) {
		let next: string | number;
		if ('field' in step) next = step.field;
		else if (!Array.isArray(current)) return indexes;
		else if ('index' in step) next = step.index;
		else if ('key' in step) {
			const wanted = Object.entries(step.key);
			next = current.findIndex(
				(item) =>
					isFields(item) && wanted.every(([key, value]) => item[key] === undefined || equalJson(item[key], value)),
			);
		} else next = current.findIndex((item) => equalJson(item, step.value));
		if (next === -1) return indexes;
		indexes.push(next);
		current =
			isFields(current) || Array.isArray(current) ? (current as Record<string | number, unknown>)[next] : undefined;
		if (current === undefined) return indexes;
	}
	return indexes;
}
