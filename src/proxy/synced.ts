/** Waiting that ends with the signal, whatever else happens. */
import type { Informer } from '../client/index.ts';

/** Settles when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
	const { promise, resolve } = Promise.withResolvers<void>();
	if (signal.aborted) resolve();
	else signal.addEventListener('abort', () => resolve(), { once: true });
	return promise;
}

/** Settles when every informer has its first list, or the signal aborts; tells whether it is the former. */
export async function synced(informers: readonly Pick<Informer, 'synced'>[], signal: AbortSignal): Promise<boolean> {
	const all = Promise.all(informers.map((informer) => informer.synced)).then(
		() => true,
		// The cache has ended, and with it all that would wait for it.
		() => false,
	);
	return Promise.race([all, aborted(signal).then(() => false)]);
}
