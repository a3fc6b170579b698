/** What an Endpoints object says: pure decisions of the Endpoints controller. Source: Kubernetes API reference, "Endpoints". */
import type { EndpointAddress, EndpointPort, EndpointSubset } from 'kubernetes-types/core/v1.js';
import type { Endpoints, Pod, Service } from '../../kinds/index.ts';
import {
	addressOf,
	addressTypes,
	conditionsOf,
	HEADLESS,
	hostnameOf,
	isHeadless,
	isReachable,
	type Port,
	portsOn,
	targetRefOf,
} from './service-pods.ts';

/** An Endpoints object holds no more addresses; slices hold the rest. */
const MOST_ADDRESSES = 1000;
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';

/**
 * Labels, annotations and subsets for a service and its pods. Pods with one set of ports share a subset; addresses, ports and
 * subsets are sorted, so that the same pods give the same object. Terminating pods are left out, unless the service publishes
 * what is not ready.
 */
export function planEndpoints(service: Service, pods: readonly Pod[], existing?: Endpoints) {
	const publish = service.spec.publishNotReadyAddresses === true;
	const reachable = pods.filter((pod) => isReachable(pod) && (publish || !pod.metadata.deletionTimestamp));
	const { kept, cut } = withinCapacity(reachable, service);
	const { [OVER_CAPACITY]: _, ...annotations } = existing?.metadata.annotations ?? {};
	if (cut) annotations[OVER_CAPACITY] = 'truncated';
	const { [HEADLESS]: __, ...labels } = service.metadata.labels ?? {};
	if (isHeadless(service)) labels[HEADLESS] = '';
	const subsets = subsetsOf(service, kept);
	return {
		labels,
		annotations: Object.keys(annotations).length > 0 ? annotations : undefined,
		subsets: subsets.length > 0 ? subsets : undefined,
	};
}

function subsetsOf(service: Service, pods: readonly Pod[]): EndpointSubset[] {
	const [type = 'IPv4'] = addressTypes(service);
	const byPorts = new Map<string, { ports: EndpointPort[]; ready: EndpointAddress[]; notReady: EndpointAddress[] }>();
	for (const pod of pods) {
		const ip = addressOf(pod, type);
		if (!ip) continue;
		const ports = portsOn(pod, service).map(endpointPort).sort(byPort);
		// Without ports there is nothing to reach, but a headless service is a name for its pods all the same.
		if (ports.length === 0 && !(isHeadless(service) && !service.spec.ports?.length)) continue;
		const key = JSON.stringify(ports);
		const subset = byPorts.get(key) ?? { ports, ready: [], notReady: [] };
		byPorts.set(key, subset);
		const hostname = hostnameOf(pod, service);
		const { nodeName } = pod.spec;
		const address = { ip, ...(hostname && { hostname }), ...(nodeName && { nodeName }), targetRef: targetRefOf(pod) };
		(conditionsOf(pod, service).ready ? subset.ready : subset.notReady).push(address);
	}
	return [...byPorts]
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([, { ports, ready, notReady }]) => ({
			...(ready.length > 0 && { addresses: ready.sort(byAddress) }),
			...(notReady.length > 0 && { notReadyAddresses: notReady.sort(byAddress) }),
			...(ports.length > 0 && { ports }),
		}));
}

/** Ready pods before others where there are too many. */
function withinCapacity(pods: readonly Pod[], service: Service) {
	if (pods.length <= MOST_ADDRESSES) return { kept: pods, cut: false };
	const ready = pods.filter((pod) => conditionsOf(pod, service).ready);
	const notReady = pods.filter((pod) => !conditionsOf(pod, service).ready);
	return { kept: [...ready, ...notReady].slice(0, MOST_ADDRESSES), cut: true };
}

const endpointPort = ({ name, ...rest }: Port): EndpointPort => ({ ...(name && { name }), ...rest });

const byPort = (a: EndpointPort, b: EndpointPort) => {
	const [first, second] = [a.name ?? '', b.name ?? ''];
	return first < second ? -1 : first > second ? 1 : a.port - b.port;
};

const byAddress = (a: EndpointAddress, b: EndpointAddress) =>
	a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : (a.targetRef?.uid ?? '') < (b.targetRef?.uid ?? '') ? -1 : 1;
