/**
 * Counting the pods of a Job, each exactly once, whatever dies when. It takes three writes: the uids of ended pods go into
 * status.uncountedTerminatedPods; their finalizers are taken away; the uids become a number. After a break between any two
 * the next look goes on where it was, since it finds a pod with a finalizer among the uids, or a uid whose pod has none.
 * Of an indexed Job the set of indexes says which pods have succeeded. Source: Kubernetes documentation, "Job tracking with
 * finalizers"; KEP-2307.
 */
import type { JobStatus } from 'kubernetes-types/batch/v1.js';
import { countIndexes, formatIndexes, type Pod } from '../../kinds/index.ts';
import { failureOf } from './job-failure-policy.ts';
import type { Look } from './job-look.ts';
import { hasFailed, indexOf, isIndexed, isTracked } from './job-pods.ts';
import type { Verdict } from './job-verdict.ts';

/** So many uids stand in a status at most (about 20 KB), and so many finalizers go in one pass. */
export const MOST_UNCOUNTED = 500;

export interface Count {
	/** The status to be written before a finalizer is touched. */
	readonly status: JobStatus;
	/** The pods whose finalizer goes then. */
	readonly release: readonly Pod[];
	/** Whether no ended pod is left over for the next pass. */
	readonly complete: boolean;
}

export function countPods(look: Look, verdict: Verdict | undefined): Count {
	const { job, pods } = look;
	const tracked = pods.filter(isTracked);
	const status = settled(job.status ?? {}, new Set(tracked.map(({ metadata }) => metadata.uid ?? '')));
	const succeeded = [...(status.uncountedTerminatedPods?.succeeded ?? [])];
	const failed = [...(status.uncountedTerminatedPods?.failed ?? [])];
	const known = new Set([...succeeded, ...failed]);
	const release: Pod[] = [];
	let newIndexes = 0;
	let complete = true;
	for (const pod of tracked) {
		const end = fateOf(pod, look, verdict);
		if (end === 'stays') continue;
		if (newIndexes + succeeded.length + failed.length >= MOST_UNCOUNTED || release.length >= MOST_UNCOUNTED) {
			complete = false;
			break;
		}
		release.push(pod);
		const uid = pod.metadata.uid ?? '';
		if (known.has(uid)) continue;
		if (end === 'failed') failed.push(uid);
		else if (end === 'succeeded') {
			if (isIndexed(job)) newIndexes++;
			else succeeded.push(uid);
		}
	}
	const uncountedTerminatedPods = {
		...(succeeded.length > 0 && { succeeded }),
		...(failed.length > 0 && { failed }),
	};
	return { status: { ...status, uncountedTerminatedPods, ...indexesOf(look) }, release, complete };
}

/** What becomes of a pod with a finalizer. `nothing`: it goes without being counted. */
function fateOf(pod: Pod, look: Look, verdict: Verdict | undefined): 'stays' | 'succeeded' | 'failed' | 'nothing' {
	const { job, awaited } = look;
	const index = indexOf(pod, job);
	const foreign = isIndexed(job) && index === undefined;
	if (pod.status?.phase === 'Succeeded') return foreign ? 'nothing' : 'succeeded';
	// Those that a success takes back while they run have not failed.
	const ended = verdict?.type === 'SuccessCriteriaMet' ? pod.status?.phase === 'Failed' : hasFailed(pod, job);
	const leaving = job.metadata.deletionTimestamp !== undefined || verdict !== undefined;
	if (!ended && !leaving) return 'stays';
	if (!leaving && index !== undefined && awaited.get(index) === pod) return 'stays';
	// A Job that fails, fails with all the pods that it has.
	const counts = ended || verdict?.type === 'FailureTarget';
	return counts && !foreign && failureOf(pod, job).counts ? 'failed' : 'nothing';
}

/** The indexes that are done: those of pods that are still to be released as well, since a set does not count twice. */
function indexesOf(look: Look): Pick<JobStatus, 'succeeded' | 'completedIndexes' | 'failedIndexes'> {
	const { job, completedIndexes, failedIndexes } = look;
	if (!isIndexed(job)) return {};
	const succeeded = countIndexes(completedIndexes);
	return {
		succeeded: succeeded || undefined,
		completedIndexes: formatIndexes(completedIndexes) || undefined,
		...(failedIndexes && { failedIndexes: formatIndexes(failedIndexes) }),
	};
}

/** The status with the uids made a number whose pods have no finalizer any more. `tracked` are the uids of those that have. */
export function settled(status: JobStatus, tracked: ReadonlySet<string>): JobStatus {
	const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
	const left = {
		succeeded: succeeded.filter((uid) => tracked.has(uid)),
		failed: failed.filter((uid) => tracked.has(uid)),
	};
	const add = (count: number | undefined, all: number, rest: number) => (count ?? 0) + all - rest || undefined;
	return {
		...status,
		succeeded: add(status.succeeded, succeeded.length, left.succeeded.length),
		failed: add(status.failed, failed.length, left.failed.length),
		uncountedTerminatedPods: {
			...(left.succeeded.length > 0 && { succeeded: left.succeeded }),
			...(left.failed.length > 0 && { failed: left.failed }),
		},
	};
}

export const hasUncounted = ({ uncountedTerminatedPods: uncounted }: JobStatus): boolean =>
	(uncounted?.succeeded?.length ?? 0) + (uncounted?.failed?.length ?? 0) > 0;
