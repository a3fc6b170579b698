/** Bounds what may wait for a file server that is gone, and would then wait for ever. */
import { addAbortListener } from 'node:events';

/** How long a mount, or the look at a volume, may take. */
export const VOLUME_TIMEOUT_MS = 60_000;

/** What has not answered yet, by what it is; `late` once its deadline has passed. */
const waiting = new Map<string, { readonly work: Promise<unknown>; late: boolean }>();

/**
 * Begins the work and waits for it no longer than that. What is late goes on by itself, since a call that waits for a file
 * server cannot be ended; until it has, the same work is not begun again. Who asks for it before it is late shares it.
 *
 * @param what - names the work in messages: `mount of /a`. Work of one name is the same work.
 * @throws when it has not answered in time, or an earlier one of it is late; the signal's reason when that aborts.
 */
export async function within<T>(
	what: string,
	begin: () => Promise<T>,
	signal: AbortSignal,
	timeoutMs = VOLUME_TIMEOUT_MS,
): Promise<T> {
	signal.throwIfAborted();
	const known = waiting.get(what);
	if (known?.late) throw new Error(`the ${what} has not answered yet`);
	const entry = known ?? { work: Promise.try(begin), late: false };
	waiting.set(what, entry);
	const done = () => waiting.delete(what);
	if (!known) entry.work.then(done, done);
	const end = Promise.withResolvers<never>();
	const timer = setTimeout(() => {
		entry.late = true;
		end.reject(new Error(`the ${what} has not answered within ${timeoutMs / 1000} seconds`));
	}, timeoutMs);
	using _aborting = addAbortListener(signal, () => end.reject(signal.reason));
	try {
		return (await Promise.race([entry.work, end.promise])) as T;
	} finally {
		clearTimeout(timer);
	}
}
