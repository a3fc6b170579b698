/**
 * The merge of an applied configuration into a live value. What does not change is shared with the input, so `===` tells whether anything did.
 * Source: KEP-555 and the Kubernetes documentation, "Server-Side Apply".
 */
import {
	type Fields,
	isFields,
	itemElement,
	type KeyedType,
	type MapType,
	type MergeType,
	memberOf,
	type SetType,
	sameItems,
	setMember,
	typeOf,
} from '../../kinds/mergetype.ts';
import { equalJson } from './equal.ts';

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
		else setMember(out, key, clean);
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
		const present = memberOf(live, key);
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
		setMember(out, key, merged);
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
