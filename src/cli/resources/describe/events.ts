/** The events about an object, as the end of its description. */
import type { Client } from '../../../client/index.ts';
import { ageOf, Event, type KubeObject } from '../../../kinds/index.ts';
import { type Entry, tableOf } from './layout.ts';

export async function eventsAbout(client: Client, { kind, metadata }: KubeObject): Promise<readonly Event[]> {
	const selector = {
		'involvedObject.kind': kind,
		'involvedObject.name': metadata.name,
		'involvedObject.namespace': metadata.namespace,
		// Nodes are named by their name in place of their uid.
		...(kind !== 'Node' && { 'involvedObject.uid': metadata.uid }),
	};
	const terms = Object.entries(selector).filter(([, value]) => value !== undefined);
	const fieldSelector = terms.map(([name, value]) => `${name}=${value}`).join(',');
	const { items } = await client.list(Event, { namespace: metadata.namespace, fieldSelector });
	return items;
}

const lastSeen = ({ series, lastTimestamp, eventTime, metadata }: Event) =>
	series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '';
const firstSeen = ({ firstTimestamp, eventTime, metadata }: Event) =>
	firstTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '';

/** Oldest first. `now` in milliseconds since the epoch. */
export function eventEntry(events: readonly Event[], now: number): Entry {
	const rows = [...events]
		.sort((a, b) => lastSeen(a).localeCompare(lastSeen(b)))
		.map((event) => {
			const count = event.series?.count ?? event.count ?? 1;
			const age = ageOf(lastSeen(event), now);
			return [
				event.type ?? '',
				event.reason ?? '',
				count > 1 ? `${age} (x${count} over ${ageOf(firstSeen(event), now)})` : age,
				event.source?.component || event.reportingComponent || '',
				(event.message ?? '').trim().replace(/\s*\n\s*/g, ' '),
			];
		});
	return tableOf('Events', ['Type', 'Reason', 'Age', 'From', 'Message'], rows);
}
