/** The downward API: what a pod may know of itself. Source: Kubernetes documentation, "Downward API". */
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { milli, quantity } from '../../kinds/index.ts';

/** Where a pod is, as the downward API tells it. */
export interface Place {
	readonly podIp: string;
	readonly hostIp: string;
	/** What the node has, for limits that are not set. */
	readonly allocatable: Readonly<Record<string, string>>;
}

/** The value of a field of the pod; undefined where the path is none that the downward API has. */
export function podField(pod: Pod, path: string, place: Place): string | undefined {
	const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
	if (keyed) return pod.metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2] ?? ''] ?? '';
	switch (path) {
		case 'metadata.name':
			return pod.metadata.name;
		case 'metadata.namespace':
			return pod.metadata.namespace ?? '';
		case 'metadata.uid':
			return pod.metadata.uid ?? '';
		case 'metadata.labels':
			return lines(pod.metadata.labels);
		case 'metadata.annotations':
			return lines(pod.metadata.annotations);
		case 'spec.nodeName':
			return pod.spec.nodeName ?? '';
		case 'spec.serviceAccountName':
			return pod.spec.serviceAccountName ?? 'default';
		case 'status.podIP':
		case 'status.podIPs':
			return place.podIp;
		case 'status.hostIP':
		case 'status.hostIPs':
			return place.hostIp;
		default:
			return undefined;
	}
}

/** The amount of a container's resource in units of the divisor, rounded up. Throws where there is no such resource. */
export function resourceField(pod: Pod, selector: core.ResourceFieldSelector, own: string, place: Place): string {
	const name = selector.containerName ?? own;
	const container = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((one) => one.name === name);
	if (!container) throw new Error(`container ${name} not found`);
	const [kind, ...rest] = selector.resource.split('.');
	const resource = rest.join('.');
	if ((kind !== 'limits' && kind !== 'requests') || !resource) {
		throw new Error(`unsupported container resource : ${selector.resource}`);
	}
	const limit =
		container.resources?.limits?.[resource] ?? (kind === 'limits' ? place.allocatable[resource] : undefined);
	const amount = (kind === 'requests' ? container.resources?.requests?.[resource] : undefined) ?? limit ?? '0';
	const divisor = String(selector.divisor ?? '0');
	const unit = quantity(divisor) === 0 ? '1' : divisor;
	return String(Math.ceil(resource === 'cpu' ? milli(amount) / milli(unit) : quantity(amount) / quantity(unit)));
}

/** `key="value"` a line, sorted, with the value quoted as Go's %q does. */
function lines(map: Record<string, string> | undefined): string {
	return Object.entries(map ?? {})
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([key, value]) => `${key}=${JSON.stringify(value)}`)
		.join('\n');
}
