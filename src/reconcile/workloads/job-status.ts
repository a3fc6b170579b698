/** What the status of a Job says at the end of a look, beside the counts. Source: Kubernetes API reference, JobStatus. */
import type { JobCondition, JobStatus } from 'kubernetes-types/batch/v1.js';
import { type Job, timestamp } from '../../kinds/index.ts';
import { conditionOf } from '../runtime/conditions.ts';
import { isSuspended } from './job-pods.ts';
import { jobConditionAt, startOf, type Verdict } from './job-verdict.ts';

/** The list with the condition, where it says anything new. One that is False is not begun with. */
export function withJobCondition(
	conditions: readonly JobCondition[] | undefined,
	next: JobCondition,
): readonly JobCondition[] | undefined {
	const old = conditionOf(conditions, next.type);
	if (!old) return next.status === 'False' ? conditions : [...(conditions ?? []), next];
	if (old.status === next.status && old.reason === next.reason && old.message === next.message) return conditions;
	return conditions?.map((each) => (each === old ? next : each));
}

/** The status with the verdict, before a pod is touched on account of it. */
export function withVerdict(status: JobStatus, verdict: Verdict | undefined, now: number): JobStatus {
	return verdict ? withCondition(status, jobConditionAt(verdict.type, 'True', verdict, now)) : status;
}

/** What is said of a Job that is suspended, or goes on. `status` is one without a verdict. */
export function withSuspension(job: Job, status: JobStatus, now: number): JobStatus {
	const said = isSuspended(job)
		? jobConditionAt('Suspended', 'True', { reason: 'JobSuspended', message: 'Job suspended' }, now)
		: jobConditionAt('Suspended', 'False', { reason: 'JobResumed', message: 'Job resumed' }, now);
	return withCondition(status, said);
}

/** When it has begun: at its first look, and anew each time that it is resumed. */
export function withStart(job: Job, status: JobStatus, now: number): JobStatus {
	const start = startOf(job, now);
	return start === undefined ? status : { ...status, startTime: timestamp(start) };
}

/** The end, which follows the verdict when no pod of the Job is left to end. */
export function withEnd(status: JobStatus, verdict: Verdict, now: number): JobStatus {
	if (verdict.type === 'FailureTarget') return withCondition(status, jobConditionAt('Failed', 'True', verdict, now));
	const ended = withCondition(status, jobConditionAt('Complete', 'True', verdict, now));
	// A clock that was set back would have it end before it began.
	const start = status.startTime ? Date.parse(status.startTime) : now;
	return { ...ended, completionTime: timestamp(Math.max(now, start)) };
}

function withCondition(status: JobStatus, next: JobCondition): JobStatus {
	const conditions = withJobCondition(status.conditions, next);
	return conditions === status.conditions ? status : { ...status, conditions: [...(conditions ?? [])] };
}
