/** The CronJob controller: makes a Job at each time of a schedule. Source: Kubernetes documentation, "CronJob". */
import type { CronJobStatus } from 'kubernetes-types/batch/v1.js';
import { CronJob, Job, scheduleFault, timestamp } from '../../kinds/index.ts';
import { controllerOf, controllerReference } from '../runtime/claim.ts';
import { type Again, type Context, controller } from '../runtime/controller.ts';
import { sameJson } from '../runtime/equality.ts';
import { isAlreadyThere, isConflict, isTerminating, messageOf, unlessGone } from '../runtime/refusal.ts';
import { dueRun } from './cron-due.ts';
import { follow, jobNameOf, outdated, referenceTo, SCHEDULED } from './cron-follow.ts';
import { timesOf, zonedTime } from './cron-times.ts';

export const cronJob = controller<CronJob>({
	name: 'cronjob',
	for: CronJob,
	owns: [Job],
	async reconcile(key, context) {
		const found = context.cache.informer(CronJob).get(key);
		if (!found) return undefined;
		const jobs = [...context.cache.informer(Job).by('owner', found.metadata.uid ?? '')].filter(
			(job) => controllerOf(job)?.uid === found.metadata.uid,
		);
		const { status, events } = follow(found, jobs);
		for (const { type, reason, message } of events) context.events.event(found, type, reason, message);
		const target: CronJob = { ...found, status };
		const step = await schedule(target, jobs, context);
		// Before a Job goes that shows which runs there have been.
		if (!sameJson(step.status, found.status))
			await context.client.update(CronJob, { ...found, status: step.status }, { subresource: 'status' });
		for (const job of found.metadata.deletionTimestamp ? [] : outdated(found, jobs)) await remove(found, job, context);
		return step.again;
	},
});

interface Step {
	readonly status: CronJobStatus;
	readonly again?: Again;
}

/** Makes the Job that is due, if one is. */
async function schedule(target: CronJob, jobs: readonly Job[], context: Context): Promise<Step> {
	const { status = {}, spec } = target;
	const tell = (type: 'Normal' | 'Warning', reason: string, message: string) =>
		context.events.event(target, type, reason, message);
	if (target.metadata.deletionTimestamp) return { status };
	const fault = scheduleFault(spec);
	if (fault) {
		tell('Warning', faultReason(fault), fault);
		return { status };
	}
	if (spec.suspend) return { status };
	const now = context.now();
	const due = dueRun(target, timesOf(spec), now);
	const again = due.next === undefined ? undefined : { after: Math.max(0, due.next - now) };
	if (due.ahead !== undefined)
		tell(
			'Warning',
			'ClockBehind',
			`The last run was for ${timestamp(due.ahead)}, which is still to come: no Job is made before`,
		);
	if (due.tooMany)
		tell(
			'Warning',
			'TooManyMissedTimes',
			'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew',
		);
	if (due.at === undefined) return { status, again };
	const active = status.active ?? [];
	if (spec.concurrencyPolicy === 'Forbid' && active.length > 0) {
		tell(
			'Normal',
			'JobAlreadyActive',
			'Not starting job because prior execution is running and concurrency policy is Forbid',
		);
		return { status, again };
	}
	const replaced = spec.concurrencyPolicy === 'Replace' ? active.map(({ uid }) => uid) : [];
	for (const job of jobs) if (replaced.includes(job.metadata.uid)) await remove(target, job, context);
	const made = await make(target, due.at, context);
	if (!made) return { status, again };
	const left = active.filter(({ uid }) => !replaced.includes(uid) && uid !== made.metadata.uid);
	return {
		status: { ...status, active: [...left, referenceTo(made)], lastScheduleTime: timestamp(due.at) },
		again,
	};
}

/** The first words of what is wrong with a schedule, and what the event is called. */
const faultReason = (fault: string) =>
	fault.startsWith('unparseable')
		? 'UnparseableSchedule'
		: fault.startsWith('invalid timeZone')
			? 'UnknownTimeZone'
			: 'InvalidSchedule';

/** The Job of a run. Undefined where its name is another's, or its namespace goes. */
async function make(target: CronJob, at: number, { client, events }: Context): Promise<Job | undefined> {
	const job = jobOf(target, at);
	try {
		const made = await client.create(Job, job);
		events.event(target, 'Normal', 'SuccessfulCreate', `Created job ${made.metadata.name}`);
		return made;
	} catch (error) {
		if (isTerminating(error)) return undefined;
		if (isAlreadyThere(error)) {
			// Made before, and not written down.
			const there = await unlessGone(client.get(Job, job.metadata));
			if (there && controllerOf(there)?.uid === target.metadata.uid) return there;
		}
		events.event(target, 'Warning', 'FailedCreate', `Error creating job: ${messageOf(error)}`);
		if (isAlreadyThere(error)) return undefined;
		throw error;
	}
}

function jobOf(target: CronJob, at: number): Job {
	const { metadata, spec = { template: {} } } = target.spec.jobTemplate;
	return {
		apiVersion: 'batch/v1',
		kind: 'Job',
		metadata: {
			name: jobNameOf(target, at),
			namespace: target.metadata.namespace,
			labels: metadata?.labels,
			annotations: { ...metadata?.annotations, [SCHEDULED]: zonedTime(at, target.spec.timeZone) },
			ownerReferences: [controllerReference(CronJob, target)],
		},
		spec,
	};
}

async function remove(target: CronJob, { metadata }: Job, { client, events }: Context): Promise<void> {
	try {
		await unlessGone(
			client.delete(Job, metadata, { propagationPolicy: 'Background', preconditions: { uid: metadata.uid } }),
		);
		events.event(target, 'Normal', 'SuccessfulDelete', `Deleted job ${metadata.name}`);
	} catch (error) {
		if (isConflict(error)) return;
		events.event(target, 'Warning', 'FailedDelete', `Deleted job: ${messageOf(error)}`);
		throw error;
	}
}
