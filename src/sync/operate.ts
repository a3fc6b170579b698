/** Carries out one sync of an application: which objects, in which waves, and what the status says of it afterwards. */
import { formatPath } from '../kinds/fieldset.ts';
import {
	ApiError,
	type Application,
	type Dynamic,
	Namespace,
	type Operation,
	type OperationState,
	parseApiVersion,
	type RevisionHistory,
} from '../kinds/index.ts';
import type { Context } from '../reconcile/index.ts';
import type { Decision } from './decide.ts';
import { type Desired, managerOf } from './desired.ts';
import { execute, nameOf, type Outcome } from './execute.ts';
import { planSync } from './plan.ts';
import { formatProblem } from './render/index.ts';
import { short } from './revision.ts';
import { SourceError } from './source/index.ts';
import type { ApplicationState } from './state.ts';
import { timestamp, writeStatus } from './write-status.ts';

/** Past syncs that status.history keeps where spec.revisionHistoryLimit names none. Source: Argo CD. */
const DEFAULT_HISTORY_LIMIT = 10;
/** Resources that operationState.syncResult lists at most. */
const MAX_RESULT_RESOURCES = 2_000;

export async function operate(
	application: Application,
	decision: Decision & { do: 'sync' },
	outOfSync: readonly Desired[],
	gone: ReadonlyMap<string, Dynamic>,
	state: ApplicationState,
	context: Context,
): Promise<void> {
	const { client, cache, events, signal } = context;
	const { operation } = decision;
	const startedAt = timestamp(context);
	const base: OperationState = {
		operation,
		phase: 'Running',
		startedAt,
		message: 'syncing',
		...(decision.retries > 0 ? { retryCount: decision.retries } : {}),
	};
	await writeStatus(application, { operationState: base }, client, application.operation !== undefined);

	const dryRun = operation.sync?.dryRun ?? false;
	let revision = state.revision ?? '';
	let outcomes: Outcome[] = [];
	let failure: string | undefined;
	try {
		let apply = outOfSync;
		let prunable = gone;
		const asked = operation.sync?.revision;
		if (asked !== undefined && asked !== state.revision) {
			const other = await state.at(asked, application, client, signal);
			revision = other.revision;
			if (other.problems.length > 0)
				throw new SourceError(
					'',
					`revision ${short(revision)} is refused: ${other.problems.map(formatProblem).join('; ')}`,
				);
			apply = [...other.desired.values()];
			prunable = new Map(
				[...state.tracked].filter(([id, object]) => !other.desired.has(id) && !object.metadata.deletionTimestamp),
			);
		} else if (state.revision === undefined || (state.problem && decision.why === 'requested')) {
			throw new SourceError('', state.problem?.message ?? 'the source has not been read yet');
		}
		const selected = selection(operation);
		if (!dryRun) await createNamespace(application, operation, context);
		const wants = new Map(apply.map((each) => [each.id, each]));
		const waves = planSync(
			apply.filter(({ object }) => selected(object)),
			new Map([...prunable].filter(([, object]) => selected(object))),
			{ prune: decision.prune },
		);
		outcomes = await execute(waves, {
			client,
			manager: managerOf(application),
			dryRun,
			live: (id) => {
				const wanted = wants.get(id);
				return wanted ? (cache.informer(wanted.kind).get(wanted.key) as Dynamic | undefined) : state.tracked.get(id);
			},
			signal,
			report: (outcome) => state.progress.tell({ type: 'outcome', revision, outcome }),
		});
	} catch (error) {
		if (!(error instanceof SourceError) && !(error instanceof ApiError)) throw error;
		failure = error.message;
	}
	const failed = outcomes.filter(({ action }) => action === 'failed');
	if (failed.length > 0)
		failure = `one or more objects failed to apply: ${failed.map(({ object, message }) => `${nameOf(object)}: ${message}`).join('; ')}`;

	if (decision.why === 'self-heal' && !dryRun) {
		tellHealed(application, outcomes, state, context);
		state.noteHealed(
			outcomes.filter(({ action }) => action === 'configured' || action === 'created').map(({ id }) => id),
			context.now(),
		);
	}
	const ok = failure === undefined;
	const message =
		failure ?? (dryRun ? 'successfully synced (dry run, nothing was changed)' : 'successfully synced (all tasks run)');
	if (!dryRun) {
		state.failure = ok
			? undefined
			: { revision, count: (state.failure?.revision === revision ? state.failure.count : 0) + 1, at: context.now() };
		if (ok) state.syncedRevision = revision;
	}
	const finishedAt = timestamp(context);
	const finished: OperationState = {
		...base,
		phase: ok ? 'Succeeded' : 'Failed',
		message,
		finishedAt,
		syncResult: {
			revision,
			source: application.spec.source,
			resources: outcomes.slice(0, MAX_RESULT_RESOURCES).map(resultOf),
		},
	};
	const history =
		ok && !dryRun && decision.why !== 'self-heal'
			? appendHistory(application, revision, startedAt, finishedAt, operation)
			: application.status?.history;
	await writeStatus(application, { operationState: finished, history }, client, false);
	events.event(
		application,
		ok ? 'Normal' : 'Warning',
		'OperationCompleted',
		ok ? `Sync operation to ${short(revision)} succeeded` : `Sync operation to ${short(revision)} failed: ${message}`,
	);
	state.progress.tell({ type: 'finished', revision, phase: ok ? 'Succeeded' : 'Failed', message });
}

/** Which objects a sync is about: all, or those that its resources name. */
function selection(operation: Operation): (object: Dynamic) => boolean {
	const named = operation.sync?.resources;
	if (!named || named.length === 0) return () => true;
	return (object) => {
		const { group } = parseApiVersion(object.apiVersion);
		return named.some(
			(each) =>
				(each.group ?? '') === group &&
				each.kind === object.kind &&
				each.name === object.metadata.name &&
				(!each.namespace || each.namespace === object.metadata.namespace),
		);
	};
}

/** The sync option CreateNamespace=true makes the destination's namespace. */
async function createNamespace(
	application: Application,
	operation: Operation,
	{ client, cache }: Context,
): Promise<void> {
	const name = application.spec.destination.namespace;
	const options = [...(operation.sync?.syncOptions ?? []), ...(application.spec.syncPolicy?.syncOptions ?? [])];
	if (!name || !options.includes('CreateNamespace=true') || cache.informer(Namespace).get(name)) return;
	await client.patch(
		Namespace,
		{ name },
		{ type: 'apply', body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, force: true },
		{ fieldManager: managerOf(application) },
	);
}

function tellHealed(
	application: Application,
	outcomes: readonly Outcome[],
	state: ApplicationState,
	{ events }: Context,
): void {
	for (const { id, action, object } of outcomes) {
		if (action !== 'configured' && action !== 'created') continue;
		const drift = state.comparison.objects.get(id)?.drift;
		const what =
			drift?.state === 'changed'
				? drift.fields
						.map(
							({ path, owners, live, desired }) =>
								`${formatPath(path)}${object.kind === 'Secret' ? '' : ` ${brief(live)} to ${brief(desired)}`}${owners[0] ? ` (set by ${owners[0].manager})` : ''}`,
						)
						.slice(0, 5)
						.join(', ')
				: 'was missing';
		events.event(
			application,
			'Normal',
			'SelfHealed',
			`${nameOf(object)}${object.metadata.namespace ? ` in ${object.metadata.namespace}` : ''}: ${what}`,
		);
	}
}

function resultOf({ action, object, message }: Outcome) {
	const { group, version } = parseApiVersion(object.apiVersion);
	const status = (
		{
			created: 'Synced',
			configured: 'Synced',
			unchanged: 'Synced',
			pruned: 'Pruned',
			kept: 'PruneSkipped',
			failed: 'SyncFailed',
		} as const
	)[action];
	return {
		group,
		version,
		kind: object.kind,
		namespace: object.metadata.namespace ?? '',
		name: object.metadata.name,
		status,
		message,
		syncPhase: 'Sync',
	};
}

function appendHistory(
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

/** A value in a sentence. */
function brief(value: unknown): string {
	const text = value === undefined ? '(none)' : JSON.stringify(value);
	return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
