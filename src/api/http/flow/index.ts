/** Fairness of requests over HTTP: each finds its flow, and waits there until the server has seats for it. */
import { tooManyRequests } from '../../../kinds/status.ts';
import { type Family, labelled } from '../../../metrics.ts';
import { limits } from '../../limits.ts';
import type { Asked } from '../attributes.ts';
import type { Answer } from '../exchange.ts';
import { classify } from './classify.ts';
import { flowSchemas, priorityLevels } from './schemas.ts';
import { createSeats, type LevelState, type Room, type Ticket } from './seats.ts';
import { widthOf } from './width.ts';

export interface Fairness {
	/**
	 * The seats of a request, at once or when there is room; whoever gets them leaves them. Throws 429 where too many wait, or it
	 * has waited for too long, and also where its client has gone.
	 */
	enter(asked: Asked, response: Answer): Ticket | Promise<Ticket>;
	metrics(): Family[];
}

/** Bounds of it; those of limits.ts unless said otherwise. */
export interface Bounds extends Room {
	/** How long one may wait (ms). */
	readonly queueWait: number;
}

const { requests: total, flowPart, flowQueue, levelQueue, queueWait } = limits;
const usual: Bounds = { total, flowPart, flowQueue, levelQueue, queueWait };

const refused = () => tooManyRequests('Too many requests, please try again later.', 1);

/** `count` tells how many objects a request goes through. */
export function createFairness(count: (asked: Asked) => number, bounds?: Partial<Bounds>): Fairness {
	const { queueWait, ...room } = { ...usual, ...bounds };
	const seats = createSeats(priorityLevels, room);
	const waited = (ticket: Ticket, response: Answer, starts: (start: () => void) => void): Promise<Ticket> => {
		const { promise, resolve, reject } = Promise.withResolvers<Ticket>();
		starts(() => resolve(ticket));
		const giveUp = () => {
			ticket.leave();
			reject(refused());
		};
		const timer = setTimeout(giveUp, queueWait);
		response.once('close', giveUp);
		return promise.finally(() => {
			clearTimeout(timer);
			response.off('close', giveUp);
		});
	};
	return {
		enter(asked, response) {
			const flow = classify(flowSchemas, asked.user, asked.attributes);
			// The last of the schemas takes everybody.
			if (!flow) throw refused();
			let start = () => {};
			const ticket = seats.take(flow, widthOf(asked, count), () => start());
			if (ticket.state === 'granted') return ticket;
			if (ticket.state === 'refused') throw refused();
			return waited(ticket, response, (then) => {
				start = then;
			});
		},
		metrics: () => familiesOf(seats.levels),
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
		family('rejected_requests_total', 'Requests for which too many waited.', 'counter', (level) => level.refused),
	];
}
