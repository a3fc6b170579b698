import type * as core from 'kubernetes-types/core/v1.js';
import { ageOf } from '../age.ts';
import { kind } from '../declare.ts';
import type { Column, Kind } from '../kind.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type Event = Persisted<core.Event>;

const text = (name: string, priority: 0 | 1, description: string, cell: Column<Event>['cell']): Column<Event> => ({
	name,
	type: 'string',
	priority,
	description,
	cell,
});

/**
 * Events of the core group. Those of events.k8s.io/v1 are the same stored objects in another shape (note for message,
 * regarding for involvedObject): a second declaration and a conversion add them.
 *
 * Source: Kubernetes API reference, "Event".
 */
export const Event: Kind<Event> = kind<Event>({
	group: '',
	version: 'v1',
	kind: 'Event',
	plural: 'events',
	schema: 'io.k8s.api.core.v1.Event',
	model: 'CoreV1Event',
	shortNames: ['ev'],
	createOnUpdate: true,
	selectableFields: {
		'involvedObject.kind': (event) => event.involvedObject?.kind ?? '',
		'involvedObject.namespace': (event) => event.involvedObject?.namespace ?? '',
		'involvedObject.name': (event) => event.involvedObject?.name ?? '',
		'involvedObject.uid': (event) => event.involvedObject?.uid ?? '',
		'involvedObject.apiVersion': (event) => event.involvedObject?.apiVersion ?? '',
		'involvedObject.resourceVersion': (event) => event.involvedObject?.resourceVersion ?? '',
		'involvedObject.fieldPath': (event) => event.involvedObject?.fieldPath ?? '',
		reason: (event) => event.reason ?? '',
		reportingComponent: (event) => event.reportingComponent ?? '',
		source: (event) => event.source?.component || event.reportingComponent || '',
		type: (event) => event.type ?? '',
	},
	columns: [
		text('Last Seen', 0, 'When it happened last.', (event, now) => ageOf(lastSeen(event), now)),
		text('Type', 0, 'Normal, or Warning.', (event) => event.type ?? ''),
		text('Reason', 0, 'Why, in one word.', (event) => event.reason ?? ''),
		text('Object', 0, 'What it is about.', ({ involvedObject }) => {
			const about = involvedObject?.kind?.toLowerCase() ?? '';
			return involvedObject?.name ? `${about}/${involvedObject.name}` : about;
		}),
		text('Subobject', 1, 'The part of it.', (event) => event.involvedObject?.fieldPath ?? ''),
		text('Source', 1, 'Who reports it.', (event) => {
			const component = event.source?.component || event.reportingComponent || '';
			const host = event.source?.host || event.reportingInstance;
			return host ? `${component}, ${host}` : component;
		}),
		text('Message', 0, 'What happened.', (event) => event.message?.trim() ?? ''),
		text('First Seen', 1, 'When it happened first.', (event, now) => ageOf(firstSeen(event), now)),
		text('Count', 1, 'How often it happened.', (event) => String(event.series?.count ?? event.count ?? 1)),
		text('Name', 1, 'The name of the event.', (event) => event.metadata.name),
	],
	validate(event) {
		const errors: FieldError[] = [];
		const { namespace } = event.metadata;
		const about = event.involvedObject?.namespace ?? '';
		// An event about something without namespace lies in default, or in the system's own.
		const matches = about ? about === namespace : namespace === 'default' || namespace === 'kube-system';
		if (!matches) errors.push(fieldError.invalid('involvedObject.namespace', about, 'does not match event.namespace'));
		return errors;
	},
});

function firstSeen(event: Event): string | undefined {
	return event.firstTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp;
}

function lastSeen(event: Event): string | undefined {
	return event.series?.lastObservedTime ?? event.lastTimestamp ?? firstSeen(event);
}
