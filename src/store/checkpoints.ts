import type { Log } from '../log.ts';
import { type CheckpointThread, startThread } from './checkpoint-thread.ts';
import { type Database, fault } from './database.ts';
import { Unavailable } from './store.ts';

/** The write-ahead log is copied into the database once it has so many bytes. */
export const CHECKPOINT_BYTES = 16 * 1024 * 1024;

/** While it cannot be copied, commits go on until it has so many bytes. */
export const LOG_BYTES = 256 * 1024 * 1024;

/** What failed is tried again after this time, in ms, which doubles with each failure up to the longest. */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;

interface Failure {
	readonly cause: Error;
	/** How long the next attempt waits, in ms, and until which time of the monotonic clock. */
	readonly waits: number;
	readonly until: number;
}

/**
 * The checkpoints of the write-ahead log, made by a thread of their own: the event loop writes to the log alone, and never waits
 * for the file of the database.
 *
 * Commits wait in their queue while a checkpoint is made. Only a log that is in the database whole is begun anew, and beside
 * commits that moment never comes; nor does a flush of the log, which does hold the event loop, compete with that of the database.
 */
export class Checkpoints {
	readonly #database: Database;
	readonly #log: Log | undefined;
	#thread: CheckpointThread | undefined;
	#bytes = 0;
	#running: Promise<void> | undefined;
	#failure: Failure | undefined;
	#closed = false;

	constructor(database: Database, log: Log | undefined) {
		this.#database = database;
		this.#log = log;
	}

	/** The checkpoint that transactions have to wait for; undefined where there is none. It never rejects. */
	get running(): Promise<void> | undefined {
		return this.#running;
	}

	/** Before a transaction. @throws Unavailable where the log cannot be copied, and has grown as far as it may. */
	check(): void {
		if (!this.#failure || this.#bytes < LOG_BYTES) return;
		this.#begin();
		const { cause } = this.#failure;
		throw new Unavailable(
			`${this.#database.path} takes no more: its log has grown to ${LOG_BYTES / 1024 ** 2} MiB and cannot be copied into it: ${cause.message}`,
			{ cause },
		);
	}

	/** After a transaction: begins a checkpoint where one is due. */
	written(): void {
		try {
			this.#bytes = this.#database.logBytes();
			if (this.#bytes >= CHECKPOINT_BYTES) this.#begin();
		} catch (error) {
			this.#fail(error);
		}
	}

	/** Waits for the checkpoint that is made, begins no other, and ends the thread. */
	async close(): Promise<void> {
		this.#closed = true;
		await this.#running;
		await this.#thread?.end();
	}

	#begin(): void {
		if (this.#running || this.#closed || (this.#failure && performance.now() < this.#failure.until)) return;
		this.#running = this.#checkpoint()
			.then(
				() => this.#succeed(),
				(error: unknown) => this.#fail(error),
			)
			.finally(() => {
				this.#running = undefined;
			});
	}

	async #checkpoint(): Promise<void> {
		this.#thread ??= startThread(this.#database, () => {
			this.#thread = undefined;
		});
		await this.#thread.checkpoint();
	}

	#succeed(): void {
		if (!this.#failure) return;
		this.#failure = undefined;
		this.#log?.info({ path: this.#database.path }, 'the log of the store is copied into its database again');
	}

	#fail(error: unknown): void {
		const { path } = this.#database;
		const cause = fault(error, path);
		if (!this.#failure)
			this.#log?.warn(
				{ path, cause: cause.message },
				'the log of the store cannot be copied into its database; trying again',
			);
		const waits = this.#failure ? Math.min(this.#failure.waits * 2, LONGEST_RETRY_MS) : FIRST_RETRY_MS;
		this.#failure = { cause, waits, until: performance.now() + waits };
	}
}
