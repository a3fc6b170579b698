/** Time as queues, caches and elections need it: injected, so that tests turn the hands themselves. */

export interface Clock {
	/** Milliseconds of a clock that never goes back. Its zero means nothing. */
	now(): number;
	/** Calls `run` once, after so many milliseconds, unless disposed before. */
	after(ms: number, run: () => void): Disposable;
}

/** The longest delay that Node's timers take (a 32-bit count of milliseconds, about 24 days). */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
	now: () => performance.now(),
	after(ms, run) {
		const timer = setTimeout(run, Math.min(Math.max(0, ms), LONGEST_TIMER_MS));
		return { [Symbol.dispose]: () => clearTimeout(timer) };
	},
};

/** Settles after `ms`, or at once when the signal aborts. Never rejects: the caller looks at the signal. */
export function pause(ms: number, signal: AbortSignal, clock: Clock = systemClock): Promise<void> {
	const { promise, resolve } = Promise.withResolvers<void>();
	if (signal.aborted) return Promise.resolve();
	const end = () => {
		timer[Symbol.dispose]();
		signal.removeEventListener('abort', end);
		resolve();
	};
	const timer = clock.after(ms, end);
	signal.addEventListener('abort', end, { once: true });
	return promise;
}
