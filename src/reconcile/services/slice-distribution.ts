/**
 * How endpoints are spread over EndpointSlices with as few writes as possible: a pure decision. Slices that are right stay as
 * they are, what changes goes into slices that change anyway, and an emptied slice is used again before one is made.
 * Source: Kubernetes documentation, "EndpointSlices", section "Distribution of EndpointSlices".
 */
import type { Endpoint } from 'kubernetes-types/discovery/v1.js';
import { type EndpointSlice, type OwnerReference, TRIGGER_TIME } from '../../kinds/index.ts';
import { sameJson } from '../runtime/equality.ts';
import { fnv1a } from '../workloads/pod-template-hash.ts';
import type { AddressType, Port } from './service-pods.ts';

/** A slice holds no more endpoints. */
const MOST_ENDPOINTS = 100;
/** Room for the end of a slice's name within the 253 characters that names have. */
const MOST_NAME = 247;

export interface SlicePlan {
	readonly create: readonly EndpointSlice[];
	readonly update: readonly EndpointSlice[];
	readonly delete: readonly EndpointSlice[];
}

/** The object whose endpoints the slices hold: it owns them. */
export interface SliceSource {
	readonly owner: OwnerReference;
	readonly namespace: string | undefined;
	/** The labels of a slice; `old` are those that it has. */
	labels(old?: Readonly<Record<string, string>>): Record<string, string>;
	/** Its annotations, likewise. */
	annotations(old?: Readonly<Record<string, string>>): Readonly<Record<string, string>> | undefined;
	/** When what the slices follow has last changed (RFC 3339); a slice that is written tells it. */
	readonly changedAt?: string | undefined;
	/** Whether it keeps one empty slice where it has no endpoints: that tells that it has been looked at. */
	readonly keepsEmpty: boolean;
}

/** Endpoints that have the same ports. */
export interface Group {
	readonly ports: readonly Port[];
	/** By `endpointId`. */
	readonly endpoints: Map<string, Endpoint>;
}

/** What tells an endpoint from others: pods on a host's network have one address. */
export const endpointId = ({ targetRef, addresses }: Pick<Endpoint, 'targetRef' | 'addresses'>) =>
	`${targetRef?.uid ?? ''}/${addresses[0] ?? ''}`;

/** The group of these ports among others by their ports, made where it is missing. */
export function groupOf(groups: Map<string, Group>, ports: readonly Port[]): Group {
	const key = portKey(ports);
	const group = groups.get(key) ?? { ports, endpoints: new Map<string, Endpoint>() };
	groups.set(key, group);
	return group;
}

/** `families` has the endpoints of each family that the source is to have slices of, by `groupOf`; `existing` are its slices. */
export function distribute(
	source: SliceSource,
	families: ReadonlyMap<AddressType, ReadonlyMap<string, Group>>,
	existing: readonly EndpointSlice[],
): SlicePlan {
	const names = new Set(existing.map((slice) => slice.metadata.name));
	const plans = Array.from(families, ([type, groups]) => {
		const mine = existing.filter((slice) => slice.addressType === type);
		return planFamily(source, type, groups, mine, names);
	});
	const others = existing.filter((slice) => !families.keys().some((type) => type === slice.addressType));
	return {
		create: plans.flatMap((plan) => plan.create),
		update: plans.flatMap((plan) => plan.update),
		delete: [...plans.flatMap((plan) => plan.delete), ...others],
	};
}

/** A slice on the way to what it is to hold. */
interface Draft {
	readonly slice: EndpointSlice;
	readonly ports: readonly Port[];
	endpoints: Endpoint[];
	changed: boolean;
}

/** The slices of one family. `names` are those that are taken. */
function planFamily(
	source: SliceSource,
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
			else create.push(newSlice(source, type, ports, some, names));
		}
	}
	if (source.keepsEmpty && drafts.length + create.length === 0) {
		const slice = spare.pop();
		const changed = Boolean(slice?.endpoints?.length || slice?.ports?.length);
		if (slice) drafts.push({ slice, ports: [], endpoints: [], changed });
		else create.push(newSlice(source, type, [], [], names));
	}
	return { create, update: drafts.flatMap((draft) => updated(source, draft)), delete: spare };
}

/** Takes from the group what the slices hold already, with its present conditions; slices that become empty are spare. */
function keep(group: Group, slices: readonly EndpointSlice[], spare: EndpointSlice[]): Draft[] {
	const drafts: Draft[] = [];
	for (const slice of slices) {
		const endpoints: Endpoint[] = [];
		let changed = false;
		for (const old of slice.endpoints ?? []) {
			const id = endpointId(old);
			const now = group.endpoints.get(id);
			if (now) endpoints.push(now);
			group.endpoints.delete(id);
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
function updated(source: SliceSource, { slice, ports, endpoints, changed }: Draft): EndpointSlice[] {
	const labels = source.labels(slice.metadata.labels);
	const annotations = source.annotations(slice.metadata.annotations);
	if (!changed && sameJson([labels, annotations], [slice.metadata.labels, slice.metadata.annotations])) return [];
	const metadata = { ...slice.metadata, labels, annotations: stamped(annotations, source) };
	return [{ ...slice, metadata, ports: ports.map(slicePort), endpoints }];
}

/** The newest change stays: where a pod went, no change is newer. */
function stamped(
	annotations: Readonly<Record<string, string>> | undefined,
	{ changedAt }: SliceSource,
): Readonly<Record<string, string>> | undefined {
	if (!changedAt || changedAt <= (annotations?.[TRIGGER_TIME] ?? '')) return annotations;
	return { ...annotations, [TRIGGER_TIME]: changedAt };
}

function newSlice(
	source: SliceSource,
	addressType: AddressType,
	ports: readonly Port[],
	endpoints: Endpoint[],
	names: Set<string>,
): EndpointSlice {
	return {
		apiVersion: 'discovery.k8s.io/v1',
		kind: 'EndpointSlice',
		metadata: {
			name: freeName(source.owner, names),
			namespace: source.namespace,
			labels: source.labels(),
			annotations: stamped(source.annotations(), source),
			ownerReferences: [source.owner],
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
function freeName({ name, uid }: OwnerReference, taken: Set<string>): string {
	for (let number = 0; ; number++) {
		const suffix = fnv1a(`${uid}/${number}`).toString(36).padStart(5, '0').slice(-5);
		// Names of objects have at most 253 characters.
		const candidate = `${name.slice(0, MOST_NAME)}-${suffix}`;
		if (taken.has(candidate)) continue;
		taken.add(candidate);
		return candidate;
	}
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
