/** Where volumes lie in the folder of their pod, as the kubelet has it. */
import { join } from 'node:path';
import type { VolumeType } from './type.ts';

/** The folder of the mounts of parts of volumes. */
export const SUBPATHS = 'volume-subpaths';

/** The folder of the pod's volumes of a type. */
export const volumesOf = (root: string, { folder }: VolumeType) => join(root, 'volumes', `kubernetes.io~${folder}`);
