import type * as storage from 'kubernetes-types/storage/v1.js';
import { checkName } from '../checks.ts';
import { age, column, kind } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import type { Kind } from '../kind.ts';
import { dnsSubdomain } from '../names.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type VolumeAttachment = Persisted<storage.VolumeAttachment>;

/** Source: Kubernetes API reference, "VolumeAttachment". */
export const VolumeAttachment: Kind<VolumeAttachment> = kind<VolumeAttachment>({
	group: 'storage.k8s.io',
	version: 'v1',
	kind: 'VolumeAttachment',
	plural: 'volumeattachments',
	schema: 'io.k8s.api.storage.v1.VolumeAttachment',
	namespaced: false,
	subresources: { status: true },
	returnsDeleted: true,
	columns: [
		column('Attacher', 'string', 'The driver that attaches.', ({ spec }) => spec.attacher),
		column('PV', 'string', 'The volume.', ({ spec }) => spec.source?.persistentVolumeName ?? ''),
		column('Node', 'string', 'Where to.', ({ spec }) => spec.nodeName),
		column('Attached', 'boolean', 'Whether it is attached.', ({ status }) => status?.attached ?? false),
		age,
	],
	prepare(attachment, old) {
		if (!old) Object.assign(attachment, { status: { attached: false } });
	},
	validate({ spec }, old) {
		const errors: FieldError[] = [];
		if (!spec) return [fieldError.required('spec')];
		checkName(spec.attacher, 'spec.attacher', dnsSubdomain, errors, 'required');
		const { persistentVolumeName: name, inlineVolumeSpec } = spec.source ?? {};
		if (!name && !inlineVolumeSpec)
			errors.push(
				fieldError.required('spec.source', 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'),
			);
		else if (name && inlineVolumeSpec)
			errors.push(
				fieldError.forbidden('spec.source', 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'),
			);
		checkName(name, 'spec.source.persistentVolumeName', dnsSubdomain, errors);
		checkName(spec.nodeName, 'spec.nodeName', dnsSubdomain, errors, 'required');
		if (old && !deepEqual(spec, old.spec)) errors.push(fieldError.invalid('spec', spec, 'field is immutable'));
		return errors;
	},
});
