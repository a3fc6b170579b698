/** deletecollection: every object that a list selects, a few at a time. */
import type { KubeObject } from '../../kinds/object.ts';
import { ApiError } from '../../kinds/status.ts';
import type { Caller, Collection, DeleteOptions, ListOptions, Stored } from '../api.ts';
import type { Context } from './context.ts';
import { remove } from './delete.ts';
import { list } from './list.ts';

/** Deletes under way at once; the commits of one turn share a transaction of the store. */
const parallel = 64;

export async function removeAll<T extends KubeObject>(
	context: Context,
	collection: Collection<T>,
	selection: ListOptions,
	options: DeleteOptions,
	caller: Caller,
): Promise<readonly Stored<T>[]> {
	const { items } = await list(context, collection, selection);
	const removed: Stored<T>[] = [];
	const rest = items[Symbol.iterator]();
	const work = async () => {
		for (const { object } of rest) {
			const { name, namespace } = object.metadata;
			try {
				removed.push((await remove(context, { kind: collection.kind, name, namespace }, options, caller)).stored);
			} catch (cause) {
				// It went away by itself in between.
				if (!(cause instanceof ApiError && cause.reason === 'NotFound')) throw cause;
			}
		}
	};
	await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, work));
	return removed;
}
