/**
 * All of the agent's waiting under one timer: times are rounded up to a tick, so that a thousand probes wake it together.
 * It runs on a clock that only goes forward: setting the machine's clock makes nothing earlier or later.
 */

/** Length of a tick in milliseconds. */
const TICK_MS = 100;
/** The longest delay that Node's timers take. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface Wheel extends Disposable {
	/** Its clock: milliseconds since some moment, for what has to be measured. */
	now(): number;
	/** Runs once, at the first tick when so many milliseconds have passed, unless disposed before. */
	after(ms: number, run: () => void): Disposable;
}

/** A wheel. `run` functions must not throw. */
export function createWheel(): Wheel {
	const now = () => performance.now();
	const slots = new Map<number, Set<() => void>>();
	let timer: NodeJS.Timeout | undefined;
	let armed = Number.POSITIVE_INFINITY;
	let disposed = false;

	const arm = (slot: number) => {
		clearTimeout(timer);
		armed = slot;
		timer = setTimeout(turn, Math.min(Math.max(0, slot * TICK_MS - now()), LONGEST_TIMER_MS));
	};
	const turn = () => {
		timer = undefined;
		armed = Number.POSITIVE_INFINITY;
		const present = Math.floor(now() / TICK_MS);
		for (const [slot, runs] of slots) {
			if (slot > present) continue;
			slots.delete(slot);
			for (const run of runs) run();
		}
		const next = Math.min(...slots.keys());
		if (!disposed && next < armed) arm(next);
	};
	return {
		now,
		after(ms, run) {
			const slot = Math.ceil((now() + ms) / TICK_MS);
			// A function of its own for each call, so that the same one may wait twice.
			const entry = () => run();
			const runs = slots.get(slot) ?? new Set();
			slots.set(slot, runs.add(entry));
			if (!disposed && slot < armed) arm(slot);
			return {
				[Symbol.dispose]() {
					runs.delete(entry);
					if (runs.size === 0 && slots.get(slot) === runs) slots.delete(slot);
				},
			};
		},
		[Symbol.dispose]() {
			disposed = true;
			clearTimeout(timer);
			slots.clear();
		},
	};
}
