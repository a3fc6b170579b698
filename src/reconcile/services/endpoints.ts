/** The Endpoints controller: one object of the service's name with all its addresses, for clients that know no slices. Source: Kubernetes documentation, "Service", section "Endpoints". */
import { Endpoints, type Key, keyOf, Service } from '../../kinds/index.ts';
import { type Context, type Controller, controller, watch } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { isTerminating, unlessGone } from '../runtime/refusal.ts';
import { planEndpoints } from './endpoint-subsets.ts';
import { podsOf, podWatch, selectsPods, serviceIndexes } from './service-pods.ts';

/** Tells Endpoints that this controller made from those that a user did. */
const MANAGED_BY = 'endpoints.kubernetes.io/managed-by';
const MANAGER = 'endpoint-controller';

/**
 * For how long changes of pods are gathered: the object is written as a whole, to everybody that watches it, and whoever is in
 * a hurry reads slices. Source: kube-controller-manager's --endpoint-updates-batch-period.
 */
const GATHER_MS = 1_000;

export const endpoints = ({ gatherMs = GATHER_MS } = {}): Controller =>
	controller<Service>({
		name: 'endpoints',
		component: 'endpoint-controller',
		for: Service,
		watches: [{ ...podWatch, gatherMs }, watch(Endpoints, (object) => [keyOf(object)])],
		indexes: serviceIndexes,
		reconcile,
	});

async function reconcile(key: Key, { cache, client }: Context): Promise<undefined> {
	const service = cache.informer(Service).get(key);
	const existing = cache.informer(Endpoints).get(key);
	if (!service) {
		if (existing?.metadata.labels?.[MANAGED_BY] !== MANAGER) return undefined;
		await unlessGone(client.delete(Endpoints, existing.metadata, { preconditions: { uid: existing.metadata.uid } }));
		return undefined;
	}
	if (!selectsPods(service) || service.metadata.deletionTimestamp) return undefined;

	const { labels, annotations, subsets } = planEndpoints(service, podsOf(service, cache), existing);
	const metadata = {
		...(existing?.metadata ?? { name: service.metadata.name, namespace: service.metadata.namespace }),
		labels: { ...labels, [MANAGED_BY]: MANAGER },
		annotations,
	};
	const wanted: Endpoints = { ...(existing ?? { apiVersion: 'v1', kind: 'Endpoints' }), metadata, subsets };
	if (existing) {
		if (!sameJson(wanted, existing)) await client.update(Endpoints, wanted);
		return undefined;
	}
	try {
		await client.create(Endpoints, wanted);
	} catch (error) {
		if (!isTerminating(error)) throw error;
	}
	return undefined;
}
