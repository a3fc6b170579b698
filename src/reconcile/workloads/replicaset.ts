/** The ReplicaSet controller: keeps as many pods of a template as the set says. Source: Kubernetes documentation, "ReplicaSet". */
import { type Kind, type KubeObject, keyOf, Pod, ReplicaSet } from '../../kinds/index.ts';
import { adopt, controllerOf, controllerReference, release } from '../runtime/claim.ts';
import { type Context, type Controller, controller, index, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { selects } from '../runtime/label-selector.ts';
import { isConflict, isNotFound, isTerminating, messageOf } from '../runtime/refusal.ts';
import { allAtOnce, slowStart } from '../runtime/slow-start.ts';
import { planReplicas, type ReplicaFailure, type ReplicaPlan, replicaStatus } from './replicas.ts';

/** Pods that nobody controls, by namespace: they may be adopted. */
const ORPHANS = 'orphans';

/** A kind whose objects keep as many pods of a template as they say. */
export interface Keeper<T extends KubeObject> {
	readonly name: string;
	readonly component?: string;
	readonly kind: Kind<T>;
	/** The object as a ReplicaSet: the same one for the same object. */
	readonly view: (object: T) => ReplicaSet;
}

/** Relies on the runtime to show a key its own earlier writes: pods are named by chance, and must not be made twice. */
export function keepReplicas<T extends KubeObject>(keeper: Keeper<T>): Controller {
	const { kind, view } = keeper;
	return controller<T>({
		name: keeper.name,
		component: keeper.component,
		for: kind,
		owns: [Pod],
		watches: [watch(Pod, (pod, cache) => (controllerOf(pod) ? [] : selecting(keeper, pod, cache)))],
		indexes: [index(Pod, ORPHANS, (pod) => (controllerOf(pod) ? [] : [pod.metadata.namespace ?? '']))],
		async reconcile(key, context) {
			const { cache, client, now } = context;
			const object = cache.informer(kind).get(key);
			if (!object) return undefined;
			const set = view(object);

			const plan = planReplicas(set, podsAround(set, cache), now(), () => relatedPods(keeper, set, cache));
			await Promise.all([
				...plan.adopt.map((pod) => adopt(client, kind, object, Pod, pod)),
				...plan.release.map((pod) => release(client, set, Pod, pod)),
			]);
			const done = await execute(kind, set, plan, context);

			const { status, nextAvailable } = replicaStatus(set, done.pods, now(), done.failure);
			if (!sameJson(status, set.status)) await client.update(kind, { ...object, status }, { subresource: 'status' });
			if (done.failure) throw new Error(`${done.failure.reason}: ${done.failure.message}`);
			return nextAvailable === undefined ? undefined : { after: Math.max(0, nextAvailable - now()) };
		},
	});
}

export const replicaSet = keepReplicas<ReplicaSet>({ name: 'replicaset', kind: ReplicaSet, view: (set) => set });

/** The pods that the set owns or may adopt. */
function* podsAround(set: ReplicaSet, cache: Context['cache']): Iterable<Pod> {
	const informer = cache.informer(Pod);
	yield* informer.by('owner', set.metadata.uid ?? '');
	yield* informer.by(ORPHANS, set.metadata.namespace ?? '');
}

/** The pods of all sets of the set's Deployment. */
function* relatedPods({ kind }: { readonly kind: Kind }, set: ReplicaSet, cache: Context['cache']): Iterable<Pod> {
	const owner = controllerOf(set)?.uid;
	const sets = owner ? cache.informer(kind).by('owner', owner) : [set];
	for (const { metadata } of sets) yield* cache.informer(Pod).by('owner', metadata.uid ?? '');
}

function* selecting<T extends KubeObject>({ kind, view }: Keeper<T>, pod: Pod, cache: Context['cache']) {
	for (const object of cache.informer(kind).by('namespace', pod.metadata.namespace ?? ''))
		if (selects(view(object).spec.selector, pod.metadata.labels)) yield keyOf(object);
}

/** Creates and deletes as planned, and returns the set's pods as they are then. */
async function execute(kind: Kind, set: ReplicaSet, plan: ReplicaPlan, context: Context) {
	const { client, events } = context;
	const pods = new Set<Pod>(plan.keep);

	const creations = Array.from({ length: plan.create }, () => async () => {
		const pod = await client.create(Pod, podOf(kind, set));
		pods.add(pod);
		events.event(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
	});
	const deletions = plan.delete.map((pod) => async () => {
		try {
			await client.delete(Pod, pod.metadata, { preconditions: { uid: pod.metadata.uid } });
		} catch (error) {
			if (isNotFound(error) || isConflict(error)) return;
			pods.add(pod);
			throw error;
		}
		events.event(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
	});

	const refused = (await slowStart(creations)).filter((error) => !isTerminating(error)).map(nameless(set));
	for (const message of refused) events.event(set, 'Warning', 'FailedCreate', `Error creating: ${message}`);
	const kept = (await allAtOnce(deletions)).map(messageOf);
	for (const message of kept) events.event(set, 'Warning', 'FailedDelete', `Error deleting: ${message}`);

	const [message] = [...refused, ...kept];
	const reason: ReplicaFailure['reason'] = refused.length > 0 ? 'FailedCreate' : 'FailedDelete';
	return { pods: [...pods], failure: message === undefined ? undefined : { reason, message } };
}

/** A pod of the set's template, named by the API server. */
function podOf(kind: Kind, set: ReplicaSet): Pod {
	const { metadata, spec } = set.spec.template ?? {};
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name: '',
			generateName: `${set.metadata.name}-`,
			namespace: set.metadata.namespace,
			labels: metadata?.labels,
			annotations: metadata?.annotations,
			finalizers: metadata?.finalizers,
			ownerReferences: [controllerReference(kind, set)],
		},
		spec: spec ?? { containers: [] },
	};
}

/**
 * What was wrong, without the name that the pod would have had: each try has another, and one fault is to be told once.
 */
function nameless({ metadata }: ReplicaSet): (error: unknown) => string {
	const name = new RegExp(`"${RegExp.escape(metadata.name)}-[a-z0-9]{5}"`, 'g');
	return (error) => messageOf(error).replaceAll(name, `"${metadata.name}-"`);
}
