/** The kinds that every server has, and the registry made of them. */
import { Deployment } from './apps/deployment.ts';
import { ReplicaSet } from './apps/replica-set.ts';
import { Application } from './argoproj/application.ts';
import { Lease } from './coordination/lease.ts';
import { ConfigMap } from './core/config-map.ts';
import { Endpoints } from './core/endpoints.ts';
import { Event } from './core/event.ts';
import { Namespace } from './core/namespace.ts';
import { Node } from './core/node.ts';
import { Pod } from './core/pod.ts';
import { Secret } from './core/secret.ts';
import { Service } from './core/service.ts';
import { ServiceAccount } from './core/service-account.ts';
import { EndpointSlice } from './discovery/endpoint-slice.ts';
import type { Kind } from './kind.ts';
import { createRegistry, type Registry } from './registry.ts';
import { loadSchemas } from './schemas.ts';

export const builtins: readonly Kind[] = [
	Namespace,
	Node,
	Pod,
	ReplicaSet,
	Deployment,
	Service,
	Endpoints,
	EndpointSlice,
	ConfigMap,
	Secret,
	ServiceAccount,
	Event,
	Lease,
	Application,
];

/** The built-in kinds with their schemas, which are read when first asked for. Throws where set-up has not made them. */
export function loadRegistry(): Registry {
	const registry = createRegistry(builtins, {});
	return {
		all: registry.all,
		resource: registry.resource,
		of: registry.of,
		get schemas() {
			return loadSchemas();
		},
	};
}
