/** Who owns what after a create, an update or a patch other than apply. */
import { differenceSets, isEmpty, sorted, unionSets } from '../../kinds/fieldset.ts';
import { type Fields, type MapType, memberOf, objectMergeType, setMember } from '../../kinds/mergetype.ts';
import type { Dynamic, FieldsV1, ManagedFieldsEntry } from '../../kinds/object.ts';
import type { Schema, Schemas } from '../../kinds/schema.ts';
import { compare, type Delta } from './compare.ts';
import { equalJson } from './equal.ts';
import { nodeOf } from './fields.ts';
import {
	capped,
	encode,
	type Owned,
	type Owner,
	type Ownership,
	ownable,
	received,
	released,
	sameOwner,
	stored,
	systemMetadata,
} from './ownership.ts';
import { type DeltaIn, deltaIn, type Versions } from './versions.ts';

export interface UpdateInput {
	/** The stored object; undefined on a create. */
	readonly before: Dynamic | undefined;
	/** The object as it will be stored; its managedFields as the client sent them. */
	readonly after: Dynamic;
	readonly schema: Schema | undefined;
	readonly schemas: Schemas;
	readonly manager: string;
	readonly subresource?: string;
	/** Where the kind has several versions: the object in each. */
	readonly versions?: Versions;
	/** RFC 3339, seconds. */
	readonly now: string;
}

/**
 * The managedFields to store: the writer owns what it changed, added or created, and nobody what was removed.
 * A client may rewrite managedFields; `[{}]` clears them; none, or malformed ones, leave them as they were.
 * Returns those of `before` themselves where nothing changed.
 */
export function trackUpdate(input: UpdateInput): ManagedFieldsEntry[] {
	const { before, after } = input;
	const kept = stored(before?.metadata.managedFields);
	const owned = startingPoint(input, kept);
	// Once cleared, an object is not tracked until somebody applies it.
	if (before && owned.length === 0) return [];
	const delta = changesOf(input);
	if (!delta) return encode(owned, kept);
	const by = deltaIn(input.versions, after.apiVersion, delta, before, after);
	return encode(capped(withUpdate(owned, delta, by, ownerOf(input, after), input.now)), kept);
}

const ownerOf = (input: UpdateInput, after: Dynamic): Owner => ({
	manager: input.manager,
	operation: 'Update',
	apiVersion: after.apiVersion,
	...(input.subresource && { subresource: input.subresource }),
});

function startingPoint({ after, subresource }: UpdateInput, kept: Ownership): readonly Owned[] {
	const sent = after.metadata.managedFields;
	if (subresource || !sent?.length || sent === kept.recorded) return kept.entries;
	const [first] = sent;
	if (sent.length === 1 && first && Object.keys(first).length === 0) return [];
	// A client that sends back what it read changes nothing.
	return equalJson(sent, kept.recorded) ? kept.entries : (received(sent) ?? kept.entries);
}

function changesOf({ before, after, schema, schemas, subresource }: UpdateInput): Delta | undefined {
	const type = objectMergeType(schema, schemas);
	if (!before) return createdFields(type, after, subresource === undefined);
	const delta = compare(type, before, after);
	if (!delta) return undefined;
	const changed = ownable(delta.changed);
	const removed = ownable(delta.removed);
	const none = (fields: object) => Object.keys(fields).length === 0;
	if (none(changed) && none(removed)) return undefined;
	return { changed: none(changed) ? undefined : changed, removed: none(removed) ? undefined : removed };
}

/**
 * What a new object says. It is made with its metadata, spec and status there already, as the API types have them: only what is
 * in them is new. Through the main resource (`isMain`) nobody can set a status: what stands there is the server's.
 */
function createdFields(type: MapType, object: Dynamic, isMain: boolean): Delta | undefined {
	const changed: FieldsV1 = {};
	for (const key in object) {
		if (key === 'apiVersion' || key === 'kind' || (isMain && key === 'status')) continue;
		const field = type.fields.get(key);
		const there = key === 'metadata' || key === 'spec' || key === 'status';
		const value = key === 'metadata' ? ownMetadata(object.metadata) : memberOf(object, key);
		if (value === undefined) continue;
		const fields = nodeOf(field?.type ?? type.element, value, true, !there);
		if (fields) changed[field?.element ?? `f:${key}`] = fields;
		else if (!there) changed[field?.element ?? `f:${key}`] = {};
	}
	return isEmpty(changed) ? undefined : { changed: sorted(changed), removed: undefined };
}

function ownMetadata(metadata: Dynamic['metadata']): Fields {
	const own: Record<string, unknown> = {};
	for (const key in metadata)
		if (!systemMetadata.has(key)) setMember(own, key, memberOf(metadata as unknown as Fields, key));
	return own;
}

/** The entries after `owner` changed what `delta` says. Its time is that of its last change, whatever others took from it. */
function withUpdate(entries: readonly Owned[], delta: Delta, by: DeltaIn, owner: Owner, now: string): readonly Owned[] {
	const own = entries.find((entry) => sameOwner(entry, owner));
	const rest = released(
		entries.filter((entry) => entry !== own),
		by,
	);
	const left = own ? differenceSets(own.fields, delta.removed ?? {}) : {};
	const fields = unionSets(left, delta.changed ?? {});
	const changes = delta.changed !== undefined || (own !== undefined && left !== own.fields);
	const entry: Owned | undefined = changes ? { ...(own ?? owner), fields, time: now } : own;
	return [...rest, ...(entry && !isEmpty(entry.fields) ? [entry] : [])].filter((kept) => !isEmpty(kept.fields));
}
