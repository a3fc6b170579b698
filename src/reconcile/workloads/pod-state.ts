/** What controllers ask about a pod. Source: Kubernetes documentation, "Pod Lifecycle". */
import type { Pod } from '../../kinds/index.ts';

/** Whether every container of the pod has ended for good. */
export function isFinished(pod: Pod): boolean {
	const phase = pod.status?.phase;
	return phase === 'Succeeded' || phase === 'Failed';
}

/** Whether the pod counts as a replica: neither finished nor being deleted. */
export function isActive(pod: Pod): boolean {
	return !isFinished(pod) && !pod.metadata.deletionTimestamp;
}

export function isReady(pod: Pod): boolean {
	return readyCondition(pod)?.status === 'True';
}

/** When the pod became ready, in milliseconds since the epoch; undefined when it is not, or nobody wrote when. */
export function readySince(pod: Pod): number | undefined {
	const condition = readyCondition(pod);
	return condition?.status === 'True' ? timeOf(condition.lastTransitionTime) : undefined;
}

/**
 * When a ready pod counts as available: `minReadySeconds` after it became ready. In milliseconds since the epoch (it may
 * lie in the future), undefined when the pod is not ready.
 */
export function availableFrom(pod: Pod, minReadySeconds: number): number | undefined {
	if (!isReady(pod)) return undefined;
	if (minReadySeconds <= 0) return 0;
	const since = readySince(pod);
	return since === undefined ? undefined : since + minReadySeconds * 1000;
}

/** How often the container of the pod that restarted most did so. */
export function restarts(pod: Pod): number {
	return Math.max(0, ...(pod.status?.containerStatuses ?? []).map((status) => status.restartCount));
}

/** A time of the API in milliseconds since the epoch. */
export function timeOf(time: string | undefined): number | undefined {
	if (!time) return undefined;
	const milliseconds = Date.parse(time);
	return Number.isNaN(milliseconds) ? undefined : milliseconds;
}

const readyCondition = (pod: Pod) => pod.status?.conditions?.find((condition) => condition.type === 'Ready');
