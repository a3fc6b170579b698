/** How controllers of volumes find claims, volumes and pods. */
import { classOf, type Key, PersistentVolume, PersistentVolumeClaim, Pod } from '../../kinds/index.ts';
import { index } from '../runtime/controller.ts';
import { BIND_COMPLETED } from './annotations.ts';
import { claimKeyOf } from './match.ts';
import { claimKeysOf } from './pod-claims.ts';

/** Volumes by the claim that they name. */
export const volumesByClaim = index(PersistentVolume, 'claim', (volume) => listed(claimKeyOf(volume)));

/** Volumes that name no claim, by their class. */
export const freeVolumes = index(PersistentVolume, 'free of class', (volume) =>
	volume.spec.claimRef ? [] : [classOf(volume) ?? ''],
);

/** Claims by the volume that they name. */
export const claimsByVolume = index(PersistentVolumeClaim, 'volume', ({ spec }) => listed(spec.volumeName));

/** Claims that have no volume yet, by their class. */
export const waitingClaims = index(PersistentVolumeClaim, 'waiting of class', (claim) =>
	claim.metadata.annotations?.[BIND_COMPLETED] === undefined ? [classOf(claim) ?? ''] : [],
);

/** Pods by the claims that they name. */
export const podsByClaim = index(Pod, 'claim', claimKeysOf);

const listed = (key: Key | undefined): Key[] => (key ? [key] : []);
