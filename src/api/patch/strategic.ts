/**
 * Strategic merge patch: a merge patch in which lists merge by key where the schema says so, with directives.
 * Source: Kubernetes documentation, "Strategic merge patch" (sig-api-machinery/strategic-merge-patch.md).
 */
import { type Fields, isFields, memberOf, setMember } from '../../kinds/mergetype.ts';
import type { Dynamic } from '../../kinds/object.ts';
import { resolve, type Schema, type Schemas } from '../../kinds/schema.ts';
import { badRequest } from '../../kinds/status.ts';
import { asText } from '../json.ts';

const directive = '$patch';
const retainKeys = '$retainKeys';
const deleteFromList = '$deleteFromPrimitiveList/';
const elementOrder = '$setElementOrder/';

/** Throws ApiError 400 for a patch that is no object, has an unknown directive, or lacks a merge key. */
export function applyStrategicMergePatch(
	object: Dynamic,
	patch: unknown,
	schema: Schema | undefined,
	schemas: Schemas,
): Dynamic {
	if (!isFields(patch)) throw badRequest('a strategic merge patch must be a JSON object');
	return mergeMap(object, patch, schema, schemas) as Dynamic;
}

function mergeMap(original: Fields, patch: Fields, schema: Schema | undefined, schemas: Schemas): Fields {
	const how = patch[directive];
	if (how === 'delete') return {};
	if (how === 'replace') return plain({}, patch, schema, schemas);
	if (how !== undefined && how !== 'merge') throw unknownDirective(how);
	return plain(retained(original, patch), patch, schema, schemas);
}

const unknownDirective = (how: unknown) =>
	badRequest(`unknown patch type ${JSON.stringify(how)} in ${directive}: one of "merge", "replace" and "delete"`);

/** With only the keys that `$retainKeys` names, where the patch has it. */
function retained(original: Fields, patch: Fields): Fields {
	const keep = patch[retainKeys];
	if (keep === undefined) return original;
	if (!Array.isArray(keep)) throw badRequest(`${retainKeys} must be a list of field names`);
	const kept = new Set(keep);
	const missing = Object.keys(patch).find((key) => !key.startsWith('$') && !kept.has(key));
	if (missing !== undefined)
		throw badRequest(`${retainKeys} must name every field of the patch: ${JSON.stringify(missing)} is missing`);
	const entries = Object.entries(original);
	return entries.every(([key]) => kept.has(key))
		? original
		: Object.fromEntries(entries.filter(([key]) => kept.has(key)));
}

function plain(original: Fields, patch: Fields, schema: Schema | undefined, schemas: Schemas): Fields {
	const fields = resolve(schema, schemas);
	const out: Record<string, unknown> = { ...original };
	for (const key of fieldsOf(patch)) {
		const present = memberOf(original, key);
		const wanted = patch[key];
		if (wanted === null) {
			delete out[key];
			continue;
		}
		const value = mergeField(present, wanted, fieldSchema(fields, key), schemas, {
			gone: patch[deleteFromList + key],
			order: patch[elementOrder + key],
			key,
		});
		if (value === undefined) delete out[key];
		else setMember(out, key, value);
	}
	return out;
}

/** The fields that a patch speaks of, by name or by directive, each once. */
function fieldsOf(patch: Fields): Set<string> {
	const names = new Set<string>();
	for (const key of Object.keys(patch)) {
		if (key === directive || key === retainKeys) continue;
		if (key.startsWith(deleteFromList)) names.add(key.slice(deleteFromList.length));
		else if (key.startsWith(elementOrder)) names.add(key.slice(elementOrder.length));
		else names.add(key);
	}
	return names;
}

function fieldSchema(fields: Schema | undefined, key: string): Schema | undefined {
	const named = fields?.properties && Object.hasOwn(fields.properties, key) ? fields.properties[key] : undefined;
	if (named) return named;
	return typeof fields?.additionalProperties === 'object' ? fields.additionalProperties : undefined;
}

interface ListDirectives {
	readonly gone: unknown;
	readonly order: unknown;
	readonly key: string;
}

function mergeField(
	present: unknown,
	wanted: unknown,
	schema: Schema | undefined,
	schemas: Schemas,
	list: ListDirectives,
): unknown {
	const strategy = schema?.['x-kubernetes-patch-strategy']?.split(',') ?? [];
	if (isFields(wanted)) {
		const base = isFields(present) && !strategy.includes('replace') ? present : {};
		return mergeMap(base, wanted, schema, schemas);
	}
	if (wanted !== undefined && !Array.isArray(wanted)) return wanted;
	if (!strategy.includes('merge'))
		return wanted === undefined ? present : wanted.map((item) => cleaned(item, schema, schemas));
	const items: readonly unknown[] = Array.isArray(present) ? present : [];
	if (wanted === undefined && present === undefined) return undefined;
	const mergeKey = schema?.['x-kubernetes-patch-merge-key'];
	return mergeKey === undefined
		? mergeScalars(items, wanted ?? [], list)
		: mergeItems(items, wanted ?? [], { mergeKey, item: schema?.items, schemas, list });
}

// An item of a list that is replaced may still hold directives and nulls of its own.
function cleaned(item: unknown, list: Schema | undefined, schemas: Schemas): unknown {
	return isFields(item) ? mergeMap({}, item, resolve(list, schemas)?.items, schemas) : item;
}

function mergeScalars(items: readonly unknown[], wanted: readonly unknown[], list: ListDirectives): unknown[] {
	const gone = new Set(listOf(list.gone, deleteFromList + list.key));
	const out = items.filter((item) => !gone.has(item));
	const present = new Set(out);
	const added = [...new Set(wanted)].filter((item) => !present.has(item));
	const order = listOf(list.order, elementOrder + list.key) ?? wanted;
	return inOrder([...out, ...added], items, (item) => item, order);
}

interface Keyed {
	readonly mergeKey: string;
	readonly item: Schema | undefined;
	readonly schemas: Schemas;
	readonly list: ListDirectives;
}

function mergeItems(items: readonly unknown[], wanted: readonly unknown[], how: Keyed): unknown[] {
	const { mergeKey, list } = how;
	const keyOf = (item: unknown) => {
		const key = isFields(item) ? item[mergeKey] : undefined;
		// Keys of a patch from YAML may be text where the object has numbers.
		return key === undefined ? undefined : asText(key);
	};
	const patches = wanted.map((patch) => {
		if (!isFields(patch))
			throw badRequest(`an item of ${list.key} in the patch is no object: ${JSON.stringify(patch)}`);
		const how = patch[directive];
		if (how !== undefined && how !== 'delete' && how !== 'replace' && how !== 'merge') throw unknownDirective(how);
		if (how !== 'replace' && keyOf(patch) === undefined)
			throw badRequest(
				`an item of ${list.key} in the patch does not contain declared merge key: ${mergeKey}: ${JSON.stringify(patch)}`,
			);
		return patch;
	});
	const additions = patches.filter((patch) => patch[directive] !== 'delete' && patch[directive] !== 'replace');
	const base = patches.some((patch) => patch[directive] === 'replace') ? [] : items;
	const gone = new Set(patches.filter((patch) => patch[directive] === 'delete').map(keyOf));
	const out = base.filter((item) => !gone.has(keyOf(item)));
	// The first of a key is the one that is merged.
	const place = new Map(out.map((item, i) => [keyOf(item), i] as const).reverse());
	for (const patch of additions) {
		const at = place.get(keyOf(patch)) ?? out.length;
		const present = out[at];
		out[at] = mergeMap(isFields(present) ? present : {}, patch, how.item, how.schemas);
		place.set(keyOf(patch), at);
	}
	const order = listOf(list.order, elementOrder + list.key) ?? additions;
	return inOrder(out, items, keyOf, order.map(keyOf));
}

function listOf(value: unknown, name: string): readonly unknown[] | undefined {
	if (value === undefined || value === null) return undefined;
	if (!Array.isArray(value)) throw badRequest(`${name} must be a list`);
	return value;
}

/**
 * The items that `order` names (the patch's own, where it does not say) in that order; the others (which only the server has) between them, before the first that
 * stood behind them on the server.
 */
function inOrder(
	items: readonly unknown[],
	before: readonly unknown[],
	keyOf: (item: unknown) => unknown,
	order: readonly unknown[],
): unknown[] {
	const rank = new Map(order.map((key, i) => [key, i]));
	const place = new Map(before.map((item, i) => [keyOf(item), i]));
	const mine = items
		.filter((item) => rank.has(keyOf(item)))
		.sort((a, b) => (rank.get(keyOf(a)) ?? 0) - (rank.get(keyOf(b)) ?? 0));
	const others = items.filter((item) => !rank.has(keyOf(item)));
	const out: unknown[] = [];
	let next = 0;
	for (const item of mine) {
		const at = place.get(keyOf(item));
		for (; at !== undefined && next < others.length; next++) {
			const other = place.get(keyOf(others[next]));
			if (other === undefined || other > at) break;
			out.push(others[next]);
		}
		out.push(item);
	}
	return [...out, ...others.slice(next)];
}
