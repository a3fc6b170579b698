/** Which run of a CronJob is due. Source: Kubernetes documentation, "CronJob", "Job creation" and "Schedule suspension". */
import type { CronJob } from '../../kinds/index.ts';
import type { Times } from './cron-times.ts';
import { timeOf } from './pod-state.ts';

/** As many missed runs are counted as Kubernetes lets pass without a word. */
export const MOST_MISSED = 100;

export interface Due {
	/** The run that is due, in milliseconds since the epoch: the last of those that have been missed, since one makes up for all. */
	readonly at?: number;
	/** Whether more were missed than are worth counting. */
	readonly tooMany: boolean;
	/** When the next one is. */
	readonly next?: number;
	/** The last run was for a time that is still to come: the clock was set back, and nothing is due before. */
	readonly ahead?: number;
}

/** `now` in milliseconds since the epoch. */
export function dueRun({ metadata, spec, status }: CronJob, times: Times, now: number): Due {
	const last = timeOf(status?.lastScheduleTime);
	if (last !== undefined && last > now) return { tooMany: false, next: times.next(last), ahead: last };
	const next = times.next(now);
	const since = last ?? timeOf(metadata.creationTimestamp) ?? now;
	// What is older than the deadline is not begun any more.
	const deadline = spec.startingDeadlineSeconds;
	const earliest = deadline === undefined ? since : Math.max(since, now - deadline * 1000);
	let at: number | undefined;
	let missed = 0;
	for (let time = times.next(earliest); time !== undefined && time <= now; time = times.next(time)) {
		at = time;
		if (++missed > MOST_MISSED) return { at: times.last(now), tooMany: true, next };
	}
	return { at, tooMany: false, next };
}
