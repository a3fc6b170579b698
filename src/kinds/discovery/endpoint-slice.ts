import { kind } from '../declare.ts';
import type { Kind } from '../kind.ts';
import type * as types from '../types.ts';

export type EndpointSlice = types.EndpointSlice;

export const EndpointSlice: Kind<EndpointSlice> = kind<EndpointSlice>({
	group: 'discovery.k8s.io',
	version: 'v1',
	kind: 'EndpointSlice',
	plural: 'endpointslices',
	schema: 'io.k8s.api.discovery.v1.EndpointSlice',
	generation: true,
});
