/**
 * Makes the claims of volumes that live as long as their pod. They are the pod's own: the garbage collector takes them with it.
 * Source: Kubernetes documentation, "Ephemeral Volumes", Generic ephemeral volumes.
 */
import type { PersistentVolumeClaimTemplate } from 'kubernetes-types/core/v1.js';
import { keyOf, PersistentVolumeClaim, Pod } from '../../kinds/index.ts';
import { controllerReference } from '../runtime/claim.ts';
import { controller, watch } from '../runtime/controller.ts';
import { isTerminating, messageOf } from '../runtime/refusal.ts';
import { isFinished } from '../workloads/pod-state.ts';
import { podsByClaim } from './indexes.ts';
import { ephemeralName, isMadeFor } from './pod-claims.ts';

export const ephemeralVolumes = controller<Pod>({
	name: 'ephemeral-volume',
	component: 'ephemeral_volume',
	for: Pod,
	// One that stands in the way is another's: the pod hears of its end by its name.
	watches: [
		watch(PersistentVolumeClaim, function* (claim, cache) {
			for (const pod of cache.informer(Pod).by('claim', keyOf(claim))) yield keyOf(pod);
		}),
	],
	indexes: [podsByClaim],
	async reconcile(key, context) {
		const pod = context.cache.informer(Pod).get(key);
		if (!pod || pod.metadata.deletionTimestamp || isFinished(pod)) return undefined;
		for (const volume of pod.spec.volumes ?? []) {
			const template = volume.ephemeral?.volumeClaimTemplate;
			if (!template) continue;
			const say = (why: string) =>
				context.events.event(pod, 'Warning', 'FailedBinding', `ephemeral volume ${volume.name}: ${why}`);
			const claim = claimOf(pod, ephemeralName(pod.metadata.name, volume), template);
			const found = context.cache.informer(PersistentVolumeClaim).get(keyOf(claim));
			if (found && !isMadeFor(found, pod)) say(notMadeFor(found, pod));
			if (found) continue;
			try {
				await context.client.create(PersistentVolumeClaim, claim);
			} catch (error) {
				if (isTerminating(error)) return undefined;
				say(`create PVC ${claim.metadata.name}: ${messageOf(error)}`);
				throw error;
			}
		}
		return undefined;
	},
});

function claimOf(pod: Pod, name: string, { metadata, spec }: PersistentVolumeClaimTemplate): PersistentVolumeClaim {
	return {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		metadata: {
			name,
			namespace: pod.metadata.namespace,
			labels: metadata?.labels,
			annotations: metadata?.annotations,
			ownerReferences: [controllerReference(Pod, pod)],
		},
		spec,
	};
}

/** Why a pod cannot have a claim of the name of one of its volumes. */
export const notMadeFor = (claim: PersistentVolumeClaim, pod: Pod): string =>
	`PVC ${keyOf(claim)} was not created for pod ${keyOf(pod)} (pod is not owner)`;
