/**
 * Sets of fields in the form in which managedFields keeps them (FieldsV1): a trie whose keys are path elements. A node
 * without children is a member of the set; one with children is a member only if it also has `.`. The functions work on
 * that form as it is stored, never change it, and return parts of their arguments where nothing differs.
 * Source: Kubernetes API reference, FieldsV1; KEP-555.
 */
import { type Fields, isFields, itemElement, type MapType, type MergeType, typeOf } from './mergetype.ts';
import type { FieldsV1, ManagedFieldsEntry } from './object.ts';

/** One step of the path to a field. */
export type PathElement =
	| { readonly field: string }
	| { readonly key: Readonly<Record<string, unknown>> }
	| { readonly value: unknown }
	| { readonly index: number };

/** `f:name`, `k:{"name":"web"}`, `v:"x"`, `i:0`. */
export function serializeElement(element: PathElement): string {
	if ('field' in element) return `f:${element.field}`;
	if ('value' in element) return `v:${JSON.stringify(element.value)}`;
	if ('index' in element) return `i:${element.index}`;
	const keys = Object.keys(element.key).sort();
	return `k:{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(element.key[key])}`).join(',')}}`;
}

/** The inverse of serializeElement; undefined for what is none. */
export function parseElement(text: string): PathElement | undefined {
	const rest = text.slice(2);
	switch (text.slice(0, 2)) {
		case 'f:':
			return { field: rest };
		case 'v:': {
			const value = parseJson(rest);
			return value === undefined ? undefined : { value };
		}
		case 'i:':
			return /^\d+$/.test(rest) ? { index: Number(rest) } : undefined;
		case 'k:': {
			const key = parseJson(rest);
			return isFields(key) && Object.keys(key).length > 0 ? { key } : undefined;
		}
		default:
			return undefined;
	}
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/** A path as messages show it: `.spec.containers[name="web"].image`. */
export function formatPath(path: readonly PathElement[]): string {
	return path
		.map((element) => {
			if ('field' in element) return `.${element.field}`;
			if ('value' in element) return `[=${JSON.stringify(element.value)}]`;
			if ('index' in element) return `[${element.index}]`;
			const keys = Object.keys(element.key).sort();
			return `[${keys.map((key) => `${key}=${JSON.stringify(element.key[key])}`).join(',')}]`;
		})
		.join('');
}

const self = '.';
const member: FieldsV1 = Object.freeze({});

export function isEmpty(node: Readonly<FieldsV1>): boolean {
	for (const _ in node) return false;
	return true;
}

/** Whether the path that leads to this node is in the set. */
export function isMember(node: Readonly<FieldsV1>): boolean {
	return self in node || isEmpty(node);
}

/** The node of a path, whether or not the path itself is in the set. */
function nodeAt(set: Readonly<FieldsV1>, path: readonly PathElement[]): FieldsV1 | undefined {
	let node: FieldsV1 | undefined = set;
	for (const element of path) node = node?.[serializeElement(element)];
	return node;
}

/** Whether the path itself is in the set. */
export function has(set: Readonly<FieldsV1>, path: readonly PathElement[]): boolean {
	if (path.length === 0) return self in set;
	const node = nodeAt(set, path);
	return node !== undefined && isMember(node);
}

/** A set of these paths. */
export function setOf(paths: Iterable<readonly PathElement[]>): FieldsV1 {
	let set: FieldsV1 = {};
	for (const path of paths) {
		let node: FieldsV1 = member;
		for (const element of [...path].reverse()) node = { [serializeElement(element)]: node };
		set = unionSets(set, node);
	}
	return set;
}

/** Calls `visit` with each path in the set, in order: a path before those beneath it. */
export function walk(set: Readonly<FieldsV1>, visit: (path: readonly PathElement[]) => void): void {
	const path: PathElement[] = [];
	const descend = (node: Readonly<FieldsV1>) => {
		for (const [text, child] of Object.entries(node)) {
			const element = text === self ? undefined : parseElement(text);
			if (!element) continue;
			path.push(element);
			if (isMember(child)) visit([...path]);
			descend(child);
			path.pop();
		}
	};
	descend(set);
}

/** A node of these children (already in order of their elements); undefined where it is neither member nor parent. */
export function node(isIn: boolean, children: FieldsV1 | undefined): FieldsV1 | undefined {
	if (!children || isEmpty(children)) return isIn ? member : undefined;
	return isIn && !(self in children) ? { [self]: member, ...children } : children;
}

/** The same node with its children in the order of their elements, as managedFields shows them. */
export function sorted(children: FieldsV1): FieldsV1 {
	let before = '';
	for (const element in children) {
		if (element < before) {
			const copy: FieldsV1 = {};
			for (const key of Object.keys(children).sort()) copy[key] = children[key] ?? member;
			return copy;
		}
		before = element;
	}
	return children;
}

/** Paths in `a` or `b`: `a` itself where `b` adds nothing. */
export function union(a: FieldsV1 | undefined, b: FieldsV1 | undefined): FieldsV1 | undefined {
	if (!a) return b;
	if (!b || a === b) return a;
	// An empty node is a member, which its union with a parent must not lose.
	const isIn = isMember(a) || isMember(b);
	let out: FieldsV1 | undefined;
	for (const element in b) {
		const theirs = b[element];
		if (element === self || !theirs) continue;
		const ours = a[element];
		const merged = union(ours, theirs);
		if (merged && merged !== ours) {
			out ??= { ...a };
			out[element] = merged;
		}
	}
	if (!out && isIn === isMember(a)) return a;
	return node(isIn, sorted(out ?? a));
}

/** Union for whole sets, in which an empty set has no member. */
export function unionSets(a: FieldsV1, b: FieldsV1): FieldsV1 {
	return isEmpty(a) ? b : isEmpty(b) ? a : (union(a, b) ?? a);
}

/** Paths in `a` that are not in `b`: `a` itself where nothing goes, undefined where nothing stays. */
export function difference(a: FieldsV1 | undefined, b: FieldsV1 | undefined): FieldsV1 | undefined {
	if (!a || !b) return a;
	const was = isMember(a);
	const isIn = was && !isMember(b);
	let out: FieldsV1 | undefined;
	for (const element in b) {
		const ours = a[element];
		if (element === self || !ours) continue;
		const left = difference(ours, b[element]);
		if (left === ours) continue;
		out ??= { ...a };
		if (left) out[element] = left;
		else delete out[element];
	}
	if (!out && isIn === was) return a;
	const children = out ?? { ...a };
	delete children[self];
	return node(isIn, children);
}

/** Difference for whole sets, in which an empty set has no member. */
export function differenceSets(a: FieldsV1, b: FieldsV1): FieldsV1 {
	return isEmpty(a) || isEmpty(b) ? a : (difference(a, b) ?? {});
}

/** Paths in both. */
export function intersection(a: FieldsV1 | undefined, b: FieldsV1 | undefined): FieldsV1 | undefined {
	if (!a || !b) return undefined;
	const out: FieldsV1 = {};
	for (const element in a) {
		if (element === self) continue;
		const both = intersection(a[element], b[element]);
		if (both) out[element] = both;
	}
	return node(isMember(a) && isMember(b), out);
}

/** Whether both sets hold the same paths, in whatever order they are written. */
export function equalSets(a: FieldsV1 | undefined, b: FieldsV1 | undefined): boolean {
	if (a === b) return true;
	if (!a || !b || isMember(a) !== isMember(b)) return false;
	let count = 0;
	for (const element in a) {
		if (element === self) continue;
		if (!equalSets(a[element], b[element])) return false;
		count++;
	}
	for (const element in b) if (element !== self) count--;
	return count === 0;
}

/**
 * The set with its elements in canonical form and order; undefined if anything in it is no FieldsV1. For sets that come
 * from clients.
 */
export function canonical(set: unknown): FieldsV1 | undefined {
	if (!isFields(set)) return undefined;
	const out: FieldsV1 = {};
	for (const text of Object.keys(set).sort()) {
		const child = canonical(set[text]);
		if (!child) return undefined;
		if (text === self) {
			out[self] = member;
			continue;
		}
		const element = parseElement(text);
		if (!element) return undefined;
		out[serializeElement(element)] = child;
	}
	return out;
}

/**
 * The entries of managedFields that own a field: those that list the path itself, else those that list the nearest field
 * above it as a whole (an atomic list or map). Empty where nobody does.
 */
export function ownersOf(
	managedFields: readonly ManagedFieldsEntry[] | undefined,
	path: readonly PathElement[],
): ManagedFieldsEntry[] {
	let owners: ManagedFieldsEntry[] = [];
	let nearest = 0;
	for (const entry of managedFields ?? []) {
		let at: FieldsV1 | undefined = entry.fieldsV1;
		let depth = 0;
		for (const element of path) {
			const next: FieldsV1 | undefined = at?.[serializeElement(element)];
			if (!next) break;
			at = next;
			depth++;
		}
		// Short of the path only a node without children owns what is beneath it.
		if (depth === 0 || !at || !(depth === path.length ? isMember(at) : isEmpty(at))) continue;
		if (depth > nearest) owners = [];
		if (depth < nearest) continue;
		nearest = depth;
		owners.push(entry);
	}
	return owners;
}

/**
 * The path of what a JSON pointer (`/spec/containers/0/image`) points at in `object`, with list items told by their keys or values.
 * Where the pointer goes into an atomic list or map, the path ends with plain indexes and fields.
 */
export function pathOf(type: MapType, object: Fields, pointer: string): PathElement[] {
	const path: PathElement[] = [];
	let at: MergeType = type;
	let value: unknown = object;
	for (const token of pointer.split('/').slice(1)) {
		const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
		const shape = typeOf(at, value);
		at = { type: 'leaf' };
		if (Array.isArray(value)) {
			const index = name === '-' ? value.length : Number(name);
			const item: unknown = value[index];
			const listed = shape.type === 'set' || shape.type === 'keyed';
			const element = listed && item !== undefined ? parseElement(itemElement(shape, item, index)) : undefined;
			path.push(element ?? { index });
			if (shape.type === 'keyed') at = shape.item;
			value = item;
		} else {
			path.push({ field: name });
			if (shape.type === 'map') at = shape.fields.get(name)?.type ?? shape.element;
			value = isFields(value) ? value[name] : undefined;
		}
	}
	return path;
}
