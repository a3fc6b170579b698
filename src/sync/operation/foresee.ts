/**
 * Asks the API about all that a sync is to make before the sync changes anything, so that nothing is pruned for what cannot come,
 * and nothing is taken by halves. Source: Argo CD runs `kubectl apply --dry-run=client` of all manifests before a sync and does
 * nothing where one fails ("Sync Phases and Waves"); the API itself is asked here, which knows more.
 */
import pLimit from 'p-limit';
import type { Client } from '../../client/index.ts';
import type { ApiError } from '../../kinds/index.ts';
import type { Compared } from '../compare/compare.ts';
import type { Desired } from '../want/desired.ts';
import { type Ahead, PARALLEL_DRY_RUNS, refusalOf } from '../want/dry-run.ts';
import type { Outcome } from './execute.ts';

export interface Foresight {
	readonly client: Client;
	/** The field manager of the sync. */
	readonly manager: string;
	readonly ahead: Ahead;
	/** A refusal in words, with what to do about it. */
	readonly explain: (error: ApiError) => string;
	readonly signal: AbortSignal;
}

/**
 * The failures of those of the objects, by id, that the API would not take when it is their turn. What is there and has drifted was
 * asked about when it was compared. Throws the ApiError of an API that cannot say.
 */
export async function foresee(
	objects: readonly Compared[],
	{ client, manager, ahead, explain, signal }: Foresight,
): Promise<Map<string, Outcome>> {
	const limit = pLimit(PARALLEL_DRY_RUNS);
	const failures = new Map<string, Outcome>();
	const ask = async (wanted: Desired) => {
		signal.throwIfAborted();
		const refusal = await refusalOf(wanted, ahead, client, manager);
		if (!refusal || refusal.passes) return;
		const { id, object } = wanted;
		failures.set(id, { id, object, action: 'failed', message: explain(refusal.error) });
	};
	const open = objects.flatMap(({ desired, live, drift, refused }) => {
		// What is on its way out is waited for.
		const known = drift.state !== 'missing' && !refused;
		return !desired || known || live?.metadata.deletionTimestamp ? [] : [desired];
	});
	await Promise.all(open.map((wanted) => limit(() => ask(wanted))));
	return failures;
}
