/**
 * Which pods count when an autoscaler looks at what they use. Source: Kubernetes documentation, "Horizontal Pod Autoscaling",
 * section "Algorithm details".
 */
import type { Pod } from '../../kinds/index.ts';
import { timeOf } from '../workloads/pod-state.ts';

/** For so long after its start the processor time of a pod counts only while it is ready, and was so all through the window. */
export const CPU_INITIALIZATION_MS = 300_000;
/** A pod that is not ready and was not, but for the first so many ms after its start, has never been ready. */
export const INITIAL_READINESS_MS = 30_000;

/** What a pod uses, in thousandths. Times are there where it was measured over a window, in ms. */
export interface PodValue {
	readonly milli: number;
	readonly at?: number;
	readonly window?: number;
}

/** By the pod's name. */
export type PodValues = ReadonlyMap<string, PodValue>;

export interface PodGroups {
	/** How many of them count as they are. */
	readonly ready: number;
	readonly unready: readonly string[];
	/** Those of which nothing was measured. */
	readonly missing: readonly string[];
	/** What those that are ready use. */
	readonly values: PodValues;
}

/** Pods that are being deleted, or have failed, count for nothing. */
export function groupPods(pods: Iterable<Pod>, values: PodValues, ofCpu: boolean, now: number): PodGroups {
	const unready: string[] = [];
	const missing: string[] = [];
	const counted = new Map(values);
	let ready = 0;
	for (const pod of pods) {
		const { name, deletionTimestamp } = pod.metadata;
		const value = values.get(name);
		if (deletionTimestamp || pod.status?.phase === 'Failed') {
			counted.delete(name);
		} else if (pod.status?.phase === 'Pending') {
			unready.push(name);
			counted.delete(name);
		} else if (!value) {
			missing.push(name);
		} else if (ofCpu && isStarting(pod, value, now)) {
			unready.push(name);
			counted.delete(name);
		} else ready++;
	}
	return { ready, unready, missing, values: counted };
}

/** Whether what a pod's processors do is its start and not its work. */
function isStarting({ status }: Pod, { at = 0, window = 0 }: PodValue, now: number): boolean {
	const condition = status?.conditions?.find(({ type }) => type === 'Ready');
	const started = timeOf(status?.startTime);
	if (!condition || started === undefined) return true;
	const changed = timeOf(condition.lastTransitionTime) ?? 0;
	const unready = condition.status === 'False';
	if (started + CPU_INITIALIZATION_MS > now) return unready || at < changed + window;
	return unready && started + INITIAL_READINESS_MS > changed;
}
