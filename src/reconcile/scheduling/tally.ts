/**
 * How many pods there are in each domain of a topology, kept one change at a time. A domain is what nodes have in common that
 * have one value of a label. Source: Kubernetes documentation, "Pod Topology Spread Constraints".
 */
import type { Node } from '../../kinds/index.ts';

/** A node, and a small number that is its own while it is there: what is asked of every node is found by it, and not by a name. */
export interface Site {
	readonly node: Node;
	readonly slot: number;
}

export interface Tally {
	/** Pods in the domain of the node with this slot; undefined where the node has no such label. */
	at(slot: number): number | undefined;
	/** How many domains these nodes are in. */
	spanned(sites: readonly Site[]): number;
	/** Pods in all domains. */
	readonly total: number;
	/** How many domains there are, also without pods. */
	readonly domains: number;
	/** Pods in the domain that has the fewest; 0 without domains. */
	readonly least: number;
}

export interface ChangingTally extends Tally {
	/** So many pods more (or fewer) on a node, also on one that is not known (yet). */
	add(name: string, site: Site | undefined, pods: number): void;
	/** A node came, changed or went. */
	setNode(name: string, old: Site | undefined, now: Site | undefined): void;
}

interface Domain {
	nodes: number;
	/** Those of the nodes that are eligible: only their pods are counted, and without any it is no domain. */
	eligible: number;
	pods: number;
	/** The count of domains that it was counted in last. */
	counted: number;
}

/** @param key - the label. */
export function createTally(key: string, isEligible: (node: Node) => boolean = () => true): ChangingTally {
	const byNode = new Map<string, number>();
	const byValue = new Map<string, Domain>();
	const bySlot: (Domain | undefined)[] = [];
	/** How many domains have so many pods. */
	const alike = new Map<number, number>();
	let total = 0;
	let domains = 0;
	let least = 0;
	let counts = 0;

	const valueOn = (site: Site | undefined) => site?.node.metadata.labels?.[key];
	/** A domain goes from so many pods to so many; undefined where it is none. */
	const shift = (from: number | undefined, to: number | undefined) => {
		if (from === to) return;
		if (to !== undefined) alike.set(to, (alike.get(to) ?? 0) + 1);
		if (from !== undefined) {
			const left = (alike.get(from) ?? 0) - 1;
			if (left > 0) alike.set(from, left);
			else alike.delete(from);
		}
		if (to !== undefined && (to < least || domains === 1)) least = to;
		else if (!alike.has(least)) least = alike.size > 0 ? Math.min(...alike.keys()) : 0;
	};
	const change = (domain: Domain, eligible: number, pods: number) => {
		const before = domain.eligible > 0 ? domain.pods : undefined;
		domain.eligible += eligible;
		domain.pods += pods;
		total += pods;
		const now = domain.eligible > 0 ? domain.pods : undefined;
		domains += Number(now !== undefined) - Number(before !== undefined);
		shift(before, now);
	};
	const leave = (name: string, { node, slot }: Site) => {
		const domain = bySlot[slot];
		if (!domain) return;
		bySlot[slot] = undefined;
		if (isEligible(node)) change(domain, -1, -(byNode.get(name) ?? 0));
		if (--domain.nodes === 0) byValue.delete(node.metadata.labels?.[key] ?? '');
	};
	const enter = (name: string, site: Site) => {
		const value = valueOn(site);
		if (value === undefined) return;
		const domain = byValue.get(value) ?? { nodes: 0, eligible: 0, pods: 0, counted: 0 };
		byValue.set(value, domain);
		bySlot[site.slot] = domain;
		domain.nodes++;
		if (isEligible(site.node)) change(domain, 1, byNode.get(name) ?? 0);
	};

	return {
		at: (slot) => bySlot[slot]?.pods,
		spanned(sites) {
			let found = 0;
			counts++;
			for (const { slot } of sites) {
				const domain = bySlot[slot];
				if (!domain || domain.counted === counts) continue;
				domain.counted = counts;
				found++;
			}
			return found;
		},
		get total() {
			return total;
		},
		get domains() {
			return domains;
		},
		get least() {
			return least;
		},
		add(name, site, pods) {
			const now = (byNode.get(name) ?? 0) + pods;
			if (now === 0) byNode.delete(name);
			else byNode.set(name, now);
			const domain = site && bySlot[site.slot];
			if (domain && isEligible(site.node)) change(domain, 0, pods);
		},
		setNode(name, old, now) {
			if (old && now && valueOn(old) === valueOn(now) && isEligible(old.node) === isEligible(now.node)) return;
			if (old) leave(name, old);
			if (now) enter(name, now);
		},
	};
}
