/** What an application's status keeps of a sync: what became of each object, and the history. Pure. */
import {
	type Application,
	type Operation,
	parseApiVersion,
	type ResourceResult,
	type RevisionHistory,
} from '../../kinds/index.ts';
import { type Revision, recordOf } from '../revision.ts';
import { cut, fitting } from '../status/fit.ts';
import type { Outcome } from './execute.ts';

/** Past syncs that status.history keeps where spec.revisionHistoryLimit names none. Source: Argo CD. */
const DEFAULT_HISTORY_LIMIT = 10;
/** Bytes of JSON that operationState.syncResult.resources takes at most: a quarter of what an object may hold. */
export const MAX_RESULTS_BYTES = 350_000;

/** Bytes of JSON that the history takes at most, the newest entries first. */
const MAX_HISTORY_BYTES = 80_000;

const words = {
	created: 'Synced',
	configured: 'Synced',
	unchanged: 'Synced',
	pruned: 'Pruned',
	removed: 'Synced',
	kept: 'PruneSkipped',
	failed: 'SyncFailed',
} as const;

function resultOf({ action, object, message }: Outcome): ResourceResult {
	const { group, version } = parseApiVersion(object.apiVersion);
	return {
		group,
		version,
		kind: object.kind,
		namespace: object.metadata.namespace ?? '',
		name: object.metadata.name,
		status: words[action],
		message: cut(message),
		hookPhase: action === 'failed' ? 'Failed' : action === 'removed' ? 'Running' : 'Succeeded',
		syncPhase: 'Sync',
	};
}

/** `GROUP/KIND/NAMESPACE/NAME`, as Desired.id has it. */
export function resultId({ group, kind, namespace, name }: ResourceResult): string {
	return `${group || '-'}/${kind}/${namespace || '-'}/${name}`;
}

/** What a sync has done so far, with what it has done now, as far as there is room; `leftOut` is how many there was none for before. */
export function addResults(
	before: readonly ResourceResult[],
	outcomes: readonly Outcome[],
	leftOut = 0,
): { readonly resources: ResourceResult[]; readonly resourcesLeftOut?: number } {
	const all = new Map(before.map((each) => [resultId(each), each]));
	for (const outcome of outcomes) all.set(outcome.id, resultOf(outcome));
	const { kept, leftOut: more } = fitting([...all.values()].sort(failuresFirst), MAX_RESULTS_BYTES);
	return { resources: kept, ...(leftOut + more > 0 ? { resourcesLeftOut: leftOut + more } : {}) };
}

/** What has failed is what is looked for; the rest stays in the order in which it was done. */
const failuresFirst = (a: ResourceResult, b: ResourceResult) =>
	Number(b.status === 'SyncFailed') - Number(a.status === 'SyncFailed');

/** The history with one more entry, as long as the application wants it and as there is room. */
export function appendHistory(
	application: Application,
	revision: Revision,
	deployStartedAt: string,
	deployedAt: string,
	{ initiatedBy }: Operation,
): RevisionHistory[] {
	const before = application.status?.history ?? [];
	const entry: RevisionHistory = {
		id: (before.at(-1)?.id ?? -1) + 1,
		...recordOf(revision),
		deployedAt,
		deployStartedAt,
		initiatedBy,
	};
	const limit = Math.max(1, application.spec.revisionHistoryLimit ?? DEFAULT_HISTORY_LIMIT);
	return fitting([...before, entry].slice(-limit).reverse(), MAX_HISTORY_BYTES).kept.reverse();
}
