/**
 * managedFields as the server works with them: who owns which fields, decoded from an object, changed, and encoded again.
 * Source: Kubernetes documentation, "Server-Side Apply", "Field management"; API reference, ManagedFieldsEntry.
 */
import { canonical, difference, differenceSets, isEmpty, sorted, unionSets } from '../../kinds/fieldset.ts';
import type { FieldsV1, ManagedFieldsEntry } from '../../kinds/object.ts';
import type { DeltaIn } from './versions.ts';

/** How many managers with Update entries an object keeps; the oldest beyond them go into one. As upstream. */
export const maxUpdateManagers = 10;
/** The manager of the entry into which the oldest Update entries go. */
export const ancientChanges = 'ancient-changes';
/** Owns what an object had before the first apply, where nobody was recorded. */
export const beforeFirstApply = 'before-first-apply';

/** Who a set of fields belongs to. An applier keeps one entry over all API versions. */
export interface Owner {
	readonly manager: string;
	readonly operation: 'Apply' | 'Update';
	readonly apiVersion: string;
	readonly subresource?: string;
}

export interface Owned extends Owner {
	readonly time?: string;
	readonly fields: FieldsV1;
}

export const sameOwner = (a: Owner, b: Owner): boolean =>
	a.manager === b.manager &&
	a.operation === b.operation &&
	(a.subresource ?? '') === (b.subresource ?? '') &&
	(a.operation === 'Apply' || a.apiVersion === b.apiVersion);

/** What an object records, as it is stored and as it is read. */
export interface Ownership {
	readonly entries: readonly Owned[];
	readonly recorded: ManagedFieldsEntry[] | undefined;
}

// Stored entries are frozen and live as long as their object: decode each list once.
const decoded = new WeakMap<readonly ManagedFieldsEntry[], Ownership>();

/** The ownership that a stored object records. Entries that are none are left out. */
export function stored(recorded: ManagedFieldsEntry[] | undefined): Ownership {
	if (!recorded?.length) return { entries: [], recorded };
	const known = decoded.get(recorded);
	if (known) return known;
	const entries = decode(recorded, (fields) => fields).filter((entry) => entry !== undefined);
	const ownership = { entries, recorded };
	if (Object.isFrozen(recorded)) decoded.set(recorded, ownership);
	return ownership;
}

/** The ownership that a client sent; undefined where any entry is malformed. */
export function received(entries: readonly ManagedFieldsEntry[]): readonly Owned[] | undefined {
	const owned = decode(entries, canonical);
	const well = owned.filter((entry) => entry !== undefined);
	return well.length === owned.length ? merged(well) : undefined;
}

function decode(
	entries: readonly ManagedFieldsEntry[],
	read: (fields: FieldsV1) => FieldsV1 | undefined,
): (Owned | undefined)[] {
	return entries.map((entry) => {
		const { manager = '', operation, apiVersion = '', subresource, time, fieldsType, fieldsV1 = {} } = entry;
		const fields = read(fieldsV1);
		if ((operation !== 'Apply' && operation !== 'Update') || fieldsType !== 'FieldsV1' || !fields) return undefined;
		return { manager, operation, apiVersion, ...(subresource && { subresource }), ...(time && { time }), fields };
	});
}

/** One entry an owner: the last, as upstream reads them. */
function merged(entries: readonly Owned[]): readonly Owned[] {
	return [...new Map(entries.map((entry) => [identity(entry), entry])).values()];
}

/**
 * Takes what a change touched from everybody: what was modified belongs to its writer, what was removed to nobody. Entries
 * of a version that is not served any more go.
 */
export function released(entries: readonly Owned[], delta: DeltaIn): readonly Owned[] {
	return entries.flatMap((entry) => {
		const done = delta(entry.apiVersion);
		if (done === 'unserved') return [];
		if (!done) return [entry];
		const fields = difference(difference(entry.fields, done.changed), done.removed) ?? {};
		return [fields === entry.fields ? entry : { ...entry, fields }];
	});
}

/** Of the metadata, what the system says and nobody owns. */
export const systemMetadata: ReadonlySet<string> = new Set([
	'creationTimestamp',
	'generation',
	'managedFields',
	'name',
	'namespace',
	'resourceVersion',
	'selfLink',
	'uid',
]);

/** Fields that no set holds, because the system and not a manager decides them. */
const systemFields: FieldsV1 = {
	'f:apiVersion': {},
	'f:kind': {},
	'f:metadata': { '.': {}, ...Object.fromEntries([...systemMetadata].map((name) => [`f:${name}`, {}])) },
};

/** A set without the fields that nobody owns. */
export const ownable = (fields: FieldsV1 | undefined): FieldsV1 => differenceSets(fields ?? {}, systemFields);

/** Where there are too many Update entries, the oldest become one of nobody in particular, per API version. */
export function capped(entries: readonly Owned[]): readonly Owned[] {
	const updates = entries.filter((entry) => entry.operation === 'Update');
	let over = updates.length - maxUpdateManagers;
	if (over <= 0) return entries;
	updates.sort((a, b) => seconds(a.time) - seconds(b.time) || compareText(identity(a), identity(b)));
	const buckets = new Map<string, Owned>();
	const gone = new Set<Owned>();
	for (const entry of updates) {
		if (over <= 0) break;
		const bucket = buckets.get(entry.apiVersion);
		// The first of a version only becomes a bucket when a second one joins it.
		if (bucket) {
			const { subresource, ...rest } = bucket;
			buckets.set(entry.apiVersion, {
				...rest,
				manager: ancientChanges,
				fields: unionSets(entry.fields, bucket.fields),
				time: entry.time,
			});
			over--;
		} else buckets.set(entry.apiVersion, entry);
		gone.add(entry);
	}
	return [...entries.filter((entry) => !gone.has(entry)), ...buckets.values()];
}

const identity = ({ manager, operation, apiVersion, subresource = '' }: Owner) =>
	`${manager}\0${operation}\0${operation === 'Apply' ? '' : apiVersion}\0${subresource}`;

const seconds = (time: string | undefined) => (time ? Math.floor(Date.parse(time) / 1000) || 0 : 0);

const compareText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/**
 * managedFields to store: without empty entries, appliers first, then by time, manager, API version and subresource.
 * What `before` recorded, as it was, where nothing changed.
 */
export function encode(entries: readonly Owned[], before: Ownership): ManagedFieldsEntry[] {
	const { recorded = [], entries: was } = before;
	const held = entries.filter((entry) => !isEmpty(entry.fields));
	const known = new Set(was);
	if (was.length === recorded.length && held.length === was.length && held.every((entry) => known.has(entry)))
		return recorded;
	return held
		.sort(
			(a, b) =>
				compareText(a.operation, b.operation) ||
				seconds(a.time) - seconds(b.time) ||
				compareText(a.manager, b.manager) ||
				compareText(a.apiVersion, b.apiVersion) ||
				compareText(a.subresource ?? '', b.subresource ?? ''),
		)
		.map(({ manager, operation, apiVersion, time, fields, subresource }) => ({
			manager,
			operation,
			apiVersion,
			...(time && { time }),
			fieldsType: 'FieldsV1' as const,
			fieldsV1: sorted(fields),
			...(subresource && { subresource }),
		}));
}
