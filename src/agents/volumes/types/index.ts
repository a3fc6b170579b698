/** The types of volumes that there are. */
import type * as core from 'kubernetes-types/core/v1.js';
import { VolumeError } from '../error.ts';
import type { VolumeType } from '../type.ts';
import { ephemeral, persistentVolumeClaim } from './claim.ts';
import { configMap } from './config-map.ts';
import { csi } from './csi.ts';
import { downwardApi } from './downward-api.ts';
import { emptyDir } from './empty-dir.ts';
import { hostPath } from './host-path.ts';
import { projected } from './projected.ts';
import { secret } from './secret.ts';

export const types: readonly VolumeType[] = [
	emptyDir,
	hostPath,
	configMap,
	secret,
	downwardApi,
	projected,
	persistentVolumeClaim,
	ephemeral,
	csi,
];

/** The type of a volume. Throws VolumeError where there is none for its source. */
export function typeOf(volume: core.Volume): VolumeType {
	const found = types.find(({ key }) => volume[key] !== undefined);
	if (found) return found;
	const key = Object.keys(volume).find((one) => one !== 'name') ?? 'unknown';
	const known = types.map((type) => type.key);
	throw new VolumeError(
		`volumes of type ${key} are not supported: use ${known.slice(0, -1).join(', ')} or ${known.at(-1)}`,
	);
}
