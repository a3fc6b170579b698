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
	/** A small number that is its own while it is there. */
	readonly number: number;
	nodes: number;
	/** Those of the nodes that are eligible: only their pods are counted, and without any it is no domain. */
	eligible: number;
}

/** Of a node that is in no domain. */
const NOWHERE = -1;

/** @param key - the label. */
export function createTally(key: string, isEligible: (node: Node) => boolean = () => true): ChangingTally {
	const byNode = new Map<string, number>();
	const byValue = new Map<string, Domain>();
	/** What every pod asks of every node lies together: the number of the node's domain by its slot, and of each domain its pods. */
	const numberAt: number[] = [];
	const podsOf: number[] = [];
	/** The count of domains that each was counted in last. */
	const countedIn: number[] = [];
	/** Numbers of domains that went. */
	const free: number[] = [];
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
		const had = podsOf[domain.number] ?? 0;
		const before = domain.eligible > 0 ? had : undefined;
		domain.eligible += eligible;
		podsOf[domain.number] = had + pods;
		total += pods;
		const now = domain.eligible > 0 ? had + pods : undefined;
		domains += Number(now !== undefined) - Number(before !== undefined);
		shift(before, now);
	};
	const domainOf = (site: Site | undefined) => {
		const value = valueOn(site);
		return value === undefined ? undefined : byValue.get(value);
	};
	const leave = (name: string, site: Site) => {
		const domain = domainOf(site);
		if (!domain) return;
		numberAt[site.slot] = NOWHERE;
		if (isEligible(site.node)) change(domain, -1, -(byNode.get(name) ?? 0));
		if (--domain.nodes > 0) return;
		byValue.delete(valueOn(site) ?? '');
		free.push(domain.number);
	};
	const enter = (name: string, site: Site) => {
		const value = valueOn(site);
		// Rows without gaps are fast ones.
		while (numberAt.length <= site.slot) numberAt.push(NOWHERE);
		if (value === undefined) return;
		const domain = byValue.get(value) ?? { number: free.pop() ?? podsOf.length, nodes: 0, eligible: 0 };
		if (domain.nodes++ === 0) {
			byValue.set(value, domain);
			podsOf[domain.number] = 0;
			countedIn[domain.number] = 0;
		}
		numberAt[site.slot] = domain.number;
		if (isEligible(site.node)) change(domain, 1, byNode.get(name) ?? 0);
	};

	return {
		at(slot) {
			const number = numberAt[slot] ?? NOWHERE;
			return number === NOWHERE ? undefined : podsOf[number];
		},
		spanned(sites) {
			let found = 0;
			counts++;
			for (const { slot } of sites) {
				const number = numberAt[slot] ?? NOWHERE;
				if (number === NOWHERE || countedIn[number] === counts) continue;
				countedIn[number] = counts;
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
			const domain = domainOf(site);
			if (site && domain && isEligible(site.node)) change(domain, 0, pods);
		},
		setNode(name, old, now) {
			if (old && now && valueOn(old) === valueOn(now) && isEligible(old.node) === isEligible(now.node)) return;
			if (old) leave(name, old);
			if (now) enter(name, now);
		},
	};
}
