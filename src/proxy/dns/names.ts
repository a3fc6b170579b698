/** The names of a cluster: what a question in its zone is answered. Source: "Kubernetes DNS-Based Service Discovery", schema 1.1.0. Pure. */
import { isIPv4 } from 'node:net';
import type { EndpointSlice, Service } from '../../kinds/index.ts';
import { isHeadless } from '../services.ts';

export type Answer =
	| { readonly type: 'A'; readonly name: string; readonly ip: string }
	/** `ip` is the address of the target, if it has one. */
	| {
			readonly type: 'SRV';
			readonly name: string;
			readonly port: number;
			readonly target: string;
			readonly ip?: string;
	  }
	| { readonly type: 'CNAME' | 'PTR'; readonly name: string; readonly target: string }
	| { readonly type: 'TXT'; readonly name: string; readonly text: string }
	| { readonly type: 'SOA'; readonly name: string; readonly domain: string };

/** Undefined: there is no such name. Empty: the name has no records of that type. */
export type Answers = readonly Answer[] | undefined;

/** What the answers are made from; lookups, not lists, so that a question costs one service. */
export interface Zone {
	/** `cluster.local`. */
	readonly domain: string;
	/** Whether everything is known yet. */
	readonly ready: boolean;
	service(namespace: string, name: string): Service | undefined;
	slices(namespace: string, name: string): Iterable<EndpointSlice>;
	hasNamespace(name: string): boolean;
	/** Whether the address is one of the cluster's networks. */
	hasAddress(ip: string): boolean;
	/** The services, and the endpoints of headless ones, whose address this is. */
	byAddress(ip: string): Iterable<{ readonly namespace: string; readonly name: string; readonly host?: string }>;
}

/** The version of the schema, as the zone tells it. */
const VERSION = '1.1.0';

/**
 * The zone that a name belongs to: the cluster's domain, or that of reverse names for the cluster's addresses. Undefined: the
 * name is not the cluster's to answer. `name` is in lower case without the final dot.
 */
export function zoneOfName(name: string, zone: Zone): string | undefined {
	if (name === zone.domain || name.endsWith(`.${zone.domain}`)) return zone.domain;
	const ip = reverseAddress(name);
	return ip && zone.hasAddress(ip) ? 'in-addr.arpa' : undefined;
}

/** Answers a question for a name of the cluster; `name` in lower case without the final dot. */
export function answer(name: string, type: string, zone: Zone): Answers {
	const ip = reverseAddress(name);
	if (ip) return pointers(name, ip, type, zone);
	const found = find(name, zone);
	if (!found) return undefined;
	// Whatever is asked of an alias, it is an alias. Source: RFC 1034, section 3.6.2.
	if (found.alias) return [{ type: 'CNAME', name, target: found.alias }];
	switch (type) {
		case 'A':
			return (found.addresses?.() ?? []).map((ip) => ({ type, name, ip }));
		case 'SRV':
			return (found.ports?.() ?? []).map(({ port, target, ip }) => ({ type, name, port, target, ip }));
		case 'TXT':
			return found.text ? [{ type, name, text: found.text }] : [];
		case 'SOA':
			return name === zone.domain ? [{ type, name, domain: zone.domain }] : [];
		default:
			return [];
	}
}

/** What a name has; what it does not mention has no records. */
interface Found {
	readonly alias?: string;
	readonly text?: string;
	readonly addresses?: () => string[];
	readonly ports?: () => Location[];
}

function find(name: string, zone: Zone): Found | undefined {
	const { domain } = zone;
	if (name === domain) return {};
	const labels = name.slice(0, -(domain.length + 1)).split('.');
	const kind = labels.pop();
	if (kind === 'dns-version' && labels.length === 0) return { text: VERSION };
	if (kind !== 'svc' && kind !== 'pod') return undefined;
	const namespace = labels.pop();
	if (namespace === undefined) return {};
	const last = labels.pop();
	if (last === undefined) return zone.hasNamespace(namespace) ? {} : undefined;
	if (kind === 'pod') return labels.length === 0 ? pod(last, namespace, zone) : undefined;
	const service = zone.service(namespace, last);
	return service && findOf(service, namespace, labels, zone);
}

/** `1-2-3-4.NAMESPACE.pod.DOMAIN` is 1.2.3.4. */
function pod(label: string, namespace: string, zone: Zone): Found | undefined {
	const ip = label.replaceAll('-', '.');
	return isIPv4(ip) && zone.hasNamespace(namespace) ? { addresses: () => [ip] } : undefined;
}

/** The service itself, `_PORT._PROTOCOL` or the name of an endpoint below it. */
function findOf(service: Service, namespace: string, below: readonly string[], zone: Zone): Found | undefined {
	const { spec } = service;
	const name = `${service.metadata.name}.${namespace}.svc.${zone.domain}`;
	const [first = '', second = ''] = below;
	if (spec.type === 'ExternalName')
		return below.length === 0 && spec.externalName ? { alias: spec.externalName.replace(/\.$/, '') } : undefined;
	const endpoints = () => [...endpointsOf(service, namespace, zone)];
	const ports = (): Location[] =>
		isHeadless(service)
			? endpoints().flatMap(({ host, ip, ports }) => ports.map((port) => ({ ...port, target: `${host}.${name}`, ip })))
			: (spec.ports ?? []).map((port) => ({ ...port, target: name, ip: spec.clusterIP }));
	if (below.length === 0) {
		const addresses = () =>
			isHeadless(service) ? [...new Set(endpoints().map(({ ip }) => ip))] : [spec.clusterIP ?? []].flat();
		return { addresses, ports };
	}
	if (below.length === 2 && first.startsWith('_') && second.startsWith('_')) {
		const matches = ports().filter(
			({ name, protocol = 'TCP' }) => `_${name}` === first && `_${protocol.toLowerCase()}` === second,
		);
		return matches.length > 0 ? { ports: () => matches } : undefined;
	}
	const hosts = below.length === 1 ? endpoints().filter(({ host }) => host === first) : [];
	return hosts.length > 0 ? { addresses: () => [...new Set(hosts.map(({ ip }) => ip))] } : undefined;
}

interface Port {
	readonly name?: string;
	readonly protocol?: string;
	readonly port: number;
}

/** A port of a host. */
interface Location extends Port {
	readonly target: string;
	readonly ip?: string;
}

function* endpointsOf(service: Service, namespace: string, zone: Zone) {
	for (const { addressType, endpoints, ports } of zone.slices(namespace, service.metadata.name)) {
		if (addressType !== 'IPv4') continue;
		const numbered: Port[] = (ports ?? []).flatMap(({ name, protocol, port }) =>
			port ? [{ name, protocol, port }] : [],
		);
		for (const { addresses, hostname, conditions } of endpoints ?? []) {
			const ip = addresses[0];
			if (ip && conditions?.ready !== false) yield { ip, host: hostOf(ip, hostname), ports: numbered };
		}
	}
}

/** The label of an endpoint's name. */
export const hostOf = (ip: string, hostname: string | undefined): string => hostname || ip.replaceAll('.', '-');

/** `4.3.2.1.in-addr.arpa` as `1.2.3.4`; undefined for another name. */
function reverseAddress(name: string): string | undefined {
	if (!name.endsWith('.in-addr.arpa')) return undefined;
	const ip = name.slice(0, -'.in-addr.arpa'.length).split('.').reverse().join('.');
	return isIPv4(ip) ? ip : undefined;
}

/** The names of an address of the cluster. */
function pointers(name: string, ip: string, type: string, zone: Zone): Answers {
	const found = [...zone.byAddress(ip)];
	if (found.length === 0) return undefined;
	if (type !== 'PTR') return [];
	return found.map(({ namespace, name: service, host }) => ({
		type,
		name,
		target: `${host ? `${host}.` : ''}${service}.${namespace}.svc.${zone.domain}`,
	}));
}
