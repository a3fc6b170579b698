/**
 * Carries out a sync of an application as far as it may go now, a wave a turn. Where it stands can be seen from the cluster:
 * what is in sync is done, and what carries a newer mark of its manager than the beginning of the sync was done by it. So any
 * process goes on with it; memory only spares that something is tried twice.
 */

import { appliedBy } from '../../diff/index.ts';
import { ApiError, type Application, type Dynamic, type Operation, type OperationState } from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import { type Compared, isSettled } from '../compare/compare.ts';
import { type Shared, sharedText } from '../compare/shared.ts';
import { recordOf } from '../revision.ts';
import { SourceError } from '../source/index.ts';
import type { ApplicationState } from '../state.ts';
import { writeStatus } from '../status/write-status.ts';
import { type Desired, managerOf } from '../want/desired.ts';
import { optionFor, optionOf } from '../want/options.ts';
import { unsupportedOperation } from '../want/unsupported.ts';
import { homeless, stillHomeless } from './absent.ts';
import type { Decision } from './decide.ts';
import { execute, nameOf, type Outcome } from './execute.ts';
import { finish } from './finish.ts';
import { tellHealed } from './healed.ts';
import { createNamespace } from './namespace.ts';
import { keptBy, planSync } from './plan.ts';
import { addResults } from './record.ts';
import { begin } from './request.ts';
import { selection } from './selection.ts';
import { nextStage, type Stage, type Staged } from './stage.ts';
import { type Subject, subjectOf } from './subject.ts';

/** `waits`: nothing can be done before something becomes healthy, or is gone. */
export type Progressed = 'finished' | 'continues' | 'waits';

type Sync = Decision & { do: 'sync' };

export async function operate(
	application: Application,
	decision: Sync,
	shared: ReadonlyMap<string, Shared>,
	state: ApplicationState,
	context: Context,
): Promise<Progressed> {
	const { operation, why } = decision;
	const running = await begin(application, decision, state, context);
	let subject: Subject;
	try {
		const wrong = unsupportedOperation(operation, application);
		if (wrong.length > 0) throw new SourceError('', wrong.join('; '));
		const options = optionsOf(application, operation);
		subject = await subjectOf(application, operation, why === 'requested', state, context);
		if (optionOf('FailOnSharedResource', options) === 'true' && shared.size > 0)
			throw new SourceError('', sharedText(shared, state));
	} catch (error) {
		if (!(error instanceof SourceError)) throw error;
		await finish(application, running, undefined, why, error.message, state, context);
		return 'finished';
	}
	return carryOn({ application, running, decision, shared, state, context, subject });
}

interface Work {
	readonly application: Application;
	readonly running: OperationState;
	readonly decision: Sync;
	readonly shared: ReadonlyMap<string, Shared>;
	readonly state: ApplicationState;
	readonly context: Context;
	readonly subject: Subject;
}

/** One stage of a sync whose subject is known. */
async function carryOn(work: Work): Promise<Progressed> {
	const { application, running, decision, state, context, subject } = work;
	const { operation, why } = decision;
	const { revision } = subject;
	const { dryRun = false } = operation.sync ?? {};
	const { stage, kept, tried, madeAnew, mine } = stageOf(work);
	const end = (failure: string | undefined, result: OperationState = running) =>
		finish(application, result, revision, why, failure, state, context);
	const fail = async (failed: readonly Outcome[], result: OperationState) => {
		for (const outcome of failed) state.progress.tell({ type: 'outcome', revision, outcome });
		state.stumbled = new Map(failed.map(({ id }) => [id, subject.objects.get(id)?.live?.metadata.uid]));
		await end(`one or more objects failed to apply: ${failed.map(failureText).join('; ')}`, result);
		return 'finished' as const;
	};
	const { resources = [], resourcesLeftOut = 0 } = running.syncResult ?? {};
	const withResults = (outcomes: readonly Outcome[]): OperationState => ({
		...running,
		syncResult: { ...recordOf(revision), ...addResults(resources, outcomes, resourcesLeftOut) },
	});
	const lacking = await homelessOf(work, mine);
	// Before anything is pruned or applied: a revision is not taken by halves. What has drifted is mended as far as it can be.
	if (lacking.length > 0 && why !== 'self-heal') return fail(lacking, withResults(lacking));
	if (stage.degraded.length > 0) {
		await end(`what this sync has applied does not work: ${stage.degraded.map(unwell).join('; ')}`);
		return 'finished';
	}
	const waitsFor = [...madeAnew, ...stage.waitsFor];
	if (waitsFor.length > 0) return wait(application, running, waitText(waitsFor), context);
	if (!stage.last && stage.apply.length + stage.prune.size === 0) return wait(application, running, unknown, context);

	let outcomes: Outcome[];
	try {
		const advised = new Map(lacking.map((each) => [each.id, each]));
		outcomes = (await apply(work, stage, kept)).map((each) =>
			each.action === 'failed' ? (advised.get(each.id) ?? each) : each,
		);
	} catch (error) {
		if (!(error instanceof ApiError)) throw error;
		await end(error.message);
		return 'finished';
	}
	const failed = outcomes.filter(({ action }) => action === 'failed');
	for (const { id, action } of outcomes) if (action !== 'failed' && action !== 'removed') tried.add(id);
	if (why === 'self-heal' && !dryRun) tellHealed(application, outcomes, state, context);
	const next = withResults(outcomes);
	if (failed.length > 0) {
		// What is refused may need the place of what is on its way out.
		const going = dryRun ? [] : outcomes.filter(({ action }) => action === 'pruned').map(({ id }) => id);
		const leaving = [...subject.left].filter(
			([id, { metadata }]) => going.includes(id) || (!dryRun && metadata.deletionTimestamp),
		);
		const still = leaving.filter(([id]) => state.tracked.has(id)).map(([, object]) => object);
		if (still.length > 0) return wait(application, next, waitText(still), context);
		return fail(failed, next);
	}
	if (!stage.last || (!dryRun && outcomes.some(({ action }) => action === 'removed'))) {
		await writeStatus(application, { operationState: next }, context.client);
		return 'continues';
	}
	await end(undefined, next);
	return 'finished';
}

/** How far the sync may go, what of it is kept, and what this attempt has tried already. */
function stageOf({ application, running, decision, shared, state, subject }: Work) {
	const { operation, why } = decision;
	const options = optionsOf(application, operation);
	const { prune = false, dryRun = false } = operation.sync ?? {};
	const selected = selection(operation);
	const attempt = `${running.startedAt} ${running.retryCount ?? 0}`;
	if (state.attempt?.of !== attempt) state.attempt = { of: attempt, tried: new Set() };
	const { tried } = state.attempt;
	const since = Date.parse(running.startedAt);
	const manager = managerOf(application);
	// Two that heal what both want would never end.
	const mine = [...subject.objects.values()].filter(
		({ id, desired }) => desired && selected(desired.object) && !(why === 'self-heal' && shared.has(id)),
	);
	const objects = mine.flatMap((each): Staged[] => {
		const { id, desired, live, health } = each;
		if (!desired) return [];
		const time = appliedBy(live?.metadata.managedFields, manager)?.time;
		const touched = tried.has(id) || (time !== undefined && Date.parse(time) >= since);
		return [{ desired, settled: isSettled(each) || tried.has(id), touched, health }];
	});
	const left = [...subject.left].filter(([, object]) => selected(object));
	const keep = ([, live]: readonly [string, Dynamic]) => keptBy(live, { prune, options }) !== undefined;
	const leaving = left
		.filter((each) => !keep(each))
		.map(([id, live]) => ({
			id,
			live,
			late: optionFor(live, 'PruneLast', options) === 'true',
			deleting: live.metadata.deletionTimestamp !== undefined,
		}));
	const kept = left.filter((each) => keep(each) && !each[1].metadata.deletionTimestamp);
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
	return { stage: { ...stage, last }, kept: last ? kept : [], tried, madeAnew, mine };
}

/** The failures of those of these objects whose namespace neither is there nor comes with the sync. */
async function homelessOf(
	{ application, decision, context: { client, cache }, subject: { desired } }: Work,
	objects: readonly Compared[],
): Promise<Outcome[]> {
	const options = optionsOf(application, decision.operation);
	const found = await stillHomeless(homeless(objects, { application, options, desired, cache }), client);
	return found.map(({ desired: { id, object }, message }) => ({ id, object, action: 'failed', message }));
}

async function apply(
	{ application, decision, state, context, subject }: Work,
	stage: Stage,
	kept: readonly (readonly [string, Dynamic])[],
): Promise<Outcome[]> {
	const { client, cache, signal } = context;
	const options = optionsOf(application, decision.operation);
	const { prune = false, dryRun = false } = decision.operation.sync ?? {};
	if (!dryRun) await createNamespace(application, options, subject.desired, context);
	const wants = new Map<string, Desired>(stage.apply.map((each) => [each.id, each]));
	const { namespace: home } = application.spec.destination;
	return execute(planSync(stage.apply, new Map([...stage.prune, ...kept]), { prune, options }), {
		client,
		manager: managerOf(application),
		dryRun,
		options,
		comes: (id) => wants.has(id) || (optionOf('CreateNamespace', options) === 'true' && id === `-/Namespace/-/${home}`),
		live: (id) => {
			const wanted = wants.get(id);
			return wanted ? (cache.informer(wanted.kind).get(wanted.key) as Dynamic | undefined) : state.tracked.get(id);
		},
		signal,
		// Whether a failure is one is known only when what is on its way out has gone.
		report: (outcome) =>
			outcome.action === 'failed' || state.progress.tell({ type: 'outcome', revision: subject.revision, outcome }),
	});
}

/** The options of the application, and then those of the request, which count more. */
function optionsOf({ spec }: Application, { sync }: Operation): readonly string[] {
	const force = sync?.syncStrategy?.apply?.force || sync?.syncStrategy?.hook?.force ? ['Force=true'] : [];
	return [...(spec.syncPolicy?.syncOptions ?? []), ...(sync?.syncOptions ?? []), ...force];
}

const failureText = ({ object, message }: Outcome) => `${nameOf(object)}: ${message}`;

const unwell = ({ desired, health }: Staged) =>
	`${nameOf(desired.object)} is Degraded${health?.message ? `: ${health.message}` : ''}`;

/** What a sync waits for that may prune nothing yet. */
const unknown = 'waiting to know what the other applications want before anything is pruned';

function waitText([first, ...more]: readonly Dynamic[]): string {
	const end = first?.metadata.deletionTimestamp ? 'to be gone' : 'to be healthy';
	return `waiting for ${first ? nameOf(first) : 'something'}${more.length > 0 ? ` and ${more.length} more` : ''} ${end}`;
}

/** Says what the sync waits for. */
async function wait(
	application: Application,
	running: OperationState,
	message: string,
	{ client }: Context,
): Promise<Progressed> {
	const before = application.status?.operationState;
	if (before?.phase !== 'Running' || before.message !== message)
		await writeStatus(application, { operationState: { ...running, message } }, client);
	return 'waits';
}
