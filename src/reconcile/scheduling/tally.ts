/**
 * How many pods there are in each domain of a topology, kept one change at a time. A domain is what nodes have in common that
 * have one value of a label. Source: Kubernetes documentation, "Pod Topology Spread Constraints".
 */
import type { Node } from '../../kinds/index.ts';

export interface Tally {
	/** Pods in the domain of this value. */
	count(value: string): number;
	/** Pods in all domains. */
	readonly total: number;
	/** How many domains there are, also without pods. */
	readonly domains: number;
	/** Pods in the domain that has the fewest; 0 without domains. */
	readonly least: number;
}

export interface ChangingTally extends Tally {
	/** So many pods more (or fewer) on a node, also on one that is not known (yet). */
	add(name: string, node: Node | undefined, pods: number): void;
	/** A node came, changed or went. */
	setNode(name: string, old: Node | undefined, now: Node | undefined): void;
}

interface Domain {
	nodes: number;
	pods: number;
}

/** @param key - the label; a node without it, or one that is not eligible, is in no domain. */
export function createTally(key: string, eligible: (node: Node) => boolean = () => true): ChangingTally {
	const byNode = new Map<string, number>();
	const domains = new Map<string, Domain>();
	/** How many domains have so many pods. */
	const alike = new Map<number, number>();
	let total = 0;
	let least = 0;

	const domainOf = (node: Node | undefined) => (node && eligible(node) ? node.metadata.labels?.[key] : undefined);
	/** A domain goes from so many pods to so many; undefined where it is not there. */
	const shift = (from: number | undefined, to: number | undefined) => {
		if (from === to) return;
		if (to !== undefined) alike.set(to, (alike.get(to) ?? 0) + 1);
		if (from !== undefined) {
			const left = (alike.get(from) ?? 0) - 1;
			if (left > 0) alike.set(from, left);
			else alike.delete(from);
		}
		if (to !== undefined && (to < least || domains.size === 1)) least = to;
		else if (!alike.has(least)) least = alike.size > 0 ? Math.min(...alike.keys()) : 0;
	};
	const change = (value: string, nodes: number, pods: number) => {
		const old = domains.get(value);
		const now = { nodes: (old?.nodes ?? 0) + nodes, pods: (old?.pods ?? 0) + pods };
		if (now.nodes > 0) domains.set(value, now);
		else domains.delete(value);
		total += pods;
		shift(old?.pods, now.nodes > 0 ? now.pods : undefined);
	};

	return {
		count: (value) => domains.get(value)?.pods ?? 0,
		get total() {
			return total;
		},
		get domains() {
			return domains.size;
		},
		get least() {
			return least;
		},
		add(name, node, pods) {
			const now = (byNode.get(name) ?? 0) + pods;
			if (now === 0) byNode.delete(name);
			else byNode.set(name, now);
			const value = domainOf(node);
			if (value !== undefined) change(value, 0, pods);
		},
		setNode(name, old, now) {
			const from = domainOf(old);
			const to = domainOf(now);
			if (from === to) return;
			const pods = byNode.get(name) ?? 0;
			if (from !== undefined) change(from, -1, -pods);
			if (to !== undefined) change(to, 1, pods);
		},
	};
}
