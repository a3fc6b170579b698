/** A zone of given services and slices, for tests of names. */
import type { EndpointSlice, Service } from '../../src/kinds/index.ts';
import { hostOf, type Zone } from '../../src/proxy/dns/names.ts';
import { networksOf } from '../../src/proxy/networks.ts';
import { isHeadless, serviceOf } from '../../src/proxy/services.ts';

const networks = networksOf('10.244.0.0/16', '10.96.0.0/12');

export function zone(services: Service[], slices: EndpointSlice[] = [], rest: Partial<Zone> = {}): Zone {
	const of = (namespace: string, name: string) =>
		services.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
	return {
		domain: 'cluster.local',
		ready: true,
		service: of,
		slices: (namespace, name) => slices.filter((slice) => serviceOf(slice) === `${namespace}/${name}`),
		hasNamespace: (name) => name === 'shop' || name === 'empty',
		hasAddress: (ip) => networks.check(ip),
		*byAddress(ip) {
			for (const { metadata, spec } of services)
				if (spec.clusterIP === ip) yield { namespace: metadata.namespace ?? '', name: metadata.name };
			for (const slice of slices) {
				const [namespace = '', name = ''] = serviceOf(slice)?.split('/') ?? [];
				const service = of(namespace, name);
				for (const { addresses, hostname } of slice.endpoints ?? [])
					if (service && isHeadless(service) && addresses[0] === ip)
						yield { namespace, name, host: hostOf(ip, hostname) };
			}
		},
		...rest,
	};
}
