/** What is to be done next for a volume: a pure decision. Source: Kubernetes documentation, "Persistent Volumes", Lifecycle of a volume and claim. */
import type { PersistentVolume, PersistentVolumeClaim } from '../../kinds/index.ts';
import { BOUND_BY_CONTROLLER, PROVISIONED_BY } from './annotations.ts';

export type VolumeStep =
	/** Its status is to be this. */
	| { readonly do: 'phase'; readonly phase: 'Available' | 'Bound' }
	/** Its claim is not there: whether that is so, and not only late to be seen, is to be asked first. */
	| { readonly do: 'release' }
	/** It was promised to a claim that has another one now: anybody else may have it. */
	| { readonly do: 'part' };

/** @param claim - that which the volume names, where there is one of its name. */
export function planVolume(volume: PersistentVolume, claim: PersistentVolumeClaim | undefined): VolumeStep {
	const { claimRef } = volume.spec;
	// Without a uid it is promised to a name: who comes with that gets it.
	if (!claimRef?.uid) return { do: 'phase', phase: 'Available' };
	if (claim?.metadata.uid !== claimRef.uid) return { do: 'release' };
	const { volumeName } = claim.spec;
	// The claim's own controller goes on from here.
	if (!volumeName || volumeName === volume.metadata.name) return { do: 'phase', phase: 'Bound' };
	const annotations = volume.metadata.annotations ?? {};
	const made = annotations[PROVISIONED_BY] !== undefined && volume.spec.persistentVolumeReclaimPolicy === 'Delete';
	return made ? { do: 'release' } : { do: 'part' };
}

/** The volume as it is nobody's: promised still where its owner has promised it. */
export function parted(volume: PersistentVolume): PersistentVolume {
	const { [BOUND_BY_CONTROLLER]: ours, ...annotations } = volume.metadata.annotations ?? {};
	const { claimRef, ...spec } = volume.spec;
	const promised =
		ours === undefined && claimRef ? { ...claimRef, uid: undefined, resourceVersion: undefined } : undefined;
	return {
		...volume,
		metadata: { ...volume.metadata, annotations },
		spec: { ...spec, ...(promised && { claimRef: promised }) },
	};
}

export type Reclaim = 'keep' | 'recycle' | 'delete';

/** What becomes of a volume whose claim is gone. */
export function reclaimOf({ spec }: PersistentVolume): Reclaim {
	switch (spec.persistentVolumeReclaimPolicy) {
		case 'Delete':
			return 'delete';
		case 'Recycle':
			return 'recycle';
		default:
			return 'keep';
	}
}
