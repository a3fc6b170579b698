/** The zone over the caches: indexes, so that a query never looks through all services. */
import type { Cache } from '../../client/index.ts';
import { EndpointSlice, Namespace, Service } from '../../kinds/index.ts';
import { isHeadless, type Zone } from './names.ts';

const SERVICE_NAME = 'kubernetes.io/service-name';

export function zoneOf(cache: Cache, domain: string): Zone {
	const services = cache.informer(Service);
	const slices = cache.informer(EndpointSlice);
	const namespaces = cache.informer(Namespace);
	services.addIndex('clusterIP', ({ spec }) => (spec.clusterIP && spec.clusterIP !== 'None' ? [spec.clusterIP] : []));
	slices.addIndex('service', ({ metadata }) => {
		const name = metadata.labels?.[SERVICE_NAME];
		return name ? [`${metadata.namespace}/${name}`] : [];
	});
	slices.addIndex('address', ({ endpoints }) => (endpoints ?? []).flatMap(({ addresses }) => addresses));
	return {
		domain,
		service: (namespace, name) => services.get(`${namespace}/${name}`),
		slices: (namespace, name) => slices.by('service', `${namespace}/${name}`),
		hasNamespace: (name) => namespaces.get(name) !== undefined,
		*byAddress(ip) {
			for (const { metadata } of services.by('clusterIP', ip))
				if (metadata.namespace) yield { namespace: metadata.namespace, name: metadata.name };
			for (const slice of slices.by('address', ip)) {
				const { namespace, labels } = slice.metadata;
				const name = labels?.[SERVICE_NAME];
				const service = name ? services.get(`${namespace}/${name}`) : undefined;
				if (!namespace || !name || !service || !isHeadless(service)) continue;
				for (const { addresses, hostname } of slice.endpoints ?? [])
					if (addresses.includes(ip)) yield { namespace, name, hostname: hostname || ip.replaceAll('.', '-') };
			}
		},
	};
}
