/**
 * What a controller has written and its cache does not show yet. A controller that names what it creates by chance (pods)
 * would otherwise create it twice when it looks again before the watch has caught up.
 */
import type { Client } from '../client/client.ts';
import type { Informer } from '../client/informer.ts';
import { ApiError, type Key, type KubeObject, keyOf } from '../kinds/index.ts';

/** After so many milliseconds without a sign from the watch the API is asked (a relist can hide a short life). */
const DOUBT_AFTER = 10_000;

interface Pending<T extends KubeObject> {
	readonly owner: string;
	readonly object: T;
	since: number;
}

/** Lives as long as the controller's cache: it listens to the informer. Owners are named by uid. */
export class OwnWrites<T extends KubeObject> implements Disposable {
	readonly #informer: Informer<T>;
	readonly #created = new Map<Key, Pending<T>>();
	readonly #deleted = new Map<Key, Pending<T>>();
	readonly #subscription: Disposable;

	constructor(informer: Informer<T>) {
		this.#informer = informer;
		this.#subscription = informer.on(({ key, object }) => {
			this.#created.delete(key);
			if (object?.metadata.uid !== this.#deleted.get(key)?.object.metadata.uid || object?.metadata.deletionTimestamp)
				this.#deleted.delete(key);
		});
	}

	created(owner: string, object: T, now: number): void {
		const key = keyOf(object);
		if (this.#informer.get(key)?.metadata.uid === object.metadata.uid) return;
		this.#created.set(key, { owner, object, since: now });
	}

	/** To be called before the delete is sent; `keep` takes it back when the delete was refused. */
	deleting(owner: string, object: T, now: number): void {
		this.#deleted.set(keyOf(object), { owner, object, since: now });
	}

	keep(object: T): void {
		this.#deleted.delete(keyOf(object));
	}

	/** The owner's objects as they are after its writes: `cached` with what was created and without what was deleted. */
	apply(owner: string, cached: Iterable<T>): T[] {
		const objects: T[] = [];
		for (const object of cached)
			if (this.#deleted.get(keyOf(object))?.object.metadata.uid !== object.metadata.uid) objects.push(object);
		for (const [key, pending] of this.#created)
			if (pending.owner === owner && !this.#deleted.has(key)) objects.push(pending.object);
		return objects;
	}

	/**
	 * Settles writes of the owner that the watch has not shown for long by asking the API. Returns in how many milliseconds to ask
	 * again, undefined when nothing is open.
	 */
	async settle(owner: string, client: Client, now: number): Promise<number | undefined> {
		let open = false;
		for (const writes of [this.#created, this.#deleted])
			for (const [key, pending] of writes) {
				if (pending.owner !== owner) continue;
				open = true;
				if (now - pending.since < DOUBT_AFTER) continue;
				pending.since = now;
				const found = await this.#find(client, pending.object);
				const deleted = !found || found.metadata.deletionTimestamp !== undefined;
				// A create is settled when the object is gone again, a delete when it never took place (the informer has the object).
				if (writes === this.#created ? deleted : !deleted) writes.delete(key);
			}
		return open ? DOUBT_AFTER : undefined;
	}

	async #find(client: Client, object: T): Promise<T | undefined> {
		try {
			const found = await client.get(this.#informer.kind, object.metadata);
			return found.metadata.uid === object.metadata.uid ? found : undefined;
		} catch (error) {
			if (error instanceof ApiError && error.code === 404) return undefined;
			throw error;
		}
	}

	[Symbol.dispose](): void {
		this.#subscription[Symbol.dispose]();
		this.#created.clear();
		this.#deleted.clear();
	}
}
