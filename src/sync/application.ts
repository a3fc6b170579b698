/**
 * The Application controller: one turn compares what the source wants with what the cluster has, decides, carries out, and
 * reports. Each turn starts from what is; a turn that is cut off is made good by the next one.
 */
import type { Cache, Client } from '../client/index.ts';
import { formatPath } from '../kinds/fieldset.ts';
import {
	ApiError,
	Application,
	type ApplicationStatus,
	type Dynamic,
	type Key,
	Namespace,
	type Operation,
	type OperationState,
	parseApiVersion,
	type RevisionHistory,
	splitKey,
} from '../kinds/index.ts';
import { type Again, type Context, controller } from '../reconcile/index.ts';
import { isSynced } from './compare.ts';
import { type Decision, decide, short } from './decide.ts';
import { applicationKey, type Desired, idOf, instanceOf, managerOf, trackedBy } from './desired.ts';
import { execute, nameOf, type Outcome } from './execute.ts';
import { planSync } from './plan.ts';
import { formatProblem, type Renderer } from './render/index.ts';
import { report } from './report.ts';
import { SourceError } from './source/index.ts';
import { type ApplicationState, createState, type Problem, type StateOptions } from './state.ts';
import { unsupported } from './unsupported.ts';

/** A status is written at most this often, unless sync, health or a condition of the whole application changed. */
const STATUS_INTERVAL_MS = 500;
/** How soon a source that cannot be read is looked at again where it does not say so itself. */
const SOURCE_RETRY_MS = 30_000;
/** Past syncs that status.history keeps where spec.revisionHistoryLimit names none. Source: Argo CD. */
const DEFAULT_HISTORY_LIMIT = 10;
/** Resources that operationState.syncResult lists at most. */
const MAX_RESULT_RESOURCES = 2_000;
/** The finalizer that deletes an application's objects with it. Source: Argo CD, "App Deletion". */
export const cascadeFinalizer = 'resources-finalizer.argocd.argoproj.io';

export interface SyncOptions {
	readonly renderer: Renderer;
	readonly openSource: StateOptions['openSource'];
}

/** What is known of each application, for the controller and for pushes. */
export interface Applications {
	readonly states: ReadonlyMap<Key, ApplicationState>;
	/** Makes the state where there is none yet. */
	state(key: Key): ApplicationState;
	/** Attached to the running controller; undefined while this process does not lead. */
	context: Context | undefined;
	/** Looks at the application again soon. */
	queue(key: Key): void;
}

export function createApplications({ renderer, openSource }: SyncOptions) {
	const states = new Map<Key, ApplicationState>();
	/** Which applications want an object, by its id. */
	const wantedBy = new Map<string, Set<Key>>();
	/** The objects that carry an application's mark, by id: also those of applications that do not exist, or not yet. */
	const marked = new Map<Key, Map<string, Dynamic>>();
	const markedFor = (key: Key) => {
		const known = marked.get(key) ?? new Map<string, Dynamic>();
		marked.set(key, known);
		return known;
	};
	let enqueue = (_: Key) => {};

	const applications: Applications = {
		states,
		context: undefined,
		queue: (key) => enqueue(key),
		state(key) {
			let state = states.get(key);
			if (!state) {
				state = createState({
					key,
					renderer,
					openSource,
					tracked: markedFor(key),
					onChange: () => enqueue(key),
					onDesired(now, before) {
						for (const id of before.keys())
							if (!now.has(id) && wantedBy.get(id)?.delete(key) && wantedBy.get(id)?.size === 0) wantedBy.delete(id);
						for (const id of now.keys())
							if (!before.has(id)) wantedBy.set(id, (wantedBy.get(id) ?? new Set()).add(key));
					},
				});
				states.set(key, state);
			}
			return state;
		},
	};

	/** One object of any kind has changed: whoever wants it or has it looks at it again. */
	const changed = (object: Dynamic | undefined, old: Dynamic | undefined): Key[] => {
		const either = object ?? old;
		if (!either) return [];
		const [owner, ownerBefore] = [object && trackedBy(object), old && trackedBy(old)];
		const id = idOf(either);
		const wanting = wantedBy.get(id);
		if (!owner && !ownerBefore && !wanting) return [];
		if (ownerBefore && ownerBefore !== owner) markedFor(applicationKey(ownerBefore)).delete(id);
		if (owner && object) markedFor(applicationKey(owner)).set(id, object);
		const keys = [
			...new Set([...(wanting ?? []), ...[owner, ownerBefore].flatMap((each) => (each ? [applicationKey(each)] : []))]),
		];
		for (const key of keys) states.get(key)?.comparison.touch(id);
		return keys;
	};

	const declaration = controller<Application>({
		name: 'application',
		for: Application,
		everything: ({ object, old }) => changed(object as Dynamic | undefined, old as Dynamic | undefined),
		triggers(queue, context) {
			enqueue = queue;
			applications.context = context;
			context.signal.addEventListener(
				'abort',
				() => {
					applications.context = undefined;
					enqueue = () => {};
					for (const state of states.values()) void state.dispose();
					states.clear();
					marked.clear();
					wantedBy.clear();
				},
				{ once: true },
			);
		},
		async reconcile(key, context) {
			const application = context.cache.informer(Application).get(key);
			const state = applications.state(key);
			if (!application) {
				states.delete(key);
				await state.dispose();
				return undefined;
			}
			return application.metadata.deletionTimestamp
				? cascade(application, state, context)
				: turn(application, state, context);
		},
	});
	return { applications, controller: declaration };
}

/** One turn of one application. */
async function turn(application: Application, state: ApplicationState, context: Context): Promise<Again | undefined> {
	const { client, signal } = context;
	const problems: Problem[] = [];
	const wrong = unsupported(application.spec);
	if (wrong.length > 0) {
		problems.push({ type: 'InvalidSpecError', message: wrong.join('; ') });
		return writeReport(application, state, problems, context);
	}
	recall(application, state);
	await state.load(application, client, signal);
	if (state.problem) problems.push(state.problem);
	for (const id of state.tracked.keys()) if (!state.comparison.objects.has(id)) state.comparison.touch(id);
	const changed = await state.comparison.refresh(
		state.desired,
		(id) => live(id, state, context.cache),
		client,
		managerOf(application),
	);
	state.noteDrift(changed, context.now());

	const outOfSync = [...state.comparison.objects.values()].filter((each) => each.desired && !isSynced(each));
	const gone = state.gone();
	const decision = decide(
		{
			application,
			revision: state.problem ? undefined : state.revision,
			outOfSync: outOfSync.length,
			gone: gone.size,
			wanted: state.desired.size,
			healAt: state.healAt(),
			syncedRevision: state.syncedRevision,
			failure: state.failure,
		},
		context.now(),
	);
	if (decision.do === 'sync') {
		await operate(
			application,
			decision,
			outOfSync.flatMap(({ desired }) => (desired ? [desired] : [])),
			gone,
			state,
			context,
		);
		// The next turn sees what this one has written.
		return { after: 0 };
	}
	if (!state.problem && state.revision !== undefined && outOfSync.length === 0 && gone.size === 0) {
		state.syncedRevision = state.revision;
		state.failure = undefined;
	}
	if (decision.do === 'nothing' && decision.blocked) problems.push({ type: 'SyncError', message: decision.blocked });
	const stays =
		decision.do === 'nothing' && outOfSync.length + gone.size > 0
			? (decision.blocked ?? 'some objects stay out of sync, see: driftless status')
			: undefined;
	const again = await writeReport(application, state, problems, context, stays);
	const waits = [
		again?.after,
		decision.do === 'wait' ? decision.until - context.now() : undefined,
		state.problem ? SOURCE_RETRY_MS : undefined,
	];
	const after = Math.min(...waits.map((each) => each ?? Number.POSITIVE_INFINITY));
	return Number.isFinite(after) ? { after: Math.max(0, after) } : undefined;
}

/** After a start: which revision was synced last, from the status. A sync that was cut off counts as none. */
function recall(application: Application, state: ApplicationState): void {
	const last = application.status?.operationState;
	if (state.syncedRevision === undefined && state.revision === undefined && last?.phase === 'Succeeded')
		state.syncedRevision = last.syncResult?.revision;
}

function live(id: string, state: ApplicationState, cache: Cache): Dynamic | undefined {
	const desired = state.desired.get(id);
	return desired ? (cache.informer(desired.kind).get(desired.key) as Dynamic | undefined) : state.tracked.get(id);
}

async function operate(
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
		} else if (state.problem || state.revision === undefined) {
			throw new SourceError('', state.problem?.message ?? 'the source has not been read yet');
		}
		const selected = selection(operation);
		if (!dryRun) await createNamespace(application, operation, context);
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
				const wanted = apply.find((each) => each.id === id);
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
						.map(({ path, owners }) => `${formatPath(path)}${owners[0] ? ` (set by ${owners[0].manager})` : ''}`)
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

/** Writes what the comparison says, if it differs from what the status has; not too often. */
async function writeReport(
	application: Application,
	state: ApplicationState,
	problems: readonly Problem[],
	context: Context,
	stays?: string,
): Promise<Again | undefined> {
	const observed = {
		objects: state.comparison.objects,
		revision: state.revision,
		problems,
		known: state.revision !== undefined && problems.every(({ type }) => type === 'SyncError'),
		sourceType: 'Directory' as const,
	};
	const now = timestamp(context);
	const next = report(application, observed, now);
	tellCompared(state, next, stays);
	const before = application.status;
	const headline = (status: ApplicationStatus | undefined) =>
		JSON.stringify([status?.sync, status?.health?.status, status?.conditions ?? []]);
	if (sameReport(before, next)) return undefined;
	const due = state.reportedAt + STATUS_INTERVAL_MS - context.now();
	if (due > 0 && headline(before) === headline(next)) return { after: due };
	state.reportedAt = context.now();
	await writeStatus(application, { ...next, reconciledAt: now }, context.client, false);
	return undefined;
}

function sameReport(before: ApplicationStatus | undefined, next: ApplicationStatus): boolean {
	return Object.entries(next).every(
		([name, value]) => JSON.stringify(before?.[name as keyof ApplicationStatus]) === JSON.stringify(value),
	);
}

function tellCompared(state: ApplicationState, status: ApplicationStatus, stays: string | undefined): void {
	if (!state.progress.listening || !status.sync || !status.health?.status) return;
	const waiting = (status.resources ?? [])
		.filter((each) => each.health && each.health.status !== 'Healthy')
		.map(
			(each) =>
				`${(each.kind ?? '').toLowerCase()}${each.group ? `.${each.group}` : ''}/${each.name}: ${each.health?.status}${each.health?.message ? `: ${each.health.message}` : ''}`,
		);
	state.progress.tell({
		type: 'compared',
		revision: state.revision ?? '',
		sync: status.sync.status,
		health: status.health.status,
		waiting,
		stays,
	});
}

async function writeStatus(
	application: Application,
	status: Partial<ApplicationStatus>,
	client: Client,
	takeOperation: boolean,
): Promise<void> {
	const { name, namespace } = application.metadata;
	if (takeOperation) await client.patch(Application, { name, namespace }, { type: 'merge', body: { operation: null } });
	await client.patch(Application, { name, namespace }, { type: 'merge', body: { status } }, { subresource: 'status' });
}

/** An application that is being deleted takes its objects with it where its finalizer says so. */
async function cascade(
	application: Application,
	state: ApplicationState,
	context: Context,
): Promise<Again | undefined> {
	const finalizers = application.metadata.finalizers ?? [];
	const ours = finalizers.find((each) => each === cascadeFinalizer || each.startsWith(`${cascadeFinalizer}/`));
	if (!ours) return undefined;
	const waves = planSync([], new Map([...state.tracked].filter(([, object]) => !object.metadata.deletionTimestamp)), {
		prune: true,
	});
	await execute(waves, {
		client: context.client,
		manager: managerOf(application),
		dryRun: false,
		live: (id) => state.tracked.get(id),
		signal: context.signal,
		report: () => {},
	});
	if (state.tracked.size > 0) return { after: 1_000 };
	const { name, namespace } = splitKey(state.key);
	await context.client.patch(
		Application,
		{ name, namespace },
		{
			type: 'merge',
			body: {
				metadata: {
					finalizers: finalizers.filter((each) => each !== ours),
					resourceVersion: application.metadata.resourceVersion,
				},
			},
		},
	);
	context.log.info({ application: instanceOf(application) }, 'deleted with its objects');
	return undefined;
}

/** RFC 3339 in seconds, as Kubernetes writes times. */
function timestamp({ now }: Context): string {
	return `${new Date(now()).toISOString().slice(0, 19)}Z`;
}
