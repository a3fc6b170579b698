/**
 * The service `kubernetes` in the namespace default, by which pods reach the API, and its endpoints: the API servers.
 * Source: Kubernetes documentation, "Accessing the Kubernetes API from a Pod".
 */
import {
	EndpointSlice,
	Endpoints,
	type KubeObject,
	keyOf,
	Namespace,
	reachableAddress,
	Service,
} from '../../kinds/index.ts';
import { type Controller, controller, watch } from '../runtime/controller.ts';
import { keep } from '../runtime/kept-object.ts';
import { SERVICE_NAME } from './endpoint-slices.ts';
import { SKIP_MIRROR } from './mirrored-slices.ts';

export interface KubernetesService {
	/** The service's address, the first of the service network. */
	readonly clusterIP: string;
	/** Where the API servers answer, IPv4; asked anew whenever something changes. */
	readonly addresses: () => readonly string[];
	/** Their port. */
	readonly targetPort: number;
}

const SERVICE_PORT = 443;
const name = { namespace: 'default', name: 'kubernetes' };
const key = keyOf({ metadata: name });

export function kubernetesService(options: KubernetesService): Controller {
	const own = (object: KubeObject) => (keyOf(object) === key ? [key] : []);
	return controller({
		name: 'kubernetes-service',
		workers: 1,
		watches: [
			watch(Service, own),
			watch(Endpoints, own),
			watch(EndpointSlice, own),
			watch(Namespace, ({ metadata }) => (metadata.name === name.namespace ? [key] : [])),
		],
		async reconcile(_key, context) {
			const namespace = context.cache.informer(Namespace).get(name.namespace);
			// The namespace's coming brings us here again.
			if (!namespace || namespace.metadata.deletionTimestamp) return undefined;
			await keep(Service, name, context, (old) => service(options, old));
			await keep(EndpointSlice, name, context, (old) => slice(options, old));
			await keep(Endpoints, name, context, (old) => endpoints(options, old));
			return undefined;
		},
	});
}

function service({ clusterIP, targetPort }: KubernetesService, old: Service | undefined): Service {
	const labels = { component: 'apiserver', provider: 'kubernetes' };
	return {
		...(old ?? { apiVersion: 'v1', kind: 'Service' }),
		metadata: { ...(old?.metadata ?? name), labels: { ...old?.metadata.labels, ...labels } },
		spec: {
			...(old?.spec ?? { type: 'ClusterIP', clusterIP, sessionAffinity: 'None' }),
			ports: [{ name: 'https', port: SERVICE_PORT, protocol: 'TCP', targetPort }],
		},
	};
}

function slice({ addresses, targetPort }: KubernetesService, old: EndpointSlice | undefined): EndpointSlice {
	return {
		...(old ?? { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }),
		metadata: {
			...(old?.metadata ?? name),
			labels: { ...old?.metadata.labels, [SERVICE_NAME]: name.name },
		},
		addressType: 'IPv4',
		ports: [{ name: 'https', port: targetPort, protocol: 'TCP' }],
		endpoints: sorted(addresses()).map((address) => ({ addresses: [address], conditions: { ready: true } })),
	};
}

function endpoints({ addresses, targetPort }: KubernetesService, old: Endpoints | undefined): Endpoints {
	const ips = sorted(addresses()).map((ip) => ({ ip }));
	const ports = [{ name: 'https', port: targetPort, protocol: 'TCP' }];
	return {
		...(old ?? { apiVersion: 'v1', kind: 'Endpoints' }),
		// Its slice is made here.
		metadata: { ...(old?.metadata ?? name), labels: { ...old?.metadata.labels, [SKIP_MIRROR]: 'true' } },
		subsets: ips.length > 0 ? [{ addresses: ips, ports }] : undefined,
	};
}

/** An address of this machine alone leads nobody to it. */
const sorted = (addresses: readonly string[]) =>
	[...new Set(addresses)].filter((address) => reachableAddress(address).length === 0).sort();
