/**
 * The storage contract: a revisioned key-value state, as etcd v3 has it and no more.
 *
 * - A key is a path of UTF-8 text (`/registry/apps/deployments/default/web`), a value is opaque bytes.
 * - Each successful commit takes the next revision, a positive integer that only grows. All puts and deletes
 *   of one commit share it.
 * - What `commit` has acknowledged survives the death of the process and of the machine.
 *
 * `sqlite.ts` and `etcd.ts` implement it; `test/store/contract.ts` proves both equal.
 */

/** A point in the history of the store: 0 is the empty store. Always a safe integer. */
export type Revision = number;

/** A stored value with the revisions that made it. */
export interface Entry {
	readonly key: string;
	readonly value: Uint8Array;
	/** Revision of the commit that created the key (anew, after a delete). */
	readonly created: Revision;
	/** Revision of the last commit that put the key. */
	readonly modified: Revision;
}

/** What part of a prefix `list` returns. */
export interface Page {
	/** At most this many entries; all of them when absent. */
	readonly limit?: number;
	/** Only keys strictly greater than this one (the last key of the page before). */
	readonly after?: string;
	/** Read the state as of this revision (that of the first page), so that pages agree. Throws Compacted when too old. */
	readonly revision?: Revision;
}

/** Entries in ascending key order (by UTF-8 bytes), consistent at `revision`. */
export interface Listing {
	readonly entries: readonly Entry[];
	/** The revision at which the whole listing is true. */
	readonly revision: Revision;
	/** Whether keys remain after the last entry. */
	readonly more: boolean;
}

/** What must hold for a commit to happen: the key's `modified` revision, or `absent`. */
export interface Expectation {
	readonly key: string;
	readonly modified: Revision | 'absent';
}

/** An atomic set of writes; a key occurs at most once among puts and deletes. */
export interface Change {
	readonly puts?: readonly { readonly key: string; readonly value: Uint8Array }[];
	readonly deletes?: readonly string[];
	readonly expect?: readonly Expectation[];
}

/** One change of one key. A delete of a key that did not exist makes no event. */
export type Event =
	| {
			readonly type: 'put';
			readonly key: string;
			readonly value: Uint8Array;
			readonly created: Revision;
			readonly revision: Revision;
	  }
	| { readonly type: 'delete'; readonly key: string; readonly revision: Revision };

export interface Store extends AsyncDisposable {
	/** The entry of a key, linearizable; undefined where there is none. */
	get(key: string): Promise<Entry | undefined>;
	/** A page of the keys that start with `prefix`. */
	list(prefix: string, page?: Page): Promise<Listing>;
	/** Applies the change if every expectation holds, else throws Conflict and changes nothing. Returns its revision. */
	commit(change: Change): Promise<Revision>;
	/** The newest revision, linearizable: a watch that has passed it has seen every write acknowledged before the call. */
	revision(): Promise<Revision>;
	/**
	 * Every change under `prefix` with a revision greater than `after`, in order, without gap or repetition; the
	 * events of one commit arrive in one batch (a batch may hold several commits). Ends when `signal` aborts.
	 * Reconnects by itself. Throws Compacted when `after` is older than the history kept.
	 */
	watch(prefix: string, after: Revision, signal: AbortSignal): AsyncIterable<readonly Event[]>;
	/** Forgets the history before `upTo`; the present state stays. */
	compact(upTo: Revision): Promise<void>;
}

/** An expectation of a commit did not hold. */
export class Conflict extends Error {
	override readonly name = 'Conflict';
	readonly key: string;
	constructor(key: string) {
		super(`the stored revision of ${key} is not the expected one`);
		this.key = key;
	}
}

/** The revision asked for lies before the history kept. */
export class Compacted extends Error {
	override readonly name = 'Compacted';
	readonly oldest: Revision;
	constructor(oldest: Revision) {
		super(`the required revision has been compacted; the oldest kept is ${oldest}`);
		this.oldest = oldest;
	}
}

/** The store cannot be reached or cannot write (disk full, etcd down, closed). The same call may succeed later. */
export class Unavailable extends Error {
	override readonly name = 'Unavailable';
}
