/** Which volume serves a claim. Pure. Source: Kubernetes documentation, "Persistent Volumes", Binding. */
import {
	classOf,
	compareQuantities,
	keyOf,
	type PersistentVolume,
	type PersistentVolumeClaim,
} from '../../kinds/index.ts';
import { selects } from '../runtime/label-selector.ts';

/** The claim that a volume names, as a key; undefined where it names none. */
export function claimKeyOf({ spec: { claimRef } }: PersistentVolume): string | undefined {
	return claimRef?.name ? keyOf({ metadata: { namespace: claimRef.namespace ?? '', name: claimRef.name } }) : undefined;
}

/** Whether the volume names this very claim, or one of its name that was not there yet. */
export function isFor({ spec: { claimRef } }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
	return (
		claimRef?.name === metadata.name &&
		claimRef.namespace === metadata.namespace &&
		(!claimRef.uid || claimRef.uid === metadata.uid)
	);
}

export const requestOf = ({ spec }: PersistentVolumeClaim): string => spec.resources?.requests?.storage ?? '0';
export const capacityOf = ({ spec }: PersistentVolume): string => spec.capacity?.storage ?? '0';
const modeOf = ({ spec }: PersistentVolume | PersistentVolumeClaim) => spec.volumeMode ?? 'Filesystem';

const isLargeEnough = (volume: PersistentVolume, claim: PersistentVolumeClaim) =>
	compareQuantities(capacityOf(volume), requestOf(claim)) >= 0;
const hasModes = (volume: PersistentVolume, { spec }: PersistentVolumeClaim) =>
	(spec.accessModes ?? []).every((mode) => volume.spec.accessModes?.includes(mode));

/** Why a volume that a claim names cannot be its; undefined where it can. In Kubernetes' words. */
export function mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim): string | undefined {
	if (!isLargeEnough(volume, claim)) return 'requested PV is too small';
	if ((classOf(claim) ?? '') !== (classOf(volume) ?? '')) return 'storageClassName does not match';
	if (modeOf(volume) !== modeOf(claim)) return 'incompatible volumeMode';
	if (!hasModes(volume, claim)) return 'incompatible accessMode';
	return undefined;
}

/** Whether the volume is nobody's, and serves the claim. */
export function serves(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
	return (
		!volume.metadata.deletionTimestamp &&
		!volume.spec.claimRef &&
		volume.status?.phase === 'Available' &&
		mismatch(volume, claim) === undefined &&
		(!claim.spec.selector || selects(claim.spec.selector, volume.metadata.labels))
	);
}

/** The volume that waits for this claim by name and can serve it. */
export function reserved(
	volumes: Iterable<PersistentVolume>,
	claim: PersistentVolumeClaim,
): PersistentVolume | undefined {
	for (const volume of volumes)
		if (
			isFor(volume, claim) &&
			!volume.metadata.deletionTimestamp &&
			modeOf(volume) === modeOf(claim) &&
			isLargeEnough(volume, claim)
		)
			return volume;
	return undefined;
}

/** The smallest of the volumes that serve the claim; of equal ones the first by name. */
export function smallest(
	volumes: Iterable<PersistentVolume>,
	claim: PersistentVolumeClaim,
	fits: (volume: PersistentVolume) => boolean = () => true,
): PersistentVolume | undefined {
	let best: PersistentVolume | undefined;
	for (const volume of volumes) {
		if (!serves(volume, claim) || !fits(volume)) continue;
		const order = best ? compareQuantities(capacityOf(volume), capacityOf(best)) : -1;
		if (!best || order < 0 || (order === 0 && volume.metadata.name < best.metadata.name)) best = volume;
	}
	return best;
}
