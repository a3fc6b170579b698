/**
 * The last readings of nodes. The nodes that were asked about within the last minute are read every few seconds, and none when
 * nobody asks; so an answer looks back over a few seconds, however seldom somebody asks.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Node } from '../../kinds/core/node.ts';
import type { Log } from '../../log.ts';
import { limits } from '../limits.ts';
import type { Meter, Reading } from './reading.ts';

/** Milliseconds. */
export const TIMES = {
	/** Between two readings of a node that was asked about. */
	period: 3_000,
	/** For how long after a question. */
	interest: 60_000,
	/** Between the first two readings. */
	first: 1_000,
	/** A reading that is older is not the answer: the node is read again. */
	fresh: 1_000,
	/** Readings that are older say nothing any more. */
	kept: 15_000,
	/** How long a question waits for a node; what is read later is there for the next one. */
	patience: 10_000,
} as const;

export interface ReadingsOptions {
	/** Opens the way to a node's figures; `node` gives it as it is now. */
	readonly open: (node: () => Node) => Meter;
	readonly log: Log;
	readonly signal: AbortSignal;
	readonly times?: Readonly<Record<keyof typeof TIMES, number>>;
}

export interface Readings {
	/**
	 * The readings of a node, the oldest first: two or more, or fewer where it could not be read. Never throws; a node that fails is
	 * told of once, is read again every few seconds, and keeps nobody waiting meanwhile.
	 */
	of(node: Node): Promise<readonly Reading[]>;
}

interface Followed {
	node: Node;
	readonly meter: Meter;
	readings: readonly Taken[];
	/** When somebody asked last, in ms of the process's clock, as all times here. */
	asked: number;
	/** What is under way: one reading at a time. */
	look?: Promise<void> | undefined;
	/** The first two of them. */
	begun?: Promise<void>;
	failed: boolean;
}

interface Taken {
	readonly at: number;
	readonly reading: Reading;
}

export function createReadings({ open, log, signal, times = TIMES }: ReadingsOptions): Readings {
	const followed = new Map<string, Followed>();
	const limit = pLimit(limits.nodesRead);
	const now = () => performance.now();
	/** Settles with the server's end at the latest. */
	const wait = (ms: number) => delay(ms, undefined, { signal }).catch(() => {});

	const follow = (node: Node): Followed => {
		const made: Followed = { node, meter: open(() => made.node), readings: [], asked: now(), failed: false };
		followed.set(node.metadata.name, made);
		void goOn(made);
		return made;
	};
	const goOn = async (one: Followed) => {
		while (!signal.aborted && now() - one.asked < times.interest) {
			await wait(times.period);
			if (ageOf(one) >= times.fresh) await look(one);
		}
		followed.delete(one.node.metadata.name);
		one.meter[Symbol.dispose]();
	};
	const ageOf = ({ readings }: Followed) => now() - (readings.at(-1)?.at ?? Number.NEGATIVE_INFINITY);
	const look = (one: Followed): Promise<void> => {
		one.look ??= limit(() => read(one)).finally(() => {
			one.look = undefined;
		});
		return one.look;
	};
	const read = async (one: Followed): Promise<void> => {
		const { name } = one.node.metadata;
		const fresh = one.readings.filter(({ at }) => now() - at < times.kept);
		try {
			const reading = await one.meter.read();
			one.readings = [...fresh, { at: now(), reading }];
			if (one.failed) log.info({ node: name }, 'the figures of the node are read again');
			one.failed = false;
		} catch (error) {
			one.readings = fresh;
			if (signal.aborted || one.failed) return;
			one.failed = true;
			const cause = error instanceof Error ? error.message : String(error);
			log.warn({ node: name, cause }, 'the figures of a node cannot be read; what runs there has none');
		}
	};

	return {
		async of(node) {
			const one = followed.get(node.metadata.name) ?? follow(node);
			one.node = node;
			one.asked = now();
			one.begun ??= (async () => {
				await look(one);
				if (one.failed) return;
				await wait(times.first);
				await look(one);
			})();
			const ready = async () => {
				await one.begun;
				if (!one.failed && ageOf(one) >= times.fresh) await look(one);
			};
			await Promise.race([ready(), wait(times.patience)]);
			return one.readings.map(({ reading }) => reading);
		},
	};
}
