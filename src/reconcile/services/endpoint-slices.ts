/** Which EndpointSlices a service is to have for its pods: a pure decision. */
import { type EndpointSlice, type Pod, SERVICE_NAME, Service } from '../../kinds/index.ts';
import { controllerReference } from '../runtime/claim.ts';
import {
	type AddressType,
	addressOf,
	addressTypes,
	conditionsOf,
	HEADLESS,
	hostnameOf,
	isHeadless,
	isReachable,
	portsOn,
	targetRefOf,
} from './service-pods.ts';
import { distribute, endpointId, type Group, groupOf, type SlicePlan } from './slice-distribution.ts';

export const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslice-controller.k8s.io';

/** `existing` are the slices that the service controls. Pods whose named ports differ go into different slices. */
export function planSlices(service: Service, pods: readonly Pod[], existing: readonly EndpointSlice[]): SlicePlan {
	const source = {
		owner: controllerReference(Service, service),
		namespace: service.metadata.namespace,
		labels: (old?: Readonly<Record<string, string>>) => labelsOf(service, old),
		annotations: (old?: Readonly<Record<string, string>>) => old,
		changedAt: lastChange(service, pods),
		keepsEmpty: true,
	};
	const families = new Map(addressTypes(service).map((type) => [type, groupsOf(service, pods, type)]));
	return distribute(source, families, existing);
}

/** When the service was made or one of its pods became ready, or ceased to be: the latest of these. */
const lastChange = ({ metadata }: Service, pods: readonly Pod[]): string | undefined =>
	[
		metadata.creationTimestamp,
		...pods.map(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime),
	].reduce((latest, at) => (at && at > (latest ?? '') ? at : latest), undefined);

/** The endpoints of a family, by the ports they have. */
function groupsOf(service: Service, pods: readonly Pod[], type: AddressType): Map<string, Group> {
	const groups = new Map<string, Group>();
	for (const pod of pods) {
		const address = isReachable(pod) ? addressOf(pod, type) : undefined;
		if (!address) continue;
		const hostname = hostnameOf(pod, service);
		const { nodeName } = pod.spec;
		const endpoint = {
			addresses: [address],
			conditions: conditionsOf(pod, service),
			...(hostname && { hostname }),
			...(nodeName && { nodeName }),
			targetRef: targetRefOf(pod),
		};
		groupOf(groups, portsOn(pod, service)).endpoints.set(endpointId(endpoint), endpoint);
	}
	return groups;
}

/** The labels of the service, and those that tell whose the slice is. */
function labelsOf(service: Service, old?: Readonly<Record<string, string>>): Record<string, string> {
	const labels: Record<string, string> = { ...service.metadata.labels };
	delete labels[HEADLESS];
	if (isHeadless(service)) labels[HEADLESS] = '';
	labels[SERVICE_NAME] = service.metadata.name;
	labels[MANAGED_BY] = old?.[MANAGED_BY] ?? MANAGER;
	return labels;
}
