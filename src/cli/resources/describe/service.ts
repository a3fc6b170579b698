import type { ServicePort } from 'kubernetes-types/core/v1.js';
import type { Client } from '../../../client/index.ts';
import { EndpointSlice, type Service } from '../../../kinds/index.ts';
import { type Entry, field, optional, pairs } from './layout.ts';
import { labelFields, nameFields } from './metadata.ts';

export async function describeService(client: Client, service: Service): Promise<Entry[]> {
	const { metadata, spec, status } = service;
	const { items: slices } = await client.list(EndpointSlice, {
		namespace: metadata.namespace,
		labelSelector: `kubernetes.io/service-name=${metadata.name}`,
	});
	const given = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? '');
	return [
		...nameFields(service),
		...labelFields(service),
		field('Selector', pairs(spec.selector).join(',')),
		field('Type', spec.type),
		...optional('IP Family Policy', spec.ipFamilyPolicy),
		...optional('IP Families', spec.ipFamilies?.join(',')),
		field('IP', spec.clusterIP),
		field('IPs', spec.clusterIPs?.join(',')),
		...optional('External Name', spec.externalName),
		...optional('External IPs', spec.externalIPs?.join(',')),
		...(spec.type === 'LoadBalancer' ? [field('LoadBalancer Ingress', given.join(', ') || '<pending>')] : []),
		...(spec.ports ?? []).flatMap((port) => portFields(port, slices)),
		...optional('Session Affinity', spec.sessionAffinity),
		...optional('External Traffic Policy', spec.externalTrafficPolicy),
		...optional('Internal Traffic Policy', spec.internalTrafficPolicy),
		...optional('HealthCheck NodePort', spec.healthCheckNodePort?.toString()),
	];
}

function portFields(
	{ name, port, protocol, targetPort, nodePort }: ServicePort,
	slices: readonly EndpointSlice[],
): Entry[] {
	const label = name || '<unset>';
	return [
		field('Port', `${label}  ${port}/${protocol ?? 'TCP'}`),
		field('TargetPort', `${targetPort ?? port}/${protocol ?? 'TCP'}`),
		...(nodePort ? [field('NodePort', `${label}  ${nodePort}/${protocol ?? 'TCP'}`)] : []),
		field('Endpoints', endpointsOf(name, slices)),
	];
}

/** How many are written out; the others are counted. */
const MOST = 6;

function endpointsOf(name: string | undefined, slices: readonly EndpointSlice[]): string {
	const addresses = slices.flatMap(({ endpoints = [], ports = [] }) =>
		ports
			.filter((port) => (port.name ?? '') === (name ?? ''))
			.flatMap(({ port }) =>
				endpoints
					.filter(({ conditions }) => conditions?.ready !== false)
					.flatMap(({ addresses }) => addresses.map((address) => `${address}:${port}`)),
			),
	);
	const rest = addresses.length - MOST;
	return addresses.slice(0, MOST).join(',') + (rest > 0 ? ` + ${rest} more...` : '');
}
