/**
 * How the fields of a schema merge, compiled once per schema: what server-side apply, ownership and drift walk by.
 * Source: Kubernetes documentation, "Server-Side Apply", merge strategy; KEP-555.
 */
import { resolve, type Schema, type Schemas } from './schema.ts';

export type MergeType = Leaf | Dynamic | MapType | SetType | KeyedType;

/** A scalar, or a list or map that is replaced as one (atomic). */
export interface Leaf {
	readonly type: 'leaf';
}

/** No schema: objects merge by key, lists are atomic. */
export interface Dynamic {
	readonly type: 'dynamic';
}

/** An object that merges field by field: a struct has named fields, a map only elements. */
export interface MapType {
	readonly type: 'map';
	readonly fields: ReadonlyMap<string, NamedField>;
	/** The type of the values of keys that `fields` does not name. */
	readonly element: MergeType;
}

export interface NamedField {
	/** Its path element: `f:replicas`. */
	readonly element: string;
	readonly type: MergeType;
}

/** A list of unique scalars. */
export interface SetType {
	readonly type: 'set';
}

/** A list of objects that are told apart by the values of some of their fields. */
export interface KeyedType {
	readonly type: 'keyed';
	/** In alphabetical order, as in a path element. */
	readonly keys: readonly KeyField[];
	readonly item: MergeType;
}

export interface KeyField {
	readonly name: string;
	/** The schema's default, which stands for an omitted key (a port's protocol). */
	readonly default: unknown;
	/** `"name":`, as it stands in a path element. */
	readonly label: string;
}

export const leaf: Leaf = { type: 'leaf' };
export const dynamic: Dynamic = { type: 'dynamic' };
/** What an object of no schema merges as. */
export const dynamicMap: MapType = { type: 'map', fields: new Map(), element: dynamic };

const named = (fields: Readonly<Record<string, MergeType>>): ReadonlyMap<string, NamedField> =>
	new Map(Object.entries(fields).map(([name, type]) => [name, { element: `f:${name}`, type }]));

const mapOfLeaves: MapType = { type: 'map', fields: new Map(), element: leaf };

/** The same for every kind, also where a custom resource's schema says only `type: object`. */
const objectMeta: MapType = {
	type: 'map',
	element: leaf,
	fields: named({
		labels: mapOfLeaves,
		annotations: mapOfLeaves,
		finalizers: { type: 'set' },
		ownerReferences: keyed(['uid'], {}, leaf),
	}),
};

const roots = new WeakMap<Schema, MapType>();
const compiled = new WeakMap<Schema, MergeType>();

/** The merge type of a whole object of a kind. */
export function objectMergeType(schema: Schema | undefined, schemas: Schemas): MapType {
	const known = schema && roots.get(schema);
	if (known) return known;
	const type = mergeType(schema, schemas);
	const base = type.type === 'map' ? type : dynamicMap;
	const root: MapType = {
		type: 'map',
		element: base.element,
		fields: new Map(base.fields).set('metadata', { element: 'f:metadata', type: objectMeta }),
	};
	if (schema) roots.set(schema, root);
	return root;
}

/** The merge type of a schema. The result may contain itself, as schemas may. */
export function mergeType(schema: Schema | undefined, schemas: Schemas): MergeType {
	if (!schema) return dynamic;
	const known = compiled.get(schema);
	if (known) return known;
	const target = resolve(schema, schemas);
	if (!target) return dynamic;
	if (target === schema) return compile(schema, schemas);
	// A field may declare a map atomic that its type leaves granular.
	const type = schema['x-kubernetes-map-type'] === 'atomic' ? leaf : mergeType(target, schemas);
	compiled.set(schema, type);
	return type;
}

function compile(schema: Schema, schemas: Schemas): MergeType {
	const keep = <T extends MergeType>(type: T): T => {
		compiled.set(schema, type);
		return type;
	};
	if (schema.type === 'array') {
		const listType = schema['x-kubernetes-list-type'];
		if (listType === 'set') return keep({ type: 'set' });
		const keys = schema['x-kubernetes-list-map-keys'];
		if (listType !== 'map' || !keys?.length) return keep(leaf);
		const item = resolve(schema.items, schemas);
		const defaults = Object.fromEntries(keys.map((key) => [key, item?.properties?.[key]?.default]));
		const type: { -readonly [K in keyof KeyedType]: KeyedType[K] } = keyed(keys, defaults, dynamic);
		keep(type);
		type.item = mergeType(schema.items, schemas);
		return type;
	}
	if (schema['x-kubernetes-map-type'] === 'atomic') return keep(leaf);
	if (schema.type && schema.type !== 'object') return keep(leaf);
	if (schema['x-kubernetes-int-or-string'] || schema.format === 'int-or-string' || schema.format === 'quantity')
		return keep(leaf);
	const { properties, additionalProperties } = schema;
	if (!properties && typeof additionalProperties !== 'object') return keep(dynamic);
	const fields = new Map<string, NamedField>();
	const type: { -readonly [K in keyof MapType]: MapType[K] } = { type: 'map', fields, element: dynamic };
	keep(type);
	for (const [name, property] of Object.entries(properties ?? {}))
		fields.set(name, { element: `f:${name}`, type: mergeType(property, schemas) });
	if (typeof additionalProperties === 'object') type.element = mergeType(additionalProperties, schemas);
	return type;
}

function keyed(keys: readonly string[], defaults: Readonly<Record<string, unknown>>, item: MergeType): KeyedType {
	return {
		type: 'keyed',
		item,
		keys: [...keys].sort().map((name) => ({ name, default: defaults[name], label: `${JSON.stringify(name)}:` })),
	};
}

export type Fields = Readonly<Record<string, unknown>>;

/** Whether a value is an object with fields (no list, not null). */
export function isFields(value: unknown): value is Fields {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * A member of an object from JSON; undefined where it is none of its own. A label may be called `constructor`, and JSON has
 * no functions, so what is none is no inherited method.
 */
export function memberOf(fields: Fields, key: string): unknown {
	const value = fields[key];
	return (typeof value === 'function' || key === '__proto__') && !Object.hasOwn(fields, key) ? undefined : value;
}

/** Sets a member of an object that the caller owns, also one called `__proto__`. */
export function setMember(fields: Record<string, unknown>, key: string, value: unknown): void {
	if (key !== '__proto__') fields[key] = value;
	else Object.defineProperty(fields, key, { value, writable: true, enumerable: true, configurable: true });
}

/**
 * The type by which a value really merges: a value that does not have the shape its schema says is a leaf, so that
 * walks need not fear invalid objects.
 */
export function typeOf(type: MergeType, value: unknown): MapType | SetType | KeyedType | Leaf {
	switch (type.type) {
		case 'leaf':
			return type;
		case 'dynamic':
			return isFields(value) ? dynamicMap : leaf;
		case 'map':
			return isFields(value) ? type : leaf;
		case 'set':
		case 'keyed':
			return Array.isArray(value) ? type : leaf;
	}
}

/**
 * The path element of an item of a keyed list: `k:{"containerPort":80,"protocol":"TCP"}`. An omitted key takes its
 * default or stays out; undefined where all keys are missing.
 */
export function keyElement(type: KeyedType, item: unknown): string | undefined {
	const fields = isFields(item) ? item : {};
	let text = '';
	for (const key of type.keys) {
		const value = fields[key.name] ?? key.default;
		if (value === undefined || value === null) continue;
		text += (text ? ',' : '') + key.label + JSON.stringify(value);
	}
	return text ? `k:{${text}}` : undefined;
}

/** The path element of an item of a set: `v:"x"`. */
export function valueElement(item: unknown): string {
	return `v:${JSON.stringify(item)}`;
}

/** The path element of an item of a set or keyed list; an item without keys is told by its place. */
export function itemElement(type: SetType | KeyedType, item: unknown, index: number): string {
	return type.type === 'set' ? valueElement(item) : (keyElement(type, item) ?? `i:${index}`);
}

/**
 * Whether two items have the same path element, found without writing it. It may say no of items that lack a key; never yes
 * of items that differ.
 */
export function sameItem(type: SetType | KeyedType, a: unknown, b: unknown): boolean {
	if (a === b) return true;
	if (type.type === 'set' || !isFields(a) || !isFields(b)) return false;
	for (const key of type.keys) {
		const value = a[key.name] ?? key.default;
		if (value === undefined || typeof value === 'object' || value !== (b[key.name] ?? key.default)) return false;
	}
	return true;
}

/** Whether two lists have the same items by element, each in the same place; then they need no index to be walked together. */
export function sameItems(type: SetType | KeyedType, a: readonly unknown[], b: readonly unknown[]): boolean {
	if (a.length !== b.length) return false;
	for (let i = 0; i < a.length; i++) if (!sameItem(type, a[i], b[i])) return false;
	return true;
}
