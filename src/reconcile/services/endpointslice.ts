/** The EndpointSlice controller: the addresses behind each service, a hundred a slice, each with what traffic it may get. Source: Kubernetes documentation, "EndpointSlices". */
import type { Client } from '../../client/index.ts';
import { EndpointSlice, type Key, keyOf, SERVICE_NAME, Service } from '../../kinds/index.ts';
import { controllerOf } from '../runtime/claim.ts';
import { controller, index, watch } from '../runtime/controller.ts';
import { isNotFound, isTerminating } from '../runtime/refusal.ts';
import { planSlices } from './endpoint-slices.ts';
import { podsOf, podWatch, selectsPods, serviceIndexes } from './service-pods.ts';
import type { SlicePlan } from './slice-distribution.ts';

/** Slices by the key of their service. */
const SERVICE = 'service';

export const endpointSlice = controller<Service>({
	name: 'endpointslice',
	for: Service,
	watches: [podWatch, watch(EndpointSlice, serviceOf)],
	indexes: [...serviceIndexes, index(EndpointSlice, SERVICE, serviceOf)],
	async reconcile(key, { cache, client }) {
		const service = cache.informer(Service).get(key);
		// The slices of a service that is gone go with it: it owns them.
		if (!service || !selectsPods(service) || service.metadata.deletionTimestamp) return undefined;
		const existing = Array.from(cache.informer(EndpointSlice).by(SERVICE, key)).filter(
			(slice) => controllerOf(slice)?.uid === service.metadata.uid,
		);
		await writeSlices(planSlices(service, podsOf(service, cache), existing), client);
		return undefined;
	},
});

/** Writes what a plan says. What has gone in the meantime, or whose namespace is going, needs nothing. */
export async function writeSlices(plan: SlicePlan, client: Client): Promise<void> {
	try {
		await Promise.all([
			...plan.create.map((slice) => client.create(EndpointSlice, slice)),
			...plan.update.map((slice) => client.update(EndpointSlice, slice)),
		]);
		// What is gone is taken away only when what replaces it is there.
		await Promise.all(
			plan.delete.map(({ metadata }) =>
				client.delete(EndpointSlice, metadata, { preconditions: { uid: metadata.uid } }),
			),
		);
	} catch (error) {
		if (!isTerminating(error) && !isNotFound(error)) throw error;
	}
}

/** The key of the service that a slice belongs to. */
export function serviceOf({ metadata }: EndpointSlice): Key[] {
	const name = metadata.labels?.[SERVICE_NAME];
	return name ? [keyOf({ metadata: { namespace: metadata.namespace, name } })] : [];
}
