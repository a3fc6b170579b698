/** The mirroring controller: Endpoints that somebody made by hand for a service without a selector become EndpointSlices, which is what services and DNS read. */
import { EndpointSlice, Endpoints, keyOf, Service } from '../../kinds/index.ts';
import { controller, index, watch } from '../runtime/controller.ts';
import { MANAGED_BY } from './endpoint-slices.ts';
import { serviceOf, writeSlices } from './endpointslice.ts';
import { isToBeMirrored, MIRROR, planMirror } from './mirrored-slices.ts';

/** Mirrored slices by the key of their service, which is that of the Endpoints as well. */
const MIRRORED = 'mirrored';

const mirrored = (slice: EndpointSlice) => (slice.metadata.labels?.[MANAGED_BY] === MIRROR ? serviceOf(slice) : []);

export const endpointSliceMirroring = controller<Endpoints>({
	name: 'endpointslice-mirroring',
	for: Endpoints,
	watches: [watch(Service, (service) => [keyOf(service)]), watch(EndpointSlice, mirrored)],
	indexes: [index(EndpointSlice, MIRRORED, mirrored)],
	async reconcile(key, { cache, client }) {
		const endpoints = cache.informer(Endpoints).get(key);
		const existing = [...cache.informer(EndpointSlice).by(MIRRORED, key)];
		const wanted = endpoints && isToBeMirrored(endpoints, cache.informer(Service).get(key));
		const plan = wanted ? planMirror(endpoints, existing) : { create: [], update: [], delete: existing };
		await writeSlices(plan, client);
		return undefined;
	},
});
