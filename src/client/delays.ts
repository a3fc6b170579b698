/** Keys that come due later: a binary heap by time under one timer. A key is in it at most once. */
import type { Key } from '../kinds/object.ts';
import type { Clock } from './clock.ts';

export interface Delays extends Disposable {
	/** The key comes due after `ms`; a time set for it before is replaced. */
	set(key: Key, ms: number): void;
	/** The key does not come due. */
	delete(key: Key): void;
	has(key: Key): boolean;
	/** Every key comes due now. */
	ring(): void;
	readonly size: number;
}

interface Due {
	readonly key: Key;
	at: number;
}

/** Calls `due` for each key when its time has come, earliest first. */
export function createDelays(clock: Clock, due: (key: Key) => void): Delays {
	const heap: Due[] = [];
	const places = new Map<Key, number>();
	let timer: { readonly at: number; readonly handle: Disposable } | undefined;

	const place = (entry: Due, at: number) => {
		heap[at] = entry;
		places.set(entry.key, at);
	};
	const rise = (entry: Due, from: number) => {
		let at = from;
		while (at > 0) {
			const above = (at - 1) >> 1;
			const parent = heap[above];
			if (!parent || parent.at <= entry.at) break;
			place(parent, at);
			at = above;
		}
		place(entry, at);
		return at;
	};
	const sink = (entry: Due, from: number) => {
		let at = from;
		for (;;) {
			const left = heap[2 * at + 1];
			const right = heap[2 * at + 2];
			const below = right && left && right.at < left.at ? 2 * at + 2 : 2 * at + 1;
			const child = heap[below];
			if (!child || child.at >= entry.at) break;
			place(child, at);
			at = below;
		}
		place(entry, at);
	};
	const settle = (entry: Due, at: number) => {
		if (rise(entry, at) === at) sink(entry, at);
	};
	const remove = (key: Key) => {
		const at = places.get(key);
		if (at === undefined) return;
		places.delete(key);
		const last = heap.pop();
		if (last && last.key !== key) settle(last, at);
	};
	const arm = () => {
		const first = heap[0];
		if (timer && timer.at === first?.at) return;
		timer?.handle[Symbol.dispose]();
		timer = first && { at: first.at, handle: clock.after(first.at - clock.now(), rung) };
	};
	const rung = () => {
		timer = undefined;
		ring(clock.now());
	};
	const ring = (until: number) => {
		for (let first = heap[0]; first && first.at <= until; first = heap[0]) {
			remove(first.key);
			due(first.key);
		}
		arm();
	};

	return {
		set(key, ms) {
			const at = clock.now() + Math.max(0, ms);
			const held = places.get(key);
			const entry = held === undefined ? undefined : heap[held];
			if (entry && held !== undefined) {
				entry.at = at;
				settle(entry, held);
			} else rise({ key, at }, heap.length);
			arm();
		},
		delete(key) {
			remove(key);
			arm();
		},
		has: (key) => places.has(key),
		ring: () => ring(Number.POSITIVE_INFINITY),
		get size() {
			return heap.length;
		},
		[Symbol.dispose]() {
			heap.length = 0;
			places.clear();
			arm();
		},
	};
}
