/**
 * Takes the finalizer of Jobs from pods that no Job will count any more: their Job is gone, or they were left to themselves.
 * Source: Kubernetes documentation, "Jobs", "Job tracking with finalizers".
 */
import type { Client } from '../../client/index.ts';
import { ApiError, Job, keyOf, Pod } from '../../kinds/index.ts';
import { controllerOf } from '../runtime/claim.ts';
import { controller, index, watch } from '../runtime/controller.ts';
import { isConflict, unlessGone } from '../runtime/refusal.ts';
import { isTracked, TRACKING } from './job-pods.ts';

/** Pods with the finalizer, by the key of their Job. */
const BY_JOB = 'tracked by job';

const jobKeyOf = (pod: Pod): string | undefined => {
	const owner = controllerOf(pod);
	return owner?.kind === 'Job'
		? keyOf({ metadata: { name: owner.name, namespace: pod.metadata.namespace } })
		: undefined;
};

export const jobFinalizer = controller<Pod>({
	name: 'job-finalizer',
	indexes: [index(Pod, BY_JOB, (pod) => (isTracked(pod) ? [jobKeyOf(pod) ?? ''] : []))],
	watches: [
		watch(Pod, (pod) => (isTracked(pod) ? [keyOf(pod)] : []), {
			part: ({ metadata }) => [metadata.finalizers, metadata.ownerReferences],
		}),
		watch(
			Job,
			function* (job, cache) {
				for (const pod of cache.informer(Pod).by(BY_JOB, keyOf(job))) yield keyOf(pod);
			},
			{ part: ({ metadata }) => metadata.uid },
		),
	],
	async reconcile(key, { cache, client }) {
		const pod = cache.informer(Pod).get(key);
		if (!pod || !isTracked(pod)) return undefined;
		const owner = controllerOf(pod);
		if (owner) {
			if (owner.kind !== 'Job') return undefined;
			const name = { name: owner.name, namespace: pod.metadata.namespace };
			if (cache.informer(Job).get(keyOf({ metadata: name }))?.metadata.uid === owner.uid) return undefined;
			// The API itself is asked: a pod that is let go is not counted.
			const job = await unlessGone(client.get(Job, name));
			if (job?.metadata.uid === owner.uid) return undefined;
		}
		await withoutTracking(client, pod);
		return undefined;
	},
});

/** Takes the finalizer from the pod, whatever else is written to it meanwhile. Of one that is gone there is nothing to take. */
export async function withoutTracking(client: Client, pod: Pod): Promise<void> {
	if (!isTracked(pod)) return;
	const { name, namespace, uid, finalizers = [] } = pod.metadata;
	const where = { name, namespace };
	if (finalizers.length === 1 && (await withoutList(client, pod))) return;
	const body = { metadata: { uid, '$deleteFromPrimitiveList/finalizers': [TRACKING] } };
	try {
		await unlessGone(client.patch(Pod, where, { type: 'strategic', body }));
	} catch (error) {
		// Another pod has its name now.
		if (!isConflict(error)) throw error;
		const there = await unlessGone(client.get(Pod, where));
		if (there?.metadata.uid === uid) throw error;
	}
}

/** Takes the whole list away, where the finalizer is still the only one: an empty list would stay behind. Whether it did. */
async function withoutList(client: Client, { metadata: { name, namespace, uid } }: Pod): Promise<boolean> {
	const body = [
		{ op: 'test', path: '/metadata/uid', value: uid },
		{ op: 'test', path: '/metadata/finalizers', value: [TRACKING] },
		{ op: 'remove', path: '/metadata/finalizers' },
	];
	try {
		await unlessGone(client.patch(Pod, { name, namespace }, { type: 'json', body }));
		return true;
	} catch (error) {
		if (error instanceof ApiError && error.code === 422) return false;
		throw error;
	}
}
