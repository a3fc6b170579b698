/** Services, slices and ports for tests of plans. */
import type { EndpointSlice, Node, Service } from '../../src/kinds/index.ts';
import type { Network } from '../../src/proxy/frame.ts';
import type { ServicePort } from '../../src/proxy/services.ts';

export const network: Network = {
	podNetwork: '10.244.0.0/16',
	serviceNetwork: '10.96.0.0/12',
	podCidr: '10.244.0.0/30',
	bridge: 'drift0',
};

export function service(spec: Partial<Service['spec']>, metadata: Partial<Service['metadata']> = {}): Service {
	const ports = [{ name: 'http', port: 80, protocol: 'TCP' }];
	return {
		apiVersion: 'v1',
		kind: 'Service',
		metadata: { name: 'web', namespace: 'shop', ...metadata },
		spec: { type: 'ClusterIP', clusterIP: '10.96.0.5', ports, ...spec },
	} as Service;
}

export type Endpoint = NonNullable<EndpointSlice['endpoints']>[number];

export function slice(endpoints: (string | Endpoint)[], rest: Partial<EndpointSlice> = {}): EndpointSlice {
	return {
		apiVersion: 'discovery.k8s.io/v1',
		kind: 'EndpointSlice',
		metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
		addressType: 'IPv4',
		ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
		endpoints: endpoints.map((each) => (typeof each === 'string' ? { addresses: [each] } : each)),
		...rest,
	} as EndpointSlice;
}

/** A port of a service that leads to pods of this node, `10.244.0.N`. */
export function port(numbers: readonly number[], rest: Partial<ServicePort> = {}): ServicePort {
	const targets = numbers.map((number) => ({ ip: `10.244.0.${number}`, port: 8080 }));
	return {
		name: 'shop/web/http/tcp',
		protocol: 'tcp',
		clusterIP: '10.96.0.5',
		port: 80,
		externalAddresses: [],
		targets,
		localTargets: targets,
		internalPolicy: 'Cluster',
		externalPolicy: 'Cluster',
		...rest,
	};
}

export function node(name: string, podCIDR?: string, address?: string): Node {
	return {
		apiVersion: 'v1',
		kind: 'Node',
		metadata: { name },
		spec: { podCIDR },
		status: { addresses: address ? [{ type: 'InternalIP', address }] : [] },
	} as Node;
}
