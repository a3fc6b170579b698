/** Keeps book of when objects drifted and how often they were mended, so that the same drift is mended less and less often. */

import { healDelay } from '../operation/decide.ts';
import { type Comparison, isSettled } from './compare.ts';

/** How long ago a self-heal may lie to count when the same object drifts again. */
const HEAL_MEMORY_MS = 600_000;

export interface Healing {
	/** Call with the ids whose comparison has changed. */
	noteDrift(ids: Iterable<string>, now: number): void;
	/** Call with the objects that self-heal has mended. */
	noteHealed(ids: Iterable<string>, now: number): void;
	/** When the earliest drift is due for self-heal, but for these objects. */
	healAt(except: { has(id: string): boolean }): number | undefined;
}

export function createHealing({ objects }: Pick<Comparison, 'objects'>): Healing {
	const driftSince = new Map<string, number>();
	const healed = new Map<string, { readonly count: number; readonly at: number }>();
	return {
		noteDrift(ids, now) {
			for (const id of ids) {
				const compared = objects.get(id);
				if (!compared?.desired || isSettled(compared)) driftSince.delete(id);
				else if (!driftSince.has(id)) driftSince.set(id, now);
			}
		},
		noteHealed(ids, now) {
			for (const [id, { at }] of healed) if (now - at > HEAL_MEMORY_MS) healed.delete(id);
			for (const id of ids) healed.set(id, { count: (healed.get(id)?.count ?? 0) + 1, at: now });
		},
		healAt(except) {
			let earliest: number | undefined;
			for (const [id, since] of driftSince) {
				if (except.has(id)) continue;
				const before = healed.get(id);
				// What was mended and has drifted ever since is no new drift: it waits from the mending on.
				const due = Math.max(since, before?.at ?? 0) + healDelay(before?.count ?? 0);
				if (earliest === undefined || due < earliest) earliest = due;
			}
			return earliest;
		},
	};
}
