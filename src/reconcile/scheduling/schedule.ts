/**
 * On which node a pod goes: a pure decision over the nodes and what is on them. Filters rule nodes out and say why in the words
 * that Kubernetes has for it; scores choose among the rest.
 * Source: Kubernetes documentation, "Kubernetes Scheduler", "Assigning Pods to Nodes" and "Taints and Tolerations".
 */
import type { Affinity, NodeSelectorTerm, Taint } from 'kubernetes-types/core/v1.js';
import { matchRequirements, type Node, type Pod, type Requirement } from '../../kinds/index.ts';
import { includes } from '../runtime/label-selector.ts';
import { type NodeState, weightOf } from './node-allocations.ts';
import { type HostPort, hostPortsOf, type Resources, requestsOf } from './pod-requests.ts';
import { untolerated } from './tolerations.ts';

/** `least-allocated` keeps nodes equally full, `round-robin` takes one after the other. */
export type Strategy = 'least-allocated' | 'round-robin';

export type Placement = { readonly node: string } | { readonly message: string };

/** How much each score counts beside the strategy's, as in Kubernetes' default profile. */
const AFFINITY_WEIGHT = 2;
const TAINT_WEIGHT = 3;

/**
 * Chooses a node, or says why there is none. `after` is the node that was chosen last: among equally good nodes the next in order of
 * their names is taken, so that a row of equal pods goes round.
 */
export function schedule(pod: Pod, nodes: Iterable<NodeState>, strategy: Strategy, after = ''): Placement {
	const needs: Needs = { pod, requests: requestsOf(pod), ports: hostPortsOf(pod) };
	const fitting: NodeState[] = [];
	const reasons = new Map<string, number>();
	let total = 0;
	for (const state of nodes) {
		total++;
		const why = unfit(needs, state);
		if (why.length === 0) fitting.push(state);
		for (const reason of why) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
	}
	const best = preferred(needs, fitting, strategy, after);
	return best ? { node: best.node.metadata.name } : { message: explain(total, reasons) };
}

/** `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.` */
function explain(total: number, reasons: ReadonlyMap<string, number>): string {
	if (total === 0) return 'no nodes available to schedule pods';
	const list = Array.from(reasons, ([reason, count]) => `${count} ${reason}`).sort();
	return `0/${total} nodes are available: ${list.join(', ')}.`;
}

interface Needs {
	readonly pod: Pod;
	readonly requests: Resources;
	readonly ports: readonly HostPort[];
}

/** Why the pod cannot run on the node: what the first filter that refuses it says; empty when it can. */
function unfit({ pod, requests, ports }: Needs, state: NodeState): readonly string[] {
	const { node } = state;
	const { tolerations } = pod.spec;
	if (node.spec.unschedulable && untolerated([unschedulableTaint], tolerations, FORBIDDING))
		return ['node(s) were unschedulable'];
	if (pod.spec.nodeName && pod.spec.nodeName !== node.metadata.name)
		return ["node(s) didn't match the requested node name"];
	const taint = untolerated(node.spec.taints, tolerations, FORBIDDING);
	if (taint) return [`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`];
	if (!isChosenBy(pod.spec.nodeSelector, pod.spec.affinity, node))
		return ["node(s) didn't match Pod's node affinity/selector"];
	if (ports.length > 0 && clashes(ports, state.ports))
		return ["node(s) didn't have free ports for the requested pod ports"];
	return shortages(requests, state);
}

function shortages(requests: Resources, { allocatable, used }: NodeState): readonly string[] {
	const short: string[] = [];
	for (const name in requests) {
		const wanted = requests[name] ?? 0;
		if (wanted > 0 && wanted > (allocatable[name] ?? 0) - (used[name] ?? 0))
			short.push(name === 'pods' ? 'Too many pods' : `Insufficient ${name}`);
	}
	return short;
}

function clashes(wanted: readonly HostPort[], taken: Iterable<HostPort>): boolean {
	for (const { ip, port, protocol } of taken)
		for (const want of wanted)
			if (want.port === port && want.protocol === protocol && (want.ip === ip || want.ip === ANY || ip === ANY))
				return true;
	return false;
}

const ANY = '0.0.0.0';
const FORBIDDING = ['NoSchedule', 'NoExecute'];
const unschedulableTaint: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

/** The node selector, and the required node affinity. */
function isChosenBy(selector: Pod['spec']['nodeSelector'], affinity: Affinity | undefined, node: Node): boolean {
	if (!includes(selector, node.metadata.labels)) return false;
	const required = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
	return !required || required.nodeSelectorTerms.some((term) => matchesTerm(term, node));
}

/** All requirements of a term hold; a term without any matches nothing. */
function matchesTerm({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, node: Node): boolean {
	if (matchExpressions.length + matchFields.length === 0) return false;
	return (
		matchRequirements(matchExpressions.map(requirement))(node.metadata.labels) &&
		matchRequirements(matchFields.map(requirement))({ 'metadata.name': node.metadata.name })
	);
}

const requirement = ({ key, operator, values }: { key: string; operator: string; values?: string[] }): Requirement => ({
	key,
	operator: operator as Requirement['operator'],
	values: values ?? [],
});

/** The node with the best score; among equals the next after `after`. */
function preferred(needs: Needs, fitting: NodeState[], strategy: Strategy, after: string): NodeState | undefined {
	if (fitting.length < 2) return fitting[0];
	const affinity = normalized(fitting.map(({ node }) => affinityScore(needs.pod, node)));
	const taints = normalized(fitting.map(({ node }) => unwelcome(needs.pod, node)));
	let best: NodeState | undefined;
	let bestScore = Number.NEGATIVE_INFINITY;
	for (const [index, state] of fitting.entries()) {
		const room = strategy === 'least-allocated' ? roomFor(needs.requests, state) : 0;
		const score = room + (affinity[index] ?? 0) * AFFINITY_WEIGHT + (100 - (taints[index] ?? 0)) * TAINT_WEIGHT;
		const better = score > bestScore || (score === bestScore && best && follows(state, best, after));
		if (better) [best, bestScore] = [state, score];
	}
	return best;
}

/** Whether, going round by name from `after`, `a` comes before `b`. */
function follows(a: NodeState, b: NodeState, after: string): boolean {
	const [first, second] = [a.node.metadata.name, b.node.metadata.name];
	if (first > after !== second > after) return first > after;
	return first < second;
}

/** 0 to 100: the share of cpu and memory that stays free with the pod on the node. */
function roomFor(requests: Resources, { allocatable, weight }: NodeState): number {
	const own = weightOf(requests);
	const free = (total: number, taken: number) =>
		total > 0 ? Math.max(0, Math.floor(((total - taken) * 100) / total)) : 0;
	return Math.floor(
		(free(allocatable.cpu ?? 0, weight.cpu + own.cpu) + free(allocatable.memory ?? 0, weight.memory + own.memory)) / 2,
	);
}

/** The weights of the preferred terms that the node matches. */
function affinityScore(pod: Pod, node: Node): number {
	const terms = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
	return terms.reduce((score, { weight, preference }) => score + (matchesTerm(preference, node) ? weight : 0), 0);
}

/** How many taints would rather not have the pod. */
function unwelcome(pod: Pod, node: Node): number {
	return (node.spec.taints ?? []).filter((taint) => untolerated([taint], pod.spec.tolerations, ['PreferNoSchedule']))
		.length;
}

/** Scores scaled so that the largest is 100. */
function normalized(scores: readonly number[]): readonly number[] {
	const most = Math.max(...scores);
	return most > 0 ? scores.map((score) => Math.floor((score * 100) / most)) : scores;
}
