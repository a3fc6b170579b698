import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Namespace = types.Namespace;

export const Namespace: Kind<Namespace> = kind<Namespace>({
	group: '',
	version: 'v1',
	kind: 'Namespace',
	plural: 'namespaces',
	schema: 'io.k8s.api.core.v1.Namespace',
	shortNames: ['ns'],
	namespaced: false,
	subresources: { status: true, actions: ['finalize'] },
});
