/** Label selectors of objects, each turned into a predicate once. Source: Kubernetes documentation, "Labels and Selectors". */
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import { type LabelPredicate, type Labels, selectorPredicate } from '../../kinds/index.ts';

const predicates = new WeakMap<LabelSelector, LabelPredicate>();

/** Whether labels satisfy a selector. No selector (undefined) selects nothing; an empty one selects everything. */
export function selects(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
	if (!selector) return false;
	let predicate = predicates.get(selector);
	if (!predicate) {
		predicate = selectorPredicate(selector);
		predicates.set(selector, predicate);
	}
	return predicate(labels);
}

/** Whether a selector names no condition at all. */
export function selectsEverything(selector: LabelSelector): boolean {
	return Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0;
}

/** Whether `labels` has every pair of `wanted`. */
export function includes(wanted: Labels | undefined, labels: Labels | undefined): boolean {
	if (!wanted) return true;
	for (const key in wanted) if (labels?.[key] !== wanted[key]) return false;
	return true;
}
