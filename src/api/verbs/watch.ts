/** watch: from a revision, or from the present state. */
import type { Kind } from '../../kinds/kind.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { expired } from '../../kinds/status.ts';
import type { Collection, WatchEvent, WatchOptions } from '../api.ts';
import { watch as watchCache } from '../cache/watch.ts';
import type { Context } from './context.ts';
import { freshEnough, parseRevision } from './read.ts';
import { type Selection, select } from './selection.ts';

/** Throws 400 at once for options that are none; what goes wrong later is thrown where the events are read. */
export function watch<T extends KubeObject>(
	context: Context,
	collection: Collection<T>,
	options: WatchOptions,
): AsyncIterable<readonly WatchEvent<T>[]> {
	const selection = select(collection, options);
	const { resourceVersion = '' } = options;
	const after = resourceVersion === '' ? 0 : parseRevision(resourceVersion);
	return follow(context, collection.kind, options, selection, after);
}

async function* follow<T extends KubeObject>(
	context: Context,
	kind: Kind<T>,
	{ resourceVersion = '', sendInitialEvents, allowWatchBookmarks, signal, begun }: WatchOptions,
	selection: Selection,
	after: number,
): AsyncGenerator<readonly WatchEvent<T>[]> {
	const { cache } = context;
	const fromState = sendInitialEvents ?? after === 0;
	if (fromState || after === 0) await freshEnough(context, resourceVersion);
	else await checkHistory(context, after);
	const events = watchCache(cache, cache.of(kind), {
		...selection,
		from: fromState ? 'state' : { revision: after === 0 ? cache.position : after },
		bookmarks: allowWatchBookmarks === true,
		markInitialEnd: sendInitialEvents === true,
		signal,
		begun,
	});
	// The cache of a kind holds objects of its type only.
	yield* events as AsyncGenerator<readonly WatchEvent<T>[]>;
}

/**
 * Throws 410 for a revision that the store has never come to, so that who has it from a history that was lost, as where the
 * store was restored from a backup, lists anew. Kubernetes has such a watch wait, and then go on in the middle of another history.
 */
async function checkHistory({ cache, store }: Context, after: number): Promise<void> {
	// The cache may lag behind what another server has told.
	if (after <= cache.position) return;
	const newest = await store.revision();
	if (after > newest) throw expired(`resource version ${after} is yet to come (${newest})`);
}
