/**
 * Whether a node is under pressure, and what is to be relieved first: pure, given what was observed now and before.
 * Source: Kubernetes documentation, "Node-pressure Eviction".
 */
import { amountOf, SIGNALS, type Signal, type Threshold } from './thresholds.ts';

/** What there is of something, and what is left of it. */
export interface Left {
	readonly available: number;
	readonly capacity: number;
}
export type Observations = Readonly<Partial<Record<Signal, Left>>>;

/** What runs out, as the node's conditions say it. */
export interface Pressure {
	readonly memory: boolean;
	readonly disk: boolean;
	readonly pids: boolean;
}

export interface Judgement {
	/** Thresholds that are met, soft ones only past their grace: the order in which they are to be relieved. */
	readonly met: readonly Threshold[];
	readonly pressure: Pressure;
	readonly state: State;
}

/** What is kept from one judgement to the next. Times are of a clock that only goes forward. */
export interface State {
	/** Since when each threshold is met, by its place in the list. */
	readonly since: ReadonlyMap<number, number>;
	/** When each condition was last seen. */
	readonly seen: Readonly<Partial<Record<keyof Pressure, number>>>;
}

export const nothingSeen: State = { since: new Map(), seen: {} };

export const conditionOf = (signal: Signal): keyof Pressure =>
	signal === 'memory.available' ? 'memory' : signal === 'pid.available' ? 'pids' : 'disk';

/** @param now - milliseconds */
export function judgePressure(
	thresholds: readonly Threshold[],
	observed: Observations,
	{ since: before, seen: last }: State,
	{ now, transitionMs }: { readonly now: number; readonly transitionMs: number },
): Judgement {
	const since = new Map<number, number>();
	for (const [index, { signal, value, reclaim }] of thresholds.entries()) {
		const left = observed[signal];
		if (!left) continue;
		const began = before.get(index);
		const more = began !== undefined && reclaim ? amountOf(reclaim, left.capacity) : 0;
		if (left.available < amountOf(value, left.capacity) + more) since.set(index, began ?? now);
	}
	const met = thresholds.filter((threshold, index) => {
		const began = since.get(index);
		return began !== undefined && now - began >= (threshold.graceMs ?? 0);
	});
	const seen = { ...last };
	for (const { signal } of met) seen[conditionOf(signal)] = now;
	const counts = (what: keyof Pressure) => {
		const at = seen[what];
		return at !== undefined && now - at < transitionMs;
	};
	return {
		// Memory before all else: the kernel waits for nobody.
		met: [...met].sort((a, b) => SIGNALS.indexOf(a.signal) - SIGNALS.indexOf(b.signal)),
		pressure: { memory: counts('memory'), disk: counts('disk'), pids: counts('pids') },
		state: { since, seen },
	};
}
