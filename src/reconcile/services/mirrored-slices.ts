/**
 * Which EndpointSlices mirror an Endpoints object that somebody made by hand, for whoever reads slices alone: a pure decision.
 * Source: Kubernetes documentation, "EndpointSlices", section "EndpointSlice mirroring".
 */
import { isIPv6 } from 'node:net';
import type { EndpointAddress } from 'kubernetes-types/core/v1.js';
import { type EndpointSlice, Endpoints, SERVICE_NAME, type Service, TRIGGER_TIME } from '../../kinds/index.ts';
import { controllerReference } from '../runtime/claim.ts';
import { MANAGED_BY } from './endpoint-slices.ts';
import type { AddressType } from './service-pods.ts';
import { distribute, endpointId, type Group, groupOf, type SlicePlan } from './slice-distribution.ts';

export const MIRROR = 'endpointslicemirroring-controller.k8s.io';
/** Endpoints with this label are left alone. */
export const SKIP_MIRROR = 'endpointslice.kubernetes.io/skip-mirror';
/** Endpoints with this annotation are no endpoints at all: they are the lock of an old way of electing leaders. */
const LEADER = 'control-plane.alpha.kubernetes.io/leader';
/** So many addresses of a subset are mirrored. */
const MOST_ADDRESSES = 1000;
/** Annotations that are about the Endpoints object itself. */
const OWN_ANNOTATIONS = new Set([TRIGGER_TIME, 'kubectl.kubernetes.io/last-applied-configuration']);

/** Whether the Endpoints are a user's own, of a service that selects no pods. */
export function isToBeMirrored(endpoints: Endpoints, service: Service | undefined): boolean {
	const { labels, annotations } = endpoints.metadata;
	if (labels?.[SKIP_MIRROR] === 'true' || annotations?.[LEADER] !== undefined) return false;
	return service !== undefined && Object.keys(service.spec.selector ?? {}).length === 0;
}

/** `existing` are the slices that mirror the Endpoints now. */
export function planMirror(endpoints: Endpoints, existing: readonly EndpointSlice[]): SlicePlan {
	const { name, namespace, labels, annotations } = endpoints.metadata;
	const own = Object.entries(annotations ?? {}).filter(([key]) => !OWN_ANNOTATIONS.has(key));
	const source = {
		owner: controllerReference(Endpoints, endpoints),
		namespace,
		labels: () => ({ ...labels, [SERVICE_NAME]: name, [MANAGED_BY]: MIRROR }),
		annotations: () => (own.length > 0 ? Object.fromEntries(own) : undefined),
		keepsEmpty: false,
	};
	return distribute(source, familiesOf(endpoints), existing);
}

function familiesOf({ subsets }: Endpoints): Map<AddressType, Map<string, Group>> {
	const families = new Map<AddressType, Map<string, Group>>();
	for (const { addresses = [], notReadyAddresses = [], ports = [] } of subsets ?? []) {
		const numbered = ports.map(({ name = '', protocol = 'TCP', ...rest }) => ({ name, protocol, ...rest }));
		const all = [...addresses.map(endpointOf(true)), ...notReadyAddresses.map(endpointOf(false))];
		for (const endpoint of all.slice(0, MOST_ADDRESSES)) {
			const type = isIPv6(endpoint.addresses[0] ?? '') ? 'IPv6' : 'IPv4';
			const groups = families.get(type) ?? new Map<string, Group>();
			families.set(type, groups);
			groupOf(groups, numbered).endpoints.set(endpointId(endpoint), endpoint);
		}
	}
	return families;
}

const endpointOf =
	(ready: boolean) =>
	({ ip, hostname, nodeName, targetRef }: EndpointAddress) => ({
		addresses: [ip],
		conditions: { ready },
		...(hostname && { hostname }),
		...(nodeName && { nodeName }),
		...(targetRef && { targetRef }),
	});
