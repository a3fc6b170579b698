/**
 * How far a sync may go now. An annotation's wave is applied once all before it are in sync and healthy; what left the source
 * goes last. Pure: each turn looks at what is, so that a sync that was cut off goes on where it was. Source: Argo CD, "Sync
 * Phases and Waves".
 */
import type { Dynamic } from '../../kinds/index.ts';
import type { Desired } from '../want/desired.ts';
import { waveOf } from './order.ts';

/** One object of a sync, as it is now. */
export interface Staged {
	readonly desired: Desired;
	/** There is nothing to apply. */
	readonly synced: boolean;
	readonly healthy: boolean;
}

export interface Stage {
	readonly apply: readonly Desired[];
	/** Pruned after that, by id. */
	readonly prune: ReadonlyMap<string, Dynamic>;
	/** What must become healthy before the sync goes on. */
	readonly waitsFor: readonly Desired[];
	/** Whether nothing follows. */
	readonly last: boolean;
}

const nothing: ReadonlyMap<string, Dynamic> = new Map();

/** `isLate` says of an object to prune that it goes only when all that stays is healthy. */
export function nextStage(
	objects: readonly Staged[],
	gone: ReadonlyMap<string, Dynamic>,
	isLate: (object: Dynamic) => boolean,
): Stage {
	const pending = objects.filter(({ synced }) => !synced);
	const wave =
		pending.length > 0 ? Math.min(...new Set(pending.map((each) => waveOf(each.desired.object)))) : undefined;
	const unhealthy = objects.filter(({ synced, healthy }) => synced && !healthy).map(({ desired }) => desired);
	if (wave !== undefined) {
		const waitsFor = unhealthy.filter(({ object }) => waveOf(object) < wave);
		if (waitsFor.length > 0) return { apply: [], prune: nothing, waitsFor, last: false };
	}
	const apply = pending.map(({ desired }) => desired).filter(({ object }) => waveOf(object) === wave);
	if (apply.length < pending.length) return { apply, prune: nothing, waitsFor: [], last: false };
	const late = [...gone].filter(([, object]) => isLate(object));
	const waitsFor = [...apply, ...unhealthy];
	if (late.length === 0 || waitsFor.length === 0) return { apply, prune: gone, waitsFor: [], last: true };
	return { apply, prune: new Map([...gone].filter(([, object]) => !isLate(object))), waitsFor, last: false };
}
