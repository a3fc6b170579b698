/**
 * The seats of a server: which request is in work, and which waits. Each priority level has its part of them, and lends of it
 * what it does not use; within a level the flows take turns by what they have used (start-time fair queueing).
 * Sources: Kubernetes documentation, "API Priority and Fairness"; Goyal, Vin, Cheng, "Start-time Fair Queuing" (1996).
 */
import type { Flow } from './classify.ts';
import type { PriorityLevel } from './schemas.ts';

export interface Seats {
	/**
	 * Takes seats for a request: `granted` at once; `waiting`, and `start` is called when there is room; `refused` where too many
	 * wait. `width` is how many seats it takes while it is in work.
	 */
	take(flow: Flow, width: number, start: () => void): Ticket;
	/** For metrics. */
	readonly levels: readonly LevelState[];
}

export interface Ticket {
	readonly state: 'granted' | 'waiting' | 'refused';
	/** Gives the seats back, or the place in the queue. Once. */
	leave(): void;
}

export interface LevelState {
	readonly name: string;
	/** Seats in use. */
	readonly used: number;
	readonly waiting: number;
	readonly refused: number;
}

interface Level extends LevelState {
	/** What no other level may use. */
	readonly kept: number;
	readonly counted: boolean;
	readonly queues: boolean;
	/** The widest that a request of it can be, for that it starts at all. */
	readonly widest: number;
	readonly flows: Map<string, Queue>;
	used: number;
	waiting: number;
	refused: number;
	/** The virtual time of the level: the start of the request that was let in last. */
	clock: number;
}

interface Queue {
	readonly waiting: Waiting[];
	/** In virtual time: when what it was given will be used up, and so when the next of it would start. */
	end: number;
}

interface Waiting {
	readonly width: number;
	start(): void;
}

/** Flows that a level remembers although nothing of them waits. */
const REMEMBERED_FLOWS = 1_000;

/** `total` are the seats of the server, the others how many requests may wait in one flow and in one level. */
export function createSeats(
	declared: readonly PriorityLevel[],
	{ total, flowQueue, levelQueue }: { readonly total: number; readonly flowQueue: number; readonly levelQueue: number },
): Seats {
	const levels = levelsOf(declared, total);
	const byName = new Map(levels.map((level) => [level.name, level]));
	const last = levels.at(-1);
	/** Seats that are in use or kept for their level. */
	let taken = levels.reduce((sum, { kept }) => sum + kept, 0);

	const use = (level: Level, change: number) => {
		const before = Math.max(level.used, level.kept);
		level.used += change;
		taken += Math.max(level.used, level.kept) - before;
	};
	const fits = ({ counted, used, kept }: Level, width: number) =>
		!counted || taken - Math.max(used, kept) + Math.max(used + width, kept) <= total;

	/** Lets in what there is room for now: higher levels first, and in each the flow that has had least. */
	const dispatch = () => {
		for (const level of levels) {
			while (level.waiting > 0) {
				const queue = nextQueue(level.flows.values());
				const next = queue?.waiting[0];
				// What is next is waited for: else wide requests would never find room.
				if (!queue || !next || !fits(level, next.width)) break;
				queue.waiting.shift();
				level.waiting--;
				admit(level, queue, next.width);
				next.start();
			}
		}
	};
	const admit = (level: Level, queue: Queue, width: number) => {
		level.clock = Math.max(level.clock, queue.end);
		queue.end = level.clock + width;
		use(level, width);
	};

	return {
		levels,
		take({ level: name, flow }, asked, start) {
			const level = byName.get(name) ?? last;
			if (!level) throw new Error('there are no priority levels');
			const width = Math.min(asked, level.widest);
			let seated = false;
			let left = false;
			const leave = () => {
				if (left) return;
				left = true;
				if (!seated) return;
				use(level, -width);
				dispatch();
			};
			// Nobody waits and there is room: nothing needs to be remembered of the flow.
			if (level.waiting === 0 && fits(level, width)) {
				seated = true;
				use(level, width);
				level.flows.clear();
				return { state: 'granted', leave };
			}
			let queue = level.flows.get(flow);
			if (!level.queues || level.waiting >= levelQueue || (queue?.waiting.length ?? 0) >= flowQueue) {
				level.refused++;
				return { state: 'refused', leave: () => {} };
			}
			if (!queue) {
				if (level.flows.size >= REMEMBERED_FLOWS) forget(level);
				queue = { waiting: [], end: level.clock };
				level.flows.set(flow, queue);
			}
			if (queue.waiting.length === 0) queue.end = Math.max(queue.end, level.clock);
			const waiting: Waiting = {
				width,
				start() {
					seated = true;
					start();
				},
			};
			const of = queue;
			of.waiting.push(waiting);
			level.waiting++;
			return {
				state: 'waiting',
				leave() {
					const at = of.waiting.indexOf(waiting);
					if (at < 0) return leave();
					of.waiting.splice(at, 1);
					level.waiting--;
					left = true;
					// It may have stood before narrower ones.
					dispatch();
				},
			};
		},
	};
}

/** The queue whose turn it is: of those in which somebody waits, the one that starts first; the older one of two. */
function nextQueue(queues: Iterable<Queue>): Queue | undefined {
	let next: Queue | undefined;
	for (const queue of queues) if (queue.waiting.length > 0 && (!next || queue.end < next.end)) next = queue;
	return next;
}

function forget({ flows, clock }: Level): void {
	for (const [name, { waiting, end }] of flows) if (waiting.length === 0 && end <= clock) flows.delete(name);
}

function levelsOf(declared: readonly PriorityLevel[], total: number): Level[] {
	const shares = declared.reduce((sum, { shares = 0 }) => sum + shares, 0);
	const kept = ({ shares: own = 0, lendablePercent }: PriorityLevel) =>
		Math.floor((total * own * (100 - lendablePercent)) / (100 * shares));
	const all = declared.reduce((sum, level) => sum + kept(level), 0);
	return declared.map((level) => ({
		name: level.name,
		kept: kept(level),
		counted: level.shares !== undefined,
		queues: level.queues,
		widest: Math.max(1, total - all + kept(level)),
		flows: new Map(),
		used: 0,
		waiting: 0,
		refused: 0,
		clock: 0,
	}));
}
