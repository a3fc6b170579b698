/**
 * Changes in order, each with a sequence number that only grows: bounded by count, bytes and age. As in Kubernetes' watch
 * cache, what is fresh is kept for who resumes after a break, however much it is, up to the bounds.
 */
import type { Revision } from '../../store/store.ts';
import { limits } from '../limits.ts';
import { removedAt, type StoredObject } from '../storage.ts';

/** One change of one object: `old` is absent when it was created, `stored` when it was removed. */
export class Change {
	readonly key: string;
	readonly revision: Revision;
	readonly old: StoredObject | undefined;
	readonly stored: StoredObject | undefined;
	/** When the cache learned of it, in milliseconds of a clock that never goes back. */
	readonly at: number;
	/** Its place in the ring of its kind. */
	sequence = -1;
	#gone: StoredObject | undefined;

	constructor(
		key: string,
		revision: Revision,
		old: StoredObject | undefined,
		stored: StoredObject | undefined,
		at = performance.now(),
	) {
		this.key = key;
		this.revision = revision;
		this.old = old;
		this.stored = stored;
		this.at = at;
	}

	/** Bytes that only this change keeps in memory: the object as it was. */
	get bytes(): number {
		return this.old?.bytes.byteLength ?? 0;
	}

	/** What a watcher gets that loses sight of the object: its last state, at the revision of this change. */
	gone(old: StoredObject): StoredObject {
		this.#gone ??= removedAt(old, this.revision);
		return this.#gone;
	}
}

export interface RingBounds {
	/** At most this many changes, and this many bytes. */
	readonly changes: number;
	readonly changeBytes: number;
	/** Beyond `changesLeast` changes those go that are older than `changeAge` (ms). */
	readonly changeAge: number;
	readonly changesLeast: number;
}

/** A span of revisions of which the ring has the outcome, but not each change. */
interface Gap {
	readonly after: Revision;
	readonly before: Revision;
}

export class Ring {
	readonly #bounds: RingBounds;
	/** Those before `#first` are gone. */
	#changes: Change[] = [];
	#first = 0;
	#bytes = 0;
	/** Sequence number of the next change. */
	#end = 0;
	/** Every change with a greater revision is in the ring. */
	#floor: Revision;
	#gaps: Gap[] = [];

	constructor(floor: Revision, bounds: RingBounds = limits) {
		this.#floor = floor;
		this.#bounds = bounds;
	}

	get end(): number {
		return this.#end;
	}

	get start(): number {
		return this.#end - (this.#changes.length - this.#first);
	}

	get floor(): Revision {
		return this.#floor;
	}

	push(change: Change): void {
		this.#changes.push(change);
		this.#bytes += change.bytes;
		this.#end++;
		const { changes, changeBytes, changeAge, changesLeast } = this.#bounds;
		for (let oldest = this.#changes[this.#first]; oldest; oldest = this.#changes[this.#first]) {
			const length = this.#changes.length - this.#first;
			const stale = length > changesLeast && change.at - oldest.at > changeAge;
			if (length <= changes && this.#bytes <= changeBytes && !stale) break;
			this.#floor = oldest.revision;
			this.#bytes -= oldest.bytes;
			this.#first++;
		}
		if (this.#first > this.#changes.length / 2) {
			this.#changes = this.#changes.slice(this.#first);
			this.#first = 0;
		}
	}

	/** Forgets all that it has. */
	clear(): void {
		this.#floor = this.#changes.at(-1)?.revision ?? this.#floor;
		this.#changes = [];
		this.#first = 0;
		this.#bytes = 0;
	}

	/** The change with that sequence number; undefined when it is no longer or not yet there. */
	at(sequence: number): Change | undefined {
		return sequence < this.start ? undefined : this.#changes[this.#first + sequence - this.start];
	}

	/** The sequence number of the first change after `revision`; undefined when the ring does not tell all that came after it. */
	after(revision: Revision): number | undefined {
		if (revision < this.#floor || this.skips(revision)) return undefined;
		let low = this.start;
		let high = this.#end;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.at(middle)?.revision ?? 0) <= revision) low = middle + 1;
			else high = middle;
		}
		return low;
	}

	/**
	 * Says that of the changes after one revision and before another only the outcome is known, pushed as changes of its own. Who
	 * knows the state in between, from another server, cannot go on from there.
	 */
	skip(after: Revision, before: Revision): void {
		this.#gaps = [...this.#gaps.filter((gap) => gap.before > this.#floor), { after, before }];
	}

	/** Whether the changes after a revision are not all here because it lies in such a span. */
	skips(revision: Revision): boolean {
		return this.#gaps.some(({ after, before }) => after < revision && revision < before);
	}
}
