/** get: from the cache, as fresh as the caller asks. */
import type { Kind } from '../../kinds/kind.ts';
import { type Key, type KubeObject, keyOf } from '../../kinds/object.ts';
import { badRequest, notFound } from '../../kinds/status.ts';
import type { ReadOptions, Stored, Target, Written } from '../api.ts';
import type { Context } from './context.ts';

export async function get<T extends KubeObject>(
	context: Context,
	target: Target<T>,
	options: ReadOptions,
): Promise<Stored<T>> {
	await freshEnough(context, options.resourceVersion);
	const stored = context.cache.of(target.kind).get(keyOfTarget(target));
	if (!stored) throw notFound(target.kind, target.name);
	return typed<T>(stored);
}

/** Waits until the cache is as fresh as a resourceVersion demands: unset, every earlier write; "0", nothing; else that one. */
export async function freshEnough(context: Context, resourceVersion: string | undefined): Promise<void> {
	if (resourceVersion === '0') return;
	if (!resourceVersion) await context.cache.fresh();
	else await context.cache.reach(parseRevision(resourceVersion));
}

/** A resourceVersion of a request as a revision. Throws 400 when it is none. */
export function parseRevision(resourceVersion: string): number {
	const revision = Number(resourceVersion);
	if (!/^\d+$/.test(resourceVersion) || !Number.isSafeInteger(revision))
		throw badRequest(`resourceVersion: Invalid value: ${JSON.stringify(resourceVersion)}: must be a whole number`);
	return revision;
}

export const keyOfTarget = (target: { readonly namespace?: string; readonly name: string }): Key =>
	keyOf({ metadata: target });

/** The cache holds objects of every kind; what lies under a kind's own key is of its type. */
export const typed = <T extends KubeObject>(stored: Stored): Stored<T> => stored as Stored<T>;

/** What a write answers that may have created the object. */
export const written = <T extends KubeObject>(
	{ object, bytes, revision }: Stored<T>,
	created: boolean,
): Written<T> => ({
	object,
	bytes,
	revision,
	created,
});

/** A kind without its type, for the code that treats all kinds alike. */
export const untyped = <T extends KubeObject>(kind: Kind<T>): Kind => kind as unknown as Kind;
