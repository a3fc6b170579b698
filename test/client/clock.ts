/** A clock whose hands the test turns. */
import type { Clock } from '../../src/client/index.ts';

export interface HandClock extends Clock {
	/** Moves on and runs what comes due, in order. */
	advance(ms: number): void;
	/** How many timers are set. */
	readonly waiting: number;
	/** When the next timer comes due, in ms from now. */
	readonly next: number | undefined;
}

export function handClock(): HandClock {
	let now = 0;
	const timers = new Set<{ readonly at: number; readonly run: () => void }>();
	const first = () => [...timers].sort((one, other) => one.at - other.at)[0];
	return {
		now: () => now,
		after(ms, run) {
			const timer = { at: now + Math.max(0, ms), run };
			timers.add(timer);
			return { [Symbol.dispose]: () => void timers.delete(timer) };
		},
		advance(ms) {
			const end = now + ms;
			for (let timer = first(); timer && timer.at <= end; timer = first()) {
				timers.delete(timer);
				now = Math.max(now, timer.at);
				timer.run();
			}
			now = end;
		},
		get waiting() {
			return timers.size;
		},
		get next() {
			const timer = first();
			return timer && timer.at - now;
		},
	};
}
