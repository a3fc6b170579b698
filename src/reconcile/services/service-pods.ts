/**
 * Which pods stand behind a service, and as what: the common ground of Endpoints and EndpointSlices.
 * Source: Kubernetes documentation, "Service", and "EndpointSlices".
 */
import { isIPv6 } from 'node:net';
import type { ServicePort } from 'kubernetes-types/core/v1.js';
import type { Cache } from '../../client/informer.ts';
import { type Key, keyOf, Pod, Service } from '../../kinds/index.ts';
import { type Index, index, type Watch, watch } from '../runtime/controller.ts';
import { pair, podPairs, podsWith } from '../runtime/label-pairs.ts';
import { includes } from '../runtime/label-selector.ts';
import { isFinished, isReady } from '../workloads/pod-state.ts';

/** Services by one pair of their selector: a change of a pod finds them without a scan. */
const PAIR = 'service-pair';

export const HEADLESS = 'service.kubernetes.io/headless';

export const serviceIndexes: readonly Index[] = [index(Service, PAIR, (service) => pairOf(service) ?? []), podPairs];

/** A change of a pod that endpoints tell of queues the services that select it. */
export const podWatch: Watch = watch(Pod, servicesOf, {
	part: ({ metadata, spec, status }) => [
		metadata.labels,
		Boolean(metadata.deletionTimestamp),
		[spec.nodeName, spec.hostname, spec.subdomain],
		[status?.phase, status?.podIP, status?.podIPs, readyStatus(status)],
	],
});

const readyStatus = (status: Pod['status']) => status?.conditions?.find(({ type }) => type === 'Ready')?.status;

function* servicesOf(pod: Pod, cache: Cache): Iterable<Key> {
	for (const [key, value] of Object.entries(pod.metadata.labels ?? {}))
		for (const service of cache.informer(Service).by(PAIR, pair(pod.metadata.namespace, key, value)))
			if (includes(service.spec.selector, pod.metadata.labels)) yield keyOf(service);
}

/** The pods that the service selects, by name, whatever their state. */
export function podsOf(service: Service, cache: Cache): Pod[] {
	const [value] = pairOf(service) ?? [];
	if (value === undefined) return [];
	const pods = Array.from(podsWith(cache, value)).filter((pod) => includes(service.spec.selector, pod.metadata.labels));
	return pods.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

/** Whether this project's controllers make the endpoints of the service: it selects pods. Others are left to whoever made them. */
export function selectsPods(service: Service): boolean {
	return service.spec.type !== 'ExternalName' && Object.keys(service.spec.selector ?? {}).length > 0;
}

export const isHeadless = (service: Service) => service.spec.clusterIP === 'None';

/** A port as endpoints name it. */
export interface Port {
	readonly name: string;
	readonly port: number;
	readonly protocol: string;
	readonly appProtocol?: string;
}

/** The ports of the service on this pod; one whose named targetPort the pod has not is left out. */
export function portsOn(pod: Pod, service: Service): readonly Port[] {
	return (service.spec.ports ?? []).flatMap((servicePort) => {
		const { name = '', protocol = 'TCP', appProtocol } = servicePort;
		const port = targetPort(pod, servicePort);
		return port === undefined ? [] : [{ name, port, protocol, ...(appProtocol && { appProtocol }) }];
	});
}

function targetPort(pod: Pod, { targetPort, port, protocol = 'TCP' }: ServicePort): number | undefined {
	if (targetPort === undefined || targetPort === '' || targetPort === 0) return port;
	if (typeof targetPort === 'number') return targetPort;
	const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
	for (const container of [...pod.spec.containers, ...sidecars])
		for (const candidate of container.ports ?? [])
			if (candidate.name === targetPort && (candidate.protocol ?? 'TCP') === protocol) return candidate.containerPort;
	return undefined;
}

export type AddressType = 'IPv4' | 'IPv6';

/** The address families that the service is to have endpoints of. */
export function addressTypes(service: Service): readonly AddressType[] {
	const families = (service.spec.ipFamilies ?? []).filter((family) => family === 'IPv4' || family === 'IPv6');
	if (families.length > 0) return families;
	const { clusterIP } = service.spec;
	return clusterIP && isIPv6(clusterIP) ? ['IPv6'] : ['IPv4'];
}

/** The pod's address of a family. */
export function addressOf(pod: Pod, type: AddressType): string | undefined {
	const { podIPs, podIP } = pod.status ?? {};
	const addresses = podIPs?.map(({ ip }) => ip) ?? [podIP];
	return addresses.find((ip) => ip && isIPv6(ip) === (type === 'IPv6')) || undefined;
}

/** Whether the pod can stand behind a service at all. */
export const isReachable = (pod: Pod) => !isFinished(pod) && Boolean(pod.status?.podIP);

/** What traffic may go to the pod: new requests, the last of old ones, or none. */
export function conditionsOf(pod: Pod, service: Service) {
	const serving = isReady(pod);
	const terminating = pod.metadata.deletionTimestamp !== undefined;
	return { ready: service.spec.publishNotReadyAddresses === true || (serving && !terminating), serving, terminating };
}

/** The host name by which DNS finds the pod under the service: only where the pod names this service as its subdomain. */
export function hostnameOf(pod: Pod, service: Service): string | undefined {
	return pod.spec.hostname && pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined;
}

export const targetRefOf = ({ metadata }: Pod) => ({
	kind: 'Pod',
	namespace: metadata.namespace,
	name: metadata.name,
	uid: metadata.uid,
});

/** The first pair of the selector, in the order of its keys. */
function pairOf(service: Service): readonly string[] | undefined {
	if (!selectsPods(service)) return undefined;
	const [first] = Object.entries(service.spec.selector ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
	return first && [pair(service.metadata.namespace, ...first)];
}
