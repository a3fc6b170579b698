/** Events, as Kubernetes components write them: core/v1, counted up when the same happens again. */

import { ApiError, Event, timestamp } from '../kinds/index.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { Log } from '../log.ts';
import { backoff } from './backoff.ts';
import type { Client } from './client.ts';
import { type Clock, pause, systemClock } from './clock.ts';
import { createCorrelator, type Series } from './event-series.ts';
import { faults } from './fault.ts';

/** Writes Events as Kubernetes components do: the same event again counts up instead of making a new one. Never throws. */
export interface EventRecorder {
	/** @param fieldPath - the part of the object that it is about: `spec.containers{web}`. */
	event(about: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void;
}

/** How many Events may wait to be written; what comes when so many wait is dropped. */
export const MOST_WAITING = 1000;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
/** The longest name of an object. */
const LONGEST_NAME = 253;

export interface EventOptions {
	/** Who the Events are from: `replicaset-controller`, `kubelet`. */
	readonly component: string;
	/** The node the component runs on, where it belongs to one. */
	readonly host?: string;
	/** Milliseconds since the epoch. */
	readonly now: () => number;
	readonly log: Log;
	readonly signal: AbortSignal;
	readonly clock?: Clock;
}

/** Records Events until the signal aborts; what waits then is dropped. `ended` settles when the last write is over. */
export function recordEvents(client: Client, options: EventOptions): EventRecorder & { readonly ended: Promise<void> } {
	const { now, log, signal, clock = systemClock } = options;
	const correlator = createCorrelator();
	const waiting = new Set<Series>();
	const known = faults(log);
	let wake = () => {};
	let named = 0n;

	const newName = (series: Series) => {
		const suffix = `.${(BigInt(series.last) * 1_000_000n + named++).toString(16)}`;
		return series.about.name.slice(0, LONGEST_NAME - suffix.length).replace(/[.-]+$/, '') + suffix;
	};
	const write = async (series: Series) => {
		if (series.event) {
			try {
				const name = { name: series.event, namespace: namespaceOf(series) };
				await client.patch(Event, name, { type: 'merge', body: progressOf(series) });
				return;
			} catch (error) {
				// Its time to live has passed.
				if (!(error instanceof ApiError && error.reason === 'NotFound')) throw error;
				series.event = undefined;
			}
		}
		const event = eventOf(series, newName(series), options);
		await client.create(Event, event);
		series.event = event.metadata.name;
	};
	const run = async () => {
		const retry = backoff({ firstMs: FIRST_RETRY_MS, longestMs: LONGEST_RETRY_MS });
		while (!signal.aborted) {
			const [series] = waiting;
			if (!series) {
				const { promise, resolve } = Promise.withResolvers<void>();
				wake = resolve;
				await promise;
				continue;
			}
			waiting.delete(series);
			try {
				await write(series);
				retry.reset();
				known.healed('write', 'events are written again');
				// Not at the first place that becomes free: under a storm that is taken and missed many times a second.
				if (waiting.size === 0) known.healed('room', 'events are kept again; so many were dropped');
			} catch (error) {
				if (signal.aborted) return;
				if (isRefused(error)) {
					log.debug({ reason: series.reason, about: series.about.name, error: error.message }, 'event refused');
					continue;
				}
				known.failed('write', error, 'events cannot be written; they wait');
				if (waiting.size < MOST_WAITING) waiting.add(series);
				await pause(retry.next(), signal, clock);
			}
		}
	};
	signal.addEventListener('abort', () => wake(), { once: true });

	return {
		event(about, type, reason, message, fieldPath) {
			if (signal.aborted) return;
			const series = correlator.count({ about, type, reason, message, fieldPath }, now());
			if (!series) return;
			if (waiting.size >= MOST_WAITING && !waiting.has(series)) {
				known.failed('room', 'too many wait', 'events are dropped', { most: MOST_WAITING });
				return;
			}
			waiting.add(series);
			wake();
		},
		ended: run(),
	};
}

/** The API will never take it (its namespace is going, a field is invalid), so trying again is no use. */
const isRefused = (error: unknown): error is ApiError =>
	error instanceof ApiError && error.code >= 400 && error.code < 500 && error.code !== 429;

const namespaceOf = ({ about }: Series) => about.namespace ?? 'default';

/** What changes of an Event that was written before. */
const progressOf = (series: Series) => ({
	count: series.count,
	lastTimestamp: timestamp(series.last),
	message: series.message,
});

function eventOf(series: Series, name: string, { component, host }: EventOptions): Event {
	const { about } = series;
	const namespace = namespaceOf(series);
	return {
		apiVersion: 'v1',
		kind: 'Event',
		metadata: { name, namespace },
		involvedObject: about,
		type: series.type,
		reason: series.reason,
		firstTimestamp: timestamp(series.first),
		source: { component, host },
		reportingComponent: component,
		reportingInstance: host ?? '',
		...progressOf(series),
	};
}
