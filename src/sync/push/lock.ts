/** One holder at a time, in the order of asking. */
export interface Lock {
	/** Whether somebody has it. */
	readonly held: boolean;
	/** Gives what releases it (again and again is harmless). Rejects with the signal's reason where that comes first. */
	acquire(signal: AbortSignal): Promise<() => void>;
}

export function createLock(): Lock {
	let last: Promise<void> = Promise.resolve();
	let users = 0;
	return {
		get held() {
			return users > 0;
		},
		async acquire(signal) {
			const { promise, resolve } = Promise.withResolvers<void>();
			const before = last;
			last = before.then(() => promise);
			users++;
			void promise.then(() => users--);
			const aborted = Promise.withResolvers<never>();
			const abort = () => aborted.reject(signal.reason);
			signal.addEventListener('abort', abort, { once: true });
			try {
				signal.throwIfAborted();
				await Promise.race([before, aborted.promise]);
				return resolve;
			} catch (error) {
				resolve();
				throw error;
			} finally {
				signal.removeEventListener('abort', abort);
			}
		},
	};
}
