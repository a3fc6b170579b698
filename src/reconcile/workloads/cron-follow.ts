/** What the Jobs of a CronJob mean to its status, and which of them are kept. Source: Kubernetes documentation, "CronJob", "Jobs history limits". */
import type { CronJobStatus } from 'kubernetes-types/batch/v1.js';
import type { ObjectReference } from 'kubernetes-types/core/v1.js';
import { type CronJob, type Job, jobCondition, jobEnd, timestamp } from '../../kinds/index.ts';
import { timeOf } from './pod-state.ts';

/** When a Job was to be made, in the zone of the schedule. */
export const SCHEDULED = 'batch.kubernetes.io/cronjob-scheduled-timestamp';

export interface Followed {
	readonly status: CronJobStatus;
	/** What is new, to be told. */
	readonly events: readonly {
		readonly type: 'Normal' | 'Warning';
		readonly reason: string;
		readonly message: string;
	}[];
}

/** The name of the Job of a run, by the minute: so a run is made once, whoever tries it. */
export const jobNameOf = ({ metadata }: CronJob, at: number): string => `${metadata.name}-${Math.floor(at / 60_000)}`;

export const referenceTo = ({ metadata }: Job): ObjectReference => ({
	apiVersion: 'batch/v1',
	kind: 'Job',
	name: metadata.name,
	namespace: metadata.namespace,
	resourceVersion: metadata.resourceVersion,
	uid: metadata.uid,
});

/** `jobs` are those that the CronJob controls. A Job whose making was not written down any more is found again by its name. */
export function follow(cronJob: CronJob, jobs: readonly Job[]): Followed {
	const events: Followed['events'][number][] = [];
	const { status = {} } = cronJob;
	const byUid = new Map(jobs.map((job) => [job.metadata.uid, job]));
	const active: ObjectReference[] = [];
	for (const reference of status.active ?? []) {
		const job = byUid.get(reference.uid);
		const end = job && jobEnd(job);
		const name = reference.name ?? '';
		if (!job) events.push({ type: 'Normal', reason: 'MissingJob', message: `Active job went missing: ${name}` });
		else if (end) {
			const message = `Saw completed job: ${name}, condition: ${end.type}`;
			events.push({ type: 'Normal', reason: 'SawCompletedJob', message });
		} else active.push(reference);
	}
	const listed = new Set(status.active?.map(({ uid }) => uid));
	let lastSchedule = timeOf(status.lastScheduleTime);
	let lastSuccess = timeOf(status.lastSuccessfulTime);
	for (const job of jobs) {
		const at = scheduleOf(cronJob, job);
		if (at !== undefined) lastSchedule = Math.max(lastSchedule ?? at, at);
		const success = jobCondition(job, 'Complete') && timeOf(job.status?.completionTime);
		if (success) lastSuccess = Math.max(lastSuccess ?? success, success);
		if (jobEnd(job) || listed.has(job.metadata.uid)) continue;
		if (at !== undefined) active.push(referenceTo(job));
		else {
			const message = `Saw a job that the controller did not create or forgot: ${job.metadata.name}`;
			events.push({ type: 'Warning', reason: 'UnexpectedJob', message });
		}
	}
	return {
		events,
		status: {
			...status,
			active: active.length > 0 ? active : undefined,
			lastScheduleTime: lastSchedule === undefined ? undefined : timestamp(lastSchedule),
			lastSuccessfulTime: lastSuccess === undefined ? undefined : timestamp(lastSuccess),
		},
	};
}

/** The time of a Job that was made for a time, and not by hand. */
function scheduleOf(cronJob: CronJob, { metadata }: Job): number | undefined {
	const at = timeOf(metadata.annotations?.[SCHEDULED]);
	return at !== undefined && metadata.name === jobNameOf(cronJob, at) ? at : undefined;
}

/** The ended Jobs beyond the limits, the oldest first. */
export function outdated({ spec }: CronJob, jobs: readonly Job[]): readonly Job[] {
	const beyond = (type: 'Complete' | 'Failed', limit: number | undefined) => {
		if (limit === undefined) return [];
		const ended = jobs.filter((job) => jobEnd(job)?.type === type && !job.metadata.deletionTimestamp);
		const age = (job: Job) => timeOf(job.status?.startTime) ?? timeOf(job.metadata.creationTimestamp) ?? 0;
		ended.sort((a, b) => age(a) - age(b) || (a.metadata.name < b.metadata.name ? -1 : 1));
		return ended.slice(0, Math.max(0, ended.length - limit));
	};
	return [...beyond('Complete', spec.successfulJobsHistoryLimit), ...beyond('Failed', spec.failedJobsHistoryLimit)];
}
