/** Bounds what may wait for a file server that is gone, and would then wait for ever. */

/** How long a mount, or the look at a volume, may take. */
export const VOLUME_TIMEOUT_MS = 60_000;

/** What has not answered yet, by what it is. */
const waiting = new Map<string, Promise<unknown>>();

/**
 * Begins the work and waits for it no longer than that. What is late goes on by itself, since a call that waits for a file
 * server cannot be ended; until it has, the same work is not begun again.
 *
 * @param what - names the work in messages: `mount of /a`.
 * @throws when it has not answered in time, or an earlier one of it still has not; the signal's reason when that aborts.
 */
export async function within<T>(
	what: string,
	begin: () => Promise<T>,
	signal: AbortSignal,
	timeoutMs = VOLUME_TIMEOUT_MS,
): Promise<T> {
	signal.throwIfAborted();
	if (waiting.has(what)) throw new Error(`the ${what} has not answered yet`);
	const late = Promise.withResolvers<never>();
	const timer = setTimeout(
		() => late.reject(new Error(`the ${what} has not answered within ${timeoutMs / 1000} seconds`)),
		timeoutMs,
	);
	const abort = () => late.reject(signal.reason);
	signal.addEventListener('abort', abort, { once: true });
	const work = Promise.try(begin);
	waiting.set(what, work);
	const done = () => waiting.delete(what);
	work.then(done, done);
	try {
		return await Promise.race([work, late.promise]);
	} finally {
		clearTimeout(timer);
		signal.removeEventListener('abort', abort);
	}
}
