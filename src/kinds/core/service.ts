import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Service = types.Service;

export const Service: Kind<Service> = kind<Service>({
	group: '',
	version: 'v1',
	kind: 'Service',
	plural: 'services',
	schema: 'io.k8s.api.core.v1.Service',
	shortNames: ['svc'],
	categories: ['all'],
	subresources: { status: true },
});
