/** list: a range of the cache, filtered, in pages where the caller asks for them. */
import type { KubeObject } from '../../kinds/object.ts';
import { badRequest, expired, fieldError } from '../../kinds/status.ts';
import { Compacted, type Revision } from '../../store/store.ts';
import type { Collection, Listed, ListOptions } from '../api.ts';
import { tooLarge } from '../cache/freshness.ts';
import type { ResourceCache, Undone } from '../cache/resource.ts';
import { limits } from '../limits.ts';
import { checkFormat, decode, parseStorageKey, type StoredObject, storageKey } from '../storage.ts';
import type { Context } from './context.ts';
import { invalidOptions } from './options.ts';
import { anyRevision, decodeContinue, encodeContinue, tooOldToContinue } from './paging.ts';
import { freshEnough, parseRevision, typed } from './read.ts';
import { type Selection, select } from './selection.ts';

/** What part of a collection is asked for. */
interface Part extends Selection {
	readonly limit?: number;
	/** The last key of the page before. */
	readonly after?: string;
}

export async function list<T extends KubeObject>(
	context: Context,
	collection: Collection<T>,
	options: ListOptions,
): Promise<Listed<T>> {
	const selection = select(collection, options);
	const limit = options.limit && options.limit > 0 ? options.limit : undefined;
	checkVersionMatch(options);
	const cached = context.cache.of(collection.kind);

	if (options.continue) {
		const { revision, after } = decodeContinue(options.continue);
		if (options.resourceVersion && options.resourceVersion !== '0')
			throw badRequest('specifying resource version is not allowed when using continue');
		const part = { ...selection, limit, after };
		if (revision === anyRevision) {
			await context.cache.fresh();
			return cachedPage(cached, part, context.cache.position);
		}
		const listed = await pageAt<T>(context, collection, part, revision);
		// The revision of a token is forgotten, or it is from a history that this store does not have.
		if (!listed) throw tooOldToContinue(after);
		return listed;
	}

	if (exactly(options, limit)) {
		const revision = parseRevision(options.resourceVersion ?? '');
		const listed = await pageAt<T>(context, collection, { ...selection, limit }, revision);
		if (listed) return listed;
		if (revision > context.cache.position) throw tooLarge(revision, context.cache.position);
		throw expired(`The resourceVersion for the provided list is too old: ${revision}`);
	}

	await freshEnough(context, options.resourceVersion);
	const revision = context.cache.position;
	const objects = candidates(cached, selection, limit);
	if (!objects) return cachedPage(cached, { ...selection, limit }, revision);
	const { matches } = selection;
	return {
		items: (matches ? objects.filter((stored) => matches(stored)) : objects).map((stored) => typed<T>(stored)),
		resourceVersion: String(revision),
	};
}

/** The present objects among which are all that is selected; undefined where they may not fit into one page. */
function candidates(
	cached: ResourceCache,
	{ namespace, key, trigger, few }: Selection,
	limit = Number.POSITIVE_INFINITY,
): readonly StoredObject[] | undefined {
	if (key !== undefined) return [cached.get(key)].filter((stored) => stored !== undefined);
	if (few && trigger) {
		const found = cached.find(trigger, namespace);
		return found.length > limit ? undefined : found;
	}
	return cached.count(namespace) > limit ? undefined : cached.list(namespace);
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

/**
 * A page of the state of one revision, from any server: what the cache has less the changes since, or what the store still
 * has of its history. Undefined where neither reaches back, or forward, to it.
 */
async function pageAt<T extends KubeObject>(
	context: Context,
	collection: Collection<T>,
	part: Part,
	revision: Revision,
): Promise<Listed<T> | undefined> {
	const { cache } = context;
	if (revision > cache.position) await cache.fresh();
	if (revision > cache.position) return undefined;
	const cached = cache.of(collection.kind);
	const undone = cached.since(revision);
	if (undone) return cachedPage(cached, part, revision, undone);
	try {
		return await storedPage(context, collection, part, revision);
	} catch (cause) {
		if (cause instanceof Compacted) return undefined;
		throw cause;
	}
}

/** A page of the state of `revision`, which is what the cache has, less what is to be undone. */
function cachedPage<T extends KubeObject>(
	cached: ResourceCache,
	{ matches, namespace, limit = Number.POSITIVE_INFINITY, after }: Part,
	revision: Revision,
	undone?: Undone,
): Listed<T> {
	const resourceVersion = String(revision);
	const items: StoredObject[] = [];
	let last = after;
	for (const [key, stored] of cached.walk(namespace, after, undone)) {
		const selected = !matches || matches(stored);
		// With a selector the rest may hold nothing that matches; a token to an empty page would be allowed, but costs a request.
		if (selected && items.length >= limit)
			return {
				items: items.map((item) => typed<T>(item)),
				resourceVersion,
				continue: encodeContinue({ revision, after: last ?? '' }),
				// Kubernetes leaves the count out where a selector applies.
				remainingItemCount: matches ? undefined : cached.count(namespace, last, undone),
			};
		if (selected) items.push(stored);
		last = key;
	}
	return { items: items.map((item) => typed<T>(item)), resourceVersion };
}

/** As `cachedPage`, from the history of the store. Throws Compacted. */
async function storedPage<T extends KubeObject>(
	context: Context,
	{ kind }: Collection<T>,
	{ matches, namespace, limit = Number.POSITIVE_INFINITY, after }: Part,
	revision: Revision,
): Promise<Listed<T>> {
	const resourceVersion = String(revision);
	const prefix = storageKey(kind, namespace === undefined ? '' : `${namespace}/`);
	const items: StoredObject[] = [];
	let last = after;
	for (;;) {
		// One more than is needed tells whether there is one more; of what is selected few may be among many.
		const listing = await context.store.list(prefix, {
			limit: matches ? limits.page : Math.min(limits.page, limit - items.length + 1),
			after: last === undefined ? undefined : storageKey(kind, last),
			revision,
		});
		for (const entry of listing.entries) {
			const name = parseStorageKey(entry.key);
			if (!name) continue;
			checkFormat(entry.key, entry.value);
			const stored = decode(entry.value, entry.modified);
			const selected = !matches || matches(stored);
			if (selected && items.length >= limit) {
				const token = encodeContinue({ revision, after: last ?? '' });
				return { items: items.map((item) => typed<T>(item)), resourceVersion, continue: token };
			}
			if (selected) items.push(stored);
			last = name.key;
		}
		if (!listing.more) return { items: items.map((item) => typed<T>(item)), resourceVersion };
	}
}
