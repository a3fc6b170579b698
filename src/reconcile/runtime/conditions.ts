/** The conditions of a status. Source: Kubernetes API conventions, "Typical status properties". */

export interface Condition {
	type: string;
	status: string;
	reason?: string;
	message?: string;
	lastTransitionTime?: string;
	lastUpdateTime?: string;
}

export function conditionOf<C extends Condition>(conditions: readonly C[] | undefined, type: string): C | undefined {
	return conditions?.find((condition) => condition.type === type);
}

/**
 * The list with `next` in it, as the workload controllers of Kubernetes do it: the same status and reason leave the old
 * condition as it is, the same status keeps the time of the last transition, and a changed condition goes to the end.
 */
export function withCondition<C extends Condition>(conditions: readonly C[] | undefined, next: C): readonly C[] {
	const old = conditionOf(conditions, next.type);
	if (old && conditions && old.status === next.status && old.reason === next.reason) return conditions;
	const lastTransitionTime = old?.status === next.status ? old.lastTransitionTime : next.lastTransitionTime;
	return [...withoutCondition(conditions, next.type), { ...next, lastTransitionTime }];
}

/** The list without a type; the same list when it has none of it. */
export function withoutCondition<C extends Condition>(
	conditions: readonly C[] | undefined,
	type: string,
): readonly C[] {
	if (!conditions) return [];
	return conditions.some((condition) => condition.type === type)
		? conditions.filter((condition) => condition.type !== type)
		: conditions;
}
