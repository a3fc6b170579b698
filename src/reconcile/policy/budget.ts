/**
 * What a disruption budget allows: pure. Source: Kubernetes documentation, "Specifying a Disruption Budget for your Application";
 * API reference, "PodDisruptionBudget".
 */
import type { PodDisruptionBudgetStatus } from 'kubernetes-types/policy/v1.js';
import { type Pod, type PodDisruptionBudget, timestamp } from '../../kinds/index.ts';
import { type Condition, withCondition } from '../runtime/conditions.ts';
import { isReady, timeOf } from '../workloads/pod-state.ts';

/** A pod that was to be evicted and is there after so long stays. Source: DeletionTimeout of the disruption controller. */
export const DELETION_TIMEOUT_MS = 2 * 60_000;

export interface Evaluation {
	readonly status: PodDisruptionBudgetStatus;
	/** Pods that were evicted, and have not gone. */
	readonly stayed: readonly Pod[];
	/** When to look again, in milliseconds since the epoch. */
	readonly next?: number;
}

/** How many pods there should be: as their controllers say, where a share of them is asked for, else as many as there are. */
export const asksControllers = ({ spec }: PodDisruptionBudget): boolean =>
	spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === 'string';

/** @param expected - how many pods there should be. */
export function evaluate(budget: PodDisruptionBudget, pods: readonly Pod[], expected: number, now: number): Evaluation {
	const { disrupted, stayed, next } = disruptedPods(budget, pods, now);
	const healthy = pods.filter(
		(pod) => !pod.metadata.deletionTimestamp && !(pod.metadata.name in disrupted) && isReady(pod),
	).length;
	const desired = desiredHealthy(budget, expected);
	const allowed = expected > 0 ? Math.max(0, healthy - desired) : 0;
	return { status: statusOf(budget, { healthy, desired, expected, allowed }, disrupted, now), stayed, next };
}

/** Nothing is allowed while it is not known what there should be. */
export function unknown(budget: PodDisruptionBudget, why: string, now: number): PodDisruptionBudgetStatus {
	const { currentHealthy = 0, desiredHealthy = 0, expectedPods = 0 } = budget.status ?? {};
	return {
		...budget.status,
		currentHealthy,
		desiredHealthy,
		expectedPods,
		disruptionsAllowed: 0,
		conditions: conditionsOf(budget, 'False', 'SyncFailed', why, now),
	};
}

function desiredHealthy({ spec }: PodDisruptionBudget, expected: number): number {
	const { minAvailable, maxUnavailable } = spec ?? {};
	if (maxUnavailable !== undefined) return Math.max(0, expected - shareOf(maxUnavailable, expected));
	return minAvailable === undefined ? 0 : shareOf(minAvailable, expected);
}

/** A share is rounded up. */
const shareOf = (amount: number | string, of: number) =>
	typeof amount === 'number' ? amount : Math.ceil((Number.parseInt(amount, 10) * of) / 100);

/** The evictions that do not show in the pods yet. */
function disruptedPods({ status }: PodDisruptionBudget, pods: readonly Pod[], now: number) {
	const byName = new Map(pods.map((pod) => [pod.metadata.name, pod]));
	const disrupted: Record<string, string> = {};
	const stayed: Pod[] = [];
	let next: number | undefined;
	for (const [name, time] of Object.entries(status?.disruptedPods ?? {})) {
		const pod = byName.get(name);
		if (!pod || pod.metadata.deletionTimestamp) continue;
		const until = (timeOf(time) ?? 0) + DELETION_TIMEOUT_MS;
		if (until <= now) {
			stayed.push(pod);
			continue;
		}
		disrupted[name] = time;
		next = Math.min(next ?? until, until);
	}
	return { disrupted, stayed, next };
}

interface Figures {
	readonly healthy: number;
	readonly desired: number;
	readonly expected: number;
	readonly allowed: number;
}

function statusOf(
	budget: PodDisruptionBudget,
	{ healthy, desired, expected, allowed }: Figures,
	disrupted: Record<string, string>,
	now: number,
): PodDisruptionBudgetStatus {
	return {
		observedGeneration: budget.metadata.generation,
		currentHealthy: healthy,
		desiredHealthy: desired,
		expectedPods: expected,
		disruptionsAllowed: allowed,
		...(Object.keys(disrupted).length > 0 && { disruptedPods: disrupted }),
		conditions:
			allowed > 0
				? conditionsOf(budget, 'True', 'SufficientPods', '', now)
				: conditionsOf(budget, 'False', 'InsufficientPods', '', now),
	};
}

function conditionsOf(
	{ metadata, status }: PodDisruptionBudget,
	is: string,
	reason: string,
	message: string,
	now: number,
) {
	const condition = {
		type: 'DisruptionAllowed',
		status: is,
		reason,
		message,
		observedGeneration: metadata.generation,
		lastTransitionTime: timestamp(now),
	};
	return [
		...withCondition<Condition & typeof condition>((status?.conditions ?? []) as (typeof condition)[], condition),
	];
}
