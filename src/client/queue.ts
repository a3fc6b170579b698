/**
 * The work queue of a controller. A key waits in it at most once, is worked on by one worker at a time, and when it is
 * added while worked on, it waits again afterwards. First come, first served.
 */
import type { Key } from '../kinds/object.ts';
import { exponential } from './backoff.ts';
import { type Clock, systemClock } from './clock.ts';
import { createDelays } from './delays.ts';

/** What a queue counts of itself. */
export interface QueueMetrics {
	/** Keys that wait now. */
	depth: number;
	/** Keys that were put in line. */
	adds: number;
	/** Failures that were put off. */
	retries: number;
	/** Told how long a key has stood in line, in ms. */
	waited(ms: number): void;
}

/** The first delay of a failing key. Source: client-go's DefaultControllerRateLimiter. */
export const FIRST_RETRY_MS = 5;
/** The longest delay of a failing key; client-go's 1,000 s leave a healed cause unnoticed for too long. */
export const LONGEST_RETRY_MS = 5 * 60_000;

export interface Queue {
	/** The key shall be worked on. */
	add(key: Key): void;
	/** The key shall be worked on after so many ms, together with whatever else asks for it until then. */
	gather(key: Key, ms: number): void;
	/** Every key that waits for its time shall be worked on now. */
	hurry(): void;
	/** The next key, once there is one; it is the caller's until `done` or `retry`. undefined when the queue has closed. */
	take(): Promise<Key | undefined>;
	/** The work on a taken key went well. It comes again after `againMs` if given, and no time set before counts any more. */
	done(key: Key, againMs?: number): void;
	/** The work on a taken key failed: it comes again after a delay that doubles with each failure in a row. Returns the delay in ms. */
	retry(key: Key): number;
	/** How many keys wait now, without those that come due later. */
	readonly depth: number;
}

/** A queue that closes when the signal aborts: what waits is dropped, takers get undefined, no timer stays. */
export function createQueue(options: {
	readonly signal: AbortSignal;
	readonly clock?: Clock;
	readonly metrics?: QueueMetrics;
}): Queue {
	const { signal, clock = systemClock, metrics } = options;
	const line = createLine();
	/** Waiting in line, or to be put in line once their work is done; and since when. */
	const wanted = new Map<Key, number>();
	const working = new Set<Key>();
	const failures = new Map<Key, number>();
	const takers: ((key: Key | undefined) => void)[] = [];
	const delays = createDelays(clock, (key) => add(key));
	/** Apart from the delays, which the end of a key's work replaces. */
	const gathering = createDelays(clock, (key) => add(key));

	const count = () => {
		if (metrics) metrics.depth = line.length;
	};
	const hand = () => {
		while (takers.length > 0 && line.length > 0) {
			const key = line.shift();
			if (key === undefined) return;
			metrics?.waited(clock.now() - (wanted.get(key) ?? 0));
			wanted.delete(key);
			working.add(key);
			takers.shift()?.(key);
		}
		count();
	};
	const add = (key: Key) => {
		if (signal.aborted || wanted.has(key)) return;
		wanted.set(key, clock.now());
		if (metrics) metrics.adds++;
		if (working.has(key)) return;
		line.push(key);
		hand();
	};
	const finish = (key: Key) => {
		if (!working.delete(key)) throw new Error(`key ${key} was finished but not taken`);
		if (!wanted.has(key)) return;
		line.push(key);
		hand();
	};
	const close = () => {
		line.clear();
		wanted.clear();
		delays[Symbol.dispose]();
		gathering[Symbol.dispose]();
		count();
		for (const taker of takers.splice(0)) taker(undefined);
	};
	if (signal.aborted) close();
	else signal.addEventListener('abort', close, { once: true });

	return {
		add,
		gather(key, ms) {
			if (!signal.aborted && !gathering.has(key)) gathering.set(key, ms);
		},
		hurry() {
			delays.ring();
		},
		take() {
			if (signal.aborted) return Promise.resolve(undefined);
			const { promise, resolve } = Promise.withResolvers<Key | undefined>();
			takers.push(resolve);
			hand();
			return promise;
		},
		done(key, againMs) {
			failures.delete(key);
			if (againMs === undefined || signal.aborted) delays.delete(key);
			else delays.set(key, againMs);
			finish(key);
		},
		retry(key) {
			const failed = failures.get(key) ?? 0;
			const delay = exponential(FIRST_RETRY_MS, LONGEST_RETRY_MS, failed);
			if (!signal.aborted) {
				failures.set(key, failed + 1);
				if (metrics) metrics.retries++;
				delays.set(key, delay);
			}
			finish(key);
			return delay;
		},
		get depth() {
			return line.length;
		},
	};
}

/** Below this many served keys the line is not worth compacting. */
const WORTH_COMPACTING = 1024;

/** First in, first out, in constant time each. */
function createLine() {
	let keys: Key[] = [];
	let served = 0;
	return {
		push(key: Key) {
			keys.push(key);
		},
		shift(): Key | undefined {
			const key = keys[served];
			if (key !== undefined) served++;
			if (served > WORTH_COMPACTING && served * 2 > keys.length) {
				keys = keys.slice(served);
				served = 0;
			}
			return key;
		},
		clear() {
			keys = [];
			served = 0;
		},
		get length() {
			return keys.length - served;
		},
	};
}
