/**
 * What a sync does, as plain data: which objects are applied and which are pruned, in which order. Pure: nothing here talks to
 * anybody. The members of a group do not depend on each other and may go in parallel; the groups go one after the other.
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
export type Group = readonly Step[];

export interface PlanOptions {
	/** Without it what left the source is kept and reported. */
	readonly prune: boolean;
	/** The sync options of the application. */
	readonly options?: readonly string[];
	/** Which of them keeps an object: that for one that left the source, or that for a whole application that goes. */
	readonly keep?: 'Prune' | 'Delete';
}

/** `apply` is what is missing or has drifted; `gone` is what the application has in the cluster and no longer in its source. */
export function planSync(apply: readonly Desired[], gone: ReadonlyMap<string, Dynamic>, options: PlanOptions): Group[] {
	const groups = new Map<string, { order: readonly number[]; steps: Step[] }>();
	const add = (order: readonly number[], step: Step) => {
		const key = order.join('/');
		const group = groups.get(key);
		if (group) group.steps.push(step);
		else groups.set(key, { order, steps: [step] });
	};
	// What comes may need the place of what goes: a node port, a host. Last applied goes first.
	for (const [id, live] of gone) {
		const why = keptBy(live, options);
		add([0, -waveOf(live), -rankOf(live)], why ? { do: 'keep', id, live, why } : { do: 'prune', id, live });
	}
	for (const desired of apply) add([1, waveOf(desired.object), rankOf(desired.object)], { do: 'apply', desired });
	return [...groups.values()].sort((a, b) => compareOrder(a.order, b.order)).map(({ steps }) => steps);
}

/** Why an object that left the source is not deleted; undefined where it is. */
export function keptBy(live: Dynamic, { prune, options, keep = 'Prune' }: PlanOptions): string | undefined {
	if (optionFor(live, keep, options) === 'false') return `the sync option ${keep}=false`;
	return prune ? undefined : 'pruning is not enabled for this sync';
}

function compareOrder(a: readonly number[], b: readonly number[]): number {
	for (let index = 0; index < a.length; index++) {
		const difference = (a[index] ?? 0) - (b[index] ?? 0);
		if (difference !== 0) return difference;
	}
	return 0;
}
