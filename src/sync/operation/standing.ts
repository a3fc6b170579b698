/** Where a sync stands, by what is in the cluster: how far it may go now. */
import { appliedBy } from '../../diff/index.ts';
import type { Dynamic } from '../../kinds/index.ts';
import { isSettled } from '../compare/compare.ts';
import { managerOf } from '../want/desired.ts';
import { optionFor } from '../want/options.ts';
import type { Attempt } from './attempt.ts';
import { selection } from './selection.ts';
import { nextStage, type Stage, type Staged } from './stage.ts';
import { leftOf, optionsOf, type Work, wantedOf } from './work.ts';

export interface Standing {
	readonly stage: Stage;
	/** What left the source and stays, told when the rest is done. */
	readonly kept: readonly (readonly [string, Dynamic])[];
	/** What is deleted because it must be made anew. */
	readonly madeAnew: readonly Dynamic[];
}

/** How far the sync may go now. What the API would not take holds up nothing. */
export function standingOf(work: Work, { tried, refused }: Attempt): Standing {
	const { application, running, decision, state, subject } = work;
	const { operation } = decision;
	const options = optionsOf(application, operation);
	const { dryRun = false } = operation.sync ?? {};
	const selected = selection(operation);
	const since = Date.parse(running.startedAt);
	const manager = managerOf(application);
	const objects = wantedOf(work).flatMap((each): Staged[] => {
		const { id, desired, live, health } = each;
		if (!desired || refused.has(id)) return [];
		const time = appliedBy(live?.metadata.managedFields, manager)?.time;
		const touched = tried.has(id) || (time !== undefined && Date.parse(time) >= since);
		return [{ desired, settled: isSettled(each) || tried.has(id), touched, health }];
	});
	const { left, leaves } = leftOf(work);
	const leaving = left.filter(leaves).map(([id, live]) => ({
		id,
		live,
		late: optionFor(live, 'PruneLast', options) === 'true',
		deleting: live.metadata.deletionTimestamp !== undefined,
	}));
	const kept = left.filter((each) => !leaves(each) && !each[1].metadata.deletionTimestamp);
	const stage: Stage = dryRun
		? {
				apply: objects.flatMap(({ desired, settled }) => (settled ? [] : [desired])),
				prune: new Map(leaving.filter(({ deleting }) => !deleting).map(({ id, live }) => [id, live])),
				waitsFor: [],
				degraded: [],
				last: true,
			}
		: nextStage(objects, state.complete() ? leaving : []);
	// Pruning waits until it is known that no other application wants it: that begins a turn anew.
	const others = !dryRun && !state.complete() && leaving.some(({ deleting }) => !deleting);
	const last = stage.last && !others;
	// What is deleted because it must be made anew: an apply to it would be refused again until it has gone.
	const madeAnew = [...subject.objects.values()].flatMap(({ desired, live, refused }) =>
		!dryRun && desired && refused && live?.metadata.deletionTimestamp && selected(live) ? [live] : [],
	);
	return { stage: { ...stage, last }, kept: last ? kept : [], madeAnew };
}
