/**
 * Carries out a sync of an application as far as it may go now: which objects, in which waves, and what the status says of
 * it. Where it stands is in the status, so that any process goes on with it.
 */
import { ApiError, type Application, type Dynamic, type Operation, type OperationState } from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import { isSettled } from '../compare/compare.ts';
import { type Shared, sharedText } from '../compare/shared.ts';
import { formatProblem } from '../render/index.ts';
import { SourceError } from '../source/index.ts';
import type { ApplicationState } from '../state.ts';
import { short } from '../status/revision.ts';
import { timestamp, writeStatus } from '../status/write-status.ts';
import { type Desired, managerOf } from '../want/desired.ts';
import { optionFor, optionOf } from '../want/options.ts';
import { unsupportedOperation } from '../want/unsupported.ts';
import type { Decision } from './decide.ts';
import { execute, nameOf, type Outcome } from './execute.ts';
import { tellHealed } from './healed.ts';
import { createNamespace } from './namespace.ts';
import { planSync } from './plan.ts';
import { addResults, appendHistory, resultId } from './record.ts';
import { isSelective, selection } from './selection.ts';
import { nextStage, type Staged } from './stage.ts';

/** `waits`: nothing can be done before something becomes healthy. */
export type Progressed = 'finished' | 'continues' | 'waits';

/** What a sync is about, as it was found. */
interface Subject {
	readonly revision: string;
	readonly objects: readonly Staged[];
	readonly gone: ReadonlyMap<string, Dynamic>;
}

export async function operate(
	application: Application,
	decision: Decision & { do: 'sync' },
	shared: ReadonlyMap<string, Shared>,
	state: ApplicationState,
	context: Context,
): Promise<Progressed> {
	const { client, cache } = context;
	const { operation, continues } = decision;
	const startedAt = continues?.startedAt ?? timestamp(context);
	const done = continues?.syncResult?.resources ?? [];
	const running: OperationState = {
		operation,
		phase: 'Running',
		startedAt,
		message: 'syncing',
		...(decision.retries > 0 ? { retryCount: decision.retries } : {}),
	};
	if (!continues) {
		const taken = application.operation !== undefined;
		await writeStatus(application, { operationState: running }, client, taken);
	}
	const dryRun = operation.sync?.dryRun ?? false;
	const options = [...(application.spec.syncPolicy?.syncOptions ?? []), ...(operation.sync?.syncOptions ?? [])];
	let revision = state.revision ?? '';
	let outcomes: Outcome[] = [];
	let last = true;
	let failure: string | undefined;
	try {
		const wrong = unsupportedOperation(operation);
		if (wrong.length > 0) throw new SourceError('', wrong.join('; '));
		const subject = await subjectOf(application, decision, new Set(done.map(resultId)), state, context);
		revision = subject.revision;
		if (optionOf('FailOnSharedResource', options) === 'true' && shared.size > 0)
			throw new SourceError('', sharedText(shared, state));
		// Two that heal what both want would never end.
		const objects =
			decision.why === 'self-heal' ? subject.objects.filter(({ desired }) => !shared.has(desired.id)) : subject.objects;
		const late = (object: Dynamic) =>
			decision.prune &&
			optionFor(object, 'Prune', options) !== 'false' &&
			optionFor(object, 'PruneLast', options) === 'true';
		const stage = dryRun
			? {
					apply: objects.flatMap(({ desired, synced }) => (synced ? [] : [desired])),
					prune: subject.gone,
					waitsFor: [],
					last,
				}
			: nextStage(objects, subject.gone, late);
		last = stage.last;
		if (!last && stage.apply.length + stage.prune.size === 0)
			return await wait(application, { ...running, ...continues }, stage.waitsFor, context);
		if (!dryRun) await createNamespace(application, options, state.desired, context);
		const wants = new Map(stage.apply.map((each) => [each.id, each]));
		outcomes = await execute(planSync(stage.apply, stage.prune, { prune: decision.prune, options }), {
			client,
			manager: managerOf(application),
			dryRun,
			options,
			comes: (namespace) =>
				wants.has(`-/Namespace/-/${namespace}`) ||
				(optionOf('CreateNamespace', options) === 'true' && namespace === application.spec.destination.namespace),
			live: (id) => {
				const wanted = wants.get(id);
				return wanted ? (cache.informer(wanted.kind).get(wanted.key) as Dynamic | undefined) : state.tracked.get(id);
			},
			signal: context.signal,
			report: (outcome) => state.progress.tell({ type: 'outcome', revision, outcome }),
		});
	} catch (error) {
		if (!(error instanceof SourceError) && !(error instanceof ApiError)) throw error;
		failure = error.message;
	}
	const failed = outcomes.filter(({ action }) => action === 'failed');
	if (failed.length > 0)
		failure = `one or more objects failed to apply: ${failed.map(({ object, message }) => `${nameOf(object)}: ${message}`).join('; ')}`;
	if (decision.why === 'self-heal' && !dryRun) tellHealed(application, outcomes, state, context);

	const syncResult = { revision, source: application.spec.source, resources: addResults(done, outcomes) };
	if (!last && failure === undefined) {
		await writeStatus(application, { operationState: { ...running, syncResult } }, client);
		return 'continues';
	}
	await finish(application, { ...running, syncResult }, decision, failure, state, context);
	return 'finished';
}

/** What of the application the sync is about: of its present revision, or of another one that was asked for. */
async function subjectOf(
	application: Application,
	{ operation, why }: Decision & { do: 'sync' },
	done: ReadonlySet<string>,
	state: ApplicationState,
	{ client, cache, signal }: Context,
): Promise<Subject> {
	const asked = operation.sync?.revision;
	const selected = selection(operation);
	const goneOf = (gone: Iterable<readonly [string, Dynamic]>) =>
		new Map([...gone].filter(([id, object]) => selected(object) && !done.has(id)));
	if (asked !== undefined && asked !== state.revision) {
		const other = await state.at(asked, application, client, signal);
		if (other.problems.length > 0)
			throw new SourceError(
				'',
				`revision ${short(other.revision)} is refused: ${other.problems.map(formatProblem).join('; ')}`,
			);
		if (other.revision !== state.revision) {
			const objects = [...other.desired.values()].map((desired): Staged => {
				const live = cache.informer(desired.kind).get(desired.key) as Dynamic | undefined;
				return { desired, synced: done.has(desired.id), healthy: isHealthy(live && desired.kind.health(live)) };
			});
			const left = [...state.tracked].filter(
				([id, object]) => !other.desired.has(id) && !object.metadata.deletionTimestamp,
			);
			return {
				revision: other.revision,
				objects: objects.filter(({ desired }) => selected(desired.object)),
				gone: goneOf(left),
			};
		}
	}
	if (state.revision === undefined || (state.problem && why === 'requested'))
		throw new SourceError('', state.problem?.message ?? 'the source has not been read yet');
	const objects = [...state.comparison.objects.values()].flatMap((compared): Staged[] => {
		const { desired, health } = compared;
		return desired && selected(desired.object)
			? [{ desired, synced: isSettled(compared), healthy: isHealthy(health) }]
			: [];
	});
	return { revision: state.revision, objects, gone: goneOf(state.gone()) };
}

/** What has no health is as healthy as can be. */
const isHealthy = (health: { readonly status: string } | undefined) => !health || health.status === 'Healthy';

/** Says what the sync waits for. */
async function wait(
	application: Application,
	running: OperationState,
	waitsFor: readonly Desired[],
	{ client }: Context,
): Promise<Progressed> {
	const [first] = waitsFor;
	const more = waitsFor.length > 1 ? ` and ${waitsFor.length - 1} more` : '';
	const message = `waiting for ${first ? nameOf(first.object) : 'something'}${more} to be healthy`;
	if (running.message !== message) await writeStatus(application, { operationState: { ...running, message } }, client);
	return 'waits';
}

async function finish(
	application: Application,
	running: OperationState & { syncResult: { revision: string } },
	{ operation, why }: Decision & { do: 'sync' },
	failure: string | undefined,
	state: ApplicationState,
	context: Context,
): Promise<void> {
	const { client, events } = context;
	const { revision } = running.syncResult;
	const dryRun = operation.sync?.dryRun ?? false;
	const ok = failure === undefined;
	const message =
		failure ?? (dryRun ? 'successfully synced (dry run, nothing was changed)' : 'successfully synced (all tasks run)');
	if (!dryRun) {
		state.failure = ok
			? undefined
			: { revision, count: (state.failure?.revision === revision ? state.failure.count : 0) + 1, at: context.now() };
		if (ok && !isSelective(operation)) state.syncedRevision = revision;
	}
	const finishedAt = timestamp(context);
	const phase = ok ? 'Succeeded' : 'Failed';
	const finished: OperationState = { ...running, phase, message, finishedAt };
	// A sync of some objects, or of none, is not one to go back to.
	const history =
		ok && !dryRun && why !== 'self-heal' && !isSelective(operation)
			? appendHistory(application, revision, running.startedAt, finishedAt, operation)
			: application.status?.history;
	await writeStatus(application, { operationState: finished, history }, client);
	events.event(
		application,
		ok ? 'Normal' : 'Warning',
		'OperationCompleted',
		ok ? `Sync operation to ${short(revision)} succeeded` : `Sync operation to ${short(revision)} failed: ${message}`,
	);
	state.progress.tell({ type: 'finished', revision, phase, message });
}

/** Ends a sync, or answers a request for one, that cannot be carried out at all. */
export async function refuse(
	application: Application,
	operation: Operation,
	message: string,
	state: ApplicationState,
	context: Context,
): Promise<void> {
	const now = timestamp(context);
	const { operationState: before } = application.status ?? {};
	const startedAt = before?.phase === 'Running' || before?.phase === 'Terminating' ? before.startedAt : now;
	await writeStatus(
		application,
		{ operationState: { operation, phase: 'Failed', message, startedAt, finishedAt: now } },
		context.client,
		application.operation !== undefined,
	);
	state.progress.tell({ type: 'finished', revision: state.revision ?? '', phase: 'Failed', message });
}
