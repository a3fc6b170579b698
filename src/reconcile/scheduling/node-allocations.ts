/**
 * How full each node is, kept current one pod at a time, so that placing a pod costs the nodes and not the pods. A pod that
 * is being bound counts from the moment of the decision.
 */
import type { Node, Pod } from '../../kinds/index.ts';
import { isFinished } from '../workloads/pod-state.ts';
import { amounts, type HostPort, hostPortsOf, type Resources, requestsOf } from './pod-requests.ts';

/** A pod that asks for nothing still costs something: what spreading counts for it. Source: scheduler's documented defaults. */
const LEAST_CPU = 100;
const LEAST_MEMORY = 200 * 1024 * 1024;

/** A node as the scheduler sees it. */
export interface NodeState {
	readonly node: Node;
	readonly allocatable: Resources;
	readonly used: Resources;
	/** Like `used`, with the least that a pod counts for; for scores only. */
	readonly weight: { readonly cpu: number; readonly memory: number };
	readonly ports: Iterable<HostPort>;
}

interface Share {
	readonly node: string;
	readonly requests: Resources;
	readonly ports: readonly HostPort[];
}

interface Allocation {
	readonly used: Record<string, number>;
	readonly weight: { cpu: number; memory: number };
	readonly ports: Set<HostPort>;
}

export interface Allocations {
	/** The nodes that exist, by name. */
	readonly nodes: ReadonlyMap<string, NodeState>;
	setNode(node: Node): void;
	removeNode(name: string): void;
	/** Takes in a pod as it is now: counted where it is bound and not finished. Tells whether that freed anything. */
	setPod(pod: Pod): boolean;
	/** Tells whether that freed anything. */
	removePod(uid: string): boolean;
	/** Counts the pod on the node before the API server says so. */
	assume(pod: Pod, node: string): void;
	/** Whether the pod is counted on a node. */
	has(uid: string): boolean;
}

export function allocations(): Allocations {
	const byNode = new Map<string, Allocation>();
	const shares = new Map<string, Share>();
	const nodes = new Map<string, NodeState>();

	const allocationOf = (node: string): Allocation => {
		let allocation = byNode.get(node);
		if (!allocation) {
			allocation = { used: {}, weight: { cpu: 0, memory: 0 }, ports: new Set() };
			byNode.set(node, allocation);
		}
		return allocation;
	};
	const count = ({ node, requests, ports }: Share, sign: 1 | -1) => {
		const { used, weight, ports: taken } = allocationOf(node);
		for (const name in requests) used[name] = (used[name] ?? 0) + sign * (requests[name] ?? 0);
		weight.cpu += sign * weightOf(requests).cpu;
		weight.memory += sign * weightOf(requests).memory;
		for (const port of ports) {
			if (sign > 0) taken.add(port);
			else taken.delete(port);
		}
		// A node that was removed is forgotten with its last pod.
		if (used.pods === 0 && !nodes.has(node)) byNode.delete(node);
	};
	const put = (pod: Pod, node: string) => {
		const uid = pod.metadata.uid ?? '';
		const old = shares.get(uid);
		if (old?.node === node) return;
		if (old) count(old, -1);
		const share = { node, requests: requestsOf(pod), ports: hostPortsOf(pod) };
		shares.set(uid, share);
		count(share, 1);
	};
	const removePod = (uid: string) => {
		const share = shares.get(uid);
		if (!share) return false;
		shares.delete(uid);
		count(share, -1);
		return true;
	};
	return {
		nodes,
		setNode(node) {
			const { used, weight, ports } = allocationOf(node.metadata.name);
			const allocatable = amounts(node.status?.allocatable ?? node.status?.capacity);
			nodes.set(node.metadata.name, { node, allocatable, used, weight, ports });
		},
		removeNode(name) {
			nodes.delete(name);
			if (!byNode.get(name)?.used.pods) byNode.delete(name);
		},
		setPod(pod) {
			if (isFinished(pod)) return removePod(pod.metadata.uid ?? '');
			if (pod.spec.nodeName) put(pod, pod.spec.nodeName);
			return false;
		},
		removePod,
		assume: put,
		has: (uid) => shares.has(uid),
	};
}

/** What a pod counts for when nodes are compared. */
export const weightOf = (requests: Resources) => ({
	cpu: requests.cpu || LEAST_CPU,
	memory: requests.memory || LEAST_MEMORY,
});
