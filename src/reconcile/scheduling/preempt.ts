/**
 * Whose place a pod that fits nowhere may take: a pure decision over the snapshot. Source: Kubernetes documentation, "Pod Priority
 * and Preemption", and the order in which kube-scheduler documents to choose among nodes.
 */
import type { Labels, Pod } from '../../kinds/index.ts';
import { timeOf } from '../workloads/pod-state.ts';
import { refuser } from './schedule.ts';
import type { NodeState, Snapshot } from './snapshot.ts';
import type { Wanted } from './wanted.ts';

/** So many nodes on which there is room to be made are enough to choose among. Source: minCandidateNodesAbsolute and -Percentage. */
export const FEWEST_CANDIDATES = 100;
const CANDIDATES_PERCENT = 10;

/** What a disruption budget allows now. */
export interface Budget {
	readonly allowed: number;
	/** Pods by name whose disruption it has counted already. */
	readonly disrupted: ReadonlySet<string>;
	matches(labels: Labels | undefined): boolean;
}

export interface Preemption {
	readonly node: string;
	readonly victims: readonly Pod[];
}

export interface NoPreemption {
	/** How many nodes there is no room to be made on, by reason. */
	readonly reasons: ReadonlyMap<string, number>;
}

const NO_VICTIMS = 'No preemption victims found for incoming pod';

const priorityOf = ({ spec }: Pod) => spec.priority ?? 0;

/**
 * Chooses a node among those that refuse the pod for want of room, and the pods that must leave it. `from` says with which node to
 * begin, so that not always the same ones are looked at.
 */
export function preempt(
	wanted: Wanted,
	snapshot: Snapshot,
	nodes: readonly NodeState[],
	budgets: (namespace: string) => readonly Budget[],
	from = 0,
): Preemption | NoPreemption {
	const reasons = new Map<string, number>();
	if (nodes.length === 0) return { reasons };
	if (!snapshot.hasPodsBelow(priorityOf(wanted.pod))) return { reasons: reasons.set(NO_VICTIMS, nodes.length) };
	const enough = Math.max(FEWEST_CANDIDATES, Math.floor((nodes.length * CANDIDATES_PERCENT) / 100));
	const candidates: Candidate[] = [];
	for (let at = 0; at < nodes.length; at++) {
		const state = nodes[(from + at) % nodes.length];
		const found = state && victimsOn(wanted, snapshot, state, budgets);
		if (!found) continue;
		if (typeof found === 'string') reasons.set(found, (reasons.get(found) ?? 0) + 1);
		else candidates.push(found);
		// One that breaks no budget must be among them, where there is one.
		if (candidates.length >= enough && candidates.some(({ violations }) => violations === 0)) break;
	}
	const best = bestOf(candidates);
	return best ? { node: best.node, victims: best.victims } : { reasons };
}

interface Candidate extends Preemption {
	/** Of its victims, so many may not be disrupted as budgets have it. */
	readonly violations: number;
}

/** The fewest pods that must leave the node, the most important ones spared first; or why that helps nothing. */
function victimsOn(
	wanted: Wanted,
	snapshot: Snapshot,
	state: NodeState,
	budgets: (namespace: string) => readonly Budget[],
): Candidate | string {
	const lower = [...state.pods.values()].filter((pod) => priorityOf(pod) < priorityOf(wanted.pod));
	if (lower.length === 0) return NO_VICTIMS;
	return snapshot.rearranging(({ takeOff, putBack }) => {
		for (const pod of lower) takeOff(pod);
		// What a check has found out before may not hold without these pods: each time it is prepared anew.
		const refused = refuser(wanted, snapshot)(state);
		if (refused) return refused.reasons[0] ?? NO_VICTIMS;
		const { violating, others } = byBudget(lower.toSorted(moreImportant), budgets);
		const victims: Pod[] = [];
		let violations = 0;
		for (const pod of [...violating, ...others]) {
			putBack(pod);
			if (!refuser(wanted, snapshot)(state)) continue;
			takeOff(pod);
			victims.push(pod);
			if (violating.has(pod)) violations++;
		}
		return { node: state.name, victims: victims.sort(moreImportant), violations };
	});
}

/** Which of these pods may not be disrupted, if all before them are. */
function byBudget(pods: readonly Pod[], budgets: (namespace: string) => readonly Budget[]) {
	const left = new Map<Budget, number>();
	const violating = new Set<Pod>();
	for (const pod of pods) {
		for (const budget of budgets(pod.metadata.namespace ?? '')) {
			if (!budget.matches(pod.metadata.labels) || budget.disrupted.has(pod.metadata.name)) continue;
			const allowed = (left.get(budget) ?? budget.allowed) - 1;
			left.set(budget, allowed);
			if (allowed < 0) violating.add(pod);
		}
	}
	return { violating, others: pods.filter((pod) => !violating.has(pod)) };
}

/** The more urgent first, then that which has run for longer. */
const moreImportant = (a: Pod, b: Pod) => priorityOf(b) - priorityOf(a) || startOf(a) - startOf(b);
/** One that has not started yet counts as starting now, later than all others. */
const startOf = ({ status }: Pod) => timeOf(status?.startTime) ?? Number.MAX_SAFE_INTEGER;

/** Makes every priority count for more than nothing, so that fewer victims of the same priority are the smaller sum. */
const ABOVE_ALL = 2 ** 31;

/**
 * The node with the fewest broken budgets; then with the least urgent of most urgent victims; then with the smallest sum of their
 * priorities; then with the fewest; then that whose most urgent victims have started last; then the first.
 */
function bestOf(candidates: readonly Candidate[]): Candidate | undefined {
	const rank = ({ violations, victims }: Candidate) => [
		violations,
		Math.max(...victims.map(priorityOf)),
		victims.reduce((sum, pod) => sum + priorityOf(pod) + ABOVE_ALL, 0),
		victims.length,
		-earliestOfUrgent(victims),
	];
	let best: { readonly candidate: Candidate; readonly rank: readonly number[] } | undefined;
	for (const candidate of candidates) {
		const own = rank(candidate);
		if (!best || isLess(own, best.rank)) best = { candidate, rank: own };
	}
	return best?.candidate;
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
	for (const [at, value] of a.entries()) if (value !== b[at]) return value < (b[at] ?? 0);
	return false;
}

/** When the first of the most urgent victims has started. */
function earliestOfUrgent(victims: readonly Pod[]): number {
	const most = Math.max(...victims.map(priorityOf));
	return Math.min(...victims.filter((pod) => priorityOf(pod) === most).map(startOf));
}
