import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Deployment = types.Deployment;

export const Deployment: Kind<Deployment> = kind<Deployment>({
	group: 'apps',
	version: 'v1',
	kind: 'Deployment',
	plural: 'deployments',
	schema: 'io.k8s.api.apps.v1.Deployment',
	shortNames: ['deploy'],
	categories: ['all'],
	generation: true,
	subresources: {
		status: true,
		scale: { spec: '.spec.replicas', status: '.status.replicas', selector: '.spec.selector' },
	},
});
