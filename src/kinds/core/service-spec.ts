/** What the spec of a service makes of it. Source: Kubernetes API reference, "Service". */
import type { Service } from './service.ts';

/** Whether clients outside the cluster can reach the service, by a port of the nodes or an address. */
export function isReachedFromOutside({ type, externalIPs }: Service['spec']): boolean {
	return type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && Boolean(externalIPs?.length));
}

/** Whether the service has neither an address nor a selector: its endpoints are made by hand, and found by DNS. */
export function hasOwnEndpoints({ type, clusterIP, clusterIPs, selector }: Service['spec']): boolean {
	const headless = clusterIP === 'None' || clusterIPs?.[0] === 'None';
	return type !== 'ExternalName' && headless && Object.keys(selector ?? {}).length === 0;
}

/** Whether each node answers whether it has endpoints of the service, for a load balancer that sends to such nodes only. */
export const hasHealthPort = ({ type, externalTrafficPolicy }: Service['spec']): boolean =>
	type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
