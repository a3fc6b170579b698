/** The zone over the caches: indexes, so that a question never looks through all services. */
import type { BlockList } from 'node:net';
import { EndpointSlice, Namespace, Service } from '../../kinds/index.ts';
import { isHeadless, SERVICE_INDEX, serviceOf } from '../services.ts';
import { hostOf, type Zone } from './names.ts';
import type { Remembered } from './remembered.ts';

/** A zone that tells when it is ready. */
export interface KnownZone extends Zone {
	readonly known: Promise<void>;
}

/** `networks` are those of pods and services. */
export function zoneOf(informers: Pick<Remembered, 'informer'>, domain: string, networks: BlockList): KnownZone {
	const services = informers.informer(Service);
	const slices = informers.informer(EndpointSlice);
	const namespaces = informers.informer(Namespace);
	services.addIndex('clusterIP', ({ spec }) => (spec.clusterIP && !isNone(spec.clusterIP) ? [spec.clusterIP] : []));
	slices.addIndex(SERVICE_INDEX, (slice) => [serviceOf(slice) ?? []].flat());
	slices.addIndex('address', ({ endpoints }) => (endpoints ?? []).flatMap(({ addresses }) => addresses));
	let ready = false;
	const known = Promise.all([services.synced, slices.synced, namespaces.synced]).then(
		() => {
			ready = true;
		},
		// The cache has ended; nobody asks any more.
		() => {},
	);
	return {
		domain,
		known,
		get ready() {
			return ready;
		},
		service: (namespace, name) => services.get(`${namespace}/${name}`),
		slices: (namespace, name) => slices.by(SERVICE_INDEX, `${namespace}/${name}`),
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

const isNone = (clusterIP: string) => clusterIP === 'None';
