/**
 * The pods of the cluster as terms of affinity and spreading see them: counted by domain for each term that was asked about. Pods that
 * are alike (by namespace and labels) are one group, so that a term is held against groups and not against pods.
 */
import type { Node } from '../../kinds/index.ts';
import type { NamespaceLabels, PodTerm, PodTraits } from './pod-terms.ts';
import { type ChangingTally, createTally, type Site, type Tally } from './tally.ts';

/** How many tallies are kept current; the one that was asked for least recently is forgotten, and made anew when it is wanted. */
export const MOST_TALLIES = 1000;

/** Which nodes count, for a tally of some of them only. */
export interface Eligibility {
	/** Those that are alike in it let the same nodes through. */
	readonly signature: string;
	accepts(node: Node): boolean;
}

interface Group {
	readonly traits: PodTraits;
	/** How many of them are on each node. */
	readonly nodes: Map<string, number>;
	readonly counted: Set<Counted>;
}

interface Counted {
	readonly term: PodTerm;
	readonly tally: ChangingTally;
	readonly groups: Set<Group>;
}

export interface Population {
	/** So many pods (1 or -1) more on a node. */
	add(pod: PodTraits, node: string, pods: number): void;
	setNode(name: string, old: Site | undefined, now: Site | undefined): void;
	/** The labels of the namespace have changed. */
	relabel(namespace: string): void;
	/** Counts the pods of a term by the values of a label of nodes; it stays current. */
	tally(term: PodTerm, key: string, eligibility?: Eligibility): Tally;
}

export function createPopulation(nodes: ReadonlyMap<string, Site>, namespaces: NamespaceLabels): Population {
	const groups = new Map<string, Group>();
	/** The one asked for most recently comes last. */
	const tallies = new Map<string, Counted>();

	const join = (counted: Counted, group: Group) => {
		counted.groups.add(group);
		group.counted.add(counted);
	};
	const part = (counted: Counted, group: Group) => {
		counted.groups.delete(group);
		group.counted.delete(counted);
	};
	const addAll = ({ tally }: Counted, group: Group, sign: 1 | -1) => {
		for (const [node, pods] of group.nodes) tally.add(node, nodes.get(node), sign * pods);
	};
	const groupOf = (traits: PodTraits): [string, Group] => {
		const signature = signatureOf(traits);
		const known = groups.get(signature);
		if (known) return [signature, known];
		const group: Group = { traits, nodes: new Map(), counted: new Set() };
		groups.set(signature, group);
		for (const counted of tallies.values()) if (counted.term.matches(traits, namespaces)) join(counted, group);
		return [signature, group];
	};
	const make = (term: PodTerm, key: string, eligibility: Eligibility | undefined): Counted => {
		const counted = { term, tally: createTally(key, eligibility?.accepts), groups: new Set<Group>() };
		for (const [name, site] of nodes) counted.tally.setNode(name, undefined, site);
		for (const group of groups.values()) {
			if (!term.matches(group.traits, namespaces)) continue;
			join(counted, group);
			addAll(counted, group, 1);
		}
		return counted;
	};

	return {
		add(pod, node, pods) {
			const [signature, group] = groupOf(pod);
			for (const { tally } of group.counted) tally.add(node, nodes.get(node), pods);
			const now = (group.nodes.get(node) ?? 0) + pods;
			if (now > 0) group.nodes.set(node, now);
			else group.nodes.delete(node);
			if (group.nodes.size > 0) return;
			for (const counted of group.counted) counted.groups.delete(group);
			groups.delete(signature);
		},
		setNode(name, old, now) {
			for (const { tally } of tallies.values()) tally.setNode(name, old, now);
		},
		relabel(namespace) {
			const concerned = [...tallies.values()].filter(({ term }) => term.byNamespaceLabels);
			if (concerned.length === 0) return;
			for (const group of groups.values()) {
				if (group.traits.namespace !== namespace) continue;
				for (const counted of concerned) {
					const matches = counted.term.matches(group.traits, namespaces);
					if (matches === counted.groups.has(group)) continue;
					addAll(counted, group, matches ? 1 : -1);
					if (matches) join(counted, group);
					else part(counted, group);
				}
			}
		},
		tally(term, key, eligibility) {
			const name = JSON.stringify([key, term.signature, eligibility?.signature]);
			const counted = tallies.get(name) ?? make(term, key, eligibility);
			tallies.delete(name);
			tallies.set(name, counted);
			if (tallies.size > MOST_TALLIES)
				for (const [oldest, forgotten] of tallies) {
					tallies.delete(oldest);
					for (const group of forgotten.groups) group.counted.delete(forgotten);
					break;
				}
			return counted.tally;
		},
	};
}

/** What groups pods: alike in it, they are alike for every term. */
export function signatureOf({ namespace, labels = {}, terminating }: PodTraits): string {
	const sorted = Object.keys(labels)
		.sort()
		.map((key) => [key, labels[key]]);
	return JSON.stringify([namespace, terminating, sorted]);
}
