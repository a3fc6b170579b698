/**
 * Which addresses a Service of type LoadBalancer has: those of the nodes, which carry its ports themselves. Pure.
 * Source: k3s documentation, "Networking Services", section "Service Load Balancer".
 */
import { BlockList, isIPv4 } from 'node:net';
import { type EndpointSlice, type Key, keyOf, type Node, type Service, SIMULATED_TAINT } from '../../kinds/index.ts';
import { readyOf } from '../nodes/node-health.ts';

/** A node with it takes no part. Source: Kubernetes documentation, "Well-Known Labels, Annotations and Taints". */
const EXCLUDED = 'node.kubernetes.io/exclude-from-external-load-balancers';

/** Whether the Service is for the load balancer that the cluster brings: it names none. */
export const isBalanced = ({ metadata, spec }: Service): boolean =>
	spec.type === 'LoadBalancer' && !spec.loadBalancerClass && !metadata.deletionTimestamp;

/** What of a node decides. */
export const partOfNode = (node: Node) => [
	isAvailable(node),
	addressesOf(node),
	node.status?.daemonEndpoints?.kubeletEndpoint?.Port,
];

/** Whether the node has addresses to give. A node that is cordoned has: what runs on it is still reached. A simulated one carries no ports. */
export const isAvailable = (node: Node): boolean =>
	readyOf(node)?.status === 'True' &&
	!node.metadata.deletionTimestamp &&
	node.metadata.labels?.[EXCLUDED] === undefined &&
	!node.spec?.taints?.some(({ key }) => key === SIMULATED_TAINT.key);

/**
 * Addresses that no machine has for others: what a node says of its own is carried by the rules of all nodes, which would lose their
 * own loopback, the metadata of their cloud, or a pod to it. `cluster` are the networks of pods and services.
 */
export function insideAddresses(cluster: readonly string[]): BlockList {
	const inside = new BlockList();
	for (const network of ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3', ...cluster]) {
		const [base = '', bits] = network.split('/');
		inside.addSubnet(base, Number(bits));
	}
	return inside;
}

/**
 * The addresses of these nodes that are not inside; with `externalTrafficPolicy: Local` of those with a ready endpoint of the
 * Service, which its slices tell.
 */
export function addressesFor(
	service: Service,
	nodes: Iterable<Node>,
	slices: Iterable<EndpointSlice>,
	inside: BlockList,
): string[] {
	const local = service.spec.externalTrafficPolicy === 'Local' ? nodesOf(slices) : undefined;
	const found = new Set<string>();
	for (const node of nodes)
		if (isAvailable(node) && (!local || local.has(node.metadata.name)))
			for (const address of addressesOf(node)) if (!inside.check(address)) found.add(address);
	return [...found].sort();
}

/** The external addresses of a node, or where it has none the internal ones. */
function addressesOf({ status }: Node): readonly string[] {
	const of = (type: string) =>
		(status?.addresses ?? [])
			.filter((each) => each.type === type && isIPv4(each.address))
			.map(({ address }) => address);
	const external = of('ExternalIP');
	return external.length > 0 ? external : of('InternalIP');
}

function nodesOf(slices: Iterable<EndpointSlice>): Set<string> {
	const names = new Set<string>();
	for (const { endpoints } of slices)
		for (const { nodeName, conditions } of endpoints ?? [])
			if (nodeName && conditions?.ready !== false) names.add(nodeName);
	return names;
}

/** `80/TCP`: what it takes of each node. */
export const portsOf = ({ spec }: Service): string[] =>
	(spec.ports ?? []).map(({ port, protocol = 'TCP' }) => `${port}/${protocol}`);

/** `30080/TCP`: what it has of each node as its node ports, with that for checks of its health. */
export const nodePortsOf = ({ spec }: Service): string[] => [
	...(spec.ports ?? []).flatMap(({ nodePort, protocol = 'TCP' }) => (nodePort ? [`${nodePort}/${protocol}`] : [])),
	...(spec.healthCheckNodePort ? [`${spec.healthCheckNodePort}/TCP`] : []),
];

/** Who has a port of the nodes before a Service does. */
export interface Holders {
	/** What of the platform itself listens there, in words. */
	platform(port: string): string | undefined;
	/** The Services that want the port for their load balancer address. */
	balanced(port: string): Iterable<Service>;
	/** The Services of which it is a node port. */
	nodePort(port: string): Iterable<Service>;
}

/** Why the Service cannot have the addresses of nodes: one of its ports is taken there. Of two Services the older one has it. */
export function takenPort(service: Service, holders: Holders): string | undefined {
	const key = keyOf(service);
	const others = (services: Iterable<Service>) => Array.from(services).filter((each) => keyOf(each) !== key);
	for (const port of portsOf(service)) {
		const listens = holders.platform(port);
		if (listens) return `port ${port} of the nodes is that of ${listens}`;
		const [holder] = others(holders.nodePort(port));
		if (holder) return `port ${port} of the nodes is a node port of the Service ${keyOf(holder)}`;
		const older = others(holders.balanced(port)).find((other) => ageOf(other) < ageOf(service));
		if (older) return `port ${port} of the nodes is taken by the Service ${keyOf(older)}, which is older`;
	}
	return undefined;
}

const ageOf = (service: Service): Key => `${service.metadata.creationTimestamp} ${keyOf(service)}`;
