/**
 * How far a sync may go now: the next wave, once what this sync did in the waves before is healthy and gone. In a wave what
 * left the source goes first, since what comes may need its place; the waves of what goes are in the reverse order. Pure: each
 * turn looks at what is, so that a sync that was cut off goes on where it was. Source: Argo CD, "Sync Phases and Waves".
 */
import type { Dynamic, Health } from '../../kinds/index.ts';
import type { Desired } from '../want/desired.ts';
import { waveOf } from './order.ts';

/** One object of a sync, as it is now. */
export interface Staged {
	readonly desired: Desired;
	/** There is nothing to apply, or this sync has applied it and can do no more. */
	readonly settled: boolean;
	/** This sync has changed it: only then its health counts. */
	readonly touched: boolean;
	/** Undefined: what has no health is as healthy as can be. */
	readonly health: Health | undefined;
}

/** One object that left the source. */
export interface Leaving {
	readonly id: string;
	readonly live: Dynamic;
	/** It goes only when all that stays is healthy. */
	readonly late: boolean;
	/** It is on its way out already. */
	readonly deleting: boolean;
}

export interface Stage {
	readonly apply: readonly Desired[];
	/** Pruned before that, by id. */
	readonly prune: ReadonlyMap<string, Dynamic>;
	/** What must become healthy, or be gone, before the sync goes on. */
	readonly waitsFor: readonly Dynamic[];
	/** What this sync has changed and what will not become healthy by itself: the sync has failed. */
	readonly degraded: readonly Staged[];
	/** Whether nothing follows. */
	readonly last: boolean;
}

const nothing: ReadonlyMap<string, Dynamic> = new Map();

export function nextStage(objects: readonly Staged[], leaving: readonly Leaving[]): Stage {
	const wavesOut = reversed(leaving);
	const waveOut = (each: Leaving) => (each.late ? Number.POSITIVE_INFINITY : (wavesOut.get(waveOf(each.live)) ?? 0));
	const pending = objects.filter(({ settled }) => !settled);
	const going = leaving.filter(({ deleting }) => !deleting);
	const wave = Math.min(...pending.map((each) => waveOf(each.desired.object)), ...going.map(waveOut));
	const unhealthy = objects.filter(
		({ desired, touched, health }) => touched && health && health.status !== 'Healthy' && waveOf(desired.object) < wave,
	);
	const stage = { apply: [], prune: nothing, waitsFor: [], degraded: [], last: false };
	if (pending.length + going.length === 0) return { ...stage, last: true };
	const degraded = unhealthy.filter(({ health }) => health?.status === 'Degraded');
	if (degraded.length > 0) return { ...stage, degraded };
	const waitsFor = [
		...unhealthy.map(({ desired }) => desired.object),
		...leaving.filter((each) => each.deleting && waveOut(each) < wave).map(({ live }) => live),
	];
	if (waitsFor.length > 0) return { ...stage, waitsFor };
	const apply = pending.map(({ desired }) => desired).filter(({ object }) => waveOf(object) === wave);
	const prune = going.filter((each) => waveOut(each) === wave);
	return {
		...stage,
		apply,
		prune: new Map(prune.map(({ id, live }) => [id, live])),
		last: apply.length + prune.length === pending.length + going.length,
	};
}

/** The waves in which what was applied in a wave goes: those of all that goes, the other way round. */
function reversed(leaving: readonly Leaving[]): ReadonlyMap<number, number> {
	const waves = [...new Set(leaving.filter(({ late }) => !late).map(({ live }) => waveOf(live)))].sort((a, b) => a - b);
	return new Map(waves.map((wave, index) => [wave, waves.at(-1 - index) ?? wave]));
}
