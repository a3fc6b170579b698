import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Pod = types.Pod;

export const Pod: Kind<Pod> = kind<Pod>({
	group: '',
	version: 'v1',
	kind: 'Pod',
	plural: 'pods',
	schema: 'io.k8s.api.core.v1.Pod',
	shortNames: ['po'],
	categories: ['all'],
	subresources: { status: true, actions: ['log', 'exec', 'attach', 'portforward', 'binding', 'eviction'] },
	gracePeriod: (pod) => pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30,
});
