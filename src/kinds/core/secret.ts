import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Secret = types.Secret;

export const Secret: Kind<Secret> = kind<Secret>({
	group: '',
	version: 'v1',
	kind: 'Secret',
	plural: 'secrets',
	schema: 'io.k8s.api.core.v1.Secret',
});
