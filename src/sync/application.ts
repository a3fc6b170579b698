/** The Application controller: what it keeps of each application, and what has which of them looked at again. */
import { Application, type Dynamic, type Key, type KubeObject, keyOf, type Pod } from '../kinds/index.ts';
import { type Context, controller, troubleIndexes } from '../reconcile/index.ts';
import type { Shared } from './compare/shared.ts';
import { makersOf, podTrouble } from './compare/trouble.ts';
import { hasFailedIn, mayBeLackedIn } from './operation/absent.ts';
import { cascade } from './operation/cascade.ts';
import type { Renderer } from './render/index.ts';
import { type ApplicationState, createState, type StateOptions } from './state.ts';
import { refuseWhole, turn } from './turn.ts';
import { autoscalersByTarget, leavingReplicas, scaleTargetOf } from './want/autoscaled.ts';
import { applicationKey, idOf, trackedBy } from './want/desired.ts';
import type { Outside } from './want/scope.ts';

export interface SyncOptions {
	readonly renderer: Renderer;
	readonly openSource: StateOptions['openSource'];
	/** Which Applications do not count, and why. */
	readonly outside: Outside;
}

/** What is known of each application, for the controller and for pushes. */
export interface Applications {
	readonly states: ReadonlyMap<Key, ApplicationState>;
	readonly outside: Outside;
	/** Makes the state where there is none yet. */
	state(key: Key): ApplicationState;
	/** Attached to the running controller; undefined while this process does not lead. */
	context: Context | undefined;
	/** The same, once there is one; undefined where the signal aborts before. */
	attached(signal: AbortSignal): Promise<Context | undefined>;
	/** Looks at the application again soon. */
	queue(key: Key): void;
}

export function createApplications({ renderer, openSource, outside }: SyncOptions) {
	const states = new Map<Key, ApplicationState>();
	/** Which applications want an object, by its id. */
	const wantedBy = new Map<string, Set<Key>>();
	/** Which applications have a revision that is refused for an object, by its id. */
	const refusedFor = new Map<string, Set<Key>>();
	/** The objects that carry an application's mark, by id: also those of applications that do not exist, or not yet. */
	const marked = new Map<Key, Map<string, Dynamic>>();
	const markedFor = (key: Key) => {
		const known = marked.get(key) ?? new Map<string, Dynamic>();
		marked.set(key, known);
		return known;
	};
	let enqueue = (_: Key) => {};
	/** Those who wait for a context. */
	const waiting = new Set<() => void>();
	/** After a start an application that was not looked at yet may want anything: nothing is pruned before. */
	const complete = () =>
		[...(applications.context?.cache.informer(Application).list() ?? [])].every(
			({ metadata }) => metadata.deletionTimestamp || states.get(keyOf({ metadata }))?.known,
		);

	const applications: Applications = {
		states,
		outside,
		context: undefined,
		async attached(signal) {
			if (!applications.context && !signal.aborted) {
				const { promise, resolve } = Promise.withResolvers<void>();
				waiting.add(resolve);
				signal.addEventListener('abort', () => resolve(), { once: true });
				await promise;
				waiting.delete(resolve);
			}
			return applications.context;
		},
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
					complete,
					wantedElsewhere: (id) => [...(wantedBy.get(id) ?? [])].some((each) => each !== key),
					onDesired(now, before) {
						for (const id of before.keys()) {
							if (now.has(id) || !remove(wantedBy, id, key)) continue;
							// What two wanted is now theirs alone.
							for (const other of wantedBy.get(id) ?? []) enqueue(other);
						}
						for (const id of now.keys()) if (!before.has(id)) add(wantedBy, id, key);
					},
					onRefused(now, before) {
						for (const id of before) remove(refusedFor, id, key);
						for (const id of now) add(refusedFor, id, key);
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
	/** What an autoscaler scales, or does not any more, compares otherwise. */
	const scaling = (object: KubeObject | undefined, old: KubeObject | undefined): Key[] => {
		const [now, before] = [scaleTargetOf(object), scaleTargetOf(old)];
		if (now === before) return [];
		return [now, before].flatMap((id) => {
			const keys = id === undefined ? [] : [...(wantedBy.get(id) ?? [])];
			for (const key of keys) states.get(key)?.comparison.touch(id ?? '', 'anew');
			return keys;
		});
	};
	/** What an object lacked may be there now, or what a revision was refused for. */
	const cameOrWent = (object: Dynamic): Key[] => {
		const refused = refusedFor.get(idOf(object));
		const namespace = mayBeLackedIn(object);
		const waiting = refused ? [...states.values()].filter(({ key }) => refused.has(key)) : [];
		for (const state of waiting) state.markStale();
		const within = namespace === undefined ? [] : [...states.values()].filter((state) => lacksIn(namespace, state));
		return [...waiting, ...within].map(({ key }) => key);
	};
	/** Whether an application wants something in a namespace, or has failed to sync something into it. */
	const lacksIn = (namespace: string, { key, desired }: ApplicationState) =>
		desired.values().some(({ object }) => object.metadata.namespace === namespace) ||
		hasFailedIn(namespace, applications.context?.cache.informer(Application).get(key)?.status);
	/** A pod has run into something, or out of it: whoever wants what made it says so. */
	const inTrouble = (pod: Pod | undefined, old: Pod | undefined): Key[] => {
		const either = pod ?? old;
		const { cache } = applications.context ?? {};
		if (!either || !cache || (pod && podTrouble(pod)) === (old && podTrouble(old))) return [];
		return makersOf(either, cache).flatMap((id) => [...(wantedBy.get(id) ?? [])]);
	};
	/** The objects that another application has, and wants too. */
	const sharedOf = ({ key, comparison }: ApplicationState): Map<string, Shared> => {
		const shared = new Map<string, Shared>();
		for (const [id, { desired, live }] of comparison.objects) {
			const wanting = wantedBy.get(id);
			if (!wanting || wanting.size < 2) continue;
			const by = desired && live && trackedBy(live);
			if (!by || applicationKey(by) === key || !wanting.has(applicationKey(by))) continue;
			shared.set(id, { id, by });
		}
		return shared;
	};

	let wasComplete = false;
	const look = async (key: Key, context: Context) => {
		const application = context.cache.informer(Application).get(key);
		const state = applications.state(key);
		if (!application) {
			states.delete(key);
			await state.dispose();
			return undefined;
		}
		const why = outside(application.metadata.namespace);
		if (why !== undefined) return refuseWhole(application, why, state, context);
		return application.metadata.deletionTimestamp
			? cascade(application, state, context)
			: turn(application, state, () => sharedOf(state), context);
	};

	const declaration = controller<Application>({
		name: 'application',
		for: Application,
		indexes: [autoscalersByTarget, ...troubleIndexes],
		everything: ({ object, old }) => [
			...changed(object as Dynamic | undefined, old as Dynamic | undefined),
			...(object && object.metadata.uid === old?.metadata.uid ? [] : cameOrWent((object ?? old) as Dynamic)),
			...scaling(object, old),
			...((object ?? old)?.kind === 'Pod' ? inTrouble(object as Pod | undefined, old as Pod | undefined) : []),
		],
		triggers(queue, context) {
			enqueue = queue;
			applications.context = { ...context, client: leavingReplicas(context.client, context.cache) };
			for (const go of waiting) go();
			// What was refused for a kind that nobody knew may be known now.
			const kinds = context.client.registry.onChange(() => {
				for (const state of states.values()) {
					if (!state.problem) continue;
					state.markStale();
					queue(state.key);
				}
			});
			context.signal.addEventListener(
				'abort',
				() => {
					kinds[Symbol.dispose]();
					applications.context = undefined;
					enqueue = () => {};
					for (const state of states.values()) void state.dispose();
					states.clear();
					marked.clear();
					wantedBy.clear();
					refusedFor.clear();
				},
				{ once: true },
			);
		},
		async reconcile(key, context) {
			const again = await look(key, applications.context ?? context);
			const before = wasComplete;
			wasComplete = complete();
			// What waited for the last one to be known, or to be gone, goes on.
			if (wasComplete && !before) for (const other of states.keys()) if (other !== key) enqueue(other);
			return again;
		},
	});
	return { applications, controller: declaration };
}

function add(index: Map<string, Set<Key>>, id: string, key: Key): void {
	const keys = index.get(id);
	if (keys) keys.add(key);
	else index.set(id, new Set([key]));
}

/** Whether it was there. */
function remove(index: Map<string, Set<Key>>, id: string, key: Key): boolean {
	const keys = index.get(id);
	const was = keys?.delete(key) ?? false;
	if (keys?.size === 0) index.delete(id);
	return was;
}
