/** What simulated containers use, as the annotations of their pods say it now: a counter of processor time, and memory. */
import type { Usage } from '../pod.ts';
import { behaviourOf } from './behaviour.ts';

const NANOSECONDS_PER_MS = 1e6;

export interface Load {
	/** Milliseconds since the epoch. */
	readonly since: number;
	/** Used until then. */
	readonly nanoseconds: number;
	/** Cores that are kept busy from then on, and bytes that are held. */
	readonly cpu: number;
	readonly memory: number;
}

/** The same load, which is told anew: what was used so far stays. Throws EngineError where an annotation has no value that it takes. */
export function loadAs(
	before: Load,
	annotations: Readonly<Record<string, string>>,
	container: string,
	at: number,
): Load {
	const { cpu, memory } = behaviourOf(annotations, container);
	if (cpu === before.cpu && memory === before.memory) return before;
	return { since: at, nanoseconds: usedUntil(before, at), cpu, memory };
}

/** Nanoseconds of processor time. */
export const usedUntil = ({ since, nanoseconds, cpu }: Load, at: number): number =>
	nanoseconds + Math.round(Math.max(0, at - since) * NANOSECONDS_PER_MS * cpu);

export const usageOf = (load: Load, at: number): Usage => ({
	at,
	cpuNanoseconds: usedUntil(load, at),
	memory: load.memory,
	workingSet: load.memory,
});
