/** How far the cache has come, and who waits until it has come further. */
import { ApiError } from '../../kinds/status.ts';
import type { Log } from '../../log.ts';
import type { Revision, Store } from '../../store/store.ts';
import { limits } from '../limits.ts';

/** Written to make the store's watch move when the cache waits for a revision that none of its keys has. */
const progressKey = '/registry/progress';

/**
 * The store is not as far as it was: it was emptied, or restored from a backup. Its revisions are given out anew, so that nothing
 * that was read before can be told from what is written now: only a process that begins anew can serve it.
 */
export class WentBack extends Error {
	override readonly name = 'WentBack';
	constructor(from: Revision, to: Revision) {
		super(
			`the store has gone back from revision ${from} to ${to}: it was restored from a backup, or emptied, while this server ran. Start the server again, and it goes on with what is there now`,
		);
	}
}

interface Waiter {
	readonly revision: Revision;
	readonly reached: () => void;
}

export class Freshness {
	readonly #store: Store;
	readonly #log: Log;
	#position: Revision = 0;
	#waiting: Waiter[] = [];
	/** The question for the newest revision that is under way, and the one that waits behind it. */
	#asking: Promise<Revision> | undefined;
	#askNext: Promise<Revision> | undefined;
	#poking = false;
	readonly #lost = Promise.withResolvers<WentBack>();

	constructor(store: Store, log: Log) {
		this.#store = store;
		this.#log = log;
	}

	/** Everything up to this revision is in the cache. */
	get position(): Revision {
		return this.#position;
	}

	/** Resolves when the store has gone back. */
	get lost(): Promise<WentBack> {
		return this.#lost.promise;
	}

	/**
	 * Settles when the cache holds every write acknowledged before the call. Throws 504 when the store's watch does not come that
	 * far, and WentBack.
	 */
	async fresh(): Promise<void> {
		const revision = await this.#newest();
		if (revision > this.#position) await this.reach(revision);
	}

	/** Settles when the cache has come to `revision`. Throws 504 Timeout after `limits.freshness`. */
	async reach(revision: Revision): Promise<void> {
		if (revision <= this.#position) return;
		let timer: NodeJS.Timeout | undefined;
		let waiter: Waiter | undefined;
		try {
			await new Promise<void>((resolve, reject) => {
				waiter = { revision, reached: resolve };
				this.#waiting.push(waiter);
				timer = setTimeout(() => {
					void this.#poke();
					timer = setTimeout(() => reject(tooLarge(revision, this.#position)), limits.freshness - limits.progress);
				}, limits.progress);
			});
		} finally {
			clearTimeout(timer);
			this.#waiting = this.#waiting.filter((it) => it !== waiter);
		}
	}

	/** The cache has come to `revision`. */
	advance(revision: Revision): void {
		this.#position = revision;
		if (this.#waiting.length === 0) return;
		const waiting = this.#waiting;
		this.#waiting = [];
		for (const waiter of waiting) {
			if (waiter.revision <= revision) waiter.reached();
			else this.#waiting.push(waiter);
		}
	}

	/**
	 * The newest revision of the store. One question at a time: callers that come while one is under way share the next,
	 * since the answer under way may be older than a write acknowledged before they asked.
	 */
	#newest(): Promise<Revision> {
		if (!this.#asking) {
			this.#asking = this.#ask();
			return this.#asking;
		}
		this.#askNext ??= this.#asking.then(
			() => this.#newest(),
			() => this.#newest(),
		);
		return this.#askNext;
	}

	async #ask(): Promise<Revision> {
		const known = this.#position;
		try {
			const newest = await this.#store.revision();
			if (newest >= known) return newest;
			const cause = new WentBack(known, newest);
			this.#lost.resolve(cause);
			throw cause;
		} finally {
			this.#asking = undefined;
			this.#askNext = undefined;
		}
	}

	async #poke(): Promise<void> {
		if (this.#poking) return;
		this.#poking = true;
		try {
			await this.#store.commit({ puts: [{ key: progressKey, value: Buffer.from('{}') }] });
		} catch (cause) {
			this.#log.debug({ err: cause }, 'the mark that makes the watch of the store move could not be written');
		} finally {
			this.#poking = false;
		}
	}
}

/** 504, as the reference API server answers a resourceVersion that its cache has not reached. */
export const tooLarge = (wanted: Revision, current: Revision) =>
	new ApiError(504, 'Timeout', `Timeout: Too large resource version: ${wanted}, current: ${current}`, {
		causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
		retryAfterSeconds: 1,
	});
