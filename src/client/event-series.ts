/**
 * Which Event an occurrence counts into. The same occurrence again counts up its Event; many alike but for their message
 * are counted into one; an object that has too many is silenced. Source of the rules and numbers: client-go's
 * EventCorrelator (tools/record/events_cache.go), documented at EventCorrelatorOptions.
 */
import type { KubeObject } from '../kinds/object.ts';

/** How many series are remembered; the least recently used is forgotten. */
export const MOST_SERIES = 4096;
/** So many different messages of one object and reason within the interval, and the further ones are combined. */
export const MOST_SIMILAR = 10;
export const SIMILAR_INTERVAL_MS = 10 * 60_000;
/** An object may have so many at once, and one more for each refill interval. */
export const BURST = 25;
export const REFILL_MS = 5 * 60_000;
/** What validation allows a message. */
const LONGEST_MESSAGE = 1024;
const COMBINED = '(combined from similar events): ';

export interface Occurrence {
	readonly about: KubeObject;
	readonly type: 'Normal' | 'Warning';
	readonly reason: string;
	readonly message: string;
	/** The part of the object that it is about. */
	readonly fieldPath?: string;
}

/** Names the object that an Event is about; the object itself is not kept alive. */
export interface Reference {
	readonly apiVersion: string;
	readonly kind: string;
	readonly namespace?: string;
	readonly name: string;
	readonly uid?: string;
	readonly resourceVersion?: string;
	readonly fieldPath?: string;
}

/** One Event of the API: what was counted into it so far. */
export interface Series {
	readonly about: Reference;
	readonly type: 'Normal' | 'Warning';
	readonly reason: string;
	message: string;
	count: number;
	readonly first: number;
	last: number;
	/** The name of its Event, once that was written. */
	event?: string;
}

interface Similar {
	readonly messages: Set<string>;
	last: number;
}

interface Allowance {
	tokens: number;
	at: number;
}

export interface Correlator {
	/** The series that the occurrence was counted into; undefined when its object is silenced. */
	count(occurrence: Occurrence, now: number): Series | undefined;
}

export function createCorrelator(): Correlator {
	const series = recent<Series>();
	const similar = recent<Similar>();
	const allowances = recent<Allowance>();

	const allowed = (object: string, now: number) => {
		const known = allowances.get(object) ?? { tokens: BURST, at: now };
		const tokens = Math.min(BURST, known.tokens + (now - known.at) / REFILL_MS);
		allowances.set(object, { tokens: tokens < 1 ? tokens : tokens - 1, at: now });
		return tokens >= 1;
	};
	/** Whether the message is one too many of its sort. */
	const combines = (sort: string, message: string, now: number) => {
		const known = similar.get(sort);
		const current =
			known && now - known.last <= SIMILAR_INTERVAL_MS ? known : { messages: new Set<string>(), last: now };
		current.last = now;
		if (current.messages.size < MOST_SIMILAR) current.messages.add(message);
		similar.set(sort, current);
		return !current.messages.has(message);
	};

	return {
		count({ about, type, reason, message: whole, fieldPath }, now) {
			const { namespace, name, uid } = about.metadata;
			const object = JSON.stringify([about.kind, namespace, name, uid]);
			const sort = JSON.stringify([object, type, reason]);
			const combined = combines(sort, whole, now);
			const message = (combined ? COMBINED + whole : whole).slice(0, LONGEST_MESSAGE);
			const key = combined ? sort : JSON.stringify([sort, message, fieldPath]);
			if (!allowed(object, now)) return undefined;
			const known = series.get(key);
			const reference = { ...referenceTo(about), ...(fieldPath ? { fieldPath } : {}) };
			const counted = known ?? { about: reference, type, reason, message, count: 0, first: now, last: now };
			counted.count++;
			counted.last = now;
			counted.message = message;
			series.set(key, counted);
			return counted;
		},
	};
}

function referenceTo({ apiVersion, kind, metadata }: KubeObject): Reference {
	const { namespace, name, uid, resourceVersion } = metadata;
	return { apiVersion, kind, namespace, name, uid, resourceVersion };
}

/** A map that forgets what was least recently used. */
function recent<V>() {
	const values = new Map<string, V>();
	return {
		get: (key: string) => values.get(key),
		set(key: string, value: V) {
			values.delete(key);
			values.set(key, value);
			if (values.size <= MOST_SERIES) return;
			for (const oldest of values.keys()) {
				values.delete(oldest);
				return;
			}
		},
	};
}
