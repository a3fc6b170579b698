/** Fairness of requests over HTTP: each finds its flow, and waits there until the server has seats for it. */
import type { Writable } from 'node:stream';
import { tooManyRequests } from '../../../kinds/status.ts';
import { type Family, labelled } from '../../../metrics.ts';
import { limits } from '../../limits.ts';
import type { Asked } from '../attributes.ts';
import { classify } from './classify.ts';
import { flowSchemas, priorityLevels } from './schemas.ts';
import { createSeats, type LevelState, type Room, type Ticket } from './seats.ts';
import { widthOf } from './width.ts';

export interface Fairness {
	/**
	 * The seats of a request, at once or when there is room; whoever gets them leaves them. Throws 429 where too many wait, or it
	 * has waited for too long, and also where its client has gone.
	 */
	enter(asked: Asked, client: Pick<Writable, 'once' | 'off'>): Ticket | Promise<Ticket>;
	/** A place among the watches and streams that are open. Throws 429 where the flow, or its level, has as many as it may have. */
	stay(asked: Asked): Ticket;
	metrics(): Family[];
}

/** Bounds of it; those of limits.ts unless said otherwise. */
export interface Bounds extends Room {
	/** How long one may wait (ms). */
	readonly queueWait: number;
	/** Watches and streams that may be open. */
	readonly watches: number;
}

const { requests: total, flowPart, flowQueue, levelQueue, queueWait, watches } = limits;
const usual: Bounds = { total, flowPart, flowQueue, levelQueue, queueWait, watches };

/** Whoever has too many watches is to look at his own before he asks again, which takes longer than a turn. */
const noPlace = () => tooManyRequests('Too many watches and streams of this user are open.', 5);

const refused = () => tooManyRequests('Too many requests, please try again later.', 1);

/** `count` tells how many objects a request goes through. */
export function createFairness(count: (asked: Asked) => number, bounds?: Partial<Bounds>): Fairness {
	const { queueWait, watches, ...room } = { ...usual, ...bounds };
	const seats = createSeats(priorityLevels, room);
	// Nobody waits for a place: those who have one may stay for an hour.
	const places = createSeats(priorityLevels, { ...room, total: watches, flowQueue: 0, levelQueue: 0 });
	const flowOf = ({ user, attributes }: Asked) => {
		const flow = classify(flowSchemas, user, attributes);
		// The last of the schemas takes everybody.
		if (!flow) throw refused();
		return flow;
	};
	const waited = (
		ticket: Ticket,
		client: Pick<Writable, 'once' | 'off'>,
		starts: (start: () => void) => void,
	): Promise<Ticket> => {
		const { promise, resolve, reject } = Promise.withResolvers<Ticket>();
		starts(() => resolve(ticket));
		const giveUp = () => {
			ticket.leave();
			reject(refused());
		};
		const timer = setTimeout(giveUp, queueWait);
		client.once('close', giveUp);
		return promise.finally(() => {
			clearTimeout(timer);
			client.off('close', giveUp);
		});
	};
	return {
		enter(asked, client) {
			const flow = flowOf(asked);
			let start = () => {};
			const ticket = seats.take(flow, widthOf(asked, count), () => start());
			if (ticket.state === 'granted') return ticket;
			if (ticket.state === 'refused') throw refused();
			return waited(ticket, client, (then) => {
				start = then;
			});
		},
		stay(asked) {
			const ticket = places.take(flowOf(asked), 1, () => {});
			if (ticket.state === 'refused') throw noPlace();
			return ticket;
		},
		metrics: () =>
			familiesOf(
				seats.levels.map((level, at) => ({ ...level, refused: level.refused + (places.levels[at]?.refused ?? 0) })),
			),
	};
}

function familiesOf(levels: readonly LevelState[]): Family[] {
	const family = (name: string, help: string, type: Family['type'], figure: (level: LevelState) => number): Family => ({
		name: `apiserver_flowcontrol_${name}`,
		help,
		type,
		samples: levels.map((level) => [labelled({ priority_level: level.name }), figure(level)]),
	});
	return [
		family('current_executing_seats', 'Seats in use.', 'gauge', ({ used }) => used),
		family('current_inqueue_requests', 'Requests that wait for seats.', 'gauge', ({ waiting }) => waiting),
		family(
			'rejected_requests_total',
			'Requests for which too many waited, and watches for which there was no place.',
			'counter',
			(level) => level.refused,
		),
	];
}
