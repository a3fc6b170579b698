/** What happens to an application as it happens, for those that wait for it: a pusher's terminal, a `sync` command. */
import type { HealthStatus, SyncStatusCode } from '../../kinds/index.ts';
import type { Outcome } from '../operation/execute.ts';
import type { Revision } from '../revision.ts';

export type Progress =
	| { readonly type: 'refused'; readonly revision: Revision; readonly lines: readonly string[] }
	/** A source cannot be read: nothing is taken over before. */
	| { readonly type: 'unread'; readonly revision: undefined; readonly message: string }
	| { readonly type: 'outcome'; readonly revision: Revision; readonly outcome: Outcome }
	| {
			readonly type: 'finished';
			readonly revision: Revision | undefined;
			readonly phase: 'Succeeded' | 'Failed';
			readonly message: string;
			/** Of a failed attempt: whether another one follows by itself. */
			readonly again: boolean;
	  }
	/**
	 * After each comparison. `waiting` names what is not healthy yet, and why; `stays` says why an application that is out of sync
	 * will not be synced by itself.
	 */
	| {
			readonly type: 'compared';
			readonly revision: Revision | undefined;
			readonly sync: SyncStatusCode;
			readonly health: HealthStatus;
			readonly waiting: readonly string[];
			readonly stays?: string;
	  };

/** Events that a listener has not taken yet, at most; more than that and the oldest are dropped: they are only shown. */
const MAX_WAITING_EVENTS = 10_000;

export interface ProgressFeed {
	readonly listening: boolean;
	tell(progress: Progress): void;
	/** What is told from now on, until the signal aborts. */
	listen(signal: AbortSignal): AsyncIterable<Progress>;
}

export function createProgressFeed(): ProgressFeed {
	const listeners = new Set<(progress: Progress) => void>();
	return {
		get listening() {
			return listeners.size > 0;
		},
		tell(progress) {
			for (const listener of listeners) listener(progress);
		},
		listen(signal) {
			// Listens from the call on, not from the first `next`, so that nothing between the two is missed.
			const waiting: Progress[] = [];
			let wake = () => {};
			const listener = (progress: Progress) => {
				waiting.push(progress);
				if (waiting.length > MAX_WAITING_EVENTS) waiting.shift();
				wake();
			};
			const stop = () => {
				listeners.delete(listener);
				wake();
			};
			listeners.add(listener);
			signal.addEventListener('abort', stop, { once: true });
			return {
				async *[Symbol.asyncIterator]() {
					try {
						// What was told before the signal is still to be heard after it.
						while (waiting.length > 0 || !signal.aborted) {
							const next = waiting.shift();
							if (next) yield next;
							else {
								const { promise, resolve } = Promise.withResolvers<void>();
								wake = resolve;
								await promise;
							}
						}
					} finally {
						signal.removeEventListener('abort', stop);
						stop();
					}
				},
			};
		},
	};
}
