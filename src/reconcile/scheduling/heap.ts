/** A binary heap: what comes before all others is found at once. */
export interface Heap<T> {
	push(item: T): void;
	/** Takes out the item that comes before all others. */
	pop(): T | undefined;
	clear(): void;
}

/** @param before - whether `a` comes before `b`; an item must not change in it while it is in the heap. */
export function createHeap<T>(before: (a: T, b: T) => boolean): Heap<T> {
	const items: T[] = [];
	return {
		push(item) {
			let at = items.length;
			while (at > 0) {
				const above = (at - 1) >> 1;
				const parent = items[above] as T;
				if (!before(item, parent)) break;
				items[at] = parent;
				at = above;
			}
			items[at] = item;
		},
		pop() {
			const first = items[0];
			const last = items.pop();
			if (last === undefined || items.length === 0) return first;
			let at = 0;
			for (;;) {
				const left = 2 * at + 1;
				if (left >= items.length) break;
				const right = left + 1;
				const below = right < items.length && before(items[right] as T, items[left] as T) ? right : left;
				const child = items[below] as T;
				if (!before(child, last)) break;
				items[at] = child;
				at = below;
			}
			items[at] = last;
			return first;
		},
		clear() {
			items.length = 0;
		},
	};
}
