import type * as events from 'kubernetes-types/events/v1.js';
import { Event } from '../core/event.ts';
import { kind } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import type { Kind } from '../kind.ts';
import { qualifiedName } from '../names.ts';
import type { KubeObject, Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type EventsEvent = Persisted<events.Event>;

/** The longest reason, action and reporting instance, in characters. */
const LONGEST_WORD = 128;
/** The longest note, in characters. */
const LONGEST_NOTE = 1024;

/** Under which name each field that differs is stored. */
const renamed = {
	note: 'message',
	regarding: 'involvedObject',
	reportingController: 'reportingComponent',
	deprecatedSource: 'source',
	deprecatedFirstTimestamp: 'firstTimestamp',
	deprecatedLastTimestamp: 'lastTimestamp',
	deprecatedCount: 'count',
} as const;

/**
 * Events as events.k8s.io/v1 has them: the stored objects are those of the core group, with other names of fields.
 *
 * Source: Kubernetes API reference, "Event" of events.k8s.io.
 */
export const EventsEvent: Kind<EventsEvent> = kind<EventsEvent>({
	group: 'events.k8s.io',
	version: 'v1',
	kind: 'Event',
	plural: 'events',
	schema: 'io.k8s.api.events.v1.Event',
	model: 'EventsV1Event',
	shortNames: ['ev'],
	createOnUpdate: true,
	columns: Event.columns.map(({ cell, ...column }) => ({
		...column,
		cell: (event, now) => cell(toCore(event), now),
	})),
	storedAs: {
		kind: Event as unknown as Kind,
		toStored: toCore,
		fromStored: fromCore,
		fields: {
			'regarding.kind': 'involvedObject.kind',
			'regarding.namespace': 'involvedObject.namespace',
			'regarding.name': 'involvedObject.name',
			'regarding.uid': 'involvedObject.uid',
			'regarding.apiVersion': 'involvedObject.apiVersion',
			'regarding.resourceVersion': 'involvedObject.resourceVersion',
			'regarding.fieldPath': 'involvedObject.fieldPath',
			reason: 'reason',
			reportingController: 'reportingComponent',
			type: 'type',
		},
	},
	validate(event, old) {
		return old ? changes(event, old) : rules(event);
	},
});

function toCore(event: EventsEvent): Event {
	return rename(event, (field) => renamed[field as keyof typeof renamed]) as Event;
}

function fromCore(event: KubeObject): EventsEvent {
	const back = Object.entries(renamed);
	return rename(event, (field) => back.find(([, stored]) => stored === field)?.[0]) as EventsEvent;
}

function rename(object: KubeObject, nameOf: (field: string) => string | undefined): KubeObject {
	return Object.fromEntries(
		Object.entries(object).map(([field, value]) => [nameOf(field) ?? field, value]),
	) as unknown as KubeObject;
}

/** What a new event must say, which those of the core group need not. Source: KEP-383, "New Event API". */
function rules(event: EventsEvent): FieldError[] {
	const errors: FieldError[] = [];
	if (!event.eventTime) errors.push(fieldError.required('eventTime'));
	if (event.type !== 'Normal' && event.type !== 'Warning')
		errors.push(fieldError.invalid('type', '', `has invalid value: ${event.type ?? ''}`));
	for (const [field, name] of [
		['deprecatedFirstTimestamp', 'firstTimestamp'],
		['deprecatedLastTimestamp', 'lastTimestamp'],
		['deprecatedCount', 'count'],
	] as const)
		if (event[field]) errors.push(fieldError.invalid(name, '', 'needs to be unset'));
	if (event.deprecatedSource?.component || event.deprecatedSource?.host)
		errors.push(fieldError.invalid('source', '', 'needs to be unset'));
	if (!event.reportingController) errors.push(fieldError.required('reportingController'));
	for (const wrong of event.reportingController ? qualifiedName(event.reportingController) : [])
		errors.push(fieldError.invalid('reportingController', event.reportingController ?? '', wrong));
	for (const field of ['reportingInstance', 'action', 'reason'] as const) {
		const text = event[field] ?? '';
		if (!text) errors.push(fieldError.required(field));
		else if (text.length > LONGEST_WORD)
			errors.push(fieldError.invalid(field, '', `can have at most ${LONGEST_WORD} characters`));
	}
	if ((event.note ?? '').length > LONGEST_NOTE)
		errors.push(fieldError.invalid('message', '', `can have at most ${LONGEST_NOTE} characters`));
	errors.push(...seriesRules(event));
	return errors;
}

function seriesRules({ series }: EventsEvent): FieldError[] {
	const errors: FieldError[] = [];
	if (!series) return errors;
	if (series.count < 2) errors.push(fieldError.invalid('series.count', '', 'should be at least 2'));
	if (!series.lastObservedTime) errors.push(fieldError.required('series.lastObservedTime'));
	return errors;
}

/** All of an event stays as it is but its series. */
const fixed = [
	...['regarding', 'deprecatedSource', 'deprecatedFirstTimestamp', 'deprecatedLastTimestamp', 'deprecatedCount'],
	...['reason', 'note', 'type', 'eventTime', 'action', 'related', 'reportingController', 'reportingInstance'],
] as const;

function changes(event: EventsEvent, old: EventsEvent): FieldError[] {
	const errors = seriesRules(event);
	const now = event as unknown as Record<string, unknown>;
	const then = old as unknown as Record<string, unknown>;
	for (const field of fixed) {
		if (!deepEqual(now[field] ?? null, then[field] ?? null))
			errors.push(fieldError.invalid(field, now[field] ?? '', 'field is immutable'));
	}
	return errors;
}
