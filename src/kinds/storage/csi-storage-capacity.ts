import type * as storage from 'kubernetes-types/storage/v1.js';
import { checkLabelSelector, checkName } from '../checks.ts';
import { age, column, kind } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import type { Kind } from '../kind.ts';
import { dnsSubdomain } from '../names.ts';
import type { Persisted } from '../object.ts';
import { compareQuantities, isQuantity } from '../quantity.ts';
import { type FieldError, fieldError } from '../status.ts';

export type CSIStorageCapacity = Persisted<storage.CSIStorageCapacity>;

/** Source: Kubernetes API reference, "CSIStorageCapacity". */
export const CSIStorageCapacity: Kind<CSIStorageCapacity> = kind<CSIStorageCapacity>({
	group: 'storage.k8s.io',
	version: 'v1',
	kind: 'CSIStorageCapacity',
	plural: 'csistoragecapacities',
	schema: 'io.k8s.api.storage.v1.CSIStorageCapacity',
	columns: [
		column('StorageClassName', 'string', 'The class that has it.', (capacity) => capacity.storageClassName),
		column('Capacity', 'string', 'How much there is.', ({ capacity }) => capacity ?? '<unset>'),
		age,
	],
	validate(object, old) {
		const errors: FieldError[] = [];
		checkName(object.storageClassName, 'storageClassName', dnsSubdomain, errors, 'required');
		checkLabelSelector(object.nodeTopology, 'nodeTopology', errors);
		for (const field of ['capacity', 'maximumVolumeSize'] as const) {
			const amount = object[field];
			if (amount !== undefined && isQuantity(amount) && compareQuantities(amount, '0') < 0)
				errors.push(fieldError.invalid(field, amount, 'must be greater than or equal to 0'));
		}
		if (old)
			for (const field of ['nodeTopology', 'storageClassName'] as const)
				if (!deepEqual(object[field], old[field]))
					errors.push(fieldError.invalid(field, object[field] ?? null, 'field is immutable'));
		return errors;
	},
});
