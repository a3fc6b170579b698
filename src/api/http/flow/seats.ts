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
	/** What no other level may use, not even one that is not counted. */
	readonly kept: number;
	readonly counted: boolean;
	readonly queues: boolean;
	/** What one flow of it may use, and so the widest that a request of it can be. */
	readonly most: number;
	readonly flows: Map<string, FlowState>;
	used: number;
	waiting: number;
	refused: number;
	/** The virtual time of the level: the start of the request that was let in last. */
	clock: number;
}

interface FlowState {
	readonly waiting: Waiting[];
	/** Seats in use. */
	used: number;
	/** In virtual time: when what it was given will be used up, and so when the next of it would start. */
	end: number;
}

interface Waiting {
	readonly width: number;
	start(): void;
}

/** Flows that a level remembers although nothing of them is in work or waits. */
const REMEMBERED_FLOWS = 1_000;

export interface Room {
	/** Seats of the whole server. */
	readonly total: number;
	/** How much one flow may use of what its level can have, in percent: whoever does not end what he began holds up himself. */
	readonly flowPart: number;
	/** Requests of one flow that may wait, and of one level. */
	readonly flowQueue: number;
	readonly levelQueue: number;
}

export function createSeats(declared: readonly PriorityLevel[], room: Room): Seats {
	const { total, flowQueue, levelQueue } = room;
	const levels = levelsOf(declared, room);
	const byName = new Map(levels.map((level) => [level.name, level]));
	const last = levels.at(-1);
	/** Seats that are in use or kept for their level. */
	let taken = levels.reduce((sum, { kept }) => sum + kept, 0);

	const use = (level: Level, change: number) => {
		const before = Math.max(level.used, level.kept);
		level.used += change;
		taken += Math.max(level.used, level.kept) - before;
	};
	const fits = ({ used, kept }: Level, width: number) =>
		used + width <= kept || taken - Math.max(used, kept) + used + width <= total;

	/** Lets in what there is room for now: higher levels first, and in each the flow that has had least. */
	const dispatch = () => {
		for (const level of levels) {
			while (level.waiting > 0) {
				const flow = nextFlow(level);
				const next = flow?.waiting[0];
				// What is next is waited for: else wide requests would never find room.
				if (!flow || !next || !fits(level, next.width)) break;
				flow.waiting.shift();
				level.waiting--;
				admit(level, flow, next.width);
				next.start();
			}
		}
	};
	const admit = (level: Level, flow: FlowState, width: number) => {
		level.clock = Math.max(level.clock, flow.end);
		flow.end = level.clock + width;
		flow.used += width;
		use(level, width);
	};

	return {
		levels,
		take({ level: name, flow }, asked, start) {
			const level = byName.get(name) ?? last;
			if (!level) throw new Error('there are no priority levels');
			const width = level.counted ? Math.min(asked, level.most) : asked;
			const state = level.flows.get(flow) ?? { waiting: [], used: 0, end: level.clock };
			let seated = false;
			let left = false;
			const leave = () => {
				if (left) return;
				left = true;
				if (!seated) return;
				use(level, -width);
				state.used -= width;
				if (level.flows.get(flow) === state && isPast(level, state)) level.flows.delete(flow);
				dispatch();
			};
			const mayStart = !level.counted || (state.used + width <= level.most && !nextFlow(level) && fits(level, width));
			if (!mayStart && (!level.queues || level.waiting >= levelQueue || state.waiting.length >= flowQueue)) {
				level.refused++;
				return { state: 'refused', leave: () => {} };
			}
			if (!level.flows.has(flow)) {
				if (level.flows.size >= REMEMBERED_FLOWS) forget(level);
				level.flows.set(flow, state);
			}
			if (mayStart) {
				seated = true;
				admit(level, state, width);
				return { state: 'granted', leave };
			}
			if (state.waiting.length === 0) state.end = Math.max(state.end, level.clock);
			const waiting: Waiting = {
				width,
				start() {
					seated = true;
					start();
				},
			};
			state.waiting.push(waiting);
			level.waiting++;
			return {
				state: 'waiting',
				leave() {
					const at = state.waiting.indexOf(waiting);
					if (at < 0) return leave();
					state.waiting.splice(at, 1);
					level.waiting--;
					left = true;
					// It may have stood before narrower ones.
					dispatch();
				},
			};
		},
	};
}

/** The flow whose turn it is: of those of which something waits that they may have, the one that starts first; the older one of two. */
function nextFlow({ waiting: anybody, flows, most }: Level): FlowState | undefined {
	if (anybody === 0) return undefined;
	let next: FlowState | undefined;
	for (const flow of flows.values()) {
		const [first] = flow.waiting;
		if (first && flow.used + first.width <= most && (!next || flow.end < next.end)) next = flow;
	}
	return next;
}

/** Whether nothing needs to be remembered of a flow: nothing of it is there, and it has no more behind it than the others. */
const isPast = (level: Level, { waiting, used, end }: FlowState) =>
	used === 0 && waiting.length === 0 && (level.waiting === 0 || end <= level.clock);

function forget(level: Level): void {
	for (const [name, flow] of level.flows) if (isPast(level, flow)) level.flows.delete(name);
}

function levelsOf(declared: readonly PriorityLevel[], { total, flowPart }: Room): Level[] {
	const shares = declared.reduce((sum, { shares = 0 }) => sum + shares, 0);
	const kept = ({ shares: own = 0, lendablePercent }: PriorityLevel) =>
		Math.floor((total * own * (100 - lendablePercent)) / (100 * shares));
	const all = declared.reduce((sum, level) => sum + kept(level), 0);
	return declared.map((level) => ({
		name: level.name,
		kept: kept(level),
		counted: level.shares !== undefined,
		queues: level.queues,
		most: Math.max(1, Math.floor(((total - all + kept(level)) * flowPart) / 100)),
		flows: new Map(),
		used: 0,
		waiting: 0,
		refused: 0,
		clock: 0,
	}));
}
