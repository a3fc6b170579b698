/**
 * The service `kube-dns` in kube-system: the name and the address by which cluster DNS is known. It selects no pods and has
 * no endpoints: the DNS server of each node answers at its address itself (src/proxy/dns).
 * Source: Kubernetes documentation, "DNS for Services and Pods", and the labels of its CoreDNS manifest.
 */
import { keyOf, Namespace, Service } from '../../kinds/index.ts';
import { type Controller, controller, watch } from '../runtime/controller.ts';
import { keep } from '../runtime/kept-object.ts';

const DNS_PORT = 53;
const METRICS_PORT = 9153;
const name = { namespace: 'kube-system', name: 'kube-dns' };
const key = keyOf({ metadata: name });
const labels = {
	'k8s-app': 'kube-dns',
	'kubernetes.io/cluster-service': 'true',
	'kubernetes.io/name': 'CoreDNS',
};

/** `clusterIP` is the address of cluster DNS, the tenth of the service network. */
export function clusterDns(clusterIP: string): Controller {
	return controller({
		name: 'cluster-dns',
		workers: 1,
		watches: [
			watch(Service, (service) => (keyOf(service) === key ? [key] : [])),
			watch(Namespace, ({ metadata }) => (metadata.name === name.namespace ? [key] : [])),
		],
		async reconcile(_key, context) {
			const namespace = context.cache.informer(Namespace).get(name.namespace);
			// The namespace's coming brings us here again.
			if (!namespace || namespace.metadata.deletionTimestamp) return undefined;
			await keep(Service, name, context, (old) => service(clusterIP, old));
			return undefined;
		},
	});
}

function service(clusterIP: string, old: Service | undefined): Service {
	return {
		...(old ?? { apiVersion: 'v1', kind: 'Service' }),
		metadata: { ...(old?.metadata ?? name), labels: { ...old?.metadata.labels, ...labels } },
		spec: {
			...(old?.spec ?? { type: 'ClusterIP', clusterIP, sessionAffinity: 'None' }),
			selector: undefined,
			ports: [
				{ name: 'dns', port: DNS_PORT, protocol: 'UDP', targetPort: DNS_PORT },
				{ name: 'dns-tcp', port: DNS_PORT, protocol: 'TCP', targetPort: DNS_PORT },
				{ name: 'metrics', port: METRICS_PORT, protocol: 'TCP', targetPort: METRICS_PORT },
			],
		},
	};
}
