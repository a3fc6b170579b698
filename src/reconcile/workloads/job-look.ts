/**
 * A Job and its pods as they are at one look: what runs, what has ended and is not counted yet, which indexes are done.
 * Pods are counted by their finalizer: one that has it is yet to be counted, or stands in status.uncountedTerminatedPods; one
 * that has it no more has been. Source: Kubernetes documentation, "Jobs", "Job tracking with finalizers".
 */
import {
	countIndexes,
	hasIndex,
	type Indexes,
	type Job,
	type Pod,
	readIndexes,
	withIndexes,
} from '../../kinds/index.ts';
import { failsIndex, failureOf } from './job-failure-policy.ts';
import { hasFailed, hasIndexLimit, ignoredFailures, indexFailures, indexOf, isIndexed, isTracked } from './job-pods.ts';
import { isActive, isFinished } from './pod-state.ts';

export interface Look {
	readonly job: Job;
	readonly pods: readonly Pod[];
	readonly active: readonly Pod[];
	/** Active pods that nobody would count: their finalizer is gone, so they are on their way out. */
	readonly astray: readonly Pod[];
	/** Pods that are being deleted and have not ended. */
	readonly terminating: readonly Pod[];
	/** With what has ended and is still to be counted. */
	readonly succeeded: number;
	readonly failed: number;
	/** Of an indexed Job, with those of pods that are still to be counted. */
	readonly completedIndexes: Indexes;
	/** Where each index has a limit of its own. */
	readonly failedIndexes?: Indexes;
	/**
	 * By index the last pod that failed, where none has taken its place yet: it is kept, uncounted, until its replacement carries
	 * on the count of failures of the index.
	 */
	readonly awaited: ReadonlyMap<number, Pod>;
}

export function lookAt(job: Job, pods: readonly Pod[]): Look {
	const status = job.status ?? {};
	const uncounted = {
		succeeded: new Set(status.uncountedTerminatedPods?.succeeded),
		failed: new Set(status.uncountedTerminatedPods?.failed),
	};
	const indexed = isIndexed(job);
	const active: Pod[] = [];
	const astray: Pod[] = [];
	const terminating: Pod[] = [];
	const failures: Pod[] = [];
	const done: number[] = [];
	let succeeded = (status.succeeded ?? 0) + uncounted.succeeded.size;
	let failed = (status.failed ?? 0) + uncounted.failed.size;
	for (const pod of pods) {
		const tracked = isTracked(pod);
		if (isActive(pod)) (tracked ? active : astray).push(pod);
		else if (!isFinished(pod)) terminating.push(pod);
		if (!tracked) continue;
		const index = indexed ? indexOf(pod, job) : undefined;
		if (indexed && index === undefined) continue;
		const uid = pod.metadata.uid ?? '';
		if (pod.status?.phase === 'Succeeded') {
			if (uncounted.failed.has(uid)) continue;
			if (index !== undefined) done.push(index);
			else if (!uncounted.succeeded.has(uid)) succeeded++;
		} else if (hasFailed(pod, job)) {
			failures.push(pod);
			if (!uncounted.failed.has(uid) && failureOf(pod, job).counts) failed++;
		}
	}
	const completions = job.spec.completions ?? 0;
	const completedIndexes = indexed ? withIndexes(readIndexes(status.completedIndexes, completions), done) : [];
	if (indexed) succeeded = countIndexes(completedIndexes);
	const all = { job, pods, active, astray, terminating, succeeded, failed, completedIndexes };
	if (!indexed || !hasIndexLimit(job)) return { ...all, awaited: new Map() };

	const ended = failures.filter((pod) => failsIndex(pod, job)).map((pod) => indexOf(pod, job) ?? -1);
	// An index that has succeeded cannot fail any more, and none is both.
	const lost = ended.filter((index) => !hasIndex(completedIndexes, index));
	const failedIndexes = withIndexes(readIndexes(status.failedIndexes, completions), lost);
	return { ...all, failedIndexes, awaited: awaitedPods(job, failures, active, completedIndexes, failedIndexes) };
}

function awaitedPods(
	job: Job,
	failures: readonly Pod[],
	active: readonly Pod[],
	completed: Indexes,
	lost: Indexes,
): ReadonlyMap<number, Pod> {
	const replaced = new Set(active.map((pod) => indexOf(pod, job)));
	const awaited = new Map<number, Pod>();
	for (const pod of failures) {
		const index = indexOf(pod, job) ?? -1;
		if (replaced.has(index) || hasIndex(completed, index) || hasIndex(lost, index)) continue;
		const before = awaited.get(index);
		if (!before || attempts(before) < attempts(pod)) awaited.set(index, pod);
	}
	return awaited;
}

const attempts = (pod: Pod) => indexFailures(pod) + ignoredFailures(pod);
