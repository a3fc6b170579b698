/** What each port of each service leads to, from Services and EndpointSlices. Pure. */
import type { EndpointSlice, Service } from '../kinds/index.ts';

export interface Target {
	readonly ip: string;
	readonly port: number;
}

/** One port of a service, as the node's tables carry it. */
export interface ServicePort {
	/** `NAMESPACE/NAME/PORT-NAME/PROTOCOL`: unique, and fit for the name of a chain. */
	readonly name: string;
	/** The service's cluster addresses, and the external ones that lead to it. */
	readonly addresses: readonly string[];
	readonly protocol: 'tcp' | 'udp' | 'sctp';
	readonly port: number;
	readonly nodePort?: number;
	/** Where connections to the cluster address go, in a fixed order; none: they are refused. */
	readonly targets: readonly Target[];
	/** Where connections to the node port go: the same, or this node's only with externalTrafficPolicy Local. */
	readonly nodeTargets: readonly Target[];
	/** With externalTrafficPolicy Local the client's address is kept. */
	readonly keepSource: boolean;
}

/** The ports of one service on one node; none for headless services and ExternalName. */
export function servicePorts(service: Service, slices: Iterable<EndpointSlice>, nodeName: string): ServicePort[] {
	const { spec, metadata } = service;
	const ip = spec.clusterIP;
	if (spec.type === 'ExternalName' || !ip || ip === 'None' || ip.includes(':')) return [];
	const ready = readyEndpoints(slices);
	const local = spec.externalTrafficPolicy === 'Local';
	const external = [
		...(spec.externalIPs ?? []),
		...(service.status?.loadBalancer?.ingress ?? []).flatMap((each) => each.ip ?? []),
	];
	return (spec.ports ?? []).map((port) => {
		const protocol = (port.protocol ?? 'TCP').toLowerCase() as ServicePort['protocol'];
		const all = ready.filter((each) => each.portName === (port.name ?? '') && each.protocol === protocol);
		const here = all.filter((each) => each.nodeName === nodeName);
		return {
			name: `${metadata.namespace}/${metadata.name}/${port.name || port.port}/${protocol}`,
			addresses: [ip, ...external.filter((address) => !address.includes(':'))],
			protocol,
			port: port.port,
			...(port.nodePort ? { nodePort: port.nodePort } : {}),
			targets: targets(spec.internalTrafficPolicy === 'Local' ? here : all),
			nodeTargets: targets(local ? here : all),
			keepSource: local,
		};
	});
}

interface Ready extends Target {
	readonly portName: string;
	readonly protocol: string;
	readonly nodeName?: string;
}

/** Endpoints that take connections: the ready ones, or, where a service has none, those that still serve while they terminate. */
function readyEndpoints(slices: Iterable<EndpointSlice>): Ready[] {
	const ready: Ready[] = [];
	const serving: Ready[] = [];
	for (const slice of slices) {
		if (slice.addressType !== 'IPv4') continue;
		for (const { addresses, conditions, nodeName } of slice.endpoints ?? []) {
			const to =
				conditions?.ready !== false ? ready : conditions.serving && conditions.terminating ? serving : undefined;
			const ip = addresses[0];
			if (!to || !ip) continue;
			for (const { name, port, protocol } of slice.ports ?? []) {
				if (port) to.push({ ip, port, portName: name ?? '', protocol: (protocol ?? 'TCP').toLowerCase(), nodeName });
			}
		}
	}
	return ready.length > 0 ? ready : serving;
}

function targets(ready: readonly Ready[]): Target[] {
	const unique = new Map(ready.map(({ ip, port }) => [`${ip}:${port}`, { ip, port }]));
	return [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, target]) => target);
}
