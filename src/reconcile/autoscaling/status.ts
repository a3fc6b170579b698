/** The status of an autoscaler, as what is new of it changes it. */
import type { HorizontalPodAutoscaler } from '../../kinds/index.ts';
import type { Condition } from './desired-replicas.ts';

type Whole = NonNullable<HorizontalPodAutoscaler['status']>;

/** As it is written: no metrics is `null`, as Kubernetes has it. */
export type Status = Omit<Whole, 'currentMetrics'> & { readonly currentMetrics?: Whole['currentMetrics'] | null };

/**
 * The conditions with those of `next` in their place, the time of each being that of the last change of its status. Source: the
 * documented behaviour of the autoscaler, which otherwise than workloads tells each new reason.
 */
export function withConditions(
	before: Status['conditions'],
	next: readonly Condition[],
	now: string,
): NonNullable<Status['conditions']> {
	const all = [...(before ?? [])];
	for (const condition of next) {
		const at = all.findIndex(({ type }) => type === condition.type);
		const old = all[at];
		const lastTransitionTime = old?.status === condition.status ? old.lastTransitionTime : now;
		if (at < 0) all.push({ ...condition, lastTransitionTime });
		else all[at] = { ...condition, lastTransitionTime };
	}
	return all;
}
