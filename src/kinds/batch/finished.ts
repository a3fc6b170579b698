/** What the conditions of a Job say. Source: Kubernetes API reference, JobStatus.conditions. */
import type * as batch from 'kubernetes-types/batch/v1.js';

export type JobConditionType = 'SuccessCriteriaMet' | 'FailureTarget' | 'Complete' | 'Failed' | 'Suspended';

/** Anything with the conditions of a Job. */
export interface WithJobStatus {
	readonly status?: Pick<batch.JobStatus, 'conditions'>;
}

/** The condition of a type, where it is True. */
export function jobCondition({ status }: WithJobStatus, type: JobConditionType): batch.JobCondition | undefined {
	return status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
}

/** The condition that says that a Job has ended, for good or ill; undefined while it has not. */
export const jobEnd = (job: WithJobStatus): batch.JobCondition | undefined =>
	jobCondition(job, 'Complete') ?? jobCondition(job, 'Failed');
