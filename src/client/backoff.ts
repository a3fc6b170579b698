/** Exponential backoff with jitter for one repeated attempt (a watch, an election, a write). */

export interface BackoffOptions {
	readonly firstMs: number;
	readonly longestMs: number;
	/** A number in [0, 1). Default Math.random. */
	readonly random?: () => number;
}

export interface Backoff {
	/** The next delay in milliseconds: doubles each time up to the longest, and lies between half of that and the whole. */
	next(): number;
	/** After a success: the next delay is the first again. */
	reset(): void;
}

export function backoff({ firstMs, longestMs, random = Math.random }: BackoffOptions): Backoff {
	let failures = 0;
	return {
		next() {
			const whole = exponential(firstMs, longestMs, failures++);
			return whole / 2 + (whole / 2) * random();
		},
		reset() {
			failures = 0;
		},
	};
}

/** `first * 2 ** failures`, at most `longest`. */
export function exponential(first: number, longest: number, failures: number): number {
	return Math.min(longest, first * 2 ** Math.min(failures, 52));
}
