/**
 * The watch cache: one watch of the store feeds one ResourceCache a kind. It holds every object, so that reads and
 * watches never touch the store, and tells how far it has come, so that a read sees every write acknowledged before it.
 */

import { ApiError } from '../../kinds/status.ts';
import type { Log } from '../../log.ts';
import { Compacted, type Event, type Revision, type Store, Unavailable } from '../../store/store.ts';
import { limits } from '../limits.ts';
import { type Draft, decode, parseStorageKey, registryPrefix, resourceOf, type StoredObject } from '../storage.ts';
import { ResourceCache } from './resource.ts';

/** Written to make the store's watch move when the cache waits for a revision that none of its keys has. */
const progressKey = '/registry/progress';
const retryFirst = 50;
const retryLast = 2_000;

export interface CacheOptions {
	readonly store: Store;
	readonly log: Log;
	/** Milliseconds since the epoch. */
	readonly now: () => number;
}

interface Waiter {
	readonly revision: Revision;
	readonly reached: () => void;
}

/** An own write that the cache has not seen yet: its outcome once committed (`stored` absent: removed). */
interface Ahead {
	readonly revision: Revision;
	readonly stored: StoredObject | undefined;
}

export class WatchCache implements AsyncDisposable {
	readonly #store: Store;
	readonly #log: Log;
	readonly #resources = new Map<string, ResourceCache>();
	readonly #stop = new AbortController();
	readonly #drafts = new Map<string, Draft>();
	readonly #ahead = new Map<string, Ahead>();
	#waiting: Waiter[] = [];
	#position: Revision = 0;
	#origin: Revision = 0;
	#feed: Promise<void> = Promise.resolve();
	#bookmarks: NodeJS.Timeout | undefined;
	/** The question for the newest revision that is under way, and the one that waits behind it. */
	#asking: Promise<Revision> | undefined;
	#askNext: Promise<Revision> | undefined;
	#poking = false;

	private constructor(options: CacheOptions) {
		this.#store = options.store;
		this.#log = options.log;
	}

	/** Loads everything and follows. Throws what the store throws when the first load fails. */
	static async open(options: CacheOptions): Promise<WatchCache> {
		const cache = new WatchCache(options);
		await cache.#load();
		cache.#feed = cache.#follow();
		cache.#bookmarks = setInterval(() => {
			for (const resource of cache.#resources.values()) {
				resource.ticks++;
				resource.wake();
			}
		}, limits.bookmark);
		return cache;
	}

	/** The cache of a kind; empty where nothing of it is stored. */
	of(kind: { readonly group: string; readonly plural: string }): ResourceCache {
		return this.#resource(resourceOf(kind));
	}

	/** Everything up to this revision is in the cache. */
	get position(): Revision {
		return this.#position;
	}

	/** The newest state of an object that this server knows of: of its own last write, if the cache has not seen it yet. */
	latest(storeKey: string, resource: ResourceCache, key: string): StoredObject | undefined {
		const ahead = this.#ahead.get(storeKey);
		const cached = resource.get(key);
		if (!ahead || (cached && cached.revision >= ahead.revision)) return cached;
		return ahead.stored;
	}

	/** Announces a write, so that its object need not be parsed again when it comes back from the store's watch. */
	announce(storeKey: string, draft: Draft): void {
		this.#drafts.set(storeKey, draft);
	}

	/** Tells the outcome of a write: its revision, or undefined when it failed. */
	settle(storeKey: string, revision: Revision | undefined, stored: StoredObject | undefined): void {
		this.#drafts.delete(storeKey);
		if (revision !== undefined && revision > this.#position) this.#ahead.set(storeKey, { revision, stored });
	}

	/** Settles when the cache holds every write acknowledged before the call. Throws 504 when the store's watch does not come that far. */
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

	async [Symbol.asyncDispose](): Promise<void> {
		clearInterval(this.#bookmarks);
		this.#stop.abort();
		for (const resource of this.#resources.values()) resource.wake();
		await this.#feed;
	}

	get closed(): boolean {
		return this.#stop.signal.aborted;
	}

	#resource(name: string): ResourceCache {
		let resource = this.#resources.get(name);
		if (!resource) {
			resource = new ResourceCache(this.#origin);
			this.#resources.set(name, resource);
		}
		return resource;
	}

	async #load(): Promise<void> {
		let after: string | undefined;
		let revision: Revision | undefined;
		for (;;) {
			const page = await this.#store.list(registryPrefix, { limit: limits.page, after, revision });
			if (revision === undefined) {
				revision = page.revision;
				this.#origin = revision;
				for (const resource of this.#resources.values()) resource.reset(revision);
			}
			for (const entry of page.entries) {
				const name = parseStorageKey(entry.key);
				const stored = name && this.#decoded(entry.key, entry.value, entry.modified);
				if (name && stored) this.#resource(name.resource).load(name.key, stored);
			}
			after = page.entries.at(-1)?.key;
			if (!page.more || after === undefined) break;
		}
		for (const [storeKey, ahead] of this.#ahead) if (ahead.revision <= revision) this.#ahead.delete(storeKey);
		this.#advance(revision);
		for (const resource of this.#resources.values()) resource.wake();
	}

	/** Follows the store until closed: through faults with backoff, and through a compaction by loading anew. */
	async #follow(): Promise<void> {
		const { signal } = this.#stop;
		let delay = retryFirst;
		let faulty = false;
		let reload = false;
		while (!signal.aborted) {
			try {
				if (reload) await this.#load();
				reload = false;
				for await (const events of this.#store.watch(registryPrefix, this.#position, signal)) {
					if (faulty) this.#log.info({ revision: this.#position }, 'the watch of the store goes on');
					faulty = false;
					delay = retryFirst;
					this.#apply(events);
				}
			} catch (cause) {
				if (signal.aborted) return;
				reload ||= cause instanceof Compacted;
				if (!faulty) {
					const level = reload || cause instanceof Unavailable ? 'warn' : 'error';
					const then = reload ? 'fell behind its history; loading anew' : 'broke; trying again';
					this.#log[level]({ err: cause }, `the watch of the store ${then}`);
				}
				faulty = true;
			}
			if (!signal.aborted) await pause(delay, signal);
			delay = Math.min(delay * 2, retryLast);
		}
	}

	#apply(events: readonly Event[]): void {
		const touched = new Set<ResourceCache>();
		let revision = this.#position;
		for (const event of events) {
			revision = event.revision;
			const name = parseStorageKey(event.key);
			if (!name) continue;
			const resource = this.#resource(name.resource);
			touched.add(resource);
			const stored = event.type === 'put' ? this.#stored(event) : undefined;
			if (stored) resource.put(name.key, stored);
			else resource.remove(name.key, event.revision);
			const ahead = this.#ahead.get(event.key);
			if (ahead && ahead.revision <= event.revision) this.#ahead.delete(event.key);
		}
		this.#advance(revision);
		for (const resource of touched) resource.wake();
	}

	/** An own write's object, where the bytes are the announced ones; else the bytes, parsed when needed. */
	#stored(event: Extract<Event, { type: 'put' }>): StoredObject | undefined {
		const ahead = this.#ahead.get(event.key);
		if (ahead?.stored?.revision === event.revision) return ahead.stored;
		const announced = this.#drafts.get(event.key);
		if (announced && Buffer.compare(announced.value, event.value) === 0) return announced.finish(event.revision);
		return this.#decoded(event.key, event.value, event.revision);
	}

	/** What another program wrote under our keys is no object: it is left out, and all else goes on. */
	#decoded(storeKey: string, value: Uint8Array, revision: Revision): StoredObject | undefined {
		try {
			return decode(value, revision);
		} catch (cause) {
			this.#log.error({ err: cause, key: storeKey, revision }, 'a stored value is no object; it is left out');
			return undefined;
		}
	}

	#advance(revision: Revision): void {
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
		try {
			return await this.#store.revision();
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

function pause(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		const done = () => {
			clearTimeout(timer);
			signal.removeEventListener('abort', done);
			resolve();
		};
		const timer = setTimeout(done, ms);
		signal.addEventListener('abort', done);
	});
}
