import type * as core from 'kubernetes-types/core/v1.js';
import { checkName, checkOneOf } from '../checks.ts';
import { age, column, kind, wide } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import type { Kind } from '../kind.ts';
import { atomic } from '../merges.ts';
import { dnsSubdomain } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { VOLUME_NODE } from './local-volume.ts';
import { validateNodeSelector } from './scheduling-validation.ts';
import {
	accessModesText,
	checkAccessModes,
	checkPositive,
	classOf,
	fractionWarning,
	volumeModes,
} from './volume-modes.ts';
import { validateHostPath, validateNfs } from './volume-validation.ts';

export type PersistentVolume = Persisted<core.PersistentVolume>;

const reclaimPolicies = ['Delete', 'Recycle', 'Retain'] as const;

/** What of a volume's spec says something else than what it is made of. */
const notSources: ReadonlySet<string> = new Set([
	...['accessModes', 'capacity', 'claimRef', 'mountOptions', 'nodeAffinity', 'persistentVolumeReclaimPolicy'],
	...['storageClassName', 'volumeAttributesClassName', 'volumeMode'],
]);

/** Source: Kubernetes API reference, "PersistentVolume". */
export const PersistentVolume: Kind<PersistentVolume> = kind<PersistentVolume>({
	group: '',
	version: 'v1',
	kind: 'PersistentVolume',
	plural: 'persistentvolumes',
	schema: 'io.k8s.api.core.v1.PersistentVolume',
	merges: {
		'io.k8s.api.core.v1.PersistentVolumeSpec': {
			accessModes: atomic,
			// A reference is one value elsewhere; of this one the binder fills in what its owner has left out.
			claimRef: { 'x-kubernetes-map-type': 'granular' },
			mountOptions: atomic,
		},
		'io.k8s.api.core.v1.CephFSPersistentVolumeSource': { monitors: atomic },
		'io.k8s.api.core.v1.ISCSIPersistentVolumeSource': { portals: atomic },
		'io.k8s.api.core.v1.RBDPersistentVolumeSource': { monitors: atomic },
		'io.k8s.api.core.v1.SecretReference': { '.': { 'x-kubernetes-map-type': 'atomic' } },
	},
	shortNames: ['pv'],
	namespaced: false,
	subresources: { status: true },
	returnsDeleted: true,
	// By which the agent of a node follows the volumes that lie on it.
	selectableFields: { [VOLUME_NODE]: ({ metadata }) => metadata.annotations?.[VOLUME_NODE] ?? '' },
	columns: [
		column('Capacity', 'string', 'What it has.', ({ spec }) => spec.capacity?.storage ?? '0'),
		column('Access Modes', 'string', 'How it may be accessed.', ({ spec }) => accessModesText(spec.accessModes)),
		column('Reclaim Policy', 'string', 'What becomes of it when its claim is gone.', ({ spec }) => {
			return spec.persistentVolumeReclaimPolicy ?? '';
		}),
		column('Status', 'string', 'Whether a claim has it.', ({ metadata, status }) =>
			metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''),
		),
		column('Claim', 'string', 'Who has it.', ({ spec: { claimRef } }) =>
			claimRef ? `${claimRef.namespace}/${claimRef.name}` : '',
		),
		column('StorageClass', 'string', 'Its class.', (volume) => classOf(volume) ?? ''),
		column('VolumeAttributesClass', 'string', 'The class of its attributes.', ({ spec }) => {
			return spec.volumeAttributesClassName ?? '<unset>';
		}),
		column('Reason', 'string', 'Why it is as it is.', ({ status }) => status?.reason ?? ''),
		age,
		wide('VolumeMode', 'string', 'A file system, or a device.', ({ spec }) => spec.volumeMode ?? '<unset>'),
	],
	defaults({ spec }) {
		if (!spec) return;
		spec.persistentVolumeReclaimPolicy ??= 'Retain';
		spec.volumeMode ??= 'Filesystem';
		if (spec.hostPath) spec.hostPath.type ??= '';
		if (spec.iscsi) spec.iscsi.iscsiInterface ||= 'default';
	},
	prepare(volume, old) {
		if (!old) Object.assign(volume, { status: { phase: 'Pending' } });
	},
	validate(volume, old) {
		const errors: FieldError[] = [];
		const { spec } = volume;
		if (!spec) return [fieldError.required('spec')];
		validateSpec(spec, errors);
		if (old) validateUpdate(spec, old.spec, errors);
		return errors;
	},
	warnings: ({ spec }) => fractionWarning(spec.capacity?.storage, 'spec.capacity[storage]'),
});

/** What a volume is made of: its parts that are no more than that. */
function sourcesOf(spec: core.PersistentVolumeSpec): Record<string, unknown> {
	return Object.fromEntries(Object.entries(spec).filter(([field, value]) => !notSources.has(field) && value));
}

function validateSpec(spec: core.PersistentVolumeSpec, errors: FieldError[]): void {
	checkAccessModes(spec.accessModes, 'spec.accessModes', '', errors);
	const resources = Object.keys(spec.capacity ?? {});
	if (resources.length === 0) errors.push(fieldError.required('spec.capacity'));
	else if (resources.length > 1 || resources[0] !== 'storage')
		errors.push(fieldError.notSupported('spec.capacity', spec.capacity, ['storage']));
	checkPositive(spec.capacity?.storage, 'spec.capacity[storage]', errors);
	checkOneOf(spec.persistentVolumeReclaimPolicy, 'spec.persistentVolumeReclaimPolicy', reclaimPolicies, errors);
	if (spec.nodeAffinity) {
		if (!spec.nodeAffinity.required)
			errors.push(fieldError.required('spec.nodeAffinity.required', 'must specify required node constraints'));
		else validateNodeSelector(spec.nodeAffinity.required, 'spec.nodeAffinity.required', errors);
	}
	const sources = Object.keys(sourcesOf(spec));
	if (sources.length === 0) errors.push(fieldError.required('spec', 'must specify a volume type'));
	for (const source of sources.slice(1))
		errors.push(fieldError.forbidden(`spec.${source}`, 'may not specify more than 1 volume type'));
	validateSource(spec, errors);
	checkName(spec.storageClassName, 'spec.storageClassName', dnsSubdomain, errors);
	checkOneOf(spec.volumeMode, 'spec.volumeMode', volumeModes, errors);
}

function validateSource(spec: core.PersistentVolumeSpec, errors: FieldError[]): void {
	const { hostPath, local, nfs, csi } = spec;
	if (hostPath) {
		validateHostPath(hostPath, 'spec.hostPath', errors);
		if (hostPath.path && /^\/+$/.test(hostPath.path) && spec.persistentVolumeReclaimPolicy === 'Recycle')
			errors.push(
				fieldError.forbidden('spec.persistentVolumeReclaimPolicy', "may not be 'recycle' for a hostPath mount of '/'"),
			);
	}
	if (nfs) validateNfs(nfs, 'spec.nfs', errors);
	if (local) {
		if (!local.path) errors.push(fieldError.required('spec.local.path'));
		else if (local.path.split('/').includes('..'))
			errors.push(fieldError.invalid('spec.local.path', local.path, "must not contain '..'"));
		if (!spec.nodeAffinity?.required)
			errors.push(fieldError.required('spec.nodeAffinity', 'Local volume requires node affinity'));
	}
	if (csi) {
		checkName(csi.driver, 'spec.csi.driver', dnsSubdomain, errors, 'required');
		if (!csi.volumeHandle) errors.push(fieldError.required('spec.csi.volumeHandle'));
		for (const name of [
			'controllerPublishSecretRef',
			'controllerExpandSecretRef',
			'nodePublishSecretRef',
			'nodeStageSecretRef',
			'nodeExpandSecretRef',
		] as const)
			for (const part of ['name', 'namespace'] as const)
				if (csi[name] && !csi[name][part]) errors.push(fieldError.required(`spec.csi.${name}.${part}`));
	}
}

function validateUpdate(spec: core.PersistentVolumeSpec, old: core.PersistentVolumeSpec, errors: FieldError[]): void {
	if (!deepEqual(sourcesOf(spec), sourcesOf(old)))
		errors.push(
			fieldError.forbidden('spec.persistentvolumesource', 'spec.persistentvolumesource is immutable after creation'),
		);
	if (spec.volumeMode !== old.volumeMode)
		errors.push(fieldError.invalid('spec.volumeMode', spec.volumeMode ?? null, 'field is immutable'));
	if (old.nodeAffinity && !deepEqual(spec.nodeAffinity, old.nodeAffinity))
		errors.push(fieldError.invalid('spec.nodeAffinity', spec.nodeAffinity ?? null, 'field is immutable'));
}
