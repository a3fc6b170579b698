/**
 * The status of a Deployment, from its ReplicaSets: counts, and the conditions by which `kubectl rollout status` tells
 * whether it goes on, is done or is stuck. Source: Kubernetes documentation, "Deployments", section "Deployment status".
 */
import type { DeploymentCondition, DeploymentStatus } from 'kubernetes-types/apps/v1.js';
import { type Deployment, type ReplicaSet, timestamp } from '../../kinds/index.ts';
import { conditionOf, withCondition, withoutCondition } from '../runtime/conditions.ts';
import { timeOf } from './pod-state.ts';
import { bounds, replicasOf, wanted } from './rollout.ts';

export type Progress =
	| 'NewReplicaSetCreated'
	| 'FoundNewReplicaSet'
	| 'ReplicaSetCreateError'
	| 'ReplicaSetUpdated'
	| 'NewReplicaSetAvailable'
	| 'ProgressDeadlineExceeded'
	| 'DeploymentPaused'
	| 'DeploymentResumed';

/** A deadline of so many seconds is none. */
const NO_DEADLINE = 2 ** 31 - 1;

/**
 * The status for the Deployment's sets. `current` is the set of its template. `rolling` is false while it is paused or is being
 * resized: then progress is not judged. `now` in milliseconds since the epoch.
 */
export function deploymentStatus(
	deployment: Deployment,
	current: ReplicaSet | undefined,
	sets: readonly ReplicaSet[],
	now: number,
	rolling: boolean,
): DeploymentStatus {
	const sum = (count: (set: ReplicaSet) => number | undefined) =>
		sets.reduce((total, set) => total + (count(set) ?? 0), 0);
	const replicas = sum((set) => set.status?.replicas);
	const updated = current?.status?.replicas ?? 0;
	const ready = sum((set) => set.status?.readyReplicas);
	const available = sum((set) => set.status?.availableReplicas);
	const unavailable = Math.max(0, sum(replicasOf) - available);
	const counts: DeploymentStatus = {
		...(deployment.metadata.generation && { observedGeneration: deployment.metadata.generation }),
		...(replicas && { replicas }),
		...(updated && { updatedReplicas: updated }),
		...(ready && { readyReplicas: ready }),
		...(available && { availableReplicas: available }),
		...(unavailable && { unavailableReplicas: unavailable }),
		...(deployment.status?.collisionCount && { collisionCount: deployment.status.collisionCount }),
	};
	let conditions = withCondition(deployment.status?.conditions, availability(deployment, available, now));
	if (rolling) {
		conditions = progressed(deployment, counts, current, conditions, now);
		conditions = withFailure(conditions, current, sets);
	}
	return { ...counts, conditions: [...conditions] };
}

/** The Progressing condition with a reason, as `withCondition` wants it. */
export function progressing(reason: Progress, message: string, now: number): DeploymentCondition {
	const status = {
		NewReplicaSetCreated: 'True',
		FoundNewReplicaSet: 'True',
		ReplicaSetUpdated: 'True',
		NewReplicaSetAvailable: 'True',
		ReplicaSetCreateError: 'False',
		ProgressDeadlineExceeded: 'False',
		DeploymentPaused: 'Unknown',
		DeploymentResumed: 'Unknown',
	}[reason];
	const time = timestamp(now);
	return { type: 'Progressing', status, reason, message, lastUpdateTime: time, lastTransitionTime: time };
}

/** The conditions after a pause or a resumption, if that is new. A deadline that was missed stays on record. */
export function pauseConditions(deployment: Deployment, now: number): readonly DeploymentCondition[] | undefined {
	if (!hasDeadline(deployment)) return undefined;
	const conditions = deployment.status?.conditions;
	const reason = conditionOf(conditions, 'Progressing')?.reason;
	if (reason === 'ProgressDeadlineExceeded') return undefined;
	if (deployment.spec.paused && reason !== 'DeploymentPaused')
		return withCondition(conditions, progressing('DeploymentPaused', 'Deployment is paused', now));
	if (!deployment.spec.paused && reason === 'DeploymentPaused')
		return withCondition(conditions, progressing('DeploymentResumed', 'Deployment is resumed', now));
	return undefined;
}

/** Whether every pod is of the present template and available. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
	const size = wanted(deployment);
	return (
		(status.updatedReplicas ?? 0) === size &&
		(status.replicas ?? 0) === size &&
		(status.availableReplicas ?? 0) === size &&
		(status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
	);
}

/** In how many milliseconds a rollout that does not move on misses its deadline; undefined when there is nothing to wait for. */
export function deadlineAfter(deployment: Deployment, status: DeploymentStatus, now: number): number | undefined {
	const condition = conditionOf(status.conditions, 'Progressing');
	if (!condition || !hasDeadline(deployment) || deployment.spec.paused || isComplete(deployment, status))
		return undefined;
	if (condition.reason === 'ProgressDeadlineExceeded' || condition.reason === 'NewReplicaSetAvailable')
		return undefined;
	return Math.max(0, deadline(deployment, condition) - now) + 1;
}

export function hasDeadline(deployment: Deployment): boolean {
	const seconds = deployment.spec.progressDeadlineSeconds;
	return seconds !== undefined && seconds !== NO_DEADLINE;
}

function availability(deployment: Deployment, available: number, now: number): DeploymentCondition {
	const enough = available >= wanted(deployment) - bounds(deployment).maxUnavailable;
	const time = timestamp(now);
	return {
		type: 'Available',
		status: enough ? 'True' : 'False',
		reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
		message: `Deployment ${enough ? 'has' : 'does not have'} minimum availability.`,
		lastUpdateTime: time,
		lastTransitionTime: time,
	};
}

/** Judges the rollout: done, moving, or past its deadline. */
function progressed(
	deployment: Deployment,
	status: DeploymentStatus,
	current: ReplicaSet | undefined,
	conditions: readonly DeploymentCondition[],
	now: number,
): readonly DeploymentCondition[] {
	if (!hasDeadline(deployment)) return withoutCondition(conditions, 'Progressing');
	const before = conditionOf(conditions, 'Progressing');
	// Done and known to be: a pod that fails later is no rollout that fails.
	if (before?.reason === 'NewReplicaSetAvailable' && (status.replicas ?? 0) === (status.updatedReplicas ?? 0))
		return conditions;
	const about = current ? `ReplicaSet "${current.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
	if (isComplete(deployment, status))
		return withCondition(
			conditions,
			progressing('NewReplicaSetAvailable', `${about} has successfully progressed.`, now),
		);
	if (movedOn(deployment.status ?? {}, status)) {
		const next = progressing('ReplicaSetUpdated', `${about} is progressing.`, now);
		const kept = before?.status === next.status ? before.lastTransitionTime : next.lastTransitionTime;
		// Always written anew: its lastUpdateTime is what the deadline counts from.
		return [...withoutCondition(conditions, 'Progressing'), { ...next, lastTransitionTime: kept }];
	}
	const missed =
		before &&
		(before.reason === 'ProgressDeadlineExceeded' ||
			(before.reason !== 'NewReplicaSetAvailable' && deadline(deployment, before) < now));
	return missed
		? withCondition(conditions, progressing('ProgressDeadlineExceeded', `${about} has timed out progressing.`, now))
		: conditions;
}

/** Whether there are more new pods, fewer old ones, or more ready or available ones than the status says so far. */
function movedOn(before: DeploymentStatus, after: DeploymentStatus): boolean {
	const old = (status: DeploymentStatus) => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
	return (
		(after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
		old(after) < old(before) ||
		(after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
		(after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
	);
}

/** When the rollout must have moved on, in milliseconds since the epoch. */
const deadline = (deployment: Deployment, progress: DeploymentCondition) =>
	(timeOf(progress.lastUpdateTime) ?? 0) + (deployment.spec.progressDeadlineSeconds ?? 0) * 1000;

/** A set that cannot make its pods shows at its Deployment; the present one's trouble before that of the others. */
function withFailure(
	conditions: readonly DeploymentCondition[],
	current: ReplicaSet | undefined,
	sets: readonly ReplicaSet[],
): readonly DeploymentCondition[] {
	for (const set of current ? [current, ...sets] : sets) {
		const failure = conditionOf(set.status?.conditions, 'ReplicaFailure');
		if (failure) return withCondition(conditions, { ...failure, lastUpdateTime: failure.lastTransitionTime });
	}
	return withoutCondition(conditions, 'ReplicaFailure');
}
