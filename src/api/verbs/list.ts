/** list: a range of the cache, filtered, in pages where the caller asks for them. */
import type { KubeObject } from '../../kinds/object.ts';
import { badRequest, expired, fieldError } from '../../kinds/status.ts';
import { Compacted, type Revision } from '../../store/store.ts';
import type { Collection, Listed, ListOptions } from '../api.ts';
import { tooLarge } from '../cache/cache.ts';
import { rangeOf, type Snapshot } from '../cache/resource.ts';
import { limits } from '../limits.ts';
import { decode, parseStorageKey, type StoredObject, storageKey } from '../storage.ts';
import type { Context } from './context.ts';
import { invalidOptions } from './options.ts';
import { anyRevision, decodeContinue, encodeContinue, tooOldToContinue } from './paging.ts';
import { freshEnough, parseRevision, typed } from './read.ts';
import { type Matches, matcher } from './selection.ts';

export async function list<T extends KubeObject>(
	context: Context,
	collection: Collection<T>,
	options: ListOptions,
): Promise<Listed<T>> {
	const matches = matcher(collection.kind, options);
	const limit = options.limit && options.limit > 0 ? options.limit : undefined;
	checkVersionMatch(options);

	if (options.continue) {
		const { revision, after } = decodeContinue(options.continue);
		if (options.resourceVersion && options.resourceVersion !== '0')
			throw badRequest('specifying resource version is not allowed when using continue');
		if (revision === anyRevision) await context.cache.fresh();
		const snapshot = await snapshotAt(
			context,
			collection,
			revision === anyRevision ? context.cache.position : revision,
		).catch((cause: unknown) => {
			throw cause instanceof Compacted ? tooOldToContinue(after) : cause;
		});
		return page(snapshot, collection, matches, limit, after);
	}

	if (exactly(options, limit)) {
		const revision = parseRevision(options.resourceVersion ?? '');
		if (revision > context.cache.position) await context.cache.fresh();
		if (revision > context.cache.position) throw tooLarge(revision, context.cache.position);
		const snapshot = await snapshotAt(context, collection, revision).catch((cause: unknown) => {
			throw cause instanceof Compacted
				? expired(`The resourceVersion for the provided list is too old: ${cause.message}`)
				: cause;
		});
		return page(snapshot, collection, matches, limit, undefined);
	}

	await freshEnough(context, options.resourceVersion);
	const cached = context.cache.of(collection.kind);
	const revision = context.cache.position;
	if (limit !== undefined && cached.count(collection.namespace) > limit)
		return page(cached.snapshot(revision, context.now()), collection, matches, limit, undefined);
	const objects = cached.list(collection.namespace);
	return {
		items: (matches ? objects.filter((stored) => matches(stored)) : objects).map((stored) => typed<T>(stored)),
		resourceVersion: String(revision),
	};
}

/** Whether the state of one revision is asked for: said so, or by a first page from a revision. Source: "Resource versions". */
function exactly({ resourceVersion, resourceVersionMatch: match }: ListOptions, limit: number | undefined): boolean {
	if (match) return match === 'Exact';
	return limit !== undefined && resourceVersion !== undefined && resourceVersion !== '0';
}

/** Which combinations Kubernetes refuses. Source: "Resource versions", Kubernetes API concepts. */
function checkVersionMatch({ resourceVersion, resourceVersionMatch, continue: token }: ListOptions): void {
	if (!resourceVersionMatch) return;
	const field = 'resourceVersionMatch';
	const refuse = (why: string) => invalidOptions('ListOptions', fieldError.forbidden(field, why));
	if (resourceVersionMatch !== 'Exact' && resourceVersionMatch !== 'NotOlderThan')
		throw invalidOptions(
			'ListOptions',
			fieldError.notSupported(field, resourceVersionMatch, ['Exact', 'NotOlderThan']),
		);
	if (token) throw refuse('resourceVersionMatch is forbidden when continue is provided');
	if (!resourceVersion) throw refuse('resourceVersionMatch is forbidden unless resourceVersion is provided');
	if (resourceVersionMatch === 'Exact' && resourceVersion === '0')
		throw refuse('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
}

/** The objects as of a revision: a snapshot kept, the present ones if nothing has changed since, else from the store. Throws Compacted. */
async function snapshotAt(context: Context, collection: Collection, revision: Revision): Promise<Snapshot> {
	const cached = context.cache.of(collection.kind);
	const now = context.now();
	const known = cached.snapshotAt(revision, now);
	if (known) return known;
	const after = cached.ring.after(revision);
	if (after === cached.ring.end && revision <= context.cache.position) return cached.snapshot(revision, now);

	const keys: string[] = [];
	const objects: StoredObject[] = [];
	const prefix = storageKey(collection.kind, collection.namespace === undefined ? '' : `${collection.namespace}/`);
	let last: string | undefined;
	for (;;) {
		const listing = await context.store.list(prefix, { limit: limits.page, after: last, revision });
		for (const entry of listing.entries) {
			const name = parseStorageKey(entry.key);
			if (!name) continue;
			keys.push(name.key);
			objects.push(decode(entry.value, entry.modified));
		}
		last = listing.entries.at(-1)?.key;
		if (!listing.more || last === undefined) break;
	}
	return { revision, keys, objects, taken: now };
}

function page<T extends KubeObject>(
	snapshot: Snapshot,
	collection: Collection<T>,
	matches: Matches | undefined,
	limit: number | undefined,
	after: string | undefined,
): Listed<T> {
	const { from, to } = rangeOf(snapshot.keys, collection.namespace, after);
	const resourceVersion = String(snapshot.revision);
	const selected: StoredObject[] = [];
	let index = from;
	for (; index < to && (limit === undefined || selected.length < limit); index++) {
		const stored = snapshot.objects[index];
		if (stored && (!matches || matches(stored))) selected.push(stored);
	}
	// With a selector the rest may hold nothing that matches; a token to an empty page would be allowed, but costs a request.
	if (matches) while (index < to && !matches(snapshot.objects[index] as StoredObject)) index++;
	const items = selected.map((stored) => typed<T>(stored));
	if (index >= to) return { items, resourceVersion };
	return {
		items,
		resourceVersion,
		continue: encodeContinue({ revision: snapshot.revision, after: snapshot.keys[index - 1] as string }),
		// Kubernetes leaves the count out where a selector applies.
		remainingItemCount: matches ? undefined : to - index,
	};
}
