/**
 * Which EndpointSlices a service is to have, with as few writes as possible: a pure decision. Slices that are right stay as
 * they are, what changes goes into slices that change anyway, and an emptied slice is used again before one is made.
 * Source: Kubernetes documentation, "EndpointSlices", section "Distribution of EndpointSlices".
 */
import type { Endpoint } from 'kubernetes-types/discovery/v1.js';
import { type EndpointSlice, type Pod, Service } from '../kinds/index.ts';
import { controllerReference } from './claim.ts';
import { sameJson } from './equality.ts';
import { fnv1a } from './pod-template-hash.ts';
import {
	type AddressType,
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

export const SERVICE_NAME = 'kubernetes.io/service-name';
export const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslice-controller.k8s.io';

/** A slice holds no more endpoints. */
const MOST_ENDPOINTS = 100;

export interface SlicePlan {
	readonly create: readonly EndpointSlice[];
	readonly update: readonly EndpointSlice[];
	readonly delete: readonly EndpointSlice[];
}

/** `existing` are the slices that the service controls. Pods whose named ports differ go into different slices. */
export function planSlices(service: Service, pods: readonly Pod[], existing: readonly EndpointSlice[]): SlicePlan {
	const types = addressTypes(service);
	const names = new Set(existing.map((slice) => slice.metadata.name));
	const plans = types.map((type) => {
		const mine = existing.filter((slice) => slice.addressType === type);
		return planFamily(service, type, groupsOf(service, pods, type), mine, names);
	});
	return {
		create: plans.flatMap((plan) => plan.create),
		update: plans.flatMap((plan) => plan.update),
		delete: [
			...plans.flatMap((plan) => plan.delete),
			...existing.filter((slice) => !types.some((type) => type === slice.addressType)),
		],
	};
}

interface Group {
	readonly ports: readonly Port[];
	/** By the uid of the pod. */
	readonly endpoints: Map<string, Endpoint>;
}

/** A slice on the way to what it is to hold. */
interface Draft {
	readonly slice: EndpointSlice;
	readonly ports: readonly Port[];
	endpoints: Endpoint[];
	changed: boolean;
}

/** The endpoints of a family, by the ports they have. */
function groupsOf(service: Service, pods: readonly Pod[], type: AddressType): Map<string, Group> {
	const groups = new Map<string, Group>();
	for (const pod of pods) {
		const address = isReachable(pod) ? addressOf(pod, type) : undefined;
		if (!address) continue;
		const ports = portsOn(pod, service);
		const key = portKey(ports);
		const group = groups.get(key) ?? { ports, endpoints: new Map() };
		groups.set(key, group);
		const hostname = hostnameOf(pod, service);
		const { nodeName } = pod.spec;
		group.endpoints.set(pod.metadata.uid ?? '', {
			addresses: [address],
			conditions: conditionsOf(pod, service),
			...(hostname && { hostname }),
			...(nodeName && { nodeName }),
			targetRef: targetRefOf(pod),
		});
	}
	return groups;
}

function planFamily(
	service: Service,
	type: AddressType,
	groups: ReadonlyMap<string, Group>,
	existing: readonly EndpointSlice[],
	names: Set<string>,
): SlicePlan {
	const drafts: Draft[] = [];
	const spare: EndpointSlice[] = [];
	const byPorts = Map.groupBy(existing, (slice) => portKey(slice.ports ?? []));
	for (const [key, slices] of byPorts) {
		const group = groups.get(key);
		if (!group) spare.push(...slices);
		else drafts.push(...keep(group, slices, spare));
	}
	const create: EndpointSlice[] = [];
	for (const { ports, endpoints } of groups.values()) {
		const rest = [...endpoints.values()];
		fill(
			drafts.filter((draft) => portKey(draft.ports) === portKey(ports)),
			rest,
		);
		while (rest.length > 0) {
			const some = rest.splice(0, MOST_ENDPOINTS);
			const slice = spare.pop();
			if (slice) drafts.push({ slice, ports, endpoints: some, changed: true });
			else create.push(newSlice(service, type, ports, some, names));
		}
	}
	// A service without endpoints keeps one empty slice: it tells that it has been looked at.
	if (drafts.length + create.length === 0) {
		const slice = spare.pop();
		const changed = Boolean(slice?.endpoints?.length || slice?.ports?.length);
		if (slice) drafts.push({ slice, ports: [], endpoints: [], changed });
		else create.push(newSlice(service, type, [], [], names));
	}
	return { create, update: drafts.flatMap((draft) => updated(service, draft)), delete: spare };
}

/** Takes from the group what the slices hold already, with its present conditions; slices that become empty are spare. */
function keep(group: Group, slices: readonly EndpointSlice[], spare: EndpointSlice[]): Draft[] {
	const drafts: Draft[] = [];
	for (const slice of slices) {
		const endpoints: Endpoint[] = [];
		let changed = false;
		for (const old of slice.endpoints ?? []) {
			const uid = old.targetRef?.uid ?? '';
			const now = group.endpoints.get(uid);
			if (now) endpoints.push(now);
			group.endpoints.delete(uid);
			if (!sameJson(now, old)) changed = true;
		}
		if (endpoints.length === 0) spare.push(slice);
		else drafts.push({ slice, ports: group.ports, endpoints, changed });
	}
	return drafts;
}

/** Puts new endpoints into slices that are written anyway, then into one more with room for all the rest, if there is one. */
function fill(drafts: Draft[], rest: Endpoint[]): void {
	for (const draft of drafts.filter(({ changed }) => changed))
		draft.endpoints.push(...rest.splice(0, Math.max(0, MOST_ENDPOINTS - draft.endpoints.length)));
	if (rest.length === 0) return;
	const part = rest.length % MOST_ENDPOINTS;
	const room = drafts.find(
		({ changed, endpoints }) => !changed && part > 0 && endpoints.length + part <= MOST_ENDPOINTS,
	);
	if (!room) return;
	room.endpoints.push(...rest.splice(0, part));
	room.changed = true;
}

/** The slice as it is to be, if that differs from what it is. */
function updated(service: Service, { slice, ports, endpoints, changed }: Draft): EndpointSlice[] {
	const labels = labelsOf(service, slice.metadata.labels);
	if (!changed && sameJson(labels, slice.metadata.labels)) return [];
	return [{ ...slice, metadata: { ...slice.metadata, labels }, ports: ports.map(slicePort), endpoints }];
}

function newSlice(
	service: Service,
	addressType: AddressType,
	ports: readonly Port[],
	endpoints: Endpoint[],
	names: Set<string>,
): EndpointSlice {
	return {
		apiVersion: 'discovery.k8s.io/v1',
		kind: 'EndpointSlice',
		metadata: {
			name: freeName(service, names),
			namespace: service.metadata.namespace,
			labels: labelsOf(service),
			ownerReferences: [controllerReference(Service, service)],
		},
		addressType,
		ports: ports.map(slicePort),
		endpoints,
	};
}

/**
 * `web-x7k2p`: the first of a fixed row of names that is free. Chance would let a look at an old cache make a slice twice; so
 * the second is refused.
 */
function freeName(service: Service, taken: Set<string>): string {
	const { name, uid } = service.metadata;
	for (let number = 0; ; number++) {
		const suffix = fnv1a(`${uid}/${number}`).toString(36).padStart(5, '0').slice(-5);
		// Names of objects have at most 253 characters, those of services 63.
		const candidate = `${name}-${suffix}`;
		if (taken.has(candidate)) continue;
		taken.add(candidate);
		return candidate;
	}
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

const slicePort = ({ name, port, protocol, appProtocol }: Port) => ({
	name,
	port,
	protocol,
	...(appProtocol && { appProtocol }),
});

/** One text for one set of ports in any order. */
function portKey(ports: readonly { name?: string; port?: number; protocol?: string; appProtocol?: string }[]): string {
	return JSON.stringify(
		ports
			.map(({ name = '', port = 0, protocol = 'TCP', appProtocol = '' }) => [name, port, protocol, appProtocol])
			.sort(([a, b], [c, d]) => (`${a}/${b}` < `${c}/${d}` ? -1 : 1)),
	);
}
