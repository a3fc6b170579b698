/**
 * The rules of a Job's status, which other controllers may write as well (spec.managedBy): what has been counted and concluded
 * cannot be taken back. Source: Kubernetes API reference, JobStatus, and the API server's messages.
 */
import type * as batch from 'kubernetes-types/batch/v1.js';
import { checkNonNegative } from '../checks.ts';
import { deepEqual } from '../equal.ts';
import { type FieldError, fieldError } from '../status.ts';
import { jobCondition, jobEnd, type WithJobStatus } from './finished.ts';
import { firstCommon, parseIndexes, readIndexes } from './indexes.ts';
import { wrong } from './job-policies.ts';
import { isIndexed } from './job-validation.ts';

type WithStatus = WithJobStatus & { readonly spec: batch.JobSpec; readonly status?: batch.JobStatus };

/** Of a new status. One that stays as it was is not judged again. */
export function validateJobStatus(job: WithStatus, old: WithStatus | undefined, errors: FieldError[]): void {
	const { status } = job;
	if (!status || deepEqual(status, old?.status)) return;
	for (const field of ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const)
		checkNonNegative(status[field], `status.${field}`, errors);
	validateUncounted(status.uncountedTerminatedPods, errors);
	validateConclusion(job, status, errors);
	validateIndexSets(job, status, errors);
	if (old) validateProgress(job, status, old, errors);
}

function validateUncounted(uncounted: batch.UncountedTerminatedPods | undefined, errors: FieldError[]): void {
	const seen = new Set<string>();
	for (const list of ['succeeded', 'failed'] as const)
		for (const [index, uid] of (uncounted?.[list] ?? []).entries()) {
			const field = `status.uncountedTerminatedPods.${list}[${index}]`;
			if (!uid) errors.push(fieldError.invalid(field, uid, 'must not be empty'));
			else if (seen.has(uid)) errors.push(fieldError.duplicate(field, uid));
			seen.add(uid);
		}
}

/** What conditions, times and counts say together. */
function validateConclusion(job: WithStatus, status: batch.JobStatus, errors: FieldError[]): void {
	const complete = jobCondition(job, 'Complete') !== undefined;
	const failed = jobCondition(job, 'Failed') !== undefined;
	const failing = jobCondition(job, 'FailureTarget') !== undefined;
	const met = jobCondition(job, 'SuccessCriteriaMet') !== undefined;
	const conditions = (broken: boolean, why: string) => {
		if (broken) errors.push(wrong('status.conditions', why));
	};
	conditions(complete && failed, 'cannot set Complete=True and Failed=true conditions');
	conditions(complete && failing, 'cannot set Complete=True and FailureTarget=true conditions');
	conditions(failed && !failing, 'cannot set Failed=True condition without the FailureTarget=true condition');
	conditions(complete && !met, 'cannot set Complete=True condition without the SuccessCriteriaMet=true condition');
	conditions(met && failed, 'cannot set SuccessCriteriaMet=True and Failed=true conditions');
	conditions(met && failing, 'cannot set SuccessCriteriaMet=True and FailureTarget=true conditions');

	const { completionTime, startTime, active = 0, terminating = 0, ready = 0, uncountedTerminatedPods } = status;
	const at = 'status.completionTime';
	if (completionTime && !complete)
		errors.push(
			fieldError.invalid(at, completionTime, 'cannot set completionTime when there is no Complete=True condition'),
		);
	if (!completionTime && complete) errors.push(fieldError.required(at, 'completionTime is required for Complete jobs'));
	if (startTime && completionTime && Date.parse(completionTime) < Date.parse(startTime))
		errors.push(fieldError.invalid(at, completionTime, 'completionTime cannot be set before startTime'));
	if (ready > active) errors.push(fieldError.invalid('status.ready', ready, 'cannot set more ready pods than active'));
	if (!complete && !failed) return;
	if (active > 0) errors.push(fieldError.invalid('status.active', active, 'active>0 is invalid for finished job'));
	if (terminating > 0)
		errors.push(fieldError.invalid('status.terminating', terminating, 'terminating>0 is invalid for finished job'));
	// A Job of no completions may end before it was ever resumed.
	if (!startTime && !(job.spec.suspend && job.spec.completions === 0))
		errors.push(fieldError.required('status.startTime', 'startTime is required for finished job'));
	const { succeeded = [], failed: failures = [] } = uncountedTerminatedPods ?? {};
	if (succeeded.length + failures.length > 0)
		errors.push(
			fieldError.invalid(
				'status.uncountedTerminatedPods',
				uncountedTerminatedPods,
				'uncountedTerminatedPods needs to be empty for finished job',
			),
		);
}

function validateIndexSets({ spec }: WithStatus, status: batch.JobStatus, errors: FieldError[]): void {
	const { completedIndexes, failedIndexes } = status;
	if (completedIndexes && !isIndexed(spec))
		errors.push(
			fieldError.invalid(
				'status.completedIndexes',
				completedIndexes,
				'cannot set non-empty completedIndexes when non-indexed completion mode',
			),
		);
	if (failedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
		errors.push(
			fieldError.invalid(
				'status.failedIndexes',
				failedIndexes,
				'cannot set non-null failedIndexes when backoffLimitPerIndex is null',
			),
		);
	const { completions } = spec;
	if (completions === undefined) return;
	for (const [field, text] of Object.entries({ completedIndexes, failedIndexes })) {
		try {
			parseIndexes(text ?? '', completions);
		} catch (error) {
			const why = `error parsing ${field}: ${error instanceof Error ? error.message : error}`;
			errors.push(fieldError.invalid(`status.${field}`, text, why));
		}
	}
	const common = firstCommon(readIndexes(completedIndexes, completions), readIndexes(failedIndexes, completions));
	if (common !== undefined)
		errors.push(
			fieldError.invalid(
				'status.failedIndexes',
				failedIndexes,
				`failedIndexes and completedIndexes overlap at index: ${common}`,
			),
		);
}

/** What a status may not take back. */
function validateProgress(job: WithStatus, status: batch.JobStatus, old: WithStatus, errors: FieldError[]): void {
	for (const type of ['Failed', 'Complete', 'FailureTarget', 'SuccessCriteriaMet'] as const)
		if (jobCondition(old, type) && !jobCondition(job, type))
			errors.push(
				wrong(
					'status.conditions',
					`cannot disable the ${type === 'SuccessCriteriaMet' ? '' : 'terminal '}${type}=True condition`,
				),
			);
	const before = old.status ?? {};
	const { failed = 0, succeeded = 0 } = status;
	if (failed < (before.failed ?? 0))
		errors.push(fieldError.invalid('status.failed', failed, 'cannot decrease the failed counter'));
	// One whose completions follow its parallelism may be made smaller.
	const elastic = isIndexed(job.spec) && job.spec.completions === job.spec.parallelism;
	if (succeeded < (before.succeeded ?? 0) && !elastic)
		errors.push(fieldError.invalid('status.succeeded', succeeded, 'cannot decrease the succeeded counter'));
	if (status.completionTime && before.completionTime && status.completionTime !== before.completionTime)
		errors.push(fieldError.invalid('status.completionTime', status.completionTime, 'completionTime cannot be mutated'));
	// A Job that is resumed begins anew.
	const fixed = jobEnd(old) !== undefined || (!job.spec.suspend && !jobCondition(old, 'Suspended'));
	if (before.startTime && status.startTime !== before.startTime && fixed)
		errors.push(fieldError.required('status.startTime', 'startTime cannot be removed for unsuspended job'));
}
