/**
 * What the writes of the API must come to, as plainly as it can be said and without regard to cost. Sources: RFC 7386 (JSON
 * merge patch), RFC 6902 (JSON patch), and Kubernetes documentation, "Server-Side Apply". An object is here what of it people
 * write, and who owns a field is a set of paths.
 */

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
type Tree = { readonly [key: string]: Json };

/** RFC 7386, section 2. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
	if (!isTree(patch)) return patch;
	const result: { [key: string]: Json } = isTree(target) ? { ...target } : {};
	for (const [key, value] of Object.entries(patch)) {
		if (value === null) delete result[key];
		else result[key] = mergePatch(result[key], value);
	}
	return result;
}

export type Operation =
	| { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: Json }
	| { readonly op: 'remove'; readonly path: string }
	| { readonly op: 'move' | 'copy'; readonly from: string; readonly path: string };

/** RFC 6902, section 4. Undefined where one of the operations is an error: then none counts. */
export function jsonPatch(target: Json, operations: readonly Operation[]): Json | undefined {
	let result: Json | undefined = target;
	for (const operation of operations) {
		if (result === undefined) return undefined;
		const path = pointer(operation.path);
		const found = read(result, path);
		if (operation.op === 'test') {
			if (!same(found, operation.value)) return undefined;
		} else if (operation.op === 'move' || operation.op === 'copy') {
			const value = read(result, pointer(operation.from));
			if (value === undefined) return undefined;
			if (operation.op === 'move') {
				if (operation.path.startsWith(`${operation.from}/`)) return undefined;
				result = change(result, pointer(operation.from), 'remove');
			}
			result = result && change(result, path, 'add', value);
		} else if (operation.op === 'add') result = change(result, path, 'add', operation.value);
		else if (found === undefined) return undefined;
		else result = change(result, path, operation.op, 'value' in operation ? operation.value : undefined);
	}
	return result;
}

/** RFC 6901. */
const pointer = (text: string) =>
	text
		.split('/')
		.slice(1)
		.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

function read(value: Json | undefined, [key, ...rest]: readonly string[]): Json | undefined {
	if (key === undefined) return value;
	if (Array.isArray(value)) return /^(0|[1-9]\d*)$/.test(key) ? read(value[Number(key)], rest) : undefined;
	return isTree(value) && Object.hasOwn(value, key) ? read(value[key], rest) : undefined;
}

/** Undefined where there is no such place. */
function change(
	into: Json,
	[key, ...rest]: readonly string[],
	op: 'add' | 'replace' | 'remove',
	value?: Json,
): Json | undefined {
	if (key === undefined) return value;
	if (Array.isArray(into)) {
		const index = key === '-' ? into.length : /^(0|[1-9]\d*)$/.test(key) ? Number(key) : Number.NaN;
		if (!(index <= into.length)) return undefined;
		if (rest.length > 0) {
			const part = index < into.length ? change(into[index], rest, op, value) : undefined;
			return part === undefined ? undefined : into.with(index, part);
		}
		return into.toSpliced(index, op === 'add' ? 0 : 1, ...(op === 'remove' ? [] : [value as Json]));
	}
	if (!isTree(into)) return undefined;
	if (rest.length === 0) {
		const { [key]: _, ...others } = into;
		return op === 'remove' ? others : { ...into, [key]: value as Json };
	}
	const inner = into[key];
	const part = inner === undefined ? undefined : change(inner, rest, op, value);
	return part === undefined ? undefined : { ...into, [key]: part };
}

/** Fields by path, with their values: entries of maps, and items of the lists that are sets. */
export type Fields = ReadonlyMap<string, Json>;
/** The fields that each manager owns, by `MANAGER OPERATION`. */
export type Owners = ReadonlyMap<string, ReadonlySet<string>>;
export interface Outcome {
	readonly fields: Fields;
	readonly owners: Owners;
}

/** The fields of an object. */
export function fieldsOf(value: Json | undefined, path: readonly string[] = []): Map<string, Json> {
	const fields = new Map<string, Json>();
	if (Array.isArray(value)) for (const item of value) fields.set([...path, `=${item}`].join(' '), item);
	else if (isTree(value))
		for (const [key, inner] of Object.entries(value))
			for (const [found, leaf] of fieldsOf(inner, [...path, key])) fields.set(found, leaf);
	else if (value !== undefined) fields.set(path.join(' '), value);
	return fields;
}

/** An object as it is. An object whose managers are none is not tracked; one of them may own nothing but an empty list or map. */
export interface Before extends Outcome {
	readonly tracked: boolean;
}
const nothing: Before = { fields: new Map(), owners: new Map(), tracked: true };

/**
 * A write that says how the object is afterwards: what it has changed is its own, and what is gone is nobody's. Of an object of
 * which nobody owns anything nothing is tracked before it is first applied.
 */
export function update(live: Before | undefined, manager: string, after: Fields): Outcome {
	const before = live ?? nothing;
	if (!before.tracked) return { fields: after, owners: before.owners };
	const changed = [...after.keys()].filter((path) => !same(before.fields.get(path), after.get(path)));
	const owners = new Map<string, ReadonlySet<string>>();
	for (const name of new Set([...before.owners.keys(), manager])) {
		const had = before.owners.get(name) ?? new Set();
		const kept = [...had].filter((path) => after.has(path) && (name === manager || !changed.includes(path)));
		owners.set(name, new Set(name === manager ? [...kept, ...changed] : kept));
	}
	return { fields: after, owners: withoutEmpty(owners) };
}

/**
 * An apply: the fields that others own with another value are conflicts, unless it is forced; then it takes them. What an object
 * had that was never tracked is somebody's, too.
 */
export function apply(
	live: Before | undefined,
	manager: string,
	wanted: Fields,
	force: boolean,
): Outcome | { readonly conflicts: ReadonlySet<string> } {
	const { fields: found, owners: known, tracked } = live ?? nothing;
	const before = {
		fields: found,
		owners: tracked ? known : new Map([['before-first-apply Update', new Set(found.keys())]]),
	};
	const others = [...before.owners].filter(([name]) => name !== manager);
	const changed = [...wanted.keys()].filter((path) => !same(before.fields.get(path), wanted.get(path)));
	const conflicts = new Set(changed.filter((path) => others.some(([, owned]) => owned.has(path))));
	if (conflicts.size > 0 && !force) return { conflicts };
	const owners = new Map(
		others.map(([name, owned]) => [name, new Set([...owned].filter((path) => !conflicts.has(path)))] as const),
	);
	const isOwned = (path: string) => [...owners.values()].some((owned) => owned.has(path));
	const dropped = [...(before.owners.get(manager) ?? [])].filter((path) => !wanted.has(path) && !isOwned(path));
	const fields = new Map([...before.fields, ...wanted]);
	for (const path of dropped) fields.delete(path);
	return { fields, owners: withoutEmpty(new Map([...owners, [manager, new Set(wanted.keys())]])) };
}

const withoutEmpty = (owners: Owners): Owners => new Map([...owners].filter(([, owned]) => owned.size > 0));

/** The owners that `managedFields` tells. Maps and lists themselves are left out: what counts is what is in them. */
export function ownersOf(entries: readonly { manager: string; operation: string; fieldsV1: Json }[]): Owners {
	return withoutEmpty(
		new Map(
			entries.map(({ manager, operation, fieldsV1 }) => [`${manager} ${operation}`, new Set(paths(fieldsV1, []))]),
		),
	);
}

const containers: ReadonlySet<string> = new Set([
	'data',
	'metadata',
	'metadata labels',
	'metadata annotations',
	'metadata finalizers',
]);

function paths(set: Json, path: readonly string[]): string[] {
	const inner = Object.entries(set as Tree).filter(([key]) => key !== '.');
	if (inner.length === 0) return containers.has(path.join(' ')) ? [] : [path.join(' ')];
	return inner.flatMap(([key, value]) =>
		paths(value, [...path, key.startsWith('v:') ? `=${JSON.parse(key.slice(2))}` : key.replace(/^f:/, '')]),
	);
}

const isTree = (value: Json | undefined): value is Tree =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether two values are the same, in whatever order their members are. */
export const same = (one: Json | undefined, other: Json | undefined): boolean => sorted(one) === sorted(other);
const sorted = (value: Json | undefined): string =>
	JSON.stringify(value, (_, inner: Json) =>
		isTree(inner) ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1))) : inner,
	) ?? '';
