/** Deletes Events some time after they last happened. Source: kube-apiserver's --event-ttl, an hour by default. */
import { Event } from '../../kinds/index.ts';
import { type Controller, controller } from '../runtime/controller.ts';
import { isNotFound } from '../runtime/refusal.ts';
import { timeOf } from '../workloads/pod-state.ts';

export const EVENT_TTL_MS = 3600_000;

export const eventTtl: Controller = controller({
	name: 'event-ttl',
	for: Event,
	workers: 1,
	async reconcile(key, { client, cache, now }) {
		const event = cache.informer(Event).get(key);
		if (!event) return;
		const left = lastSeen(event) + EVENT_TTL_MS - now();
		if (left > 0) return { after: left };
		const { uid, resourceVersion } = event.metadata;
		try {
			// It may just have happened again.
			await client.delete(Event, event.metadata, { preconditions: { uid, resourceVersion } });
		} catch (error) {
			if (!isNotFound(error)) throw error;
		}
		return;
	},
});

/** When the event happened last, in milliseconds since the epoch; an event without any time is from long ago. */
export function lastSeen({ series, lastTimestamp, eventTime, firstTimestamp, metadata }: Event): number {
	const times = [series?.lastObservedTime, lastTimestamp, eventTime, firstTimestamp, metadata.creationTimestamp];
	return Math.max(0, ...times.flatMap((time) => timeOf(time) ?? []));
}
