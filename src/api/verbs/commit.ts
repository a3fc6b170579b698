/** The one place where objects are written: puts and removals under an expectation, with what they claim, in one commit. */
import type { Kind } from '../../kinds/kind.ts';
import { type Key, type KubeObject, keyOf } from '../../kinds/object.ts';
import { conflict } from '../../kinds/status.ts';
import { ChangeTooLarge } from '../../store/change.ts';
import type { Conflict, Expectation } from '../../store/store.ts';
import { limits } from '../limits.ts';
import { checkFormat, decode, draft, removedAt, StoredObject, storageKey } from '../storage.ts';
import { type Beside, committed } from './beside.ts';
import { claimChange, claimOf } from './claims.ts';
import type { Context } from './context.ts';
import { countsOf } from './counts.ts';
import { quotasOf } from './quotas.ts';
import { tooLarge } from './size.ts';

export interface Place {
	readonly kind: Kind;
	/** `namespace/name`, or `name`. */
	readonly key: Key;
	readonly storeKey: string;
}

export function placeOf(kind: Kind, name: { readonly namespace?: string; readonly name: string }): Place {
	const key = keyOf({ metadata: name });
	return { kind, key, storeKey: storageKey(kind, key) };
}

/** The newest state that this server knows of. On a shared store it may be older than the store's: see `readStored`. */
export const latest = (context: Context, { kind, key, storeKey }: Place): StoredObject | undefined =>
	context.cache.latest(storeKey, context.cache.of(kind), key);

/** The state in the store itself. */
export async function readStored(context: Context, { storeKey }: Place): Promise<StoredObject | undefined> {
	const entry = await context.store.get(storeKey);
	if (entry) checkFormat(storeKey, entry.value);
	return entry && decode(entry.value, entry.modified);
}

/**
 * Writes an object in place of `before` (absent: it must not exist). Throws Conflict when the stored object is another
 * one, or when one of `expect` does not hold; 413 when it is too large. The object becomes the store's: it is frozen.
 */
export async function put(
	context: Context,
	place: Place,
	before: StoredObject | undefined,
	object: KubeObject,
	expect: readonly Expectation[] = [],
	beside: readonly Beside[] = [],
): Promise<StoredObject> {
	const { kind, storeKey } = place;
	const drafted = draft(object, before);
	if (drafted.value.length > limits.object)
		throw tooLarge(kind, object, `: ${drafted.value.length} bytes, the limit is ${limits.object}`);
	const claims = claimChange(kind, place.key, before?.object, object);
	context.cache.announce(storeKey, drafted);
	let stored: StoredObject | undefined;
	try {
		const others = [...beside, ...keptWith(context, kind, before?.object, object)];
		const revision = await committed(context, kind, object, others, (addition) =>
			context.store.commit({
				puts: [{ key: storeKey, value: drafted.value }, ...claims.puts, ...addition.puts],
				deletes: claims.deletes,
				expect: [
					{ key: storeKey, modified: before?.revision ?? 'absent' },
					...claims.expect,
					...addition.expect,
					...expect,
				],
			}),
		);
		stored = drafted.finish(revision);
		return stored;
	} catch (cause) {
		if (cause instanceof ChangeTooLarge)
			throw tooLarge(kind, object, ` with what it claims for itself, such as ports of nodes: ${cause.message}`);
		throw cause;
	} finally {
		context.cache.settle(storeKey, stored?.revision, stored);
	}
}

/** Removes the object. Throws Conflict when the stored one is another. Returns its last state. */
export async function remove(
	context: Context,
	place: Place,
	before: StoredObject,
	expect: readonly Expectation[] = [],
	beside: readonly Beside[] = [],
): Promise<StoredObject> {
	const claims = claimChange(place.kind, place.key, before.object, undefined);
	let revision: number | undefined;
	try {
		const others = [...beside, ...keptWith(context, place.kind, before.object, undefined)];
		revision = await committed(context, place.kind, before.object, others, (addition) =>
			context.store.commit({
				puts: [...claims.puts, ...addition.puts],
				deletes: [place.storeKey, ...claims.deletes],
				expect: [{ key: place.storeKey, modified: before.revision }, ...addition.expect, ...expect],
			}),
		);
		return removedAt(before, revision);
	} finally {
		context.cache.settle(place.storeKey, revision, undefined);
	}
}

/** What is kept over objects: counts, and what quotas have counted. */
const keptWith = (
	context: Context,
	kind: Kind,
	before: KubeObject | undefined,
	after: KubeObject | undefined,
): readonly Beside[] => {
	const quotas = quotasOf(context, kind, before, after);
	return context.counters.length === 0 ? quotas : [...quotas, ...countsOf(context, kind, before, after)];
};

/** What a dry run answers: the object as it would be stored, at the revision it has now (none where it does not exist). */
export function unstored(object: KubeObject, before: StoredObject | undefined): StoredObject {
	const { apiVersion, kind, metadata, ...rest } = object;
	const { resourceVersion: _, ...others } = metadata;
	const head = before ? { resourceVersion: String(before.revision), ...others } : others;
	const whole: KubeObject = { apiVersion, kind, metadata: head, ...rest };
	return new StoredObject(Buffer.from(JSON.stringify(whole)), before?.revision ?? 0, whole);
}

/** Throws 409 that names the object which holds what this one claims; returns where the lost race was about something else. */
export async function claimedBy(context: Context, { kind, key }: Place, lost: Conflict): Promise<void> {
	const value = claimOf(lost.key);
	if (value === undefined) return;
	const holder = await context.store.get(lost.key);
	if (!holder) return;
	const owner = Buffer.from(holder.value).toString();
	throw conflict(kind, key, `${value} belongs to ${kind.plural} ${JSON.stringify(owner)} already`);
}
