/** Whether a Job has succeeded or failed, and why. Source: Kubernetes documentation, "Jobs", and KEP-3998 (success policy). */
import type { JobCondition, SuccessPolicy } from 'kubernetes-types/batch/v1.js';
import {
	countCommon,
	countIndexes,
	type Indexes,
	type Job,
	jobCondition,
	type Pod,
	readIndexes,
	timestamp,
} from '../../kinds/index.ts';
import { failureOf } from './job-failure-policy.ts';
import type { Look } from './job-look.ts';
import { hasFailed, isSuspended } from './job-pods.ts';
import { timeOf } from './pod-state.ts';

/** What is said first, while its pods still end; Complete or Failed follow when they have. */
export interface Verdict {
	readonly type: 'SuccessCriteriaMet' | 'FailureTarget';
	readonly reason: string;
	readonly message: string;
}

/** The verdict of a Job; undefined while there is none. What has been said stands, whatever has happened since. */
export function verdictOf(look: Look, now: number): Verdict | undefined {
	const { job, pods, failedIndexes, completedIndexes, succeeded } = look;
	const { spec } = job;
	const said = jobCondition(job, 'SuccessCriteriaMet') ?? jobCondition(job, 'FailureTarget');
	if (said) {
		const { type, reason = '', message = '' } = said;
		return { type: type as Verdict['type'], reason, message };
	}
	const fatal = fatalFailure(job, pods);
	if (fatal !== undefined) return failure('PodFailurePolicy', fatal);
	if (look.failed > (spec.backoffLimit ?? Infinity) || restartsPastLimit(job, pods))
		return failure('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
	const deadline = deadlineOf(job, now);
	if (deadline !== undefined && now >= deadline)
		return failure('DeadlineExceeded', 'Job was active longer than specified deadline');
	if (failedIndexes) {
		const lost = countIndexes(failedIndexes);
		if (spec.maxFailedIndexes !== undefined && lost > spec.maxFailedIndexes)
			return failure('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes');
		if (lost > 0 && lost + succeeded >= (spec.completions ?? 0))
			return failure('FailedIndexes', 'Job has failed indexes');
	}
	const rule = metRule(spec.successPolicy, completedIndexes, spec.completions ?? 0);
	if (rule !== undefined) return success('SuccessPolicy', `Matched rules at index ${rule}`);
	const enough = spec.completions === undefined ? succeeded > 0 : succeeded >= spec.completions;
	// Pods that are too many are taken back first; those of a queue of work are waited for.
	return enough && look.active.length + look.astray.length === 0
		? success('CompletionsReached', 'Reached expected number of succeeded pods')
		: undefined;
}

const failure = (reason: string, message: string): Verdict => ({ type: 'FailureTarget', reason, message });
const success = (reason: string, message: string): Verdict => ({ type: 'SuccessCriteriaMet', reason, message });

/** The message of the first pod whose failure fails the Job. */
function fatalFailure(job: Job, pods: readonly Pod[]): string | undefined {
	if (!job.spec.podFailurePolicy) return undefined;
	for (const pod of pods) {
		const message = hasFailed(pod, job) ? failureOf(pod, job).failsJob : undefined;
		if (message !== undefined) return message;
	}
	return undefined;
}

/** Where containers are restarted in their pods, the restarts of those that are there count. */
function restartsPastLimit({ spec }: Job, pods: readonly Pod[]): boolean {
	if (spec.template.spec?.restartPolicy !== 'OnFailure') return false;
	let restarts = 0;
	for (const { status } of pods) {
		if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue;
		for (const each of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])])
			restarts += each.restartCount;
	}
	const limit = spec.backoffLimit ?? Infinity;
	return limit === 0 ? restarts > 0 : restarts >= limit;
}

/** When the Job has begun; now, where it begins or goes on after it was suspended. Undefined while it is suspended. */
export function startOf(job: Job, now: number): number | undefined {
	if (isSuspended(job)) return undefined;
	return jobCondition(job, 'Suspended') ? now : (timeOf(job.status?.startTime) ?? now);
}

/** When the Job's time is up, in milliseconds since the epoch. */
export function deadlineOf(job: Job, now: number): number | undefined {
	const start = startOf(job, now);
	const seconds = job.spec.activeDeadlineSeconds;
	return start === undefined || seconds === undefined ? undefined : start + seconds * 1000;
}

/** The first rule of success that is met. */
function metRule(policy: SuccessPolicy | undefined, done: Indexes, completions: number): number | undefined {
	if (!policy || done.length === 0) return undefined;
	const met = policy.rules.findIndex(({ succeededIndexes, succeededCount }) => {
		if (succeededIndexes === undefined) return succeededCount !== undefined && countIndexes(done) >= succeededCount;
		const wanted = readIndexes(succeededIndexes, completions);
		return countCommon(wanted, done) >= (succeededCount ?? countIndexes(wanted));
	});
	return met < 0 ? undefined : met;
}

/** A condition as the Job controller writes them. */
export const jobConditionAt = (
	type: string,
	status: 'True' | 'False',
	{ reason, message }: Pick<Verdict, 'reason' | 'message'>,
	now: number,
): JobCondition => ({
	type,
	status,
	reason,
	message,
	lastProbeTime: timestamp(now),
	lastTransitionTime: timestamp(now),
});
