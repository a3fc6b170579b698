/** The door of kinds/: the built-in kinds, each a constant and a type of one name, and what every kind is made of. */

export { ageOf, humanDuration } from './age.ts';
export { Deployment } from './apps/deployment.ts';
export { ReplicaSet } from './apps/replica-set.ts';
export { Application } from './argoproj/application.ts';
export type * from './argoproj/types.ts';
export { builtins, loadRegistry } from './builtins.ts';
export { Lease } from './coordination/lease.ts';
export { ConfigMap } from './core/config-map.ts';
export { Endpoints } from './core/endpoints.ts';
export { Event } from './core/event.ts';
export { Namespace } from './core/namespace.ts';
export { Node } from './core/node.ts';
export { Pod } from './core/pod.ts';
export { Secret } from './core/secret.ts';
export { Service } from './core/service.ts';
export { ServiceAccount } from './core/service-account.ts';
export { hasOwnEndpoints } from './core/service-spec.ts';
export { type Declaration, kind } from './declare.ts';
export { EndpointSlice } from './discovery/endpoint-slice.ts';
export * from './kind.ts';
export * from './names.ts';
export * from './object.ts';
export { prune } from './prune.ts';
export * from './quantity.ts';
export * from './registry.ts';
export * from './schema.ts';
export * from './selectors.ts';
export * from './status.ts';
export {
	decodeError,
	formatFieldPath,
	type Mistyped,
	type Path,
	type Unknown,
	type Validation,
	validateObject,
	validateSchema,
} from './validate.ts';
