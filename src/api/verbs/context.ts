/** What every verb works with. */
import type { Registry } from '../../kinds/registry.ts';
import { timestamp as wholeSeconds } from '../../kinds/timestamp.ts';
import type { Log } from '../../log.ts';
import type { Store } from '../../store/store.ts';
import type { Authorizer } from '../auth/authorizer.ts';
import type { WatchCache } from '../cache/cache.ts';
import type { AdmissionPlugin } from './admission.ts';
import type { Allocators } from './allocator.ts';
import type { Counter } from './counts.ts';
import type { KeyedQueue } from './keyed-queue.ts';

export interface Context {
	readonly store: Store;
	readonly registry: Registry;
	readonly cache: WatchCache;
	/** Whether no other server writes to the store. */
	readonly alone: boolean;
	readonly log: Log;
	/** Milliseconds since the epoch. */
	readonly now: () => number;
	readonly authorizer: Authorizer;
	/** Asked in this order about every write. */
	readonly admission: readonly AdmissionPlugin[];
	readonly allocators: Allocators;
	readonly counters: readonly Counter[];
	/** Writes of one object go one after the other within this process. */
	readonly queue: KeyedQueue;
}

let second = Number.NaN;
let written = '';

/** A point in time as the API writes it: RFC 3339 with whole seconds. Many writes share a second, so the last one is kept. */
export function timestamp(now: number): string {
	const whole = Math.floor(now / 1000);
	if (whole !== second) {
		written = wholeSeconds(now);
		second = whole;
	}
	return written;
}
