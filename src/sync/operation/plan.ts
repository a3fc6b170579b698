/**
 * What a sync does, as plain data: which objects are applied and which are pruned, in waves. Pure: nothing here talks to
 * anybody. The members of a wave do not depend on each other and may go in parallel; the waves go one after the other.
 */
import type { Dynamic } from '../../kinds/index.ts';
import type { Desired } from '../want/desired.ts';
import { optionFor } from '../want/options.ts';
import { rankOf, waveOf } from './order.ts';

export type Step =
	| { readonly do: 'apply'; readonly desired: Desired }
	| { readonly do: 'prune'; readonly id: string; readonly live: Dynamic }
	/** An object that left the source and may not be deleted; `why` says who forbade it. */
	| { readonly do: 'keep'; readonly id: string; readonly live: Dynamic; readonly why: string };

/** Steps that may run together. */
export type Wave = readonly Step[];

export interface PlanOptions {
	/** Without it what left the source is kept and reported. */
	readonly prune: boolean;
	/** The sync options of the application. */
	readonly options?: readonly string[];
	/** Which of them keeps an object: that for one that left the source, or that for a whole application that goes. */
	readonly keep?: 'Prune' | 'Delete';
}

/** `apply` is what is missing or has drifted; `gone` is what the application has in the cluster and no longer in its source. */
export function planSync(apply: readonly Desired[], gone: ReadonlyMap<string, Dynamic>, options: PlanOptions): Wave[] {
	const { keep = 'Prune' } = options;
	const groups = new Map<string, { order: readonly number[]; steps: Step[] }>();
	const add = (order: readonly number[], step: Step) => {
		const key = order.join('/');
		const group = groups.get(key);
		if (group) group.steps.push(step);
		else groups.set(key, { order, steps: [step] });
	};
	for (const desired of apply) add([0, waveOf(desired.object), rankOf(desired.object)], { do: 'apply', desired });
	for (const [id, live] of gone) {
		// Pruning follows all applies, so that what replaces an object is there before it goes; last applied goes first.
		const order = [1, -waveOf(live), -rankOf(live)];
		if (optionFor(live, keep, options.options) === 'false')
			add(order, { do: 'keep', id, live, why: `the sync option ${keep}=false` });
		else if (!options.prune) add(order, { do: 'keep', id, live, why: 'pruning is not enabled for this sync' });
		else add(order, { do: 'prune', id, live });
	}
	return [...groups.values()].sort((a, b) => compareOrder(a.order, b.order)).map(({ steps }) => steps);
}

function compareOrder(a: readonly number[], b: readonly number[]): number {
	for (let index = 0; index < a.length; index++) {
		const difference = (a[index] ?? 0) - (b[index] ?? 0);
		if (difference !== 0) return difference;
	}
	return 0;
}
