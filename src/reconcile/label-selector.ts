/** Label selectors as objects carry them. Source: Kubernetes documentation, "Labels and Selectors". */
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';

export type Labels = Readonly<Record<string, string>>;

/** Whether labels satisfy a selector. No selector (undefined) selects nothing; an empty one selects everything. */
export function selects(selector: LabelSelector | undefined, labels: Labels | undefined): boolean {
	if (!selector) return false;
	return (
		includes(selector.matchLabels, labels) &&
		(selector.matchExpressions ?? []).every(({ key, operator, values }) => satisfies(labels, key, operator, values))
	);
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

/**
 * One requirement. `Gt` and `Lt` compare integers and are known to node affinity only; an operator that is not known
 * matches nothing.
 */
export function satisfies(labels: Labels | undefined, key: string, operator: string, values: readonly string[] = []) {
	const value = labels?.[key];
	switch (operator) {
		case 'In':
			return value !== undefined && values.includes(value);
		case 'NotIn':
			return value === undefined || !values.includes(value);
		case 'Exists':
			return value !== undefined;
		case 'DoesNotExist':
			return value === undefined;
		case 'Gt':
		case 'Lt': {
			const [left, right] = [integer(value), integer(values[0])];
			if (left === undefined || right === undefined) return false;
			return operator === 'Gt' ? left > right : left < right;
		}
		default:
			return false;
	}
}

const integer = (text: string | undefined) => (text && /^[+-]?\d+$/.test(text) ? Number(text) : undefined);
