/** Events tell of the recent past: those older than an hour are removed, as the reference API server lets them expire. */
import type { Event } from '../kinds/core/event.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/store.ts';
import type { WatchCache } from './cache/cache.ts';
import { limits } from './limits.ts';
import { storageKey } from './storage.ts';

const events = { group: '', plural: 'events' };
/** How often old events are looked for (ms), and how many keys one commit removes. */
const every = 60_000;
const batch = 100;

/** When an event was last true, in milliseconds since the epoch. */
export function eventTime({ metadata, lastTimestamp, eventTime: time, series }: Event): number {
	const newest = series?.lastObservedTime ?? lastTimestamp ?? time ?? metadata.creationTimestamp;
	const at = Date.parse(String(newest));
	return Number.isNaN(at) ? 0 : at;
}

export interface Expiry extends AsyncDisposable {
	/** Removes what is too old now. */
	sweep(): Promise<void>;
}

/** Sweeps every minute until disposed. What is changed meanwhile stays: a removal expects the revision it has seen. */
export function expireEvents(store: Store, cache: WatchCache, log: Log, now: () => number): Expiry {
	let faulty = false;
	let sweeping: Promise<void> | undefined;
	const sweep = async () => {
		const old: { key: string; modified: number }[] = [];
		for (const { object, revision } of cache.of(events).list(undefined)) {
			if (now() - eventTime(object as Event) <= limits.eventAge) continue;
			const { namespace, name } = object.metadata;
			old.push({ key: storageKey(events, `${namespace}/${name}`), modified: revision });
		}
		for (let index = 0; index < old.length; index += batch) {
			const some = old.slice(index, index + batch);
			try {
				await store.commit({ deletes: some.map(({ key }) => key), expect: some });
				faulty = false;
			} catch (cause) {
				// The next sweep tries again; a fault that lasts is told once.
				if (!faulty) log.warn({ err: cause }, 'old events could not be removed; trying again');
				faulty = true;
				return;
			}
		}
	};
	const timer = setInterval(() => {
		sweeping ??= sweep().finally(() => {
			sweeping = undefined;
		});
	}, every);
	return {
		sweep,
		async [Symbol.asyncDispose]() {
			clearInterval(timer);
			await sweeping;
		},
	};
}
