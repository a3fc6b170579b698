/** The kinds that a server knows. It changes while the server runs, when definitions of custom resources come and go. */
import { apiVersionOf, type Kind, parseApiVersion, storageOf } from './kind.ts';
import type { Schemas } from './schema.ts';

export interface Registry {
	/** Every version of every kind, in the order of registration. */
	all(): Iterable<Kind>;
	/** Each kind once: the version whose objects are stored. Kinds whose objects are computed are not among them. */
	stored(): Iterable<Kind>;
	/** Every served version of a stored kind. */
	versions(stored: Kind): readonly Kind[];
	/** By REST path. */
	resource(group: string, version: string, plural: string): Kind | undefined;
	/** By the apiVersion and kind of an object. */
	of(apiVersion: string, kind: string): Kind | undefined;
	/** Whether the kind is served now. */
	has(kind: Pick<Kind, 'group' | 'version' | 'plural'>): boolean;
	/** Aborts when the kind is removed; is so already where it is not served. */
	life(kind: Pick<Kind, 'group' | 'version' | 'plural'>): AbortSignal;
	/** Those of all kinds; another object after each change. */
	readonly schemas: Schemas;
	/** Grows with each change: what is made of the registry and kept is of one generation. */
	readonly generation: number;
	/** Calls back after each change, until disposed. Handlers must not throw. */
	onChange(handler: () => void): Disposable;
}

/** A registry whose owner adds and removes kinds. */
export interface OpenRegistry extends Registry {
	/** Adds kinds, each in place of what was served under its name. Schemas come with them. */
	add(...kinds: readonly Kind[]): void;
	/** Removes kinds: their watches end, and requests for them get 404. */
	remove(...kinds: readonly Kind[]): void;
}

type Named = Pick<Kind, 'group' | 'version' | 'plural'>;

const pathOf = (kind: Named) => `${apiVersionOf(kind)}/${kind.plural}`;

const gone = AbortSignal.abort(new Error('the kind is not served'));

/** `schemas` are those of the kinds that bring none of their own; a function is asked when they are first needed. */
export function createRegistry(kinds: readonly Kind[], schemas: Schemas | (() => Schemas)): OpenRegistry {
	const byPath = new Map<string, Kind>();
	const byName = new Map<string, Kind>();
	const lives = new Map<string, AbortController>();
	const handlers = new Set<() => void>();
	let generation = 0;
	let merged: Schemas | undefined;
	/** The versions of each kind that is stored. */
	let byStored: Map<Kind, Kind[]> | undefined;

	const put = (kind: Kind) => {
		const path = pathOf(kind);
		const present = byPath.get(path);
		if (present === kind) return;
		if (present) drop(present);
		byPath.set(path, kind);
		byName.set(`${apiVersionOf(kind)}/${kind.kind}`, kind);
		lives.set(path, new AbortController());
	};
	const drop = (kind: Named) => {
		const path = pathOf(kind);
		const present = byPath.get(path);
		if (!present) return;
		byPath.delete(path);
		byName.delete(`${apiVersionOf(present)}/${present.kind}`);
		lives.get(path)?.abort(new Error(`${path} is not served any more`));
		lives.delete(path);
	};
	const changed = () => {
		generation++;
		merged = undefined;
		byStored = undefined;
		for (const handler of handlers) handler();
	};
	for (const kind of kinds) put(kind);

	return {
		all: () => byPath.values(),
		*stored() {
			for (const kind of byPath.values()) if (!kind.storedAs && !kind.computed) yield kind;
		},
		versions(stored) {
			byStored ??= Map.groupBy(byPath.values(), storageOf);
			return byStored.get(stored) ?? [];
		},
		resource: (group, version, plural) => byPath.get(pathOf({ group, version, plural })),
		of: (apiVersion, kind) => byName.get(`${apiVersionOf(parseApiVersion(apiVersion))}/${kind}`),
		has: (kind) => byPath.has(pathOf(kind)),
		life: (kind) => lives.get(pathOf(kind))?.signal ?? gone,
		get schemas() {
			const base = typeof schemas === 'function' ? schemas() : schemas;
			merged ??= Object.assign({}, base, ...Array.from(byPath.values(), (kind) => kind.schemas));
			return merged as Schemas;
		},
		get generation() {
			return generation;
		},
		onChange(handler) {
			handlers.add(handler);
			return { [Symbol.dispose]: () => void handlers.delete(handler) };
		},
		add(...more) {
			for (const kind of more) put(kind);
			changed();
		},
		remove(...less) {
			for (const kind of less) drop(kind);
			changed();
		},
	};
}
