/** Deletes Jobs some time after they have ended. Source: Kubernetes documentation, "Automatic Cleanup for Finished Jobs". */
import { CronJob, Job, jobEnd, keyOf } from '../../kinds/index.ts';
import { controllerOf } from '../runtime/claim.ts';
import { type Context, controller, watch } from '../runtime/controller.ts';
import { isConflict, unlessGone } from '../runtime/refusal.ts';
import { SCHEDULED } from './cron-follow.ts';
import { timeOf } from './pod-state.ts';

export const ttlAfterFinished = controller<Job>({
	name: 'ttl-after-finished',
	for: Job,
	watches: [
		watch(CronJob, (cronJob, cache) => [...cache.informer(Job).by('owner', cronJob.metadata.uid ?? '')].map(keyOf), {
			part: ({ status }) => status?.lastScheduleTime,
		}),
	],
	async reconcile(key, { cache, client, now }) {
		const job = cache.informer(Job).get(key);
		const expiry = job && expiryOf(job);
		if (!job || expiry === undefined) return undefined;
		const left = expiry - now();
		if (left > 0) return { after: left };
		if (isUnrecorded(job, cache)) return undefined;
		// Asked once more, of the API itself: the time may have been made longer just now.
		const fresh = await unlessGone(client.get(Job, job.metadata));
		const due = fresh && expiryOf(fresh);
		if (!fresh || due === undefined || fresh.metadata.uid !== job.metadata.uid || due > now()) return undefined;
		const { uid, resourceVersion } = fresh.metadata;
		try {
			await unlessGone(
				client.delete(Job, job.metadata, {
					propagationPolicy: 'Foreground',
					preconditions: { uid, resourceVersion },
				}),
			);
		} catch (error) {
			if (!isConflict(error)) throw error;
			return { after: 0 };
		}
		return undefined;
	},
});

/** When a Job is to be deleted, in milliseconds since the epoch; undefined for one that is not. */
export function expiryOf(job: Job): number | undefined {
	const { ttlSecondsAfterFinished: seconds } = job.spec;
	const end = timeOf(jobEnd(job)?.lastTransitionTime);
	if (seconds === undefined || end === undefined || job.metadata.deletionTimestamp) return undefined;
	return end + seconds * 1000;
}

/** A Job whose run its CronJob has not written down yet stays: by it the CronJob knows that the run has been. */
function isUnrecorded(job: Job, cache: Context['cache']): boolean {
	const owner = controllerOf(job);
	const at = timeOf(job.metadata.annotations?.[SCHEDULED]);
	if (owner?.kind !== 'CronJob' || at === undefined) return false;
	const { namespace } = job.metadata;
	const cronJob = cache.informer(CronJob).get(keyOf({ metadata: { name: owner.name, namespace } }));
	return cronJob?.metadata.uid === owner.uid && (timeOf(cronJob.status?.lastScheduleTime) ?? 0) < at;
}
