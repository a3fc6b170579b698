/**
 * The cluster as the scheduler sees it: nodes, and the pods on them. It is kept one change at a time and never made anew, so that
 * placing a pod costs the nodes looked at and not the pods that there are. A pod that is being bound counts from the moment of the
 * decision.
 */
import { amounts, type HostPort, type Node, type Pod, type Resources } from '../../kinds/index.ts';
import type { Labels } from '../../kinds/selectors.ts';
import { isFinished } from '../workloads/pod-state.ts';
import { type Carried, type CarriedTerm, carriedBy, createCarriedTerms, type Effect } from './carried-terms.ts';
import { createImages, type Images } from './images.ts';
import { inTurn, type Order } from './node-order.ts';
import { alike, type PodTerm, type PodTraits, traitsOf } from './pod-terms.ts';
import { noVolumes, type VolumeLook } from './pod-volumes.ts';
import { weightOf } from './pod-weight.ts';
import { createPopulation, type Eligibility } from './population.ts';
import type { Site, Tally } from './tally.ts';
import { type Wanted, wantedOf } from './wanted.ts';

/** A node as the scheduler sees it. */
export interface NodeState extends Site {
	readonly name: string;
	readonly allocatable: Resources;
	readonly used: Resources;
	/** The same amounts in a row, as AMOUNTS counts: every pod is held against those of every node, and what lies together is read at once. */
	readonly total: Float64Array;
	/** Of `used`, then of what counts for scores: with the least that a pod counts for. */
	readonly taken: Float64Array;
	readonly ports: ReadonlySet<HostPort>;
	/** The pods on it, by uid. */
	readonly pods: ReadonlyMap<string, Pod>;
	/** Pods that wait for room on it that is being made for them, by uid. */
	readonly nominated: ReadonlyMap<string, Pod>;
}

/** Where an amount stands in the rows of a node. */
export const AMOUNTS = { cpu: 0, memory: 1, pods: 2, cpuWeight: 3, memoryWeight: 4 } as const;

export const amountAt = (row: Float64Array, at: number): number => row[at] ?? 0;

/** What a filter or a score may ask; it answers as things are at the time. */
export interface Look {
	readonly nodes: ReadonlyMap<string, NodeState>;
	/** Counts the placed pods of a term by the values of a label of nodes. */
	tally(term: PodTerm, key: string, eligibility?: Eligibility): Tally;
	/** Whether the term is about the pod. */
	matches(term: PodTerm, pod: PodTraits): boolean;
	/** The terms of placed pods, of an effect, that are about this pod. */
	carried(effect: Effect, pod: PodTraits): readonly Carried[];
	/** Whether some placed pod's term is by the labels of namespaces. */
	readonly carriedByNamespaceLabels: boolean;
	/** Whether some node has a taint, or takes no pods. */
	readonly hasTaints: boolean;
	readonly volumes: VolumeLook;
	readonly images: Images;
	/** The node that the pod counts on. */
	nodeOf(uid: string): string | undefined;
}

export interface Snapshot extends Look {
	/** All nodes, those of different zones in turn. */
	readonly order: readonly NodeState[];
	/** Whether some pod is nominated to a node. */
	readonly hasNominated: boolean;
	/** The place of a node in `order`; -1 where there is none of the name. */
	placeOf(name: string): number;
	/** Returns the state before, and the state now. */
	setNode(node: Node): { readonly before?: NodeState; readonly now: NodeState };
	/** Returns the state before. */
	removeNode(name: string): NodeState | undefined;
	setNamespace(name: string, labels: Labels | undefined): void;
	/** Takes in a pod as it is: it counts on its node where it has one and is not finished, and where it is nominated otherwise. */
	setPod(pod: Pod): void;
	removePod(uid: string): void;
	/** Counts the pod on the node before the API server says so. */
	reserve(wanted: Wanted, node: string): void;
	/** Whether some placed pod is less urgent. */
	hasPodsBelow(priority: number): boolean;
	/** What `look` finds while placed pods are taken off their nodes, and put back, as it likes; all is as it was afterwards. */
	rearranging<T>(look: (how: { takeOff(pod: Pod): void; putBack(pod: Pod): void }) => T): T;
	/** What `look` finds if these pods were on the node as well. */
	supposing<T>(pods: Iterable<Pod>, node: string, look: () => T): T;
}

/** A pod that counts on a node. */
interface Placed extends Wanted {
	readonly node: string;
	readonly terms: readonly CarriedTerm[];
}

/** What is on a node, also on one that is not known (yet). */
interface Load {
	readonly used: Record<string, number>;
	readonly taken: Float64Array;
	readonly ports: Set<HostPort>;
	readonly pods: Map<string, Pod>;
	readonly nominated: Map<string, Pod>;
}

export function createSnapshot(volumes: VolumeLook = noVolumes): Snapshot {
	const states = new Map<string, NodeState>();
	/** Slots of nodes that went. */
	const free: number[] = [];
	let slots = 0;
	const loads = new Map<string, Load>();
	const placed = new Map<string, Placed>();
	const nominations = new Map<string, string>();
	const namespaces = new Map<string, Labels | undefined>();
	const namespaceLabels = (name: string) => namespaces.get(name);
	/** Placed pods that are taken off their nodes for the moment. */
	const off = new Set<Placed>();
	const images = createImages();
	/** How many placed pods have each priority. */
	const priorities = new Map<number, number>();
	const population = createPopulation(states, namespaceLabels);
	const carried = createCarriedTerms(states, namespaceLabels);
	/** Nodes with a taint, or that take no pods. */
	let tainted = 0;
	let order: Order<NodeState> | undefined;
	const ordered = () => {
		order ??= inTurn(states.values());
		return order;
	};

	const loadOf = (node: string): Load => {
		let load = loads.get(node);
		if (!load) {
			load = { used: {}, taken: new Float64Array(5), ports: new Set(), pods: new Map(), nominated: new Map() };
			loads.set(node, load);
		}
		return load;
	};
	/** A node that was removed is forgotten with its last pod. */
	const tidy = (node: string) => {
		const load = loads.get(node);
		if (load?.pods.size === 0 && load.nominated.size === 0 && !states.has(node)) loads.delete(node);
	};
	const count = ({ pod, node, traits, requests, ports, terms }: Placed, sign: 1 | -1) => {
		const load = loadOf(node);
		for (const name in requests) load.used[name] = (load.used[name] ?? 0) + sign * (requests[name] ?? 0);
		const { cpu, memory } = weightOf(requests);
		for (const name of ['cpu', 'memory', 'pods'] as const) add(load.taken, AMOUNTS[name], sign * (requests[name] ?? 0));
		add(load.taken, AMOUNTS.cpuWeight, sign * cpu);
		add(load.taken, AMOUNTS.memoryWeight, sign * memory);
		for (const port of ports) {
			if (sign > 0) load.ports.add(port);
			else load.ports.delete(port);
		}
		if (sign > 0) load.pods.set(uidOf(pod), pod);
		else load.pods.delete(uidOf(pod));
		population.add(traits, node, sign);
		carried.add(terms, node, sign);
		const priority = pod.spec.priority ?? 0;
		const alike = (priorities.get(priority) ?? 0) + sign;
		if (alike > 0) priorities.set(priority, alike);
		else priorities.delete(priority);
		tidy(node);
	};
	const nominate = (pod: Pod, node: string | undefined) => {
		const uid = uidOf(pod);
		const old = nominations.get(uid);
		if (old !== undefined && old !== node) {
			nominations.delete(uid);
			loads.get(old)?.nominated.delete(uid);
			tidy(old);
		}
		if (node === undefined) return;
		nominations.set(uid, node);
		loadOf(node).nominated.set(uid, pod);
	};
	const remove = (uid: string) => {
		const old = placed.get(uid);
		if (!old) return;
		placed.delete(uid);
		count(old, -1);
	};
	const put = (pod: Pod, node: string, worked: () => Wanted) => {
		const uid = uidOf(pod);
		nominate(pod, undefined);
		const old = placed.get(uid);
		if (old?.node === node && alike(old.traits, traitsOf(pod))) {
			placed.set(uid, { ...old, pod });
			loadOf(node).pods.set(uid, pod);
			return;
		}
		if (old) count(old, -1);
		const now = { ...worked(), node, terms: carriedBy(pod) };
		placed.set(uid, now);
		count(now, 1);
	};

	return {
		nodes: states,
		volumes,
		images,
		get order() {
			return ordered().list;
		},
		get hasNominated() {
			return nominations.size > 0;
		},
		get hasTaints() {
			return tainted > 0;
		},
		placeOf: (name) => ordered().places.get(name) ?? -1,
		tally: population.tally,
		matches: (term, pod) => term.matches(pod, namespaceLabels),
		carried: (effect, pod) => carried.about(pod).filter((each) => each.effect === effect),
		get carriedByNamespaceLabels() {
			return carried.byNamespaceLabels;
		},
		setNode(node) {
			const { name } = node.metadata;
			const before = states.get(name);
			const allocatable = amounts(node.status?.allocatable ?? node.status?.capacity);
			const slot = before?.slot ?? free.pop() ?? slots++;
			const { cpu = 0, memory = 0, pods = 0 } = allocatable;
			const total = Float64Array.of(cpu, memory, pods);
			if (!before || before.node.status?.images !== node.status?.images) images.set(name, node.status?.images);
			const now: NodeState = { name, node, slot, allocatable, total, ...loadOf(name) };
			states.set(name, now);
			tainted += Number(isTainted(now)) - Number(isTainted(before));
			if (!order?.replace(now)) order = undefined;
			population.setNode(name, before, now);
			carried.setNode(name, before, now);
			return { before, now };
		},
		removeNode(name) {
			const before = states.get(name);
			if (!before) return undefined;
			states.delete(name);
			images.set(name, []);
			tainted -= Number(isTainted(before));
			free.push(before.slot);
			order = undefined;
			population.setNode(name, before, undefined);
			carried.setNode(name, before, undefined);
			tidy(name);
			return before;
		},
		setNamespace(name, labels) {
			if (labels) namespaces.set(name, labels);
			else namespaces.delete(name);
			population.relabel(name);
			carried.relabel();
		},
		setPod(pod) {
			const uid = uidOf(pod);
			if (isFinished(pod)) {
				nominate(pod, undefined);
				remove(uid);
			} else if (pod.spec.nodeName) put(pod, pod.spec.nodeName, () => wantedOf(pod));
			else if (!placed.has(uid)) nominate(pod, pod.status?.nominatedNodeName || undefined);
		},
		removePod(uid) {
			const node = nominations.get(uid);
			if (node !== undefined) {
				nominations.delete(uid);
				loads.get(node)?.nominated.delete(uid);
				tidy(node);
			}
			remove(uid);
		},
		reserve: (wanted, node) => put(wanted.pod, node, () => wanted),
		nodeOf(uid) {
			const known = placed.get(uid);
			return known && !off.has(known) ? known.node : undefined;
		},
		hasPodsBelow: (priority) => priorities.keys().some((each) => each < priority),
		rearranging(look) {
			const move = (sign: 1 | -1) => (pod: Pod) => {
				const known = placed.get(uidOf(pod));
				if (!known || off.has(known) === sign < 0) return;
				if (sign < 0) off.add(known);
				else off.delete(known);
				count(known, sign);
			};
			try {
				return look({ takeOff: move(-1), putBack: move(1) });
			} finally {
				for (const each of off) count(each, 1);
				off.clear();
			}
		},
		supposing(pods, node, look) {
			const supposed = Array.from(pods, (pod) => ({ ...wantedOf(pod), node, terms: carriedBy(pod) }));
			for (const each of supposed) count(each, 1);
			try {
				return look();
			} finally {
				for (const each of supposed) count(each, -1);
			}
		},
	};
}

const uidOf = (pod: Pod) => pod.metadata.uid ?? '';

function add(to: Float64Array, at: number, amount: number): void {
	to[at] = amountAt(to, at) + amount;
}

const isTainted = (state: NodeState | undefined) =>
	state !== undefined && (Boolean(state.node.spec.unschedulable) || Boolean(state.node.spec.taints?.length));
