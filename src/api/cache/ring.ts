/** The changes of one kind that its watchers read: bounded, in order, each with a sequence number that only grows. */
import type { Revision } from '../../store/store.ts';
import { removedAt, type StoredObject } from '../storage.ts';

/** One change of one object: `old` is absent when it was created, `stored` when it was removed. */
export class Change {
	readonly key: string;
	readonly revision: Revision;
	readonly old: StoredObject | undefined;
	readonly stored: StoredObject | undefined;
	#gone: StoredObject | undefined;

	constructor(key: string, revision: Revision, old: StoredObject | undefined, stored: StoredObject | undefined) {
		this.key = key;
		this.revision = revision;
		this.old = old;
		this.stored = stored;
	}

	/** What a watcher gets that loses sight of the object: its last state, at the revision of this change. */
	gone(old: StoredObject): StoredObject {
		this.#gone ??= removedAt(old, this.revision);
		return this.#gone;
	}
}

export class Ring {
	readonly #capacity: number;
	readonly #changes: Change[] = [];
	/** Sequence number of the next change. */
	#end = 0;
	/** Every change with a greater revision is in the ring. */
	#floor: Revision;

	constructor(capacity: number, floor: Revision) {
		this.#capacity = capacity;
		this.#floor = floor;
	}

	get end(): number {
		return this.#end;
	}

	get start(): number {
		return this.#end - this.#changes.length;
	}

	get floor(): Revision {
		return this.#floor;
	}

	push(change: Change): void {
		if (this.#changes.length < this.#capacity) this.#changes.push(change);
		else {
			const slot = this.#end % this.#capacity;
			this.#floor = this.#changes[slot]?.revision ?? this.#floor;
			this.#changes[slot] = change;
		}
		this.#end++;
	}

	/** The change with that sequence number; undefined when it is no longer or not yet there. */
	at(sequence: number): Change | undefined {
		if (sequence < this.start || sequence >= this.#end) return undefined;
		return this.#changes[sequence % this.#capacity];
	}

	/** The sequence number of the first change after `revision`; undefined when the ring does not reach back that far. */
	after(revision: Revision): number | undefined {
		if (revision < this.#floor) return undefined;
		let low = this.start;
		let high = this.#end;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.at(middle)?.revision ?? 0) <= revision) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	/** Forgets everything: who has not read it yet gets 410. `floor` is where the history begins anew. */
	reset(floor: Revision): void {
		this.#changes.length = 0;
		// The slots are found by the sequence number, so it begins at a multiple of the capacity, beyond every reader.
		this.#end = (Math.floor(this.#end / this.#capacity) + 1) * this.#capacity;
		this.#floor = floor;
	}
}
