/** Tells when the wall clock was set, or has gone on while the machine slept: waits are measured by a clock that knows of neither. */
import { type Clock, systemClock } from './clock.ts';

/** How often the two clocks are compared. */
const LOOK_MS = 1_000;
/** A difference that came to less is the daily work of NTP. */
export const JUMP_MS = 1_000;

export interface WallClock {
	/** Milliseconds since the epoch. */
	readonly now: () => number;
	readonly clock?: Clock;
	readonly signal: AbortSignal;
}

/** Calls `jumped` with the ms (negative: back) by which the wall clock has moved otherwise than time, until the signal aborts. */
export function onJump({ now, clock = systemClock, signal }: WallClock, jumped: (byMs: number) => void): void {
	if (signal.aborted) return;
	let offset = now() - clock.now();
	const look = () => {
		timer = clock.after(LOOK_MS, look);
		const by = now() - clock.now() - offset;
		if (Math.abs(by) < JUMP_MS) return;
		offset += by;
		jumped(by);
	};
	let timer = clock.after(LOOK_MS, look);
	signal.addEventListener('abort', () => timer[Symbol.dispose](), { once: true });
}
