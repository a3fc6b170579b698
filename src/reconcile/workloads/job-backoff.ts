/**
 * How long a Job waits before it makes pods in place of failed ones: 10 s, doubled with each failure since the last success.
 * It is read off the pods, which stay, so that it outlives the process. Source: Kubernetes documentation, "Jobs",
 * "Pod backoff failure policy", and its job controller, whose longest wait is 10 min.
 */
import type { Job, Pod } from '../../kinds/index.ts';
import { endOf, hasFailed, ignoredFailures, indexFailures } from './job-pods.ts';

export const FIRST_JOB_BACKOFF_MS = 10_000;
export const LONGEST_JOB_BACKOFF_MS = 600_000;

/** What is left of the wait, in ms; 0 where there is none. `now` in milliseconds since the epoch. */
export function backoffOf(job: Job, pods: Iterable<Pod>, now: number): number {
	let success = -Infinity;
	const failures: number[] = [];
	for (const pod of pods) {
		if (pod.status?.phase === 'Succeeded') success = Math.max(success, endOf(pod));
		else if (hasFailed(pod, job)) failures.push(endOf(pod));
	}
	const since = failures.filter((end) => end > success);
	return since.length === 0 ? 0 : left(since.length, Math.max(...since), now);
}

/** The same for one index, after the last pod that failed for it. */
export function indexBackoffOf(last: Pod | undefined, now: number): number {
	return last ? left(indexFailures(last) + ignoredFailures(last) + 1, endOf(last), now) : 0;
}

function left(failures: number, last: number, now: number): number {
	const wait = Math.min(FIRST_JOB_BACKOFF_MS * 2 ** (failures - 1), LONGEST_JOB_BACKOFF_MS);
	// A clock that was set back makes no wait longer than it is.
	return Math.min(Math.max(last + wait - now, 0), wait);
}
