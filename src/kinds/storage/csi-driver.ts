import type * as storage from 'kubernetes-types/storage/v1.js';
import { checkOneOf } from '../checks.ts';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import { atomic, set } from '../merges.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';
import { csiDriverName } from './csi-names.ts';

export type CSIDriver = Persisted<storage.CSIDriver>;

/** Source: Kubernetes API reference, "CSIDriver". */
export const CSIDriver: Kind<CSIDriver> = kind<CSIDriver>({
	group: 'storage.k8s.io',
	version: 'v1',
	kind: 'CSIDriver',
	plural: 'csidrivers',
	schema: 'io.k8s.api.storage.v1.CSIDriver',
	merges: {
		'io.k8s.api.storage.v1.CSIDriverSpec': { tokenRequests: atomic, volumeLifecycleModes: set },
	},
	namespaced: false,
	generation: true,
	returnsDeleted: true,
	names: csiDriverName,
	columns: [
		column('AttachRequired', 'boolean', 'Whether its volumes are attached first.', ({ spec }) => {
			return spec.attachRequired ?? true;
		}),
		column('PodInfoOnMount', 'boolean', 'Whether it is told of the pod.', ({ spec }) => spec.podInfoOnMount ?? false),
		column('StorageCapacity', 'boolean', 'Whether it tells what it has left.', ({ spec }) => {
			return spec.storageCapacity ?? false;
		}),
		column('TokenRequests', 'string', 'The tokens that it is given.', ({ spec }) => {
			return spec.tokenRequests?.map(({ audience }) => audience).join(',') || '<unset>';
		}),
		column('RequiresRepublish', 'boolean', 'Whether volumes are published again and again.', ({ spec }) => {
			return spec.requiresRepublish ?? false;
		}),
		column('Modes', 'string', 'How long its volumes live.', ({ spec }) => {
			return spec.volumeLifecycleModes?.join(',') || '<none>';
		}),
		age,
	],
	defaults({ spec }) {
		if (!spec) return;
		spec.attachRequired ??= true;
		spec.podInfoOnMount ??= false;
		spec.storageCapacity ??= false;
		spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
		if (!spec.volumeLifecycleModes?.length) spec.volumeLifecycleModes = ['Persistent'];
		spec.requiresRepublish ??= false;
		spec.seLinuxMount ??= false;
	},
	validate({ spec }, old) {
		const errors: FieldError[] = [];
		if (!spec) return [fieldError.required('spec')];
		checkOneOf(spec.fsGroupPolicy, 'spec.fsGroupPolicy', ['File', 'None', 'ReadWriteOnceWithFSType'], errors);
		for (const [index, mode] of (spec.volumeLifecycleModes ?? []).entries())
			checkOneOf(mode, `spec.volumeLifecycleModes[${index}]`, ['Ephemeral', 'Persistent'], errors);
		const audiences = new Set<string>();
		for (const [index, { audience }] of (spec.tokenRequests ?? []).entries()) {
			const at = `spec.tokenRequests[${index}].audience`;
			if (audiences.has(audience)) errors.push(fieldError.duplicate(at, audience));
			audiences.add(audience);
		}
		if (old) {
			if (spec.attachRequired !== old.spec.attachRequired)
				errors.push(fieldError.invalid('spec.attachRequired', spec.attachRequired ?? null, 'field is immutable'));
			if (String(spec.volumeLifecycleModes) !== String(old.spec.volumeLifecycleModes))
				errors.push(
					fieldError.invalid('spec.volumeLifecycleModes', spec.volumeLifecycleModes ?? null, 'field is immutable'),
				);
		}
		return errors;
	},
});
