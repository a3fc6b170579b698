/** A sync whose subject is known: what it is about, and how. */
import type { Application, Dynamic, Operation, OperationState } from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import type { Compared } from '../compare/compare.ts';
import type { Shared } from '../compare/shared.ts';
import type { ApplicationState } from '../state.ts';
import type { Decision } from './decide.ts';
import { keptBy } from './plan.ts';
import { selection } from './selection.ts';
import type { Subject } from './subject.ts';

export interface Work {
	readonly application: Application;
	readonly running: OperationState;
	readonly decision: Decision & { do: 'sync' };
	readonly shared: ReadonlyMap<string, Shared>;
	readonly state: ApplicationState;
	readonly context: Context;
	readonly subject: Subject;
}

/** The options of the application, and then those of the request, which count more. */
export function optionsOf({ spec }: Application, { sync }: Operation): readonly string[] {
	const force = sync?.syncStrategy?.apply?.force || sync?.syncStrategy?.hook?.force ? ['Force=true'] : [];
	return [...(spec.syncPolicy?.syncOptions ?? []), ...(sync?.syncOptions ?? []), ...force];
}

/** What the sync is to have there. */
export function wantedOf({ decision: { operation, why }, shared, subject }: Work): Compared[] {
	const selected = selection(operation);
	// Two that heal what both want would never end.
	return [...subject.objects.values()].filter(
		({ id, desired }) => desired && selected(desired.object) && !(why === 'self-heal' && shared.has(id)),
	);
}

/** What it is to have there no more, and which of that it may delete. */
export function leftOf({ application, decision: { operation }, subject }: Work) {
	const selected = selection(operation);
	const options = optionsOf(application, operation);
	const { prune = false } = operation.sync ?? {};
	return {
		left: [...subject.left].filter(([, object]) => selected(object)),
		leaves: ([, live]: readonly [string, Dynamic]) => keptBy(live, { prune, options }) === undefined,
	};
}
