/** The defaults of volumes. Source: Kubernetes API reference, "Volume". */
import type * as core from 'kubernetes-types/core/v1.js';
import { defaultClaimSpec } from './claim-validation.ts';
import { defaultPullPolicy } from './container-defaults.ts';

/** Octal 0644. */
const DEFAULT_FILE_MODE = 420;

/** One hour: how long a projected service account token lives. */
const TOKEN_SECONDS = 3600;

/** A volume that is newer than the types' package. */
interface ImageVolume {
	image?: { reference?: string; pullPolicy?: string };
}

export function defaultVolume(volume: core.Volume & ImageVolume): void {
	if (Object.keys(volume).every((field) => field === 'name')) volume.emptyDir = {};
	if (volume.hostPath) volume.hostPath.type ??= '';
	if (volume.secret) volume.secret.defaultMode ??= DEFAULT_FILE_MODE;
	if (volume.configMap) volume.configMap.defaultMode ??= DEFAULT_FILE_MODE;
	if (volume.downwardAPI) {
		volume.downwardAPI.defaultMode ??= DEFAULT_FILE_MODE;
		defaultFiles(volume.downwardAPI.items);
	}
	if (volume.projected) {
		volume.projected.defaultMode ??= DEFAULT_FILE_MODE;
		for (const source of volume.projected.sources ?? []) {
			if (source.serviceAccountToken) source.serviceAccountToken.expirationSeconds ??= TOKEN_SECONDS;
			defaultFiles(source.downwardAPI?.items);
		}
	}
	if (volume.iscsi) volume.iscsi.iscsiInterface ||= 'default';
	if (volume.rbd) {
		volume.rbd.pool ||= 'rbd';
		volume.rbd.user ||= 'admin';
		volume.rbd.keyring ||= '/etc/ceph/keyring';
	}
	if (volume.scaleIO) {
		volume.scaleIO.storageMode ||= 'ThinProvisioned';
		volume.scaleIO.fsType ||= 'xfs';
	}
	if (volume.azureDisk) {
		volume.azureDisk.cachingMode ??= 'ReadWrite';
		volume.azureDisk.kind ??= 'Shared';
		volume.azureDisk.fsType ??= 'ext4';
		volume.azureDisk.readOnly ??= false;
	}
	const claim = volume.ephemeral?.volumeClaimTemplate?.spec;
	if (claim) defaultClaimSpec(claim);
	if (volume.image) volume.image.pullPolicy ||= defaultPullPolicy(volume.image.reference);
}

function defaultFiles(files: core.DownwardAPIVolumeFile[] | undefined): void {
	for (const file of files ?? []) {
		if (file.fieldRef) file.fieldRef.apiVersion ||= 'v1';
		if (file.resourceFieldRef) file.resourceFieldRef.divisor ??= '0';
	}
}
