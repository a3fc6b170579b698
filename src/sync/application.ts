/**
 * The Application controller: one turn compares what the source wants with what the cluster has, decides, carries out, and
 * reports. Each turn starts from what is; a turn that is cut off is made good by the next one.
 */
import type { Cache } from '../client/index.ts';
import { Application, type Dynamic, type Key, splitKey } from '../kinds/index.ts';
import { type Again, type Context, controller } from '../reconcile/index.ts';
import { isSynced } from './compare.ts';
import { decide } from './decide.ts';
import { applicationKey, idOf, instanceOf, managerOf, trackedBy } from './desired.ts';
import { execute } from './execute.ts';
import { operate } from './operate.ts';
import { planSync } from './plan.ts';
import type { Renderer } from './render/index.ts';
import { type ApplicationState, createState, type Problem, type StateOptions } from './state.ts';
import { unsupported } from './unsupported.ts';
import { writeReport } from './write-status.ts';

/** How soon a source that cannot be read is looked at again where it does not say so itself. */
const SOURCE_RETRY_MS = 30_000;
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
			revision: state.revision,
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
