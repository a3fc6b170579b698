/**
 * One informer: it lists once, then follows the watch. After a break it resumes where its copy is known to be whole, and after
 * 410 Gone it lists anew and delivers the differences only. In process it holds the API's own frozen objects, so a copy costs
 * its maps and no more.
 */
import { apiVersionOf, type Kind } from '../kinds/kind.ts';
import { type Key, type KubeObject, keyOf } from '../kinds/object.ts';
import { ApiError } from '../kinds/status.ts';
import type { Log } from '../log.ts';
import { backoff } from './backoff.ts';
import type { Client, WatchEvent } from './client.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import { createCopy, replacing } from './copy.ts';
import type { Faults } from './fault.ts';
import type { Delta, Informer, Selection } from './informer.ts';

/** The first pause after a failed list or watch. */
const FIRST_RETRY_MS = 100;
/** The longest pause between attempts: the API may be gone for hours, and shall be found soon after it is back. */
const LONGEST_RETRY_MS = 10_000;

export interface InformerOptions {
	readonly signal: AbortSignal;
	readonly log: Log;
	readonly clock?: Clock;
	/** For the jitter of retries: a number in [0, 1). */
	readonly random?: () => number;
}

interface Waiter {
	readonly condition: () => boolean;
	readonly resolve: () => void;
}

/** An informer of what is selected of a kind; `run` follows until the signal aborts. Faults are told once, by `faults`. */
export function createInformer<T extends KubeObject>(
	client: Client,
	kind: Kind<T>,
	selection: Selection,
	options: InformerOptions,
	faults: Faults,
): { readonly informer: Informer<T>; readonly run: () => Promise<void> } {
	const { signal, log, clock = systemClock, random } = options;
	const name = kind.group ? `${kind.plural}.${kind.group}` : kind.plural;
	const copy = createCopy<T>(name);
	const handlers = new Set<(delta: Delta<T>) => void>();
	const waiters = new Set<Waiter>();
	const synced = settling(signal);
	/** Where the watch is: the newest revision seen of it. */
	let newest = 0;
	/** Where to resume: a commit may change several objects at one revision, so all is known only up to the one before the newest. */
	let whole = 0;

	const call = (handler: (delta: Delta<T>) => void, delta: Delta<T>) => {
		try {
			handler(delta);
		} catch (error) {
			log.error({ kind: name, key: delta.key, error }, 'a handler of an informer threw; the change is lost to it');
		}
	};
	const deliver = (delta: Delta<T>) => {
		for (const handler of handlers) call(handler, delta);
	};
	const put = (key: Key, object: T | undefined) => {
		const held = copy.objects.get(key);
		if (!held && !object) return;
		if (held && object) {
			if (held.metadata.resourceVersion === object.metadata.resourceVersion) return;
			// Gone and made anew in between: that is what handlers must see.
			if (held.metadata.uid !== object.metadata.uid) put(key, undefined);
		}
		const old = copy.set(key, object);
		deliver({ key, object, old });
	};
	const advance = (revision: number) => {
		if (revision <= newest) return;
		whole = newest;
		newest = revision;
	};
	const wake = () => {
		for (const waiter of waiters) {
			if (!waiter.condition()) continue;
			waiters.delete(waiter);
			waiter.resolve();
		}
	};
	const replace = (items: readonly T[], revision: number) => {
		newest = revision;
		whole = revision;
		for (const { key, object } of replacing(copy, items)) put(key, object);
		synced.resolve();
		wake();
	};
	const follow = (event: WatchEvent<T>) => {
		if (event.type === 'BOOKMARK') {
			const revision = Number(event.resourceVersion);
			if (revision >= newest) newest = whole = revision;
			return;
		}
		const key = keyOf(event.object);
		const revision = revisionOf(event.object);
		const held = copy.objects.get(key);
		// A resumed watch may repeat what came after `whole`.
		if (held && revisionOf(held) > revision) return;
		advance(revision);
		put(key, event.type === 'DELETED' ? undefined : event.object);
	};

	const list = async () => {
		const { items, resourceVersion } = await client.list(kind, selection);
		replace(items, Number(resourceVersion));
	};
	/** One watch until it ends; tells whether anything came. */
	const watch = async (working: () => void) => {
		const events = client.watch(kind, { ...selection, resourceVersion: String(whole), signal });
		for await (const batch of events) {
			if (signal.aborted) return;
			working();
			for (const event of batch) follow(event);
			wake();
		}
	};
	const run = async () => {
		const retry = backoff({ firstMs: FIRST_RETRY_MS, longestMs: LONGEST_RETRY_MS, random });
		const working = () => {
			retry.reset();
			faults.healed(name, 'informer follows again', { kind: name });
		};
		let listed = false;
		while (!signal.aborted) {
			try {
				if (!listed) {
					await list();
					listed = true;
					faults.healed(name, 'informer follows again', { kind: name });
				}
				await watch(working);
			} catch (error) {
				if (signal.aborted) break;
				if (isGone(error)) listed = false;
				else if (isUnserved(error)) {
					listed = false;
					// A 404 may come from anything on the way. Only where discovery has the kind no more has it no objects any more.
					if (!client.registry.of(apiVersionOf(kind), kind.kind)) replace([], newest);
				}
				if (!isGone(error))
					faults.failed(name, error, 'informer cannot list or watch; it keeps trying', { kind: name });
			}
			if (!signal.aborted) await pause(retry.next(), signal, clock);
		}
		handlers.clear();
	};

	const informer: Informer<T> = {
		kind,
		get: (key) => copy.objects.get(key),
		list: () => copy.objects.values(),
		get size() {
			return copy.objects.size;
		},
		by: copy.by,
		count: copy.count,
		addIndex: copy.addIndex,
		on(handler) {
			handlers.add(handler);
			for (const [key, object] of copy.objects) call(handler, { key, object });
			return { [Symbol.dispose]: () => void handlers.delete(handler) };
		},
		synced: synced.promise,
		get revision() {
			return newest;
		},
		until(condition, until) {
			until.throwIfAborted();
			if (condition()) return Promise.resolve();
			const { promise, resolve, reject } = Promise.withResolvers<void>();
			const waiter = { condition, resolve };
			const abort = () => {
				waiters.delete(waiter);
				reject(until.reason);
			};
			waiters.add(waiter);
			until.addEventListener('abort', abort, { once: true });
			return promise.finally(() => until.removeEventListener('abort', abort));
		},
	};
	return { informer, run };
}

/** A promise that rejects when the signal aborts first, and that nobody needs to wait for. */
function settling(signal: AbortSignal) {
	const { promise, resolve, reject } = Promise.withResolvers<void>();
	const abort = () => reject(signal.reason);
	promise.catch(() => undefined);
	if (signal.aborted) abort();
	else signal.addEventListener('abort', abort, { once: true });
	return {
		promise,
		resolve() {
			signal.removeEventListener('abort', abort);
			resolve();
		},
	};
}

const revisionOf = (object: KubeObject) => Number(object.metadata.resourceVersion ?? 0);

const isGone = (error: unknown) => error instanceof ApiError && error.code === 410;

const isUnserved = (error: unknown) => error instanceof ApiError && (error.code === 404 || error.code === 405);
