/** What a Job asks about its pods. Source: Kubernetes documentation, "Jobs", and the API reference of its labels and annotations. */
import type { Job, Pod } from '../../kinds/index.ts';
import { isReady, timeOf } from './pod-state.ts';

/** Keeps a pod until its Job has counted it. */
export const TRACKING = 'batch.kubernetes.io/job-tracking';
/** Annotation and label alike. */
export const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index';
/** How often pods of the index have failed before this one. */
export const INDEX_FAILURES = 'batch.kubernetes.io/job-index-failure-count';
/** Those that the failure policy ignored. */
export const INDEX_IGNORED = 'batch.kubernetes.io/job-index-ignored-failure-count';

export const isTracked = ({ metadata }: Pod): boolean => metadata.finalizers?.includes(TRACKING) === true;

export const isIndexed = ({ spec }: Job): boolean => spec.completionMode === 'Indexed';
export const hasIndexLimit = ({ spec }: Job): boolean => spec.backoffLimitPerIndex !== undefined;
export const isSuspended = ({ spec }: Job): boolean => spec.suspend === true;

/** Whether a pod is replaced only when it has ended, not already when it is on its way there. */
export const awaitsEnd = ({ spec }: Job): boolean =>
	spec.podReplacementPolicy === 'Failed' || spec.podFailurePolicy !== undefined;

/** The completion index of a pod; undefined where it has none that the Job knows. */
export function indexOf({ metadata }: Pod, { spec }: Job): number | undefined {
	const text = metadata.annotations?.[COMPLETION_INDEX];
	if (!text || !/^\d{1,10}$/.test(text)) return undefined;
	const index = Number(text);
	return index < (spec.completions ?? 0) ? index : undefined;
}

/**
 * Whether a pod counts as failed. One that is being deleted does as well, since it may never be told that it has ended, unless
 * the Job waits for that.
 */
export function hasFailed(pod: Pod, job: Job): boolean {
	const phase = pod.status?.phase;
	if (phase === 'Failed') return true;
	return pod.metadata.deletionTimestamp !== undefined && phase !== 'Succeeded' && !awaitsEnd(job);
}

/** How often pods of its index have failed before. */
export const indexFailures = (pod: Pod): number => wholeNumber(pod.metadata.annotations?.[INDEX_FAILURES]);
export const ignoredFailures = (pod: Pod): number => wholeNumber(pod.metadata.annotations?.[INDEX_IGNORED]);

const wholeNumber = (text: string | undefined) => (text && /^\d{1,9}$/.test(text) ? Number(text) : 0);

/** When a pod ended, as well as can be told, in milliseconds since the epoch. */
export function endOf({ metadata, status }: Pod): number {
	const ends = (status?.containerStatuses ?? []).map(({ state }) => timeOf(state?.terminated?.finishedAt));
	const known = ends.filter((end) => end !== undefined);
	if (known.length > 0 && known.length === ends.length) return Math.max(...known);
	const ready = status?.conditions?.find(({ type, status: is }) => type === 'Ready' && is === 'False');
	const deleted = timeOf(metadata.deletionTimestamp);
	return (
		timeOf(ready?.lastTransitionTime) ??
		(deleted === undefined ? undefined : deleted - (metadata.deletionGracePeriodSeconds ?? 0) * 1000) ??
		timeOf(metadata.creationTimestamp) ??
		0
	);
}

export const countReady = (pods: readonly Pod[]): number => pods.filter(isReady).length;
