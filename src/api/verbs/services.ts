/**
 * Cluster IPs and node ports of services. What is in use is derived from the cache; that two servers do not give out the
 * same value is seen to by claims.ts. The bands kept for values that people choose are those of KEP-3070 and KEP-3668.
 */
import { randomInt } from 'node:crypto';
import { addressNumber, addressText, hasHealthPort, hasOwnEndpoints, parseRange, Service } from '../../kinds/index.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { ApiError, type FieldError, fieldError } from '../../kinds/status.ts';
import type { WatchCache } from '../cache/cache.ts';
import type { Allocator } from './allocator.ts';

export interface ServiceRange {
	/** IPv4 CIDR of cluster IPs. */
	readonly cidr: string;
	/** First and last node port. */
	readonly nodePorts: readonly [first: number, last: number];
}

export const defaultServiceRange: ServiceRange = { cidr: '10.96.0.0/12', nodePorts: [30_000, 32_767] };

/** Addresses of the range that only one service may have: the first is that of the API, the tenth that of cluster DNS. */
const RESERVED = [
	[1, 'default/kubernetes'],
	[10, 'kube-system/kube-dns'],
] as const;

type Spec = Service['spec'];

interface Assigned {
	readonly errors: FieldError[];
	readonly took: string[];
}

/** The allocator of services. */
export function createServiceAddresses(cache: WatchCache, range: ServiceRange): Allocator {
	const addresses = addressRange(range.cidr);
	const services = cache.of({ group: '', plural: 'services' });
	const owners = new Map<string, string>(RESERVED.map(([number, owner]) => [addresses.at(number - 1), owner]));
	/** Given out, and not yet written. */
	const reserved = new Set<string>();
	let used = new Map<string, number>();
	/** How far the ring of the services has been counted in; -1: nothing yet. */
	let counted = -1;

	const count = (stored: { readonly object: KubeObject } | undefined, by: number) => {
		if (!stored) return;
		for (const value of Service.claims(stored.object as Service)) used.set(value, (used.get(value) ?? 0) + by);
	};
	const catchUp = () => {
		const { ring } = services;
		if (counted < ring.start) {
			used = new Map();
			for (const stored of services.list(undefined)) count(stored, 1);
			counted = ring.end;
			return;
		}
		for (; counted < ring.end; counted++) {
			const change = ring.at(counted);
			count(change?.old, -1);
			count(change?.stored, 1);
		}
	};
	const taken = (value: string) => reserved.has(value) || (used.get(value) ?? 0) > 0;
	const take = (value: string, took: string[]) => {
		reserved.add(value);
		took.push(value);
	};

	/** A free number of [0, size), the upper band first, from a random start. */
	const free = (size: number, reservedBand: number, isTaken: (offset: number) => boolean): number | undefined => {
		const staticBand = Math.min(reservedBand, size);
		for (const [from, to] of [
			[staticBand, size],
			[0, staticBand],
		] as const) {
			if (to <= from) continue;
			const start = randomInt(to - from);
			for (let step = 0; step < to - from; step++) {
				const offset = from + ((start + step) % (to - from));
				if (!isTaken(offset)) return offset;
			}
		}
		return undefined;
	};

	const assignAddress = (spec: Spec, name: string, before: readonly string[], { errors, took }: Assigned) => {
		if (spec.type === 'ExternalName') {
			delete spec.clusterIP;
			delete spec.clusterIPs;
			return;
		}
		checkFamilies(spec, errors);
		// Which of the two was meant is not guessed: the rules of a Service refuse it.
		if (spec.clusterIP && spec.clusterIPs?.length && spec.clusterIPs[0] !== spec.clusterIP) return;
		const given = spec.clusterIP || spec.clusterIPs?.[0] || before.find((value) => value.startsWith('ip/'))?.slice(3);
		if (given === 'None') {
			spec.clusterIP = 'None';
			spec.clusterIPs = ['None'];
			return;
		}
		if (given) {
			const value = `ip/${given}`;
			const refuse = (why: string) =>
				errors.push(fieldError.invalid('spec.clusterIPs', [given], `failed to allocate IP ${given}: ${why}`));
			if (!addresses.contains(given))
				refuse(`the provided IP (${given}) is not in the valid range. The range of valid IPs is ${range.cidr}`);
			else if (!before.includes(value)) {
				if (taken(value) || (owners.get(given) ?? name) !== name) refuse('provided IP is already allocated');
				else take(value, took);
			}
			spec.clusterIP = given;
			spec.clusterIPs = [given];
			return;
		}
		const offset = free(addresses.size, Math.min(Math.max(16, Math.floor(addresses.size / 16)), 256), (each) => {
			const address = addresses.at(each);
			return owners.has(address) || taken(`ip/${address}`);
		});
		if (offset === undefined) throw full('failed to allocate a serviceIP: range is full');
		const address = addresses.at(offset);
		take(`ip/${address}`, took);
		spec.clusterIP = address;
		spec.clusterIPs = [address];
	};

	const [firstPort, lastPort] = range.nodePorts;
	const ports = lastPort - firstPort + 1;
	/** The numbers that one service has of the nodes. */
	const portsOf = (before: readonly string[], { errors, took }: Assigned) => {
		const mine = new Set<string>();
		return {
			has: (number: number) => before.includes(`port/${number}`),
			/** Takes one that is named. */
			named(number: number, field: string) {
				const value = `port/${number}`;
				const refuse = (why: string) => errors.push(fieldError.invalid(field, number, why));
				if (number < firstPort || number > lastPort)
					refuse(`provided port is not in the valid range. The range of valid ports is ${firstPort}-${lastPort}`);
				else if (!before.includes(value) && !mine.has(value)) {
					if (taken(value)) refuse('provided port is already allocated');
					else take(value, took);
				}
				mine.add(value);
			},
			/** Takes any that is free. */
			any(): number {
				const band = Math.min(Math.max(16, Math.floor(ports / 32)), 128);
				const offset = free(
					ports,
					band,
					(each) => mine.has(`port/${firstPort + each}`) || taken(`port/${firstPort + each}`),
				);
				if (offset === undefined) throw full('failed to allocate a nodePort: range is full');
				const value = `port/${firstPort + offset}`;
				mine.add(value);
				take(value, took);
				return firstPort + offset;
			},
		};
	};

	const assignPorts = (spec: Spec, old: Spec | undefined, numbers: ReturnType<typeof portsOf>) => {
		const needed =
			spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
		for (const [index, port] of (spec.ports ?? []).entries()) {
			if (spec.type !== 'NodePort' && spec.type !== 'LoadBalancer') {
				// A port of a service that was a NodePort and is none any more goes back.
				if (old && port.nodePort && numbers.has(port.nodePort)) delete port.nodePort;
				continue;
			}
			if (!port.nodePort)
				port.nodePort = old?.ports?.find(
					(each) => each.port === port.port && (each.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
				)?.nodePort;
			if (port.nodePort) numbers.named(port.nodePort, `spec.ports[${index}].nodePort`);
		}
		if (!needed) return;
		for (const port of spec.ports ?? []) {
			if (port.nodePort) continue;
			// One port number of two protocols, as of DNS, is one number on the nodes as well.
			port.nodePort = spec.ports?.find((each) => each.port === port.port && each.nodePort)?.nodePort ?? numbers.any();
		}
	};

	/** A number that is named is taken before any are chosen, and one is chosen when all that are named are taken. */
	const assignNumbers = (spec: Spec, old: Spec | undefined, before: readonly string[], assigned: Assigned) => {
		const numbers = portsOf(before, assigned);
		const field = 'spec.healthCheckNodePort';
		if (hasHealthPort(spec) && spec.healthCheckNodePort) numbers.named(spec.healthCheckNodePort, field);
		assignPorts(spec, old, numbers);
		if (!hasHealthPort(spec)) return;
		spec.healthCheckNodePort ||= numbers.any();
		// The rules of the node port would take the connections that come to ask for health.
		if (spec.ports?.some(({ nodePort }) => nodePort === spec.healthCheckNodePort))
			assigned.errors.push(fieldError.invalid(field, spec.healthCheckNodePort, 'provided port is already allocated'));
	};

	const release = (values: readonly string[]) => {
		for (const value of values) reserved.delete(value);
	};
	return {
		assign(object, before) {
			catchUp();
			// The allocator is that of services.
			const service = object as Service;
			const old = before as Service | undefined;
			const { errors, took }: Assigned = { errors: [], took: [] };
			const had = old ? Service.claims(old) : [];
			const { namespace, name } = service.metadata;
			try {
				// An object without spec is refused by validation; that must not be hindered here.
				if (service.spec) {
					assignAddress(service.spec, `${namespace}/${name}`, had, { errors, took });
					assignNumbers(service.spec, old?.spec, had, { errors, took });
				}
			} catch (cause) {
				release(took);
				throw cause;
			}
			return { errors, [Symbol.dispose]: () => release(took) };
		},
	};
}

/** The cluster has IPv4 alone; only who makes the endpoints of a service may name another family. */
function checkFamilies(spec: Spec, errors: FieldError[]): void {
	if (hasOwnEndpoints(spec)) return;
	if (spec.ipFamilyPolicy === 'RequireDualStack')
		errors.push(
			fieldError.invalid(
				'spec.ipFamilyPolicy',
				spec.ipFamilyPolicy,
				'this cluster is not configured for dual-stack services',
			),
		);
	for (const [index, family] of (spec.ipFamilies ?? []).entries())
		if (family === 'IPv6')
			errors.push(fieldError.invalid(`spec.ipFamilies[${index}]`, family, 'not configured on this cluster'));
}

const full = (why: string) => new ApiError(500, 'InternalError', `Internal error occurred: ${why}`);

/** The usable addresses of an IPv4 CIDR: all but the first and the last. Throws when it is no such range. */
function addressRange(cidr: string) {
	const range = parseRange(cidr);
	if (!range || range.size > 2 ** 24 || range.size < 4)
		throw new Error(`the service range ${JSON.stringify(cidr)} is no IPv4 CIDR of /8 to /30`);
	const { first, size } = range;
	return {
		size: size - 2,
		at: (offset: number) => addressText(first + 1 + offset),
		contains(address: string) {
			const number = addressNumber(address);
			return number !== undefined && number > first && number < first + size - 1;
		},
	};
}
