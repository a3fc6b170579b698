/**
 * Which pods a term of affinity, or a constraint of spreading, is about. Source: Kubernetes documentation, "Assigning Pods to
 * Nodes" and "Pod Topology Spread Constraints"; API reference, "PodAffinityTerm" and "TopologySpreadConstraint".
 */
import type { PodAffinityTerm, TopologySpreadConstraint } from 'kubernetes-types/core/v1.js';
import { type LabelSelector, type Labels, type Pod, selectorPredicate } from '../../kinds/index.ts';

/** The labels of a namespace; undefined where there is none of that name. */
export type NamespaceLabels = (namespace: string) => Labels | undefined;

/** What terms look at in a pod. */
export interface PodTraits {
	readonly namespace: string;
	readonly labels: Labels | undefined;
	readonly terminating: boolean;
}

export interface PodTerm {
	/** Terms that are alike in it are about the same pods. */
	readonly signature: string;
	/** Whether the labels of namespaces decide as well. */
	readonly byNamespaceLabels: boolean;
	matches(pod: PodTraits, namespaces: NamespaceLabels): boolean;
}

export const traitsOf = ({ metadata }: Pod): PodTraits => ({
	namespace: metadata.namespace ?? '',
	labels: metadata.labels,
	terminating: metadata.deletionTimestamp !== undefined,
});

/** Whether terms see no difference between the two. */
export function alike(a: PodTraits, b: PodTraits): boolean {
	const [of, other] = [a.labels ?? {}, b.labels ?? {}];
	const keys = Object.keys(of);
	return (
		a.namespace === b.namespace &&
		a.terminating === b.terminating &&
		keys.length === Object.keys(other).length &&
		keys.every((key) => of[key] === other[key])
	);
}

/** The pods of an affinity term of `owner`: of its own namespace where the term names none and selects none. */
export const affinityTerm = (term: PodAffinityTerm, owner: Pod): PodTerm =>
	once(term, owner, () => makeAffinityTerm(term, owner));

function makeAffinityTerm(term: PodAffinityTerm, owner: Pod): PodTerm {
	const selector = withKeys(term.labelSelector, term.matchLabelKeys, term.mismatchLabelKeys, owner.metadata.labels);
	const { namespaceSelector } = term;
	const named =
		term.namespaces?.length || namespaceSelector ? (term.namespaces ?? []) : [owner.metadata.namespace ?? ''];
	const names = new Set(named);
	const selected = selectorPredicate(selector);
	const inNamespace = selectorPredicate(namespaceSelector);
	return {
		signature: JSON.stringify([[...names].sort(), namespaceSelector, selector]),
		byNamespaceLabels: namespaceSelector !== undefined,
		matches: ({ namespace, labels }, namespaces) =>
			(names.has(namespace) || inNamespace(namespaces(namespace))) && selected(labels),
	};
}

/** The pods that a constraint of `owner` spreads: those of its namespace that are not on their way out. */
export const spreadTerm = (constraint: TopologySpreadConstraint, owner: Pod): PodTerm =>
	once(constraint, owner, () => makeSpreadTerm(constraint, owner));

function makeSpreadTerm(constraint: TopologySpreadConstraint, owner: Pod): PodTerm {
	const { namespace = '', labels } = owner.metadata;
	const selector = withKeys(constraint.labelSelector, constraint.matchLabelKeys, [], labels);
	const selected = selectorPredicate(selector);
	return {
		signature: JSON.stringify(['staying', namespace, selector]),
		byNamespaceLabels: false,
		matches: (pod) => pod.namespace === namespace && !pod.terminating && selected(pod.labels),
	};
}

const made = new WeakMap<object, { readonly namespace?: string; readonly labels?: Labels; readonly term: PodTerm }>();

/** The term as it was made of this source for this owner, where it was: a pod that waits is asked for its terms again and again. */
function once(source: object, { metadata: { namespace, labels } }: Pod, make: () => PodTerm): PodTerm {
	const known = made.get(source);
	if (known && known.namespace === namespace && known.labels === labels) return known.term;
	const term = make();
	made.set(source, { namespace, labels, term });
	return term;
}

/** The pods that every one of the terms is about. */
export function allOf(terms: readonly PodTerm[]): PodTerm {
	const [only] = terms;
	if (only && terms.length === 1) return only;
	return {
		signature: JSON.stringify(terms.map(({ signature }) => signature).sort()),
		byNamespaceLabels: terms.some(({ byNamespaceLabels }) => byNamespaceLabels),
		matches: (pod, namespaces) => terms.every((term) => term.matches(pod, namespaces)),
	};
}

/** The selector with `key in (value)` for keys to match and `key notin (value)` for those to differ, by the owner's own labels. */
function withKeys(
	selector: LabelSelector | undefined,
	match: readonly string[] = [],
	differ: readonly string[] = [],
	labels: Labels = {},
): LabelSelector | undefined {
	if (!selector || match.length + differ.length === 0) return selector;
	const requirements = (keys: readonly string[], operator: string) =>
		keys.flatMap((key) => {
			const value = labels[key];
			return value === undefined ? [] : [{ key, operator, values: [value] }];
		});
	const added = [...requirements(match, 'In'), ...requirements(differ, 'NotIn')];
	return { ...selector, matchExpressions: [...(selector.matchExpressions ?? []), ...added] };
}
