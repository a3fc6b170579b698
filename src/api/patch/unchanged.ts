/**
 * The common case of apply, decided in one walk that builds nothing: the live object already is as applied, and its
 * manager already owns just these fields. Sync asks this of every object at every look.
 */
import { isEmpty, isMember } from '../../kinds/fieldset.ts';
import {
	type Fields,
	itemElement,
	type KeyedType,
	type MapType,
	type MergeType,
	memberOf,
	type SetType,
	sameItem,
	typeOf,
} from '../../kinds/mergetype.ts';
import type { FieldsV1 } from '../../kinds/object.ts';
import { equalJson } from './equal.ts';

/**
 * Whether merging `applied` into `live` changes nothing and the fields of `applied` are just those of `owned`. It may say
 * no where the answer is yes (the long way then finds out), never the reverse.
 */
export function isUnchanged(type: MergeType, live: unknown, applied: unknown, owned: FieldsV1): boolean {
	const shape = typeOf(type, applied);
	if (shape.type === 'leaf') return isEmpty(owned) && equalJson(live, applied);
	if (typeOf(type, live) !== shape) return false;
	return shape.type === 'map'
		? mapUnchanged(shape, live as Fields, applied as Fields, owned)
		: listUnchanged(shape, live as readonly unknown[], applied as readonly unknown[], owned);
}

function mapUnchanged(type: MapType, live: Fields, applied: Fields, owned: FieldsV1): boolean {
	let fields = 0;
	for (const key in applied) {
		const value = applied[key];
		const present = memberOf(live, key);
		if (value === undefined || value === null || present === undefined) return false;
		const field = type.fields.get(key);
		const theirs = owned[field?.element ?? `f:${key}`];
		if (!theirs) return false;
		const childType = field?.type ?? type.element;
		if (typeof value !== 'object') {
			if (value !== present || !isEmpty(theirs)) return false;
		} else if (!isUnchanged(childType, present, value, theirs) || '.' in theirs !== needsDot(theirs, !field)) {
			return false;
		}
		fields++;
	}
	return count(owned) === fields;
}

// A map's element is a member beside its children, a struct's field is not.
const needsDot = (node: FieldsV1, always: boolean) => always && !isEmpty(node);

function listUnchanged(
	type: SetType | KeyedType,
	live: readonly unknown[],
	applied: readonly unknown[],
	owned: FieldsV1,
): boolean {
	if (live.length > applied.length && hasDuplicates(type, live)) return false;
	let at = 0;
	for (let i = 0; i < applied.length; i++) {
		const item = applied[i];
		const element = itemElement(type, item, i);
		const theirs = owned[element];
		if (!theirs || !isMember(theirs)) return false;
		while (at < live.length && !sameItem(type, live[at], item)) at++;
		if (at === live.length) return false;
		if (type.type === 'keyed' && !isUnchanged(type.item, live[at], item, theirs)) return false;
		at++;
	}
	return count(owned) === applied.length;
}

// A merge drops the duplicates that an update has let in.
const hasDuplicates = (type: SetType | KeyedType, items: readonly unknown[]) =>
	new Set(items.map((item, i) => itemElement(type, item, i))).size < items.length;

function count(node: FieldsV1): number {
	let children = 0;
	for (const element in node) if (element !== '.') children++;
	return children;
}
