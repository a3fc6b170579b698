import type { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Log } from '../log.ts';
import { checkChange } from './change.ts';
import { Checkpoints } from './checkpoints.ts';
import { type Database, fault, openDatabase } from './database.ts';
import { pageStart } from './keys.ts';
import {
	type Change,
	Compacted,
	Conflict,
	type Entry,
	type Event,
	type Listing,
	type Page,
	type Revision,
	type Store,
	Unavailable,
} from './store.ts';
import { type Head, rangeOf, revisionOf, SLOTS, tables } from './tables.ts';
import { Waiting } from './waiting.ts';

/** The history that is kept for watches and for pages of old lists: at most this many revisions, and this many bytes. */
export const HISTORY_REVISIONS = 10_000;
export const HISTORY_BYTES = 64 * 1024 * 1024;

/** Compaction goes in steps of about this many changes and bytes, each within the transaction of commits that come anyway. */
const COMPACTION_STEP = { rows: 128, bytes: 8 * 1024 * 1024 };

/** One transaction takes at most this many commits and bytes of the queue, so that the event loop is never held for long. */
const GROUP_COMMITS = 512;
const GROUP_BYTES = 8 * 1024 * 1024;

/**
 * Opens the embedded store, a SQLite database at `path` that this process alone uses.
 *
 * The commits of one turn of the event loop share one transaction, so one flush of the disk; each keeps its own revision,
 * expectations and outcome, and is acknowledged after the flush. A commit rejected with Unavailable is rolled back.
 * Values given to `commit` are handed to the watches as they are: the caller must not change them afterwards.
 *
 * @throws Unavailable when another process has it open or the disk fails; Error when the file is damaged, of another program
 * or of a newer driftless.
 */
export async function openSqlite(path: string, { log }: { readonly log?: Log } = {}): Promise<Store> {
	const database = await openDatabase(path);
	try {
		return new SqliteStore(database, new Checkpoints(database, log));
	} catch (error) {
		database.close();
		throw fault(error, path);
	}
}

/** A commit in the queue. */
interface Pending {
	readonly change: Change;
	readonly resolve: (revision: Revision) => void;
	readonly reject: (error: unknown) => void;
}

class SqliteStore implements Store {
	readonly #database: Database;
	readonly #path: string;
	readonly #checkpoints: Checkpoints;
	readonly #tables: ReturnType<typeof tables>;
	readonly #transaction: Transaction;
	readonly #waiting = new Waiting();
	#queue: Pending[] = [];
	#turn: NodeJS.Immediate | undefined;
	#closing: Promise<void> | undefined;
	#closed = false;
	#newest: Revision;
	#compacted: Revision;
	/** Bytes of the values after `#compacted`. */
	#historyBytes: number;

	constructor(database: Database, checkpoints: Checkpoints) {
		this.#database = database;
		this.#path = database.path;
		this.#checkpoints = checkpoints;
		this.#tables = tables(database.connection);
		this.#transaction = transactions(database.connection, checkpoints);
		const { newest, compacted } = this.#tables.revisions();
		this.#newest = newest;
		this.#compacted = compacted;
		this.#historyBytes = this.#tables.bytesAfter(compacted);
	}

	async get(key: string): Promise<Entry | undefined> {
		return this.#read(() => this.#tables.entry(key));
	}

	async list(prefix: string, page: Page = {}): Promise<Listing> {
		const listing = this.#read(() => {
			const revision = page.revision ?? this.#newest;
			this.#checkKept(revision);
			const range = rangeOf(pageStart(prefix, page.after), prefix);
			// One more than is asked for tells whether there is more.
			const limit = page.limit === undefined ? -1 : page.limit + 1;
			const now = revision === this.#newest;
			const found = now ? this.#tables.page(range, limit) : this.#tables.pageAt(range, limit, revision);
			return { entries: found.slice(0, page.limit), revision, more: found.length === limit };
		});
		// Else whoever goes on at once would read all pages in one turn of the event loop.
		if (listing.more) await nextTurn();
		return listing;
	}

	async revision(): Promise<Revision> {
		return this.#read(() => this.#newest);
	}

	async commit(change: Change): Promise<Revision> {
		checkChange(change);
		this.#checkOpen();
		const { promise, resolve, reject } = Promise.withResolvers<Revision>();
		this.#queue.push({ change, resolve, reject });
		this.#turn ??= setImmediate(() => this.#flushWhenFree());
		return promise;
	}

	async *watch(prefix: string, after: Revision, signal: AbortSignal): AsyncGenerator<readonly Event[], void> {
		let position = after;
		while (!signal.aborted) {
			const passed = position;
			const newest = this.#newest;
			const { events, upTo } =
				this.#read(() => {
					if (passed < this.#compacted) throw new Compacted(this.#compacted);
					return passed < newest ? this.#tables.passage(prefix, passed, newest) : undefined;
				}) ?? (await this.#waiting.next(prefix, passed, signal));
			position = upTo;
			if (events.length > 0 && !signal.aborted) yield events;
			// One piece of a long history, and one turn of the event loop.
			if (upTo < newest) await nextTurn();
		}
	}

	async compact(upTo: Revision): Promise<void> {
		if (upTo > this.#newest) throw new RangeError(`revision ${upTo} is yet to come: the newest is ${this.#newest}`);
		while (this.#compacted < upTo) {
			while (this.#checkpoints.running) await this.#checkpoints.running;
			this.#checkOpen();
			this.#write(() => this.#compactStep(upTo));
			await nextTurn();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closing ??= this.#close();
		await this.#closing;
	}

	async #close(): Promise<void> {
		await this.#checkpoints.close();
		while (this.#queue.length > 0) this.#flush();
		this.#closed = true;
		clearImmediate(this.#turn);
		this.#waiting.fail(this.#closedError());
		this.#database.close();
	}

	/** While a checkpoint is made the turn stays taken, so that commits queue. */
	#flushWhenFree(): void {
		const { running } = this.#checkpoints;
		if (running) void running.then(() => this.#flushWhenFree());
		else this.#flush();
	}

	/** Makes the commits that queue, in one transaction, and tells their callers and the watches. */
	#flush(): void {
		this.#turn = undefined;
		const group = this.#takeGroup();
		if (this.#queue.length > 0) this.#turn = setImmediate(() => this.#flushWhenFree());
		const events: Event[] = [];
		/** What the keys are that this transaction has met; commits of one turn share what they expect. */
		const heads = new Map<string, Head | undefined>();
		let outcomes: (Revision | Conflict)[];
		try {
			outcomes = this.#write(() => {
				const made = group.map(({ change }) => this.#apply(change, heads, events));
				if (events.length > 0) this.#compactIfDue(events.length);
				return made;
			});
		} catch (error) {
			for (const { reject } of group) reject(error);
			return;
		}
		for (const [index, { resolve, reject }] of group.entries()) {
			const outcome = outcomes[index];
			if (typeof outcome === 'number') resolve(outcome);
			else reject(outcome ?? new Error('a commit without an outcome'));
		}
		if (events.length > 0) this.#waiting.notify(events, this.#newest);
	}

	#takeGroup(): Pending[] {
		let count = 0;
		for (let bytes = 0; count < this.#queue.length && count < GROUP_COMMITS && bytes < GROUP_BYTES; count++) {
			for (const { value } of this.#queue[count]?.change.puts ?? []) bytes += value.byteLength;
		}
		const group = this.#queue;
		this.#queue = group.splice(count);
		return group;
	}

	/** One commit within the open transaction. As in etcd, one that changes nothing takes no revision. */
	#apply(
		{ puts = [], deletes = [], expect = [] }: Change,
		heads: Map<string, Head | undefined>,
		events: Event[],
	): Revision | Conflict {
		const head = (key: string) => {
			if (!heads.has(key)) heads.set(key, this.#tables.head(key));
			return heads.get(key);
		};
		for (const { key, modified } of expect) {
			const found = head(key);
			if ((found ? revisionOf(found.id) : 'absent') !== modified) return new Conflict(key);
		}
		const revision = this.#newest + 1;
		let id = revision * SLOTS;
		for (const { key, value } of puts) {
			const created = this.#tables.put(id, key, value, head(key));
			heads.set(key, { id: id++, created });
			this.#historyBytes += value.byteLength;
			events.push({ type: 'put', key, value, created, revision });
		}
		for (const key of deletes) {
			const previous = head(key);
			if (!previous) continue;
			this.#tables.delete(id++, key, previous);
			heads.set(key, undefined);
			events.push({ type: 'delete', key, revision });
		}
		if (id > revision * SLOTS) this.#newest = revision;
		return this.#newest;
	}

	/**
	 * Within the open transaction that has made `changes`: a step of compaction, once there is a whole step's worth of history
	 * too much. It passes more changes than were made, so that it always catches up.
	 */
	#compactIfDue(changes: number): void {
		const step = { ...COMPACTION_STEP, rows: COMPACTION_STEP.rows + changes };
		const enough = this.#newest - HISTORY_REVISIONS;
		if (this.#historyBytes > HISTORY_BYTES) this.#compactStep(this.#newest, step);
		else if (enough >= this.#compacted + COMPACTION_STEP.rows) this.#compactStep(enough, step);
	}

	#compactStep(upTo: Revision, step = COMPACTION_STEP): void {
		const { revision, bytes } = this.#tables.compact(this.#compacted, upTo, step);
		this.#compacted = revision;
		this.#historyBytes -= bytes;
	}

	/** Does `work` in a transaction. Where that fails, what it has counted here is as before. */
	#write<Result>(work: () => Result): Result {
		const before = { newest: this.#newest, compacted: this.#compacted, bytes: this.#historyBytes };
		try {
			return this.#transaction(work);
		} catch (error) {
			({ newest: this.#newest, compacted: this.#compacted, bytes: this.#historyBytes } = before);
			throw fault(error, this.#path);
		}
	}

	#read<Result>(query: () => Result): Result {
		this.#checkOpen();
		try {
			return query();
		} catch (error) {
			throw fault(error, this.#path);
		}
	}

	#checkKept(revision: Revision): void {
		if (revision < this.#compacted) throw new Compacted(this.#compacted);
		if (revision > this.#newest) {
			throw new RangeError(`revision ${revision} is yet to come: the newest is ${this.#newest}`);
		}
	}

	#checkOpen(): void {
		if (this.#closed) throw this.#closedError();
	}

	#closedError(): Unavailable {
		return new Unavailable(`the store ${this.#path} is closed`);
	}
}

/** Runs what it is given in one transaction: all of it on the disk when it returns, nothing of it when it throws. */
type Transaction = <Result>(work: () => Result) => Result;

function transactions(database: DatabaseSync, checkpoints: Checkpoints): Transaction {
	const begin = database.prepare('BEGIN IMMEDIATE');
	const commit = database.prepare('COMMIT');
	return (work) => {
		checkpoints.check();
		begin.run();
		try {
			const result = work();
			commit.run();
			checkpoints.written();
			return result;
		} catch (error) {
			// On some errors, a full disk among them, SQLite has rolled back by itself.
			if (database.isTransaction) database.exec('ROLLBACK');
			throw error;
		}
	};
}
