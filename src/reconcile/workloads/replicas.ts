/** What a ReplicaSet needs done, and what its status says: pure decisions of the ReplicaSet controller. */
import type { ReplicaSetCondition, ReplicaSetStatus } from 'kubernetes-types/apps/v1.js';
import { type Pod, type ReplicaSet, scaleDownOf, timestamp } from '../../kinds/index.ts';
import { claim } from '../runtime/claim.ts';
import { type Condition, withCondition, withoutCondition } from '../runtime/conditions.ts';
import { includes } from '../runtime/label-selector.ts';
import { deletionOrder } from './deletion-order.ts';
import { availableFrom, isActive, isReady } from './pod-state.ts';

/** Never more than this many pods are created or deleted in one pass, so that other sets get their turn. */
const BURST = 500;

export interface ReplicaPlan {
	/** How many pods are missing. */
	readonly create: number;
	/** The pods that are too many, in the order of their deletion. */
	readonly delete: readonly Pod[];
	readonly adopt: readonly Pod[];
	readonly release: readonly Pod[];
	/** The set's active pods that stay, those to adopt included. */
	readonly keep: readonly Pod[];
}

/**
 * `pods` are those that the set owns and those that nobody does, in its namespace; `related` finds the pods of all sets of
 * its Deployment, for spreading deletions. Finished and terminating pods do not count as replicas. `now` in milliseconds.
 */
export function planReplicas(
	set: ReplicaSet,
	pods: Iterable<Pod>,
	now: number,
	related?: () => Iterable<Pod>,
): ReplicaPlan {
	const active = Array.from(pods).filter(isActive);
	const { owned, adopt, release } = claim(set, set.spec.selector, active);
	const all = [...owned, ...adopt];
	const plan = { create: 0, delete: [], adopt, release, keep: all };
	if (set.metadata.deletionTimestamp) return plan;
	const missing = (set.spec.replicas ?? 1) - all.length;
	if (missing > 0) return { ...plan, create: Math.min(missing, BURST) };
	if (missing === 0) return plan;
	const surplus = Math.min(-missing, BURST);
	const order = deletionOrder(all, now, related?.(), scaleDownOf(set));
	return { ...plan, delete: order.slice(0, surplus), keep: order.slice(surplus) };
}

/** Why pods could not be made or removed; becomes the condition of that name. */
export interface ReplicaFailure {
	readonly reason: 'FailedCreate' | 'FailedDelete';
	readonly message: string;
}

/**
 * The status for the set's active pods. `nextAvailable` is when the next ready pod becomes available by minReadySeconds, in
 * milliseconds since the epoch. Counts that are 0 are left out, as the API's own types do.
 */
export function replicaStatus(
	set: ReplicaSet,
	pods: readonly Pod[],
	now: number,
	failure?: ReplicaFailure,
): { status: ReplicaSetStatus; nextAvailable: number | undefined } {
	let [labeled, ready, available] = [0, 0, 0];
	let nextAvailable: number | undefined;
	for (const pod of pods) {
		if (includes(set.spec.template?.metadata?.labels, pod.metadata.labels)) labeled++;
		if (!isReady(pod)) continue;
		ready++;
		const from = availableFrom(pod, set.spec.minReadySeconds ?? 0);
		if (from === undefined) continue;
		if (from <= now) available++;
		else nextAvailable = Math.min(nextAvailable ?? from, from);
	}
	const conditions = failureCondition(set.status?.conditions, now, failure);
	const status: ReplicaSetStatus = {
		replicas: pods.length,
		...(labeled && { fullyLabeledReplicas: labeled }),
		...(ready && { readyReplicas: ready }),
		...(available && { availableReplicas: available }),
		...(set.metadata.generation && { observedGeneration: set.metadata.generation }),
		...(conditions.length > 0 && { conditions: [...conditions] }),
	};
	return { status, nextAvailable };
}

/** The conditions of a workload with, or without, why its pods could not be made or removed. */
export function failureCondition<C extends Condition>(
	conditions: readonly C[] | undefined,
	now: number,
	failure: ReplicaFailure | undefined,
): readonly (C | ReplicaSetCondition)[] {
	if (!failure) return withoutCondition(conditions, 'ReplicaFailure');
	return withCondition<C | ReplicaSetCondition>(conditions, {
		type: 'ReplicaFailure',
		status: 'True',
		...failure,
		lastTransitionTime: timestamp(now),
	});
}
