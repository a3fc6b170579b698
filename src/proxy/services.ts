/** What each port of each service leads to on a node, from Services and EndpointSlices. Pure. */
import { isIPv4 } from 'node:net';
import {
	type EndpointSlice,
	formatRange,
	type Key,
	keyOf,
	parseRange,
	SERVICE_NAME,
	type Service,
} from '../kinds/index.ts';

export interface Target {
	readonly ip: string;
	readonly port: number;
}

/** One port of a service, as the node's tables carry it. */
export interface ServicePort {
	/** `NAMESPACE/NAME/PORT-NAME/PROTOCOL`: unique, and fit for the name of a chain. */
	readonly name: string;
	readonly protocol: 'tcp' | 'udp' | 'sctp';
	readonly clusterIP: string;
	readonly port: number;
	/** Addresses outside the cluster's networks that lead to it, and the port on every node. */
	readonly externalAddresses: readonly string[];
	readonly nodePort?: number;
	/** Those of the external addresses that only clients of these ranges may use; undefined: everybody may use them all. */
	readonly balanced?: { readonly addresses: readonly string[]; readonly sourceRanges: readonly string[] };
	/** Every endpoint that takes connections, in a fixed order, and those of them on this node. */
	readonly targets: readonly Target[];
	readonly localTargets: readonly Target[];
	/** Which of them connections to the cluster address, and those from outside, may go to. */
	readonly internalPolicy: 'Cluster' | 'Local';
	readonly externalPolicy: 'Cluster' | 'Local';
	/** For how long a client stays with its endpoint, in seconds; undefined: no longer than a connection. */
	readonly affinitySeconds?: number;
}

/** Labels by which a service says that no proxy of its nodes shall carry it out. */
const PROXY_NAME = 'service.kubernetes.io/service-proxy-name';
const HEADLESS = 'service.kubernetes.io/headless';
/** The default of Kubernetes for sessionAffinityConfig, three hours. */
const AFFINITY_SECONDS = 10_800;
/** What names of objects consist of: nothing else goes into a script. */
const SAFE_NAME = /^[a-z0-9.-]+$/;

/** The index of slices by the key of their service. */
export const SERVICE_INDEX = 'service';

/** The key of the service that a slice belongs to. */
export function serviceOf({ metadata }: EndpointSlice): Key | undefined {
	const name = metadata.labels?.[SERVICE_NAME];
	return name ? `${metadata.namespace}/${name}` : undefined;
}

/** Whether its clients ask for its endpoints' addresses, since it has none of its own. */
export const isHeadless = ({ spec }: Service): boolean => spec.clusterIP === 'None';

/** Whether the service is another proxy's, or nobody's. Source: Kubernetes documentation, "Well-Known Labels". */
export const isOfAnother = ({ metadata: { labels = {} } }: Service): boolean =>
	[PROXY_NAME, HEADLESS].some((label) => labels[label] !== undefined);

/** Addresses outside the cluster's networks that a service wants to be reached at. */
export function externalAddresses(service: Service): string[] {
	return [...new Set([...(service.spec.externalIPs ?? []), ...balancerAddresses(service)])].filter(isIPv4);
}

/**
 * The addresses of its load balancer that nodes carry out. With `ipMode: Proxy` the balancer sends to nodes or pods itself, and
 * others are to go through it too. Source: KEP-1860.
 */
const balancerAddresses = ({ status }: Service): string[] =>
	(status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode }) => (ip && ipMode !== 'Proxy' ? ip : []));

/** Who may use the load balancer's addresses. Ranges of IPv6 let nobody in over IPv4. */
function balanced(service: Service): ServicePort['balanced'] {
	const { loadBalancerSourceRanges: ranges = [] } = service.spec;
	if (ranges.length === 0) return undefined;
	const sourceRanges = ranges.flatMap((range) => parseRange(range.trim()) ?? []).map(formatRange);
	return { addresses: balancerAddresses(service), sourceRanges: [...new Set(sourceRanges)] };
}

/**
 * The ports of one service on one node; none for headless services and ExternalName. `rivals` are the services that have
 * an address, this one among them.
 */
export function servicePorts(
	service: Service,
	slices: Iterable<EndpointSlice>,
	nodeName: string,
	rivals: (address: string) => Iterable<Service> = () => [],
): ServicePort[] {
	const { spec, metadata } = service;
	const { clusterIP } = spec;
	if (spec.type === 'ExternalName' || !clusterIP || !isIPv4(clusterIP) || isOfAnother(service)) return [];
	const endpoints = endpointsOf(slices);
	const guarded = balanced(service);
	return (spec.ports ?? []).flatMap((port) => {
		const protocol = protocolOf(port.protocol);
		const name = `${metadata.namespace}/${metadata.name}/${port.name || port.port}/${protocol}`;
		if (!name.split('/').every((part) => SAFE_NAME.test(part))) return [];
		const mine = endpoints.filter((each) => each.portName === (port.name ?? '') && each.protocol === protocol);
		const free = (address: string) => !isTaken(service, address, port.port, protocol, rivals(address));
		return {
			name,
			protocol,
			clusterIP,
			port: port.port,
			externalAddresses: externalAddresses(service).filter(free),
			...(port.nodePort && { nodePort: port.nodePort }),
			...(guarded && { balanced: guarded }),
			targets: targets(mine),
			localTargets: targets(mine.filter((each) => each.nodeName === nodeName)),
			internalPolicy: spec.internalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
			externalPolicy: spec.externalTrafficPolicy === 'Local' ? 'Local' : 'Cluster',
			...(spec.sessionAffinity === 'ClientIP' && {
				affinitySeconds: spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? AFFINITY_SECONDS,
			}),
		} satisfies ServicePort;
	});
}

/** Whether another service comes before this one at an address: the one whose cluster address it is, else the oldest. */
function isTaken(
	service: Service,
	address: string,
	port: number,
	protocol: string,
	rivals: Iterable<Service>,
): boolean {
	for (const rival of rivals) {
		const wants = (rival.spec.ports ?? []).some((each) => each.port === port && protocolOf(each.protocol) === protocol);
		if (wants && precedence(rival, address) < precedence(service, address)) return true;
	}
	return false;
}

const precedence = (service: Service, address: string) =>
	`${service.spec.clusterIP === address ? 0 : 1} ${service.metadata.creationTimestamp} ${keyOf(service)}`;

interface Endpoint extends Target {
	readonly portName: string;
	readonly protocol: string;
	readonly nodeName?: string;
	/** It takes new connections only where no other endpoint does: it is on its way out. */
	readonly leaving: boolean;
}

function endpointsOf(slices: Iterable<EndpointSlice>): Endpoint[] {
	const found: Endpoint[] = [];
	for (const { addressType, endpoints, ports } of slices) {
		if (addressType !== 'IPv4') continue;
		for (const { addresses, conditions, nodeName } of endpoints ?? []) {
			const ip = addresses[0];
			// Not known is ready. Source: EndpointSlice API, EndpointConditions.
			const ready = conditions?.ready !== false;
			const leaving = !ready && conditions?.serving === true && conditions.terminating === true;
			if (!ip || !isIPv4(ip) || (!ready && !leaving)) continue;
			for (const { name, port, protocol } of ports ?? []) {
				if (!port) continue;
				found.push({ ip, port, portName: name ?? '', protocol: protocolOf(protocol), nodeName, leaving });
			}
		}
	}
	return found;
}

/** Those that are ready, or, where none is, those that still serve while they terminate. Source: KEP-1669. */
function targets(endpoints: readonly Endpoint[]): Target[] {
	const ready = endpoints.filter(({ leaving }) => !leaving);
	const used = ready.length > 0 ? ready : endpoints;
	const unique = new Map(used.map(({ ip, port }) => [`${ip}:${port}`, { ip, port }]));
	return [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, target]) => target);
}

function protocolOf(protocol = 'TCP'): ServicePort['protocol'] {
	return protocol === 'UDP' ? 'udp' : protocol === 'SCTP' ? 'sctp' : 'tcp';
}
