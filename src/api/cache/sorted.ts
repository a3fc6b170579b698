/**
 * Items in the order of their keys, in blocks of bounded size: to put one in or out moves the items of its block and not
 * those of all that follow, and to find one is two binary searches.
 */

export interface Item<Value> {
	readonly key: string;
	value: Value;
}

/** A block that grows beyond this is split in two. */
const BLOCK = 512;

export class Sorted<Value> {
	/** None is empty. */
	#blocks: Item<Value>[][] = [];
	#size = 0;

	/** `items` in ascending order of their keys. */
	constructor(items: readonly Item<Value>[] = []) {
		this.#size = items.length;
		for (let at = 0; at < items.length; at += BLOCK) this.#blocks.push(items.slice(at, at + BLOCK));
	}

	get size(): number {
		return this.#size;
	}

	/** Puts in an item whose key is not there. */
	add(item: Item<Value>): void {
		this.#size++;
		const last = this.#blocks.length - 1;
		// One behind all others goes into the last block; one between two blocks into the later.
		const index = Math.min(this.#blockOf(item.key), last);
		const block = this.#blocks[index];
		if (!block) {
			this.#blocks.push([item]);
			return;
		}
		const at = position(block, item.key);
		if (at === block.length) block.push(item);
		else block.splice(at, 0, item);
		// What comes in order fills its blocks.
		if (block.length > BLOCK)
			this.#blocks.splice(index + 1, 0, block.splice(at === BLOCK && index === last ? BLOCK : BLOCK / 2));
	}

	/** Takes out the item of a key that is there. */
	remove(key: string): void {
		const index = this.#blockOf(key);
		const block = this.#blocks[index];
		const at = block ? position(block, key) : 0;
		if (block?.[at]?.key !== key) return;
		this.#size--;
		block.splice(at, 1);
		if (block.length === 0) this.#blocks.splice(index, 1);
	}

	/** The items from a key on (included), up to another (excluded; without one, to the end). */
	*range(from: string, to?: string): Generator<Item<Value>> {
		for (let index = this.#blockOf(from); index < this.#blocks.length; index++) {
			const block = this.#blocks[index] ?? [];
			for (let at = position(block, from); at < block.length; at++) {
				const item = block[at] as Item<Value>;
				if (to !== undefined && item.key >= to) return;
				yield item;
			}
		}
	}

	/** The values of `range`. */
	values(from: string, to?: string): Value[] {
		const values: Value[] = [];
		for (let index = this.#blockOf(from); index < this.#blocks.length; index++) {
			const block = this.#blocks[index] ?? [];
			const end = to === undefined ? block.length : position(block, to);
			for (let at = position(block, from); at < end; at++) values.push((block[at] as Item<Value>).value);
			if (end < block.length) break;
		}
		return values;
	}

	/** How many items `range` gives. */
	count(from: string, to?: string): number {
		return Math.max(0, (to === undefined ? this.#size : this.#rank(to)) - this.#rank(from));
	}

	/** How many items lie before a key. */
	#rank(key: string): number {
		const index = this.#blockOf(key);
		let rank = position(this.#blocks[index] ?? [], key);
		for (let before = 0; before < index; before++) rank += this.#blocks[before]?.length ?? 0;
		return rank;
	}

	/** The first block whose last key is not below a key; the number of blocks where there is none. */
	#blockOf(key: string): number {
		let low = 0;
		let high = this.#blocks.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.#blocks[middle]?.at(-1)?.key ?? '') < key) low = middle + 1;
			else high = middle;
		}
		return low;
	}
}

/** Where a key is in a block, or would be. */
function position(block: readonly Item<unknown>[], key: string): number {
	let low = 0;
	let high = block.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if ((block[middle] as Item<unknown>).key < key) low = middle + 1;
		else high = middle;
	}
	return low;
}
