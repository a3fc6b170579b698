import type * as coordination from 'kubernetes-types/coordination/v1.js';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type Lease = Persisted<coordination.Lease>;

/** Source: Kubernetes API reference, "Lease". */
export const Lease: Kind<Lease> = kind<Lease>({
	group: 'coordination.k8s.io',
	version: 'v1',
	kind: 'Lease',
	plural: 'leases',
	schema: 'io.k8s.api.coordination.v1.Lease',
	createOnUpdate: true,
	unconditionalUpdate: false,
	columns: [column('Holder', 'string', 'Who holds the lease.', ({ spec }) => spec?.holderIdentity ?? ''), age],
	validate({ spec }) {
		const errors: FieldError[] = [];
		if (spec?.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0)
			errors.push(fieldError.invalid('spec.leaseDurationSeconds', spec.leaseDurationSeconds, 'must be greater than 0'));
		if (spec?.leaseTransitions !== undefined && spec.leaseTransitions < 0)
			errors.push(
				fieldError.invalid('spec.leaseTransitions', spec.leaseTransitions, 'must be greater than or equal to 0'),
			);
		if (spec?.holderIdentity === '') errors.push(fieldError.invalid('spec.holderIdentity', '', 'must not be empty'));
		return errors;
	},
});
