/** watch: from a revision, or from the present state. */
import type { KubeObject } from '../../kinds/object.ts';
import { tooManyRequests } from '../../kinds/status.ts';
import type { Collection, WatchEvent, WatchOptions } from '../api.ts';
import { watch as watchCache } from '../cache/watch.ts';
import { limits } from '../limits.ts';
import type { Context } from './context.ts';
import { freshEnough, parseRevision } from './read.ts';
import { matcher } from './selection.ts';

/** Open watches, by context. */
const open = new WeakMap<Context, number>();

export async function* watch<T extends KubeObject>(
	context: Context,
	collection: Collection<T>,
	options: WatchOptions,
): AsyncGenerator<readonly WatchEvent<T>[]> {
	const matches = matcher(collection.kind, options);
	const { resourceVersion = '', signal } = options;
	const fromState = options.sendInitialEvents ?? (resourceVersion === '' || resourceVersion === '0');
	if (fromState || resourceVersion === '') await freshEnough(context, resourceVersion);
	const { cache } = context;
	const count = (open.get(context) ?? 0) + 1;
	if (count > limits.watches) throw tooManyRequests(`${limits.watches} watches are open, which is the limit`, 5);
	open.set(context, count);
	try {
		const events = watchCache(cache, cache.of(collection.kind), {
			namespace: collection.namespace,
			matches,
			from: fromState
				? 'state'
				: {
						revision:
							resourceVersion === '' || resourceVersion === '0' ? cache.position : parseRevision(resourceVersion),
					},
			bookmarks: options.allowWatchBookmarks === true,
			markInitialEnd: options.sendInitialEvents === true,
			signal,
		});
		// The cache of a kind holds objects of its type only.
		yield* events as AsyncGenerator<readonly WatchEvent<T>[]>;
	} finally {
		open.set(context, (open.get(context) ?? 1) - 1);
	}
}
