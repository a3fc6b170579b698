/** The names of a cluster: what a query in its zone is answered. Source: "Kubernetes DNS-Based Service Discovery", schema 1.1.0. Pure. */
import type { EndpointSlice, Service } from '../../kinds/index.ts';

/** Seconds that an answer may be kept. */
export const TTL = 5;

export type Answer =
	| { readonly type: 'A'; readonly name: string; readonly ip: string }
	| { readonly type: 'SRV'; readonly name: string; readonly port: number; readonly target: string }
	| { readonly type: 'CNAME'; readonly name: string; readonly target: string }
	| { readonly type: 'PTR'; readonly name: string; readonly target: string };

/** Undefined: there is no such name. Empty: the name has no records of that type. */
export type Answers = readonly Answer[] | undefined;

/** What the answers are made from; lookups, not lists, so that a query costs one service. */
export interface Zone {
	/** `cluster.local`. */
	readonly domain: string;
	service(namespace: string, name: string): Service | undefined;
	slices(namespace: string, name: string): Iterable<EndpointSlice>;
	hasNamespace(name: string): boolean;
	/** Names of the services whose address this is. */
	byAddress(ip: string): Iterable<{ readonly namespace: string; readonly name: string; readonly hostname?: string }>;
}

/** Whether the name is the zone's to answer: the cluster's domain, or a reverse name of one of its addresses. */
export function isOurs(name: string, { domain }: Pick<Zone, 'domain'>): boolean {
	return name === domain || name.endsWith(`.${domain}`);
}

/** `name` in lower case without the final dot. */
export function answer(name: string, type: string, zone: Zone): Answers {
	const { domain } = zone;
	if (name === domain || name === `svc.${domain}` || name === `pod.${domain}`) return [];
	if (name === `dns-version.${domain}`) return [];
	const labels = name.slice(0, -(domain.length + 1)).split('.');
	const kind = labels.pop();
	const namespace = labels.pop();
	if (!namespace || (kind !== 'svc' && kind !== 'pod')) return undefined;
	if (labels.length === 0) return zone.hasNamespace(namespace) ? [] : undefined;
	if (kind === 'pod') return podAnswer(name, labels, namespace, type, zone);
	const service = zone.service(namespace, labels.at(-1) ?? '');
	if (!service) return undefined;
	const rest = labels.slice(0, -1);
	const whole = `${service.metadata.name}.${namespace}.svc.${domain}`;
	if (rest.length === 0) return serviceAnswer(name, service, namespace, type, zone);
	const [first = '', second = ''] = rest;
	if (rest.length === 2 && first.startsWith('_') && second.startsWith('_'))
		return portAnswer(name, whole, service, namespace, first.slice(1), second.slice(1), type, zone);
	if (rest.length === 1) return hostAnswer(name, service, namespace, first, type, zone);
	return undefined;
}

/** `1-2-3-4.NAMESPACE.pod.DOMAIN` is 1.2.3.4. */
function podAnswer(name: string, labels: readonly string[], namespace: string, type: string, zone: Zone): Answers {
	const [label = ''] = labels;
	const ip = label.replaceAll('-', '.');
	if (labels.length !== 1 || !/^(\d{1,3}\.){3}\d{1,3}$/.test(ip) || !zone.hasNamespace(namespace)) return undefined;
	return type === 'A' ? [{ type: 'A', name, ip }] : [];
}

function serviceAnswer(name: string, service: Service, namespace: string, type: string, zone: Zone): Answers {
	const { spec } = service;
	if (spec.type === 'ExternalName')
		return spec.externalName ? [{ type: 'CNAME', name, target: spec.externalName.replace(/\.$/, '') }] : [];
	if (isHeadless(service)) {
		if (type === 'A') return addresses(service, namespace, zone).map(({ ip }) => ({ type: 'A', name, ip }));
		if (type === 'SRV')
			return ports(service, namespace, zone).map(({ port, host }) => ({
				type: 'SRV',
				name,
				port,
				target: `${host}.${service.metadata.name}.${namespace}.svc.${zone.domain}`,
			}));
		return [];
	}
	if (type === 'A' && spec.clusterIP) return [{ type: 'A', name, ip: spec.clusterIP }];
	if (type === 'SRV') return (spec.ports ?? []).map(({ port }) => ({ type: 'SRV', name, port, target: name }));
	return [];
}

/** `_PORT._PROTOCOL.SERVICE...`. */
function portAnswer(
	name: string,
	whole: string,
	service: Service,
	namespace: string,
	port: string,
	protocol: string,
	type: string,
	zone: Zone,
): Answers {
	const matches = (each: { name?: string; protocol?: string }) =>
		(each.name ?? '') === port && (each.protocol ?? 'TCP').toLowerCase() === protocol;
	if (isHeadless(service)) {
		const found = ports(service, namespace, zone).filter(matches);
		if (found.length === 0) return undefined;
		return type === 'SRV'
			? found.map((each) => ({ type: 'SRV', name, port: each.port, target: `${each.host}.${whole}` }))
			: [];
	}
	const found = (service.spec.ports ?? []).filter(matches);
	if (found.length === 0) return undefined;
	return type === 'SRV' ? found.map((each) => ({ type: 'SRV', name, port: each.port, target: whole })) : [];
}

/** One endpoint of a headless service, by its hostname or its address with dashes. */
function hostAnswer(
	name: string,
	service: Service,
	namespace: string,
	host: string,
	type: string,
	zone: Zone,
): Answers {
	const found = addresses(service, namespace, zone).filter((each) => each.host === host);
	if (found.length === 0) return undefined;
	return type === 'A' ? found.map(({ ip }) => ({ type: 'A', name, ip })) : [];
}

export const isHeadless = ({ spec }: Service): boolean => spec.clusterIP === 'None';

interface Endpoint {
	readonly ip: string;
	/** The label of its name. */
	readonly host: string;
}

function addresses(service: Service, namespace: string, zone: Zone): Endpoint[] {
	const found = new Map<string, Endpoint>();
	for (const { ip, host } of endpointsOf(service, namespace, zone)) found.set(ip, { ip, host });
	return [...found.values()];
}

function ports(
	service: Service,
	namespace: string,
	zone: Zone,
): { host: string; port: number; name?: string; protocol?: string }[] {
	const found: { host: string; port: number; name?: string; protocol?: string }[] = [];
	for (const { host, slice } of endpointsOf(service, namespace, zone))
		for (const { port, name, protocol } of slice.ports ?? []) if (port) found.push({ host, port, name, protocol });
	return found;
}

function* endpointsOf(service: Service, namespace: string, zone: Zone): Iterable<Endpoint & { slice: EndpointSlice }> {
	for (const slice of zone.slices(namespace, service.metadata.name)) {
		if (slice.addressType !== 'IPv4') continue;
		for (const { addresses: ips, hostname, conditions } of slice.endpoints ?? []) {
			const ip = ips[0];
			if (ip && conditions?.ready !== false) yield { ip, host: hostname || ip.replaceAll('.', '-'), slice };
		}
	}
}

/** `4.3.2.1.in-addr.arpa` as `1.2.3.4`; undefined for another name. */
export function reverseAddress(name: string): string | undefined {
	const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
	return match ? `${match[4]}.${match[3]}.${match[2]}.${match[1]}` : undefined;
}

/** The names of an address of the cluster; empty where it has none. */
export function pointers(name: string, ip: string, zone: Zone): Answer[] {
	return [...zone.byAddress(ip)].map(({ namespace, name: service, hostname }) => ({
		type: 'PTR',
		name,
		target: `${hostname ? `${hostname}.` : ''}${service}.${namespace}.svc.${zone.domain}`,
	}));
}
