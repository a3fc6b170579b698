/**
 * Versions of a kind: a request speaks of an object in one version, the store has it in another. All of it happens here and
 * at the edge of the verbs: cache, store, claims and watches know the stored version alone.
 */
import { apiVersionOf, type Conversion, type Kind, storageOf } from '../../kinds/kind.ts';
import { objectMergeType } from '../../kinds/mergetype.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import type { Registry } from '../../kinds/registry.ts';
import { parseFieldSelector } from '../../kinds/selectors.ts';
import { badRequest } from '../../kinds/status.ts';
import type { Listed, Stored, WatchEvent } from '../api.ts';
import { copy } from '../json.ts';
import type { Versions } from '../patch/index.ts';
import { StoredObject } from '../storage.ts';
import type { Context } from './context.ts';
import { checked } from './decode.ts';
import { typed, untyped } from './read.ts';

/** What a stored object is in other versions: made once, and gone with it. */
const converted = new WeakMap<Stored, Map<Kind, StoredObject>>();

/** A stored object in the version of the request. */
export function served<T extends KubeObject>(kind: Kind<T>, stored: Stored): Stored<T> {
	const conversion = untyped(kind).storedAs;
	if (!conversion) return typed<T>(stored);
	const known = converted.get(stored) ?? new Map<Kind, StoredObject>();
	converted.set(stored, known);
	let seen = known.get(untyped(kind));
	if (!seen) {
		const object = fromStored(untyped(kind), conversion, stored.object);
		seen = new StoredObject(Buffer.from(JSON.stringify(object)), stored.revision, object);
		known.set(untyped(kind), seen);
	}
	return typed<T>(seen);
}

/** An object in the stored version; itself where that is its own. Shares parts with it. */
function toStored(kind: Kind, object: Dynamic): Dynamic {
	const { storedAs } = kind;
	if (!storedAs) return object;
	return { ...storedAs.toStored(object), apiVersion: apiVersionOf(storedAs.kind), kind: storedAs.kind.kind };
}

function fromStored(kind: Kind, conversion: Conversion, object: KubeObject): Dynamic {
	return { ...conversion.fromStored(object), apiVersion: apiVersionOf(kind), kind: kind.kind };
}

/**
 * The object of a request as it is stored, typed as the stored version says: annotations from which a conversion makes fields
 * hold what a client wrote. Throws 400.
 */
export function asStored(context: Context, kind: Kind, object: Dynamic): Dynamic {
	const stored = toStored(kind, object);
	return stored === object ? object : checked(context, storageOf(kind), stored, { fieldValidation: 'Ignore' });
}

/** A stored object in a version of its kind, as the request's own copy. */
export function ownCopy(kind: Kind, stored: KubeObject): Dynamic {
	const { storedAs } = kind;
	return copy(storedAs ? fromStored(kind, storedAs, stored) : stored) as Dynamic;
}

/** An object in the other versions of its kind; undefined for a kind of one version. */
export function versionsOf(registry: Registry, kind: Kind): Versions | undefined {
	const storage = storageOf(kind);
	if (!registry.versions(storage).some((each) => each !== storage)) return undefined;
	return (apiVersion, object) => {
		const from = registry.versions(storage).find((each) => apiVersionOf(each) === object.apiVersion);
		const to = registry.versions(storage).find((each) => apiVersionOf(each) === apiVersion);
		if (!from || !to) return undefined;
		const type = objectMergeType(registry.schemas[to.schema], registry.schemas);
		if (from === to) return { type, object };
		const stored = toStored(from, object);
		return { type, object: to.storedAs ? fromStored(to, to.storedAs, stored) : stored };
	};
}

/** Selectors of a request in the words of the stored version. Throws 400 for a field that the kind cannot be selected by. */
export function storedSelection<O extends { readonly fieldSelector?: string }>(kind: Kind, options: O): O {
	const names = kind.storedAs?.fields;
	if (!names || !options.fieldSelector) return options;
	const terms = parseFieldSelector(options.fieldSelector).map(({ path, value, negated }) => {
		const name = path.startsWith('metadata.') ? path : names[path];
		if (!name) throw badRequest(`field label not supported: ${path}`);
		return `${name}${negated ? '!=' : '='}${value.replace(/[\\,=]/g, '\\$&')}`;
	});
	const fieldSelector = terms.join(',');
	return { ...options, fieldSelector };
}

/** A list of stored objects in the version of the request. */
export function servedList<T extends KubeObject>(kind: Kind<T>, listed: Listed): Listed<T> {
	return kind.storedAs
		? { ...listed, items: listed.items.map((stored) => served(kind, stored)) }
		: // The cache of a kind holds objects of its type only.
			(listed as Listed<T>);
}

/** Events of stored objects in the version of the request. */
export function servedEvents<T extends KubeObject>(
	kind: Kind<T>,
	batches: AsyncIterable<readonly WatchEvent[]>,
): AsyncIterable<readonly WatchEvent<T>[]> {
	// What is stored as it is served needs nothing between the cache and its reader.
	return kind.storedAs ? convertedEvents(kind, batches) : (batches as AsyncIterable<readonly WatchEvent<T>[]>);
}

async function* convertedEvents<T extends KubeObject>(
	kind: Kind<T>,
	batches: AsyncIterable<readonly WatchEvent[]>,
): AsyncGenerator<readonly WatchEvent<T>[]> {
	for await (const batch of batches)
		yield batch.map((event) => (event.type === 'BOOKMARK' ? event : { ...event, stored: served(kind, event.stored) }));
}
