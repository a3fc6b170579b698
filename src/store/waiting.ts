import type { Event, Revision } from './store.ts';

/** Events of one or more whole commits, and the revision up to which nothing else happened under the prefix. */
export interface Passage {
	readonly events: readonly Event[];
	readonly upTo: Revision;
}

/** A watch that has seen all there is and waits for more: no buffer, only who to hand the next events to. */
interface Waiter {
	readonly prefix: string;
	readonly after: Revision;
	readonly deliver: (passage: Passage) => void;
	readonly fail: (error: Error) => void;
}

/**
 * The watches that wait. A commit hands its events straight to those it concerns; a watch that is busy with earlier ones is
 * not here, and reads what it missed from the history. So a slow reader costs nothing but its place in the history.
 */
export class Waiting {
	readonly #waiters = new Set<Waiter>();

	/** The next events under `prefix` with a revision above `after`; none once the signal aborts. */
	async next(prefix: string, after: Revision, signal: AbortSignal): Promise<Passage> {
		const { promise, resolve, reject } = Promise.withResolvers<Passage>();
		const waiter = { prefix, after, deliver: resolve, fail: reject };
		const abort = () => resolve({ events: [], upTo: after });
		signal.addEventListener('abort', abort);
		this.#waiters.add(waiter);
		try {
			return await promise;
		} finally {
			this.#waiters.delete(waiter);
			signal.removeEventListener('abort', abort);
		}
	}

	/** Hands over what was just committed, up to the revision `upTo`. */
	notify(events: readonly Event[], upTo: Revision): void {
		for (const waiter of this.#waiters) {
			const wanted = events.filter((event) => event.revision > waiter.after && event.key.startsWith(waiter.prefix));
			if (wanted.length === 0) continue;
			this.#waiters.delete(waiter);
			waiter.deliver({ events: wanted, upTo });
		}
	}

	/** Ends every waiting watch with an error: the store closes. */
	fail(error: Error): void {
		for (const waiter of this.#waiters) waiter.fail(error);
		this.#waiters.clear();
	}
}
