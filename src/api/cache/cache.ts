/**
 * The watch cache: one watch of the store feeds one ResourceCache a kind. It holds every object, so that reads and
 * watches never touch the store, and tells how far it has come, so that a read sees every write acknowledged before it.
 */

import type { Log } from '../../log.ts';
import { Compacted, type Event, type Revision, type Store, Unavailable } from '../../store/store.ts';
import { limits } from '../limits.ts';
import {
	checkFormat,
	type Draft,
	decode,
	NewerFormat,
	parseStorageKey,
	registryPrefix,
	resourceOf,
	type StoredObject,
} from '../storage.ts';
import { Freshness, type WentBack } from './freshness.ts';
import { type Keyed, ResourceCache } from './resource.ts';

const retryFirst = 50;
const retryLast = 2_000;

export interface CacheOptions {
	readonly store: Store;
	readonly log: Log;
}

/** An own write that the cache has not seen yet: its outcome once committed (`stored` absent: removed). */
interface Ahead {
	readonly revision: Revision;
	readonly stored: StoredObject | undefined;
}

/** Every object of the store at one revision, by resource, each in ascending order of keys. */
interface State {
	readonly revision: Revision;
	readonly resources: ReadonlyMap<string, readonly Keyed[]>;
}

export class WatchCache implements AsyncDisposable {
	readonly #store: Store;
	readonly #log: Log;
	readonly #freshness: Freshness;
	readonly #resources = new Map<string, ResourceCache>();
	readonly #stop = new AbortController();
	readonly #drafts = new Map<string, Draft>();
	readonly #ahead = new Map<string, Ahead>();
	/** Where the history that watchers may read begins. */
	#origin: Revision = 0;
	/** What a newer version wrote, and this one cannot read: nothing is served as fresh until it is gone. */
	#unreadable: NewerFormat | undefined;
	#feed: Promise<void> = Promise.resolve();

	private constructor({ store, log }: CacheOptions) {
		this.#store = store;
		this.#log = log;
		this.#freshness = new Freshness(store, log);
	}

	/** Loads everything and follows. Throws what the store throws when the first load fails. */
	static async open(options: CacheOptions): Promise<WatchCache> {
		const cache = new WatchCache(options);
		const { revision, resources } = await cache.#read();
		cache.#origin = revision;
		for (const [name, objects] of resources) {
			const resource = cache.#resource(name);
			for (const [key, stored] of objects) resource.load(key, stored);
		}
		cache.#freshness.advance(revision);
		cache.#feed = cache.#follow();
		return cache;
	}

	/** The cache of a kind; empty where nothing of it is stored. */
	of(kind: { readonly group: string; readonly plural: string }): ResourceCache {
		return this.#resource(resourceOf(kind));
	}

	/** Everything up to this revision is in the cache. */
	get position(): Revision {
		return this.#freshness.position;
	}

	/** Resolves when the store has gone back. */
	get lost(): Promise<WentBack> {
		return this.#freshness.lost;
	}

	/**
	 * Settles when the cache holds every write acknowledged before the call. Throws 504 when the store's watch does not come that
	 * far, WentBack, and NewerFormat where it has met what only a newer version can read.
	 */
	async fresh(): Promise<void> {
		if (this.#unreadable) throw this.#unreadable;
		return this.#freshness.fresh();
	}

	/** Settles when the cache has come to `revision`. Throws 504 Timeout after `limits.freshness`, and as `fresh`. */
	async reach(revision: Revision): Promise<void> {
		if (this.#unreadable) throw this.#unreadable;
		return this.#freshness.reach(revision);
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
		if (revision !== undefined && revision > this.position) this.#ahead.set(storeKey, { revision, stored });
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#stop.abort();
		for (const resource of this.#resources.values()) resource.wakeAll();
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

	/** Reads the whole state. What the cache holds already is not decoded again. */
	async #read(): Promise<State> {
		const resources = new Map<string, Keyed[]>();
		let after: string | undefined;
		let revision: Revision | undefined;
		for (;;) {
			const page = await this.#store.list(registryPrefix, { limit: limits.page, after, revision });
			revision ??= page.revision;
			for (const entry of page.entries) {
				const name = parseStorageKey(entry.key);
				if (!name) continue;
				const held = this.#resources.get(name.resource)?.get(name.key);
				const same = held?.revision === entry.modified;
				const stored = same ? held : this.#decoded(entry.key, entry.value, entry.modified);
				if (!stored) continue;
				const objects = resources.get(name.resource);
				if (objects) objects.push([name.key, stored]);
				else resources.set(name.resource, [[name.key, stored]]);
			}
			after = page.entries.at(-1)?.key;
			if (!page.more || after === undefined) return { revision, resources };
		}
	}

	/**
	 * Loads the state anew, since what happened meanwhile can no longer be read. All goes on with the old state until the new one
	 * is whole; then one step leads to it, whose differences the watchers get.
	 */
	async #reload(): Promise<void> {
		const { revision, resources } = await this.#read();
		for (const name of resources.keys()) this.#resource(name);
		for (const [name, resource] of this.#resources)
			resource.replace(resources.get(name) ?? [], this.position, revision);
		// Of kinds that nobody has asked for yet it is not known what came and went meanwhile.
		this.#origin = revision;
		for (const [storeKey, ahead] of this.#ahead) if (ahead.revision <= revision) this.#ahead.delete(storeKey);
		this.#freshness.advance(revision);
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
				if (reload) await this.#reload();
				if (reload) this.#unreadable = undefined;
				reload = false;
				for await (const events of this.#store.watch(registryPrefix, this.position, signal)) {
					this.#apply(events);
					if (faulty) this.#log.info({ revision: this.position }, 'the watch of the store goes on');
					faulty = false;
					delay = retryFirst;
				}
			} catch (cause) {
				if (signal.aborted) return;
				reload ||= cause instanceof Compacted;
				if (cause instanceof NewerFormat) this.#unreadable = cause;
				if (!faulty) {
					const then = reload ? 'fell behind its history; loading anew' : 'broke; trying again';
					if (reload || cause instanceof Unavailable)
						this.#log.warn({ cause: String(cause) }, `the watch of the store ${then}`);
					else this.#log.error({ err: cause }, `the watch of the store ${then}`);
				}
				faulty = true;
			}
			if (!signal.aborted) await pause(delay, signal);
			delay = Math.min(delay * 2, retryLast);
		}
	}

	#apply(events: readonly Event[]): void {
		// All of the batch or nothing: what was applied in part would be told twice.
		for (const event of events) if (event.type === 'put') checkFormat(event.key, event.value);
		this.#unreadable = undefined;
		const touched = new Set<ResourceCache>();
		let revision = this.position;
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
		this.#freshness.advance(revision);
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
		checkFormat(storeKey, value);
		try {
			return decode(value, revision);
		} catch (cause) {
			this.#log.error({ err: cause, key: storeKey, revision }, 'a stored value is no object; it is left out');
			return undefined;
		}
	}
}

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
