/** When a watcher is due a bookmark: each at times of its own, so that not all are woken at once. */
import { limits } from '../limits.ts';

const steps = 30;

/**
 * Milliseconds to a watcher's next bookmark: between half of `limits.bookmark` and the whole. In steps, since Node keeps
 * one list of timers for each duration. `random` is a number in [0, 1).
 */
export const bookmarkDelay = (random: number) => (limits.bookmark / 2) * (1 + Math.ceil(random * steps) / steps);

export interface BookmarkTimer extends Disposable {
	/** Whether a bookmark is due; it is taken as sent. */
	take(): boolean;
	/** Calls back when one comes due, unless disposed before. */
	readonly rings: (ring: () => void) => Disposable;
}

export function bookmarkTimer(): BookmarkTimer {
	let due = false;
	let ring: (() => void) | undefined;
	let timer: NodeJS.Timeout;
	const arm = () => {
		timer = setTimeout(() => {
			due = true;
			ring?.();
			arm();
		}, bookmarkDelay(Math.random()));
		// A watch that its reader forgot keeps no process alive.
		timer.unref();
	};
	arm();
	return {
		take() {
			const was = due;
			due = false;
			return was;
		},
		rings(callback) {
			ring = callback;
			return {
				[Symbol.dispose]: () => {
					ring = undefined;
				},
			};
		},
		[Symbol.dispose]: () => clearTimeout(timer),
	};
}
