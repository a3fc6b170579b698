import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Node = types.Node;

export const Node: Kind<Node> = kind<Node>({
	group: '',
	version: 'v1',
	kind: 'Node',
	plural: 'nodes',
	schema: 'io.k8s.api.core.v1.Node',
	shortNames: ['no'],
	namespaced: false,
	subresources: { status: true, actions: ['proxy'] },
});
