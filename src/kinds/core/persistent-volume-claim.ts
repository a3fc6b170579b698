import type * as core from 'kubernetes-types/core/v1.js';
import { age, column, kind, wide } from '../declare.ts';
import type { Health, Kind } from '../kind.ts';
import { atomic, conditions } from '../merges.ts';
import type { Persisted } from '../object.ts';
import type { FieldError } from '../status.ts';
import { defaultClaimSpec, validateClaimSpec, validateClaimUpdate } from './claim-validation.ts';
import { accessModesText, classOf, fractionWarning } from './volume-modes.ts';

export type PersistentVolumeClaim = Persisted<core.PersistentVolumeClaim>;

/** Source: Kubernetes API reference, "PersistentVolumeClaim". */
export const PersistentVolumeClaim: Kind<PersistentVolumeClaim> = kind<PersistentVolumeClaim>({
	group: '',
	version: 'v1',
	kind: 'PersistentVolumeClaim',
	plural: 'persistentvolumeclaims',
	schema: 'io.k8s.api.core.v1.PersistentVolumeClaim',
	merges: {
		'io.k8s.api.core.v1.PersistentVolumeClaimStatus': { accessModes: atomic, ...conditions },
	},
	shortNames: ['pvc'],
	subresources: { status: true },
	returnsDeleted: true,
	columns: [
		column('Status', 'string', 'Whether the claim has a volume.', ({ metadata, status }) =>
			metadata.deletionTimestamp ? 'Terminating' : (status?.phase ?? ''),
		),
		column('Volume', 'string', 'The volume of the claim.', ({ spec }) => spec.volumeName ?? ''),
		column('Capacity', 'string', 'What the volume has.', ({ spec, status }) =>
			spec.volumeName ? (status?.capacity?.storage ?? '0') : '',
		),
		column('Access Modes', 'string', 'How the volume may be accessed.', ({ spec, status }) =>
			spec.volumeName ? accessModesText(status?.accessModes) : '',
		),
		column('StorageClass', 'string', 'The class that makes the volume.', (claim) => classOf(claim) ?? ''),
		column('VolumeAttributesClass', 'string', 'The class of its attributes.', ({ spec }) => {
			return spec.volumeAttributesClassName ?? '<unset>';
		}),
		age,
		wide('VolumeMode', 'string', 'A file system, or a device.', ({ spec }) => spec.volumeMode ?? '<unset>'),
	],
	defaults({ spec }) {
		if (spec) defaultClaimSpec(spec);
	},
	prepare(claim, old) {
		if (!old) Object.assign(claim, { status: { phase: 'Pending' } });
	},
	validate(claim, old) {
		const errors: FieldError[] = [];
		validateClaimSpec(claim.spec, 'spec', errors);
		if (old) validateClaimUpdate(claim, old, errors);
		return errors;
	},
	warnings: ({ spec }) => fractionWarning(spec.resources?.requests?.storage, 'spec.resources.requests[storage]'),
	health,
});

/** Source: Argo CD documentation, "Resource Health". */
function health({ status }: PersistentVolumeClaim): Health {
	switch (status?.phase) {
		case 'Bound':
			return { status: 'Healthy' };
		case 'Lost':
			return { status: 'Degraded' };
		case 'Pending':
			return { status: 'Progressing' };
		default:
			return { status: 'Unknown' };
	}
}
