import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Lease = types.Lease;

export const Lease: Kind<Lease> = kind<Lease>({
	group: 'coordination.k8s.io',
	version: 'v1',
	kind: 'Lease',
	plural: 'leases',
	schema: 'io.k8s.api.coordination.v1.Lease',
});
