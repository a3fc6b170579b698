import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type ReplicaSet = types.ReplicaSet;

export const ReplicaSet: Kind<ReplicaSet> = kind<ReplicaSet>({
	group: 'apps',
	version: 'v1',
	kind: 'ReplicaSet',
	plural: 'replicasets',
	schema: 'io.k8s.api.apps.v1.ReplicaSet',
	shortNames: ['rs'],
	categories: ['all'],
	generation: true,
	subresources: {
		status: true,
		scale: { spec: '.spec.replicas', status: '.status.replicas', selector: '.spec.selector' },
	},
});
