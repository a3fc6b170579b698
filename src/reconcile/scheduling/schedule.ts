/**
 * On which node a pod goes: a pure decision over the snapshot. Filters rule nodes out and say why; scores choose among the rest.
 * Source: Kubernetes documentation, "Kubernetes Scheduler" and "Scheduler Performance Tuning".
 */
import type { Pod } from '../../kinds/index.ts';
import { filters, type Strategy, scores } from './rules/index.ts';
import type { Check, Filter } from './rules/rule.ts';
import type { NodeState, Snapshot } from './snapshot.ts';
import type { Wanted } from './wanted.ts';

/**
 * A large cluster is not looked at as a whole: when so many nodes were found that fit, the best of them is taken.
 * Source: percentageOfNodesToScore of kube-scheduler.
 */
export const FEWEST_TO_FIND = 100;
const LARGEST_PERCENTAGE = 50;
const SMALLEST_PERCENTAGE = 5;
/** With each so many nodes the percentage is one less. */
const NODES_PER_PERCENT = 125;

/** Where a row of pods has got to, so that no node is always looked at first. */
export interface Turn {
	/** The place in the snapshot's order where to begin. */
	readonly from: number;
	/** The node that was chosen last: of nodes that are equally good the next one is taken, and a row of equal pods goes round. */
	readonly last: string;
}

export type Placement = Choice | Refusal;

export interface Choice {
	readonly node: string;
	/** How many nodes were looked at. */
	readonly looked: number;
}

export interface Refusal {
	readonly message: string;
	/** The filters that refused it on some node. */
	readonly refusedBy: ReadonlySet<Filter>;
	/** The nodes that may do when other pods leave them. */
	readonly helpable?: readonly NodeState[];
	readonly looked: number;
}

/** Chooses a node, or says why there is none. */
export function schedule(wanted: Wanted, snapshot: Snapshot, strategy: Strategy, turn: Turn): Placement {
	const { order } = snapshot;
	if (order.length === 0)
		return { message: 'no nodes available to schedule pods', refusedBy: new Set(filters), looked: 0 };
	for (const filter of filters) {
		const why = filter.hopeless?.(wanted, snapshot);
		if (why !== undefined)
			return { message: `0/${order.length} nodes are available: ${why}.`, refusedBy: new Set([filter]), looked: 0 };
	}
	const refusal = refuser(wanted, snapshot);
	const nominated = snapshot.nodes.get(wanted.pod.status?.nominatedNodeName ?? '');
	if (nominated && !refusal(nominated)) return { node: nominated.name, looked: 0 };

	const { refuse, message, refusedBy } = refusals(order.length);
	const open = narrowed(wanted, snapshot, refuse);
	const from = strategy === 'round-robin' ? snapshot.placeOf(turn.last) + 1 : turn.from;
	const enough = nodesToFind(open.length);
	const fitting: NodeState[] = [];
	const places: number[] = [];
	const helpable: NodeState[] = [];
	const after = open === order ? snapshot.placeOf(turn.last) + 1 : 0;
	let looked = 0;
	while (looked < open.length && fitting.length < enough) {
		const place = (from + looked++) % open.length;
		const state = open[place];
		if (!state) break;
		const refused = refusal(state);
		if (refused) {
			refuse(refused.filter, refused.reasons);
			if (refused.filter.helpedByRoom) helpable.push(state);
		} else {
			fitting.push(state);
			places.push(place);
		}
	}
	/** How far behind the last node that was chosen, going round. */
	const distance = (at: number) => ((places[at] ?? 0) - after + open.length) % open.length;
	const best = preferred(wanted, fitting, distance, snapshot, strategy);
	return best ? { node: best.name, looked } : { message: message(), refusedBy, helpable, looked };
}

/** How many nodes that fit are enough to choose among. */
export function nodesToFind(nodes: number): number {
	if (nodes < FEWEST_TO_FIND) return nodes;
	const percentage = Math.max(SMALLEST_PERCENTAGE, Math.floor(LARGEST_PERCENTAGE - nodes / NODES_PER_PERCENT));
	return Math.max(FEWEST_TO_FIND, Math.floor((nodes * percentage) / 100));
}

interface Refused {
	readonly filter: Filter;
	readonly reasons: readonly string[];
}

/** What the first filter that refuses the pod on a node says. It holds until the snapshot changes. */
export function refuser(wanted: Wanted, snapshot: Snapshot): (state: NodeState) => Refused | undefined {
	const prepared = () =>
		filters.flatMap((filter) => {
			const check = filter.prepare(wanted, snapshot);
			return check ? [{ filter, check }] : [];
		});
	const checks = prepared();
	if (!snapshot.hasNominated) return (state) => firstRefusal(checks, state);
	return (state) => {
		if (state.nominated.size === 0) return firstRefusal(checks, state);
		const ahead = aheadOf(wanted.pod, state);
		// Room that is being made for more urgent pods is not free. But what these pods would bring is not there yet, so that the pod
		// must fit without them as well. Source: Kubernetes documentation, "Pod Priority and Preemption".
		const supposed =
			ahead.length > 0 ? snapshot.supposing(ahead, state.name, () => firstRefusal(prepared(), state)) : undefined;
		return supposed ?? firstRefusal(checks, state);
	};
}

/** Asked of every node: it walks by number, and makes nothing where nobody refuses. */
function firstRefusal(
	checks: readonly { readonly filter: Filter; readonly check: Check }[],
	state: NodeState,
): Refused | undefined {
	for (let at = 0; at < checks.length; at++) {
		const each = checks[at];
		const reasons = each?.check(state);
		if (each && reasons) return { filter: each.filter, reasons };
	}
	return undefined;
}

/** The pods nominated to the node that are as urgent as this one, or more. */
function aheadOf({ metadata, spec }: Pod, { nominated }: NodeState): readonly Pod[] {
	return [...nominated.values()].filter(
		(other) => other.metadata.uid !== metadata.uid && (other.spec.priority ?? 0) >= (spec.priority ?? 0),
	);
}

/** The nodes that can be where the pod names them; all otherwise. */
function narrowed(wanted: Wanted, snapshot: Snapshot, refuse: Refuse): readonly NodeState[] {
	for (const filter of filters) {
		const names = filter.narrows?.(wanted);
		if (!names) continue;
		const open = Array.from(names, (name) => snapshot.nodes.get(name)).filter((state) => state !== undefined);
		const others = snapshot.order.length - open.length;
		if (others > 0) refuse(filter, [`node(s) didn't satisfy plugin(s) [${filter.name}]`], others);
		return open;
	}
	return snapshot.order;
}

type Refuse = (filter: Filter, reasons: readonly string[], nodes?: number) => void;

/** Counts reasons: `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.` */
function refusals(total: number) {
	const counts = new Map<string, number>();
	const refusedBy = new Set<Filter>();
	const refuse: Refuse = (filter, reasons, nodes = 1) => {
		refusedBy.add(filter);
		for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + nodes);
	};
	const message = () => {
		const list = Array.from(counts, ([reason, count]) => `${count} ${reason}`).sort();
		return `0/${total} nodes are available: ${list.join(', ')}.`;
	};
	return { refuse, message, refusedBy };
}

/** The node with the best score; among equals the nearest. */
function preferred(
	wanted: Wanted,
	fitting: readonly NodeState[],
	distance: (at: number) => number,
	snapshot: Snapshot,
	strategy: Strategy,
): NodeState | undefined {
	if (fitting.length < 2) return fitting[0];
	const totals = new Float64Array(fitting.length);
	for (const { weight, of } of scores[strategy]) {
		const each = of(wanted, fitting, snapshot);
		if (each) for (let at = 0; at < totals.length; at++) totals[at] = (totals[at] ?? 0) + (each[at] ?? 0) * weight;
	}
	let best = 0;
	for (let at = 1; at < totals.length; at++) {
		const difference = (totals[at] ?? 0) - (totals[best] ?? 0);
		if (difference > 0 || (difference === 0 && distance(at) < distance(best))) best = at;
	}
	return fitting[best];
}
