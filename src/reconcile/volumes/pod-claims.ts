/** The claims that a pod names, or that are made for it. Source: Kubernetes documentation, "Ephemeral Volumes", Generic ephemeral volumes. */
import type { Volume } from 'kubernetes-types/core/v1.js';
import { type Key, keyOf, type PersistentVolumeClaim, type Pod } from '../../kinds/index.ts';
import { controllerOf } from '../runtime/claim.ts';

export interface PodClaim {
	/** Of the volume in the pod. */
	readonly volume: string;
	/** Of the claim, in the pod's namespace. */
	readonly name: string;
	/** Whether it is made for the pod and goes with it. */
	readonly ephemeral: boolean;
}

export function claimsOf({ metadata, spec }: Pod): readonly PodClaim[] {
	const { volumes } = spec;
	if (!volumes) return [];
	const found: PodClaim[] = [];
	for (const volume of volumes) {
		const claim = volume.persistentVolumeClaim?.claimName;
		if (claim) found.push({ volume: volume.name, name: claim, ephemeral: false });
		else if (volume.ephemeral)
			found.push({ volume: volume.name, name: ephemeralName(metadata.name, volume), ephemeral: true });
	}
	return found;
}

/** The name of the claim that is made for a volume of a pod. */
export const ephemeralName = (pod: string, { name }: Pick<Volume, 'name'>): string => `${pod}-${name}`;

/** The keys of the claims of a pod. */
export const claimKeysOf = (pod: Pod): Key[] =>
	claimsOf(pod).map(({ name }) => keyOf({ metadata: { namespace: pod.metadata.namespace ?? '', name } }));

/** Whether the claim was made for this pod. */
export const isMadeFor = (claim: PersistentVolumeClaim, { metadata }: Pod): boolean =>
	controllerOf(claim)?.uid === metadata.uid && claim.metadata.namespace === metadata.namespace;
