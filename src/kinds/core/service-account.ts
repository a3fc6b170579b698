import type * as core from 'kubernetes-types/core/v1.js';
import { age, column, kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type { Persisted } from '../object.ts';

export type ServiceAccount = Persisted<core.ServiceAccount>;

/** Source: Kubernetes API reference, "ServiceAccount". */
export const ServiceAccount: Kind<ServiceAccount> = kind<ServiceAccount>({
	group: '',
	version: 'v1',
	kind: 'ServiceAccount',
	plural: 'serviceaccounts',
	schema: 'io.k8s.api.core.v1.ServiceAccount',
	shortNames: ['sa'],
	returnsDeleted: true,
	columns: [
		column('Secrets', 'integer', 'How many secrets the account may use.', ({ secrets }) => secrets?.length ?? 0),
		age,
	],
});
