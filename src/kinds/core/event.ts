import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Event = types.Event;

export const Event: Kind<Event> = kind<Event>({
	group: '',
	version: 'v1',
	kind: 'Event',
	plural: 'events',
	schema: 'io.k8s.api.core.v1.Event',
	shortNames: ['ev'],
});
