/**
 * Server-side apply: merges an applied configuration into the live object, takes away what its manager no longer applies,
 * and refuses to change what others own. Source: Kubernetes documentation, "Server-Side Apply"; KEP-555.
 */
import { differenceSets, equalSets, formatPath, intersection, isEmpty, parseElement } from '../../kinds/fieldset.ts';
import { type MapType, objectMergeType } from '../../kinds/mergetype.ts';
import type { Dynamic, FieldsV1, ManagedFieldsEntry } from '../../kinds/object.ts';
import type { Schema, Schemas } from '../../kinds/schema.ts';
import { badRequest } from '../../kinds/status.ts';
import { compare } from './compare.ts';
import { applyConflict, type OwnershipConflict } from './conflict.ts';
import { DuplicateItem, fieldsOf } from './fields.ts';
import { kubectl, lastAppliedFields, withLastApplied } from './last-applied.ts';
import {
	beforeFirstApply,
	encode,
	type Owned,
	type Owner,
	type Ownership,
	ownable,
	released,
	sameOwner,
	stored,
} from './ownership.ts';
import { prune } from './prune.ts';
import { merge } from './structured.ts';
import { trackUpdate } from './track.ts';
import { isUnchanged } from './unchanged.ts';
import { untypedPatch } from './untyped.ts';
import { type DeltaIn, deltaIn, type Versions } from './versions.ts';

export interface ApplyInput {
	/** The stored object; undefined where there is none: the apply then creates it. */
	readonly live: Dynamic | undefined;
	/** The configuration as sent. Fields of `metadata` that the system decides are not merged into a live object. */
	readonly applied: Dynamic;
	readonly schema: Schema | undefined;
	readonly schemas: Schemas;
	readonly manager: string;
	/** Take the fields that others own instead of refusing. */
	readonly force: boolean;
	/** `status`: only the status is applied. Absent: everything else. */
	readonly subresource?: string;
	/** False where the status is an ordinary field, because the kind has no status subresource. Default true. */
	readonly statusSubresource?: boolean;
	/** Where the kind has several versions: the object in each. `live` and `applied` are in that of the request. */
	readonly versions?: Versions;
	/** RFC 3339, seconds. */
	readonly now: string;
}

export interface Applied {
	/** The object before defaults, with its managedFields; `live` itself where nothing changed. Shares parts of both inputs. */
	readonly object: Dynamic;
	/** False where object and ownership are as they were. Filling in defaults may still undo a change. */
	readonly changed: boolean;
}

/**
 * Applies. Throws ApiError 409 with a FieldManagerConflict cause for each field that another manager owns and the apply would
 * change (not when `force`), and 400 for a configuration with managedFields or with two items of one key.
 * Preconditions (uid and resourceVersion of the configuration) are the caller's to check.
 */
export function serverSideApply(input: ApplyInput): Applied {
	const { live, applied } = input;
	if (applied.metadata.managedFields?.length) throw badRequest('metadata.managedFields must be nil');
	const type = objectMergeType(input.schema, input.schemas);
	const config = configurationOf(input);
	const owner: Owner = {
		manager: input.manager,
		operation: 'Apply',
		apiVersion: applied.apiVersion,
		...(input.subresource && { subresource: input.subresource }),
	};
	if (!live) return created(input, type, config, owner);
	const recorded = stored(live.metadata.managedFields);
	const entries = recorded.entries.length > 0 ? recorded.entries : untracked(input, live);
	const own = recorded.entries.find((entry) => sameOwner(entry, owner));
	const settled =
		own !== undefined &&
		own.apiVersion === owner.apiVersion &&
		input.manager !== kubectl &&
		isUnchanged(type, live, config, own.fields);
	return settled
		? { object: live, changed: false }
		: merged(input, { type, live, config, owner, recorded, entries, own });
}

interface Merge {
	readonly type: MapType;
	readonly live: Dynamic;
	readonly config: object;
	readonly owner: Owner;
	readonly recorded: Ownership;
	readonly entries: readonly Owned[];
	readonly own: Owned | undefined;
}

function merged(input: ApplyInput, { type, live, config, owner, recorded, entries, own }: Merge): Applied {
	const fields = appliedFields(type, config, input.applied);
	const others = entries.filter((entry) => entry !== own);
	const whole = merge(type, live, config);
	const same = own !== undefined && equalSets(own.fields, fields);
	const result = own && !same ? pruned(input, type, whole as Dynamic, own, others, fields) : whole;
	const delta = compare(type, live, result);
	const by = deltaIn(input.versions, owner.apiVersion, delta, live, result as Dynamic);
	const conflicts = conflictsOf(others, by);
	if (conflicts.length > 0 && !input.force) {
		const allowed = input.manager === kubectl ? lastAppliedFields(type, live) : undefined;
		const refused = allowed ? outside(conflicts, allowed) : conflicts;
		if (refused.length > 0) throw applyConflict(refused);
	}
	const settled = same && own.apiVersion === owner.apiVersion && !delta;
	const entry: Owned = settled ? own : { ...owner, fields: same ? own.fields : fields, time: input.now };
	const managedFields = encode([...released(others, by), entry], recorded);
	const object = input.manager === kubectl ? withLastApplied(result as Dynamic, input.applied) : (result as Dynamic);
	const sameOwners = managedFields === recorded.recorded || (managedFields.length === 0 && !recorded.recorded);
	if (object === live && sameOwners) return { object: live, changed: false };
	return { object: withManagedFields(object, managedFields), changed: true };
}

/**
 * The object without what `own` had applied last and no manager owns any more: neither `others`, which are in their own
 * versions, nor the applier with its new `fields`.
 */
function pruned(
	input: ApplyInput,
	type: MapType,
	whole: Dynamic,
	own: Owned,
	others: readonly Owned[],
	fields: FieldsV1,
): Dynamic {
	const { versions, applied } = input;
	const sets = (owners: readonly Owned[]) => owners.map((each) => each.fields);
	if (!versions) return prune(type, whole, own.fields, [identity, fields, ...sets(others)]) as Dynamic;
	const { apiVersion } = own;
	const seen = versions(apiVersion, whole);
	const config = versions(apiVersion, applied);
	// What a version named that is gone, nobody can find any more.
	if (!seen || !config) return whole;
	const mine = appliedFields(seen.type, configurationOf({ ...input, applied: config.object }), config.object);
	const there = others.filter((each) => each.apiVersion === apiVersion);
	const rest = prune(seen.type, seen.object, own.fields, [identity, mine, ...sets(there)]) as Dynamic;
	const result = rest === seen.object ? undefined : versions(applied.apiVersion, rest)?.object;
	if (!result) return whole;
	// Managers that wrote in other versions keep what is theirs: then nothing is taken away.
	const by = deltaIn(versions, applied.apiVersion, compare(type, whole, result), whole, result);
	const taken = others.some((each) => {
		const delta = each.apiVersion === apiVersion ? undefined : by(each.apiVersion);
		const lost = delta && delta !== 'unserved' ? intersection(each.fields, delta.removed) : undefined;
		return lost !== undefined && !isEmpty(lost);
	});
	return taken ? whole : result;
}

function created(input: ApplyInput, type: MapType, config: object, owner: Owner): Applied {
	const { apiVersion, kind, metadata } = input.applied;
	const fields = appliedFields(type, config, input.applied);
	const { managedFields: _, ...identity } = metadata;
	const object = merge(type, { apiVersion, kind, metadata: identity }, config) as Dynamic;
	const entry: Owned = { ...owner, fields, time: input.now };
	return { object: withManagedFields(object, encode([entry], stored(undefined))), changed: true };
}

function withManagedFields(object: Dynamic, managedFields: ManagedFieldsEntry[]): Dynamic {
	return { ...object, metadata: { ...object.metadata, managedFields } };
}

/** Who owns what, where nobody was ever recorded: all that is there then belongs to what was before the first apply. */
function untracked({ schema, schemas, subresource, now }: ApplyInput, live: Dynamic): readonly Owned[] {
	const before = { schema, schemas, subresource, now, manager: beforeFirstApply };
	return stored(trackUpdate({ ...before, before: undefined, after: live })).entries;
}

/** What every object has whoever applies it: metadata does not go with the last label. */
const identity: FieldsV1 = { 'f:metadata': { '.': {} } };

/** Fields of metadata that only the system sets. */
const systemMetadata = new Set<string>([
	'name',
	'namespace',
	'uid',
	'resourceVersion',
	'generation',
	'creationTimestamp',
	'selfLink',
	'managedFields',
]);

/** The part of the applied object that an apply through this (sub)resource decides. */
function configurationOf({ applied, subresource, statusSubresource = true }: ApplyInput): object {
	const { apiVersion: _version, kind: _kind, metadata, ...rest } = applied;
	const ofStatus = 'status' in rest ? { status: rest.status } : {};
	const config: Record<string, unknown> = subresource === 'status' ? ofStatus : rest;
	if (subresource !== 'status' && statusSubresource) delete config.status;
	let mine: Record<string, unknown> | undefined;
	for (const [key, value] of Object.entries(metadata)) {
		if (systemMetadata.has(key) || value === undefined) continue;
		mine ??= {};
		mine[key] = value;
	}
	return mine ? { ...config, metadata: mine } : config;
}

function appliedFields(type: MapType, config: object, applied: Dynamic): FieldsV1 {
	try {
		return ownable(fieldsOf(type, config));
	} catch (error) {
		if (!(error instanceof DuplicateItem)) throw error;
		const path = error.path.map((text) => parseElement(text) ?? { field: text });
		const item = formatPath(path.slice(-1));
		throw untypedPatch(applied, [`${formatPath(path.slice(0, -1))}: duplicate entries for key ${item}`]);
	}
}

function conflictsOf(others: readonly Owned[], by: DeltaIn): OwnershipConflict[] {
	return others.flatMap((owner) => {
		const delta = by(owner.apiVersion);
		const fields = delta && delta !== 'unserved' ? intersection(owner.fields, delta.changed) : undefined;
		return fields && !isEmpty(fields) ? [{ owner, fields }] : [];
	});
}

function outside(conflicts: readonly OwnershipConflict[], allowed: FieldsV1): OwnershipConflict[] {
	return conflicts.flatMap(({ owner, fields }) => {
		const left = differenceSets(fields, allowed);
		return isEmpty(left) ? [] : [{ owner, fields: left }];
	});
}
