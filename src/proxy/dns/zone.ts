/** The zone over the caches: indexes, so that a question never looks through all services. */
import { BlockList, isIPv4 } from 'node:net';
import type { Cache } from '../../client/index.ts';
import { EndpointSlice, Namespace, Service } from '../../kinds/index.ts';
import { isHeadless, serviceOf } from '../services.ts';
import { hostOf, type Zone } from './names.ts';

/** `networks` are those of pods and services. */
export function zoneOf(cache: Cache, domain: string, networks: BlockList): Zone {
	const services = cache.informer(Service);
	const slices = cache.informer(EndpointSlice);
	const namespaces = cache.informer(Namespace);
	services.addIndex('clusterIP', ({ spec }) => (spec.clusterIP && !isNone(spec.clusterIP) ? [spec.clusterIP] : []));
	slices.addIndex('service', (slice) => [serviceOf(slice) ?? []].flat());
	slices.addIndex('address', ({ endpoints }) => (endpoints ?? []).flatMap(({ addresses }) => addresses));
	let ready = false;
	Promise.all([services.synced, slices.synced, namespaces.synced]).then(
		() => {
			ready = true;
		},
		// The cache has ended; nobody asks any more.
		() => {},
	);
	return {
		domain,
		get ready() {
			return ready;
		},
		service: (namespace, name) => services.get(`${namespace}/${name}`),
		slices: (namespace, name) => slices.by('service', `${namespace}/${name}`),
		hasNamespace: (name) => namespaces.get(name) !== undefined,
		hasAddress: (ip) => networks.check(ip),
		*byAddress(ip) {
			for (const { metadata } of services.by('clusterIP', ip))
				if (metadata.namespace) yield { namespace: metadata.namespace, name: metadata.name };
			for (const slice of slices.by('address', ip)) {
				const service = services.get(serviceOf(slice) ?? '');
				const { namespace, name } = service?.metadata ?? {};
				if (!service || !namespace || !name || !isHeadless(service)) continue;
				for (const { addresses, hostname, conditions } of slice.endpoints ?? [])
					if (addresses[0] === ip && conditions?.ready !== false) yield { namespace, name, host: hostOf(ip, hostname) };
			}
		},
	};
}

/** A set of networks, `10.244.0.0/16`, to ask whether an address is in one of them. */
export function networksOf(...cidrs: readonly string[]): BlockList {
	const networks = new BlockList();
	for (const cidr of cidrs) {
		const [base = '', bits = '32'] = cidr.split('/');
		if (!isIPv4(base)) throw new Error(`${cidr} is not an IPv4 network: driftless carries IPv4 only`);
		networks.addSubnet(base, Number(bits));
	}
	return networks;
}

const isNone = (clusterIP: string) => clusterIP === 'None';
