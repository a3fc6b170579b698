/**
 * The structured walks under server-side apply, each once over a value by its merge type: the set of its fields, the merge
 * of an applied configuration into a live value, the comparison of two values, and the removal of fields.
 * What does not change is shared with the input, so `===` tells whether anything did.
 * Source: KEP-555 and the Kubernetes documentation, "Server-Side Apply".
 */
import { isEmpty, isMember, node, sorted, union } from '../../kinds/fieldset.ts';
import {
	type Fields,
	isFields,
	itemElement,
	type KeyedType,
	leaf,
	type MapType,
	type MergeType,
	type SetType,
	sameItems,
	typeOf,
} from '../../kinds/mergetype.ts';
import type { FieldsV1 } from '../../kinds/object.ts';
import { equalJson } from './equal.ts';

const member: FieldsV1 = Object.freeze({});

/** Two items of one list claim the same place. */
export class DuplicateItem extends Error {
	override readonly name = 'DuplicateItem';
	/** The list, then the item: path elements. */
	readonly path: string[];
	constructor(path: string[]) {
		super('duplicate entries');
		this.path = path;
	}
}

/**
 * The set of the fields of a value. `whole`: with every container as a member of its own, as the fields of what has newly
 * appeared; otherwise as of an applied configuration, where a struct is only the sum of its fields.
 * Throws DuplicateItem with the path from here (not when `whole`: what is stored is taken as it is).
 */
export function fieldsOf(type: MergeType, value: unknown, whole = false): FieldsV1 | undefined {
	const shape = typeOf(type, value);
	if (shape.type === 'leaf') return member;
	const out: FieldsV1 = {};
	if (shape.type === 'map') {
		const fields = value as Fields;
		for (const key in fields) {
			const field = shape.fields.get(key);
			const element = field?.element ?? `f:${key}`;
			const child = childFields(element, field?.type ?? shape.element, fields[key], whole, !field);
			if (child) out[element] = child;
		}
	} else {
		const items = value as readonly unknown[];
		const itemType = shape.type === 'keyed' ? shape.item : leaf;
		for (let i = 0; i < items.length; i++) {
			const element = itemElement(shape, items[i], i);
			if (element in out) {
				if (whole) continue;
				throw new DuplicateItem([element]);
			}
			const child = childFields(element, itemType, items[i], whole, true);
			if (child) out[element] = child;
		}
	}
	return isEmpty(out) ? undefined : sorted(out);
}

/** The node of a child. `always`: it is a member beside its children, because the schema does not name it. */
function childFields(
	element: string,
	type: MergeType,
	value: unknown,
	whole: boolean,
	always: boolean,
): FieldsV1 | undefined {
	if (typeof value !== 'object' || value === null) return value === undefined ? undefined : member;
	try {
		const fields = fieldsOf(type, value, whole);
		if (fields === member) return member;
		// What is empty is a field of its own. (Upstream leaves empty lists out: its types do not store them.)
		return node(whole || always || !fields, fields);
	} catch (error) {
		if (error instanceof DuplicateItem) error.path.unshift(element);
		throw error;
	}
}

/** The value without null members, at any depth: `value` itself where there are none. */
export function withoutNulls<T>(value: T): T {
	if (Array.isArray(value)) {
		let out: unknown[] | undefined;
		for (let i = 0; i < value.length; i++) {
			const item = withoutNulls(value[i]);
			if (item === value[i]) continue;
			out ??= [...value];
			out[i] = item;
		}
		return (out as T | undefined) ?? value;
	}
	if (!isFields(value)) return value;
	let out: Record<string, unknown> | undefined;
	for (const key in value) {
		const item: unknown = value[key];
		const clean = withoutNulls(item);
		if (clean === item && item !== null) continue;
		out ??= { ...value };
		if (clean === null) delete out[key];
		else out[key] = clean;
	}
	return (out as T | undefined) ?? value;
}

/** The live value with the applied one merged in: `live` itself where that changes nothing. */
export function merge(type: MergeType, live: unknown, applied: unknown): unknown {
	const shape = typeOf(type, applied);
	if (live === undefined || typeOf(type, live) !== shape) return withoutNulls(applied);
	switch (shape.type) {
		case 'leaf':
			return equalJson(live, applied) ? live : withoutNulls(applied);
		case 'map':
			return mergeMap(shape, live as Fields, applied as Fields);
		default:
			return mergeList(shape, live as readonly unknown[], applied as readonly unknown[]);
	}
}

function mergeMap(type: MapType, live: Fields, applied: Fields): Fields {
	let out: Record<string, unknown> | undefined;
	for (const key in applied) {
		const wanted = applied[key];
		const present = live[key];
		if (wanted === undefined) continue;
		if (wanted === null) {
			if (present === undefined) continue;
			out ??= { ...live };
			delete out[key];
			continue;
		}
		const merged = merge(type.fields.get(key)?.type ?? type.element, present, wanted);
		if (merged === present) continue;
		out ??= { ...live };
		out[key] = merged;
	}
	return out ?? live;
}

/**
 * Applied items come in the applied order; items that only the live list has stay where they are between the items both
 * have, and before new ones.
 */
function mergeList(
	type: SetType | KeyedType,
	live: readonly unknown[],
	applied: readonly unknown[],
): readonly unknown[] {
	if (sameItems(type, live, applied)) {
		const items = live.map((item, i) => mergeItem(type, item, applied[i]));
		return items.every((item, i) => item === live[i]) ? live : items;
	}
	const elements = live.map((item, i) => itemElement(type, item, i));
	const wanted = applied.map((item, i) => itemElement(type, item, i));
	const place = new Map<string, number>();
	for (const [i, element] of elements.entries()) if (!place.has(element)) place.set(element, i);
	const applies = new Set(wanted);
	const shared = wanted.filter((element) => place.has(element));
	const out: unknown[] = [];
	let cursor = 0;
	let turn = 0;
	for (const [i, item] of applied.entries()) {
		const element = wanted[i] ?? '';
		for (; cursor < live.length; cursor++) {
			const at = elements[cursor] ?? '';
			// A shared item waits for its turn in the applied order; a duplicate of one goes.
			if (!applies.has(at)) out.push(live[cursor]);
			else if (at === shared[turn]) break;
		}
		const at = place.get(element);
		out.push(at === undefined ? withoutNulls(item) : mergeItem(type, live[at], item));
		if (element === shared[turn]) turn++;
	}
	for (; cursor < live.length; cursor++) if (!applies.has(elements[cursor] ?? '')) out.push(live[cursor]);
	return out.length === live.length && out.every((item, i) => item === live[i]) ? live : out;
}

const mergeItem = (type: SetType | KeyedType, live: unknown, applied: unknown) =>
	type.type === 'set' ? live : merge(type.item, live, applied);

/** What a change did: fields added or modified, and fields removed. */
export interface Delta {
	readonly changed: FieldsV1 | undefined;
	readonly removed: FieldsV1 | undefined;
}

/** How `after` differs from `before`; undefined where it does not. */
export function compare(type: MergeType, before: unknown, after: unknown): Delta | undefined {
	if (before === after) return undefined;
	if (before === undefined) return { changed: node(true, fieldsOf(type, after, true)), removed: undefined };
	if (after === undefined) return { changed: undefined, removed: node(true, fieldsOf(type, before, true)) };
	const shape = typeOf(type, after);
	if (typeOf(type, before) !== shape) {
		// What was a container has become a scalar, or the reverse.
		const removed = fieldsOf(type, before, true);
		return { changed: node(true, fieldsOf(type, after, true)), removed };
	}
	switch (shape.type) {
		case 'leaf':
			return equalJson(before, after) ? undefined : { changed: member, removed: undefined };
		case 'map':
			return compareMap(shape, before as Fields, after as Fields);
		default:
			return compareList(shape, before as readonly unknown[], after as readonly unknown[]);
	}
}

interface Collected {
	changed?: FieldsV1;
	removed?: FieldsV1;
}

function collect(collected: Collected, element: string, delta: Delta | undefined): void {
	if (delta?.changed) {
		collected.changed ??= {};
		collected.changed[element] = union(collected.changed[element], delta.changed) ?? delta.changed;
	}
	if (delta?.removed) {
		collected.removed ??= {};
		collected.removed[element] = union(collected.removed[element], delta.removed) ?? delta.removed;
	}
}

function deltaOf({ changed, removed }: Collected): Delta | undefined {
	if (!changed && !removed) return undefined;
	return { changed: changed && sorted(changed), removed: removed && sorted(removed) };
}

function compareMap(type: MapType, before: Fields, after: Fields): Delta | undefined {
	const collected: Collected = {};
	const field = (key: string) => {
		if (before[key] === after[key]) return;
		const named = type.fields.get(key);
		collect(collected, named?.element ?? `f:${key}`, compare(named?.type ?? type.element, before[key], after[key]));
	};
	for (const key in before) field(key);
	for (const key in after) if (!(key in before)) field(key);
	return deltaOf(collected);
}

function compareList(
	type: SetType | KeyedType,
	before: readonly unknown[],
	after: readonly unknown[],
): Delta | undefined {
	const collected: Collected = {};
	if (type.type === 'keyed' && sameItems(type, before, after)) {
		for (let i = 0; i < after.length; i++) {
			if (before[i] === after[i]) continue;
			collect(collected, itemElement(type, after[i], i), compare(type.item, before[i], after[i]));
		}
		return deltaOf(collected);
	}
	const was = indexed(type, before);
	const is = indexed(type, after);
	const itemType: MergeType = type.type === 'keyed' ? type.item : leaf;
	for (const element of new Set([...was.keys(), ...is.keys()])) {
		const [old = [], now = []] = [was.get(element), is.get(element)];
		// Duplicates (which only an update can make) are one field together.
		if (old.length > 1 || now.length > 1) {
			if (!equalJson(old, now))
				collect(
					collected,
					element,
					now.length > 0 ? { changed: member, removed: undefined } : compare(itemType, old[0], undefined),
				);
		} else collect(collected, element, compare(itemType, old[0], now[0]));
	}
	return deltaOf(collected);
}

function indexed(type: SetType | KeyedType, items: readonly unknown[]): Map<string, unknown[]> {
	const index = new Map<string, unknown[]>();
	for (const [i, item] of items.entries()) {
		const element = itemElement(type, item, i);
		const same = index.get(element);
		if (same) same.push(item);
		else index.set(element, [item]);
	}
	return index;
}

/**
 * The value without what its applier had applied last (`last`) and nobody owns any more (`owners`: the sets of all managers at this place,
 * the applier's new one among them). A struct goes with its fields, so that defaults do not outlive it.
 */
export function prune(type: MergeType, value: unknown, last: FieldsV1, owners: readonly FieldsV1[]): unknown {
	const shape = typeOf(type, value);
	if (shape.type === 'leaf' || isEmpty(last)) return value;
	const goes = (element: string, struct: boolean) => {
		const mine = last[element];
		if (!mine || !(struct || isMember(mine))) return false;
		return !owners.some((owner) => {
			const theirs = owner[element];
			return theirs && (struct || isMember(theirs));
		});
	};
	const within = (element: string, childType: MergeType, child: unknown) => {
		const mine = last[element];
		if (!mine) return child;
		const theirs = owners.flatMap((owner) => owner[element] ?? []);
		return prune(childType, child, mine, theirs);
	};
	if (shape.type === 'map') {
		const fields = value as Fields;
		let out: Record<string, unknown> | undefined;
		for (const key in fields) {
			const field = shape.fields.get(key);
			const element = field?.element ?? `f:${key}`;
			if (goes(element, field !== undefined)) {
				out ??= { ...fields };
				delete out[key];
				continue;
			}
			const child = within(element, field?.type ?? shape.element, fields[key]);
			if (child === fields[key]) continue;
			out ??= { ...fields };
			out[key] = child;
		}
		return out ?? fields;
	}
	const items = value as readonly unknown[];
	const out: unknown[] = [];
	for (const [i, item] of items.entries()) {
		const element = itemElement(shape, item, i);
		if (!goes(element, false)) out.push(shape.type === 'keyed' ? within(element, shape.item, item) : item);
	}
	return out.length === items.length && out.every((item, i) => item === items[i]) ? items : out;
}
