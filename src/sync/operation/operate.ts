/**
 * Carries out a sync of an application as far as it may go now, a wave a turn. Where it stands can be seen from the cluster:
 * what is in sync is done, and what carries a newer mark of its manager than the beginning of the sync was done by it. So any
 * process goes on with it; memory only spares that something is tried twice.
 */

import { ApiError, type Application, type Dynamic, type OperationState } from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import { type Shared, sharedText } from '../compare/shared.ts';
import { recordOf } from '../revision.ts';
import { SourceError } from '../source/index.ts';
import type { ApplicationState } from '../state.ts';
import { writeStatus } from '../status/write-status.ts';
import { type Desired, managerOf } from '../want/desired.ts';
import { optionOf } from '../want/options.ts';
import { unsupportedOperation } from '../want/unsupported.ts';
import { type Attempt, attempted, outlook } from './attempt.ts';
import type { Decision } from './decide.ts';
import { execute, nameOf, type Outcome } from './execute.ts';
import { finish } from './finish.ts';
import { tellHealed } from './healed.ts';
import { planSync } from './plan.ts';
import { addResults } from './record.ts';
import { begin } from './request.ts';
import type { Stage, Staged } from './stage.ts';
import { standingOf } from './standing.ts';
import { READING, type Subject, subjectOf } from './subject.ts';
import { optionsOf, type Work } from './work.ts';

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
	let subject: Subject | typeof READING;
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
	if (subject === READING) return wait(application, running, 'waiting for the source to give that revision', context);
	return carryOn({ application, running, decision, shared, state, context, subject });
}

/** One stage of a sync whose subject is known. */
async function carryOn(work: Work): Promise<Progressed> {
	const { application, running, decision, state, context, subject } = work;
	const { operation, why } = decision;
	const { revision } = subject;
	const { dryRun = false } = operation.sync ?? {};
	const end = (failure: string | undefined, result: OperationState = running) =>
		finish(application, result, revision, why, failure, state, context);
	const fail = async (failed: readonly Outcome[], result: OperationState) => {
		for (const outcome of failed) state.progress.tell({ type: 'outcome', revision, outcome });
		state.stumbled = failed.map(({ id }) => {
			const { desired, live } = subject.objects.get(id) ?? {};
			return { id, desired, uid: live?.metadata.uid };
		});
		await end(`one or more objects failed to apply: ${failed.map(failureText).join('; ')}`, result);
		return 'finished' as const;
	};
	const { resources = [], resourcesLeftOut = 0 } = running.syncResult ?? {};
	const withResults = (outcomes: readonly Outcome[]): OperationState => ({
		...running,
		syncResult: { ...recordOf(revision), ...addResults(resources, outcomes, resourcesLeftOut) },
	});
	let attempt: Attempt;
	try {
		attempt = await attempted(work);
	} catch (error) {
		if (!(error instanceof ApiError)) throw error;
		await end(error.message);
		return 'finished';
	}
	const refused = [...attempt.refused.values()];
	// A revision is not taken by halves. What has drifted is mended as far as it can be.
	if (refused.length > 0 && why !== 'self-heal') return fail(refused, withResults(refused));
	const { stage, kept, madeAnew } = standingOf(work, attempt);
	if (stage.degraded.length > 0) {
		await end(`what this sync has applied does not work: ${stage.degraded.map(unwell).join('; ')}`);
		return 'finished';
	}
	const waitsFor = [...madeAnew, ...stage.waitsFor];
	if (waitsFor.length > 0) return wait(application, running, waitText(waitsFor), context);
	if (!stage.last && stage.apply.length + stage.prune.size === 0) return wait(application, running, unknown, context);

	let outcomes: Outcome[];
	try {
		outcomes = await apply(work, stage, kept);
	} catch (error) {
		if (!(error instanceof ApiError)) throw error;
		await end(error.message);
		return 'finished';
	}
	const failed = outcomes.filter(({ action }) => action === 'failed');
	for (const { id, action } of outcomes) if (action !== 'failed' && action !== 'removed') attempt.tried.add(id);
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
		return fail([...failed, ...refused], withResults([...outcomes, ...refused]));
	}
	if (!stage.last || (!dryRun && outcomes.some(({ action }) => action === 'removed'))) {
		await writeStatus(application, { operationState: next }, context.client);
		return 'continues';
	}
	if (refused.length > 0) return fail(refused, withResults([...outcomes, ...refused]));
	await end(undefined, next);
	return 'finished';
}

async function apply(work: Work, stage: Stage, kept: readonly (readonly [string, Dynamic])[]): Promise<Outcome[]> {
	const { application, decision, state, context, subject } = work;
	const { client, cache, signal } = context;
	const options = optionsOf(application, decision.operation);
	const { prune = false, dryRun = false } = decision.operation.sync ?? {};
	const wants = new Map<string, Desired>(stage.apply.map((each) => [each.id, each]));
	return execute(planSync(stage.apply, new Map([...stage.prune, ...kept]), { prune, options }), {
		client,
		manager: managerOf(application),
		dryRun,
		options,
		...outlook(work),
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
