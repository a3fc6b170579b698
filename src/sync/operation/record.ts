/** What an application's status keeps of a sync: what became of each object, and the history. Pure. */
import {
	type Application,
	type Operation,
	parseApiVersion,
	type ResourceResult,
	type RevisionHistory,
} from '../../kinds/index.ts';
import type { Outcome } from './execute.ts';

/** Past syncs that status.history keeps where spec.revisionHistoryLimit names none. Source: Argo CD. */
const DEFAULT_HISTORY_LIMIT = 10;
/** Resources that operationState.syncResult lists at most. */
const MAX_RESULT_RESOURCES = 2_000;

const words = {
	created: 'Synced',
	configured: 'Synced',
	unchanged: 'Synced',
	pruned: 'Pruned',
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
		message,
		hookPhase: action === 'failed' ? 'Failed' : 'Succeeded',
		syncPhase: 'Sync',
	};
}

/** `GROUP/KIND/NAMESPACE/NAME`, as Desired.id has it. */
export function resultId({ group, kind, namespace, name }: ResourceResult): string {
	return `${group || '-'}/${kind}/${namespace || '-'}/${name}`;
}

/** What a sync has done so far, with what it has done now. */
export function addResults(before: readonly ResourceResult[], outcomes: readonly Outcome[]): ResourceResult[] {
	const all = new Map(before.map((each) => [resultId(each), each]));
	for (const outcome of outcomes) all.set(outcome.id, resultOf(outcome));
	return [...all.values()].slice(0, MAX_RESULT_RESOURCES);
}

/** The history with one more entry, as long as the application wants it. */
export function appendHistory(
	application: Application,
	revision: string,
	deployStartedAt: string,
	deployedAt: string,
	{ initiatedBy }: Operation,
): RevisionHistory[] {
	const before = application.status?.history ?? [];
	const entry: RevisionHistory = {
		id: (before.at(-1)?.id ?? -1) + 1,
		revision,
		deployedAt,
		deployStartedAt,
		source: application.spec.source,
		initiatedBy,
	};
	return [...before, entry].slice(-Math.max(1, application.spec.revisionHistoryLimit ?? DEFAULT_HISTORY_LIMIT));
}
