import { isIPv6 } from 'node:net';
import type * as core from 'kubernetes-types/core/v1.js';
import { age, column, kind, wide } from '../declare.ts';
import { deepEqual } from '../equal.ts';
import type { Health, Kind } from '../kind.ts';
import { atomic, atomicMap, conditions, merge, tcp } from '../merges.ts';
import { dns1035Label } from '../names.ts';
import type { Persisted } from '../object.ts';
import { hasHealthPort, hasOwnEndpoints, isReachedFromOutside } from './service-spec.ts';
import { validateService } from './service-validation.ts';

export type Service = Persisted<core.Service>;

/** Three hours: how long ClientIP affinity sticks. */
const AFFINITY_SECONDS = 10_800;

/** Source: Kubernetes API reference, "Service". Addresses and node ports are given out by the API server. */
export const Service: Kind<Service> = kind<Service>({
	group: '',
	version: 'v1',
	kind: 'Service',
	plural: 'services',
	schema: 'io.k8s.api.core.v1.Service',
	merges: {
		'io.k8s.api.core.v1.LoadBalancerIngress': { ports: atomic },
		'io.k8s.api.core.v1.LoadBalancerStatus': { ingress: atomic },
		'io.k8s.api.core.v1.ServiceAccount': { imagePullSecrets: atomic, secrets: merge('name') },
		'io.k8s.api.core.v1.ServicePort': { protocol: tcp },
		'io.k8s.api.core.v1.ServiceSpec': {
			clusterIPs: atomic,
			externalIPs: atomic,
			ipFamilies: atomic,
			loadBalancerSourceRanges: atomic,
			ports: merge('port', 'protocol'),
			selector: atomicMap,
		},
		'io.k8s.api.core.v1.ServiceStatus': conditions,
	},
	shortNames: ['svc'],
	categories: ['all'],
	names: dns1035Label,
	createOnUpdate: true,
	returnsDeleted: true,
	subresources: { status: true },
	selectableFields: {
		'spec.clusterIP': (service) => service.spec.clusterIP ?? '',
		'spec.type': (service) => service.spec.type ?? '',
	},
	columns: [
		column('Type', 'string', 'How the service is reached.', ({ spec }) => spec.type ?? ''),
		column('Cluster-IP', 'string', 'The address within the cluster.', ({ spec }) => spec.clusterIP || '<none>'),
		column('External-IP', 'string', 'The addresses from outside.', externalAddress),
		column('Port(s)', 'string', 'Ports, each with its node port.', ({ spec }) => {
			const ports = (spec.ports ?? []).map(({ port, nodePort, protocol }) =>
				nodePort ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`,
			);
			return ports.join(',') || '<none>';
		}),
		age,
		wide('Selector', 'string', 'Which pods the service leads to.', ({ spec }) => {
			const pairs = Object.entries(spec.selector ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
			return pairs.map(([key, value]) => `${key}=${value}`).join(',') || '<none>';
		}),
	],
	defaults({ spec }) {
		if (!spec) return;
		spec.type ||= 'ClusterIP';
		spec.sessionAffinity ||= 'None';
		if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
		else if (spec.sessionAffinity === 'ClientIP') {
			spec.sessionAffinityConfig ??= {};
			spec.sessionAffinityConfig.clientIP ??= {};
			spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= AFFINITY_SECONDS;
		}
		for (const port of spec.ports ?? []) {
			port.protocol ||= 'TCP';
			// 0 and the empty text stand for an absent target, as in Go.
			port.targetPort ||= port.port;
		}
		if (isReachedFromOutside(spec)) spec.externalTrafficPolicy ||= 'Cluster';
		if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
		if (spec.type === 'ExternalName') return;
		spec.internalTrafficPolicy ||= 'Cluster';
	},
	prepare(service, old) {
		if (!old) Object.assign(service, { status: { loadBalancer: {} } });
		else if (service.spec && old.spec) carryOver(service.spec, old.spec);
		if (service.spec) giveFamilies(service.spec, old?.spec);
	},
	claims: heldValues,
	validate: validateService,
	health,
});

/** Its cluster IPs, and its node ports with that for checks of its health: `ip/10.96.0.7`, `port/30080`. */
function heldValues({ spec }: Partial<Service>): readonly string[] {
	const values = new Set<string>();
	for (const address of spec?.clusterIPs ?? (spec?.clusterIP ? [spec.clusterIP] : []))
		if (address && address !== 'None') values.add(`ip/${address}`);
	for (const port of spec?.ports ?? []) if (port.nodePort) values.add(`port/${port.nodePort}`);
	if (spec?.healthCheckNodePort) values.add(`port/${spec.healthCheckNodePort}`);
	return [...values];
}

/** The families of the addresses that the server gives out; they are no defaults, and so nobody owns them. */
function giveFamilies(spec: Service['spec'], old: Service['spec'] | undefined): void {
	if (spec.type === 'ExternalName') return;
	// The endpoints are the user's own, so they may be of either family. Source: "IPv4/IPv6 dual-stack", "Headless Services".
	const open = hasOwnEndpoints(spec);
	const before = old && hasOwnEndpoints(old) === open ? old : undefined;
	spec.ipFamilyPolicy ||= before?.ipFamilyPolicy || (open ? 'RequireDualStack' : 'SingleStack');
	if (!spec.ipFamilies?.length)
		spec.ipFamilies = before?.ipFamilies?.length
			? [...before.ipFamilies]
			: [isIPv6(spec.clusterIP ?? '') ? 'IPv6' : 'IPv4'];
	if (open && spec.ipFamilies.length === 1 && spec.ipFamilyPolicy !== 'SingleStack')
		spec.ipFamilies = [...spec.ipFamilies, spec.ipFamilies[0] === 'IPv6' ? 'IPv4' : 'IPv6'];
}

/** What the server gave out stays when an update leaves it out, and what the new type has no use for goes unless it was changed. */
function carryOver(spec: Service['spec'], old: Service['spec']): void {
	if (spec.type === 'ExternalName') {
		if (old.type !== 'ExternalName') forget(spec, old, ADDRESS_FIELDS);
	} else if (old.type !== 'ExternalName') keepAddress(spec, old);

	const outside = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
	const known = new Map(old.ports?.map((each) => [`${each.port}/${each.protocol}`, each] as const).reverse());
	for (const port of spec.ports ?? []) {
		const before = known.get(`${port.port}/${port.protocol}`);
		if (outside) port.nodePort ||= before?.nodePort;
		else if (old.type !== spec.type && port.nodePort === before?.nodePort) delete port.nodePort;
		if (port.nodePort === undefined) delete port.nodePort;
	}
	if (!isReachedFromOutside(spec) && isReachedFromOutside(old)) forget(spec, old, ['externalTrafficPolicy']);
	if (!hasHealthPort(spec)) forget(spec, old, ['healthCheckNodePort']);
	else if (!spec.healthCheckNodePort) spec.healthCheckNodePort = old.healthCheckNodePort;
	if (spec.type !== 'LoadBalancer') forget(spec, old, ['allocateLoadBalancerNodePorts', 'loadBalancerClass']);
}

/** What only a service with an address of its own has. */
const ADDRESS_FIELDS = ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy', 'internalTrafficPolicy'] as const;

/** Takes fields away that are as they were. */
function forget(spec: Service['spec'], old: Service['spec'], fields: readonly (keyof Service['spec'])[]): void {
	for (const field of fields) if (deepEqual(spec[field], old[field])) delete spec[field];
}

/** Of the two fields for one address, a client may have changed or left out either. */
function keepAddress(spec: Service['spec'], old: Service['spec']): void {
	if (!spec.clusterIP && !spec.clusterIPs?.length) {
		spec.clusterIP = old.clusterIP;
		if (old.clusterIPs) spec.clusterIPs = [...old.clusterIPs];
	} else if (spec.clusterIP && deepEqual(spec.clusterIPs ?? old.clusterIPs, old.clusterIPs)) {
		spec.clusterIPs = [spec.clusterIP, ...(old.clusterIPs?.slice(1) ?? [])];
	} else spec.clusterIP ||= spec.clusterIPs?.[0];
}

function externalAddress({ spec, status }: Service): string {
	const own = spec.externalIPs ?? [];
	switch (spec.type) {
		case 'ExternalName':
			return spec.externalName ?? '<none>';
		case 'LoadBalancer': {
			const given = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || '');
			const all = [...given, ...own].filter((address) => address !== '');
			return all.join(',') || '<pending>';
		}
		default:
			return own.join(',') || '<none>';
	}
}

/** Source: Argo CD documentation, "Resource Health". */
function health({ spec, status }: Service): Health {
	if (spec.type !== 'LoadBalancer') return { status: 'Healthy' };
	return status?.loadBalancer?.ingress?.length
		? { status: 'Healthy' }
		: { status: 'Progressing', message: 'Waiting for an address from a load balancer' };
}
