import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type Endpoints = types.Endpoints;

export const Endpoints: Kind<Endpoints> = kind<Endpoints>({
	group: '',
	version: 'v1',
	kind: 'Endpoints',
	plural: 'endpoints',
	schema: 'io.k8s.api.core.v1.Endpoints',
	singular: 'endpoints',
	shortNames: ['ep'],
});
