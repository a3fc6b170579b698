/**
 * What a change did to a value, field by field.
 * Source: KEP-555 and the Kubernetes documentation, "Server-Side Apply".
 */
import { node, sorted, union } from '../../kinds/fieldset.ts';
import {
	type Fields,
	itemElement,
	type KeyedType,
	leaf,
	type MapType,
	type MergeType,
	memberOf,
	type SetType,
	sameItems,
	typeOf,
} from '../../kinds/mergetype.ts';
import type { FieldsV1 } from '../../kinds/object.ts';
import { equalJson } from './equal.ts';
import { fieldsOf } from './fields.ts';

const member: FieldsV1 = Object.freeze({});

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
		const [old, now] = [memberOf(before, key), memberOf(after, key)];
		if (old === now) return;
		const named = type.fields.get(key);
		collect(collected, named?.element ?? `f:${key}`, compare(named?.type ?? type.element, old, now));
	};
	for (const key in before) field(key);
	for (const key in after) if (!Object.hasOwn(before, key)) field(key);
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
