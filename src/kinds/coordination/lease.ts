import type * as coordination from 'kubernetes-types/coordination/v1.js';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type { Persisted } from '../object.ts';
import { type FieldError, fieldError } from '../status.ts';

export type Lease = Persisted<coordination.Lease>;

/** The annotation that tells which process wrote a Lease. */
export const LEASE_WRITER = 'driftless.io/writer';

/**
 * What stands for a term: who holds the Lease, in which process, since which change of hands. It changes with the term and
 * not with a renewal. Leases by which nodes say that they live have none.
 */
export function termOf({ metadata, spec }: Lease): string | undefined {
	if (!spec?.holderIdentity || metadata.namespace === 'kube-node-lease') return undefined;
	const who = [spec.holderIdentity, metadata.annotations?.[LEASE_WRITER] ?? '', spec.leaseTransitions ?? 0];
	// As it may be any text, and keys of the store may not.
	return `term/${metadata.namespace}/${metadata.name}/${Buffer.from(JSON.stringify(who)).toString('base64url')}`;
}

/** Source: Kubernetes API reference, "Lease". */
export const Lease: Kind<Lease> = kind<Lease>({
	group: 'coordination.k8s.io',
	version: 'v1',
	kind: 'Lease',
	plural: 'leases',
	schema: 'io.k8s.api.coordination.v1.Lease',
	createOnUpdate: true,
	unconditionalUpdate: false,
	claims(lease) {
		const term = termOf(lease);
		return term === undefined ? [] : [term];
	},
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
