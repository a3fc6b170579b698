/** The ReplicaSet controller: keeps as many pods of a template as the set says. Source: Kubernetes documentation, "ReplicaSet". */
import { keyOf, Pod, ReplicaSet } from '../../kinds/index.ts';
import { adopt, controllerOf, controllerReference, release } from '../runtime/claim.ts';
import { type Context, controller, index, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { selects } from '../runtime/label-selector.ts';
import { isConflict, isNotFound, isTerminating, messageOf } from '../runtime/refusal.ts';
import { allAtOnce, slowStart } from '../runtime/slow-start.ts';
import { planReplicas, type ReplicaFailure, type ReplicaPlan, replicaStatus } from './replicas.ts';

/** Pods that nobody controls, by namespace: they may be adopted. */
const ORPHANS = 'orphans';

/** Relies on the runtime to show a key its own earlier writes: pods are named by chance, and must not be made twice. */
export const replicaSet = controller<ReplicaSet>({
	name: 'replicaset',
	for: ReplicaSet,
	owns: [Pod],
	watches: [watch(Pod, (pod, cache) => (controllerOf(pod) ? [] : selecting(pod, cache)))],
	indexes: [index(Pod, ORPHANS, (pod) => (controllerOf(pod) ? [] : [pod.metadata.namespace ?? '']))],
	async reconcile(key, context) {
		const { cache, client, now } = context;
		const set = cache.informer(ReplicaSet).get(key);
		if (!set) return undefined;

		const plan = planReplicas(set, podsAround(set, cache), now(), () => relatedPods(set, cache));
		await Promise.all([
			...plan.adopt.map((pod) => adopt(client, ReplicaSet, set, Pod, pod)),
			...plan.release.map((pod) => release(client, set, Pod, pod)),
		]);
		const done = await execute(set, plan, context);

		const { status, nextAvailable } = replicaStatus(set, done.pods, now(), done.failure);
		if (!sameJson(status, set.status)) await client.update(ReplicaSet, { ...set, status }, { subresource: 'status' });
		if (done.failure) throw new Error(`${done.failure.reason}: ${done.failure.message}`);
		return nextAvailable === undefined ? undefined : { after: Math.max(0, nextAvailable - now()) };
	},
});

/** The pods that the set owns or may adopt. */
function* podsAround(set: ReplicaSet, cache: Context['cache']): Iterable<Pod> {
	const informer = cache.informer(Pod);
	yield* informer.by('owner', set.metadata.uid ?? '');
	yield* informer.by(ORPHANS, set.metadata.namespace ?? '');
}

/** The pods of all sets of the set's Deployment. */
function* relatedPods(set: ReplicaSet, cache: Context['cache']): Iterable<Pod> {
	const owner = controllerOf(set)?.uid;
	const sets = owner ? cache.informer(ReplicaSet).by('owner', owner) : [set];
	for (const { metadata } of sets) yield* cache.informer(Pod).by('owner', metadata.uid ?? '');
}

function* selecting(pod: Pod, cache: Context['cache']): Iterable<string> {
	for (const set of cache.informer(ReplicaSet).by('namespace', pod.metadata.namespace ?? ''))
		if (selects(set.spec.selector, pod.metadata.labels)) yield keyOf(set);
}

/** Creates and deletes as planned, and returns the set's pods as they are then. */
async function execute(set: ReplicaSet, plan: ReplicaPlan, context: Context) {
	const { client, events } = context;
	const pods = new Set<Pod>(plan.keep);

	const creations = Array.from({ length: plan.create }, () => async () => {
		const pod = await client.create(Pod, podOf(set));
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
function podOf(set: ReplicaSet): Pod {
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
			ownerReferences: [controllerReference(ReplicaSet, set)],
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
