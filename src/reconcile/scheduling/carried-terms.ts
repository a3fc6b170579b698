/**
 * The terms of affinity that placed pods carry, for pods that come after them: a required anti-affinity holds in both directions,
 * and a preference of a pod that is there draws or repels one that comes.
 * Source: Kubernetes documentation, "Assigning Pods to Nodes"; design proposal "podaffinity", section on symmetry.
 */
import type { Pod } from '../../kinds/index.ts';
import { affinityTerm, type NamespaceLabels, type PodTerm, type PodTraits } from './pod-terms.ts';
import { signatureOf } from './population.ts';
import { type ChangingTally, createTally, type Site, type Tally } from './tally.ts';

/** What a required affinity of a pod that is there counts for one that it asks for. Source: hardPodAffinityWeight of kube-scheduler. */
const REQUIRED_AFFINITY_WEIGHT = 1;
/** For how many sorts of pods the terms that are about them are remembered. */
const MOST_REMEMBERED = 1000;

/** `forbids`: a required anti-affinity; `draws`: a preference, negative where it repels. */
export type Effect = 'forbids' | 'draws';

/** A term as a pod carries it. */
export interface CarriedTerm {
	readonly effect: Effect;
	readonly key: string;
	readonly weight: number;
	readonly term: PodTerm;
}

/** A term that pods carry, and how much of it (weights added up) each domain holds. */
export interface Carried extends CarriedTerm {
	readonly tally: Tally;
}

export interface CarriedTerms {
	add(terms: readonly CarriedTerm[], node: string, sign: 1 | -1): void;
	setNode(name: string, old: Site | undefined, now: Site | undefined): void;
	/** The labels of some namespace have changed. */
	relabel(): void;
	/** The terms of placed pods that are about this one. */
	about(pod: PodTraits): readonly Carried[];
	/** Whether labels of namespaces decide for one of them. */
	readonly byNamespaceLabels: boolean;
}

export function createCarriedTerms(nodes: ReadonlyMap<string, Site>, namespaces: NamespaceLabels): CarriedTerms {
	const carried = new Map<string, Carried & { readonly tally: ChangingTally; carriers: number }>();
	const remembered = new Map<string, readonly Carried[]>();
	return {
		add(terms, node, sign) {
			for (const each of terms) {
				const name = JSON.stringify([each.effect, each.key, each.weight, each.term.signature]);
				let known = carried.get(name);
				if (!known) {
					known = { ...each, tally: createTally(each.key), carriers: 0 };
					for (const [name, site] of nodes) known.tally.setNode(name, undefined, site);
					carried.set(name, known);
					remembered.clear();
				}
				known.tally.add(node, nodes.get(node), sign * each.weight);
				known.carriers += sign;
				if (known.carriers > 0) continue;
				carried.delete(name);
				remembered.clear();
			}
		},
		setNode(name, old, now) {
			for (const { tally } of carried.values()) tally.setNode(name, old, now);
		},
		relabel: () => remembered.clear(),
		about(pod) {
			if (carried.size === 0) return [];
			const signature = signatureOf(pod);
			let found = remembered.get(signature);
			if (!found) {
				found = [...carried.values()].filter(({ term }) => term.matches(pod, namespaces));
				if (remembered.size >= MOST_REMEMBERED) remembered.clear();
				remembered.set(signature, found);
			}
			return found;
		},
		get byNamespaceLabels() {
			return carried.values().some(({ term }) => term.byNamespaceLabels);
		},
	};
}

/** The terms that the pod carries for others. */
export function carriedBy(pod: Pod): readonly CarriedTerm[] {
	const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
	if (!podAffinity && !podAntiAffinity) return [];
	const required = podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
	const forbidden = podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
	return [
		...forbidden.map((term) => carry('forbids', term, 1)),
		...required.map((term) => carry('draws', term, REQUIRED_AFFINITY_WEIGHT)),
		...preferences(pod).map(({ term, weight }) => carry('draws', term, weight)),
	];

	function carry(effect: Effect, term: (typeof required)[number], weight: number): CarriedTerm {
		return { effect, key: term.topologyKey, weight, term: affinityTerm(term, pod) };
	}
}

/** What the pod would rather have beside it, and, with a negative weight, rather not. */
export function preferences({ spec: { affinity } }: Pod) {
	const near = affinity?.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
	const apart = affinity?.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
	return [
		...near.map(({ podAffinityTerm, weight }) => ({ term: podAffinityTerm, weight })),
		...apart.map(({ podAffinityTerm, weight }) => ({ term: podAffinityTerm, weight: -weight })),
	];
}
