/**
 * The times of a CronJob's schedule, found by croner, which reckons with time zones: what falls into the hour that a change of
 * the clock leaves out runs at its end, and what falls into one that comes twice runs once, unless it runs every hour anyway.
 */
import { Cron } from 'croner';
import type { CronJobSpec } from 'kubernetes-types/batch/v1.js';
import { parseSchedule, type Schedule } from '../../kinds/index.ts';

/** All in milliseconds since the epoch. */
export interface Times {
	/** The first time after `after`; undefined where there is none. */
	next(after: number): number | undefined;
	/** The last time that is not after `now`. */
	last(now: number): number | undefined;
}

const known = new WeakMap<CronJobSpec, Times>();

/** Of a spec whose schedule and time zone are valid. Without a zone that of the process counts, as in Kubernetes. */
export function timesOf(spec: CronJobSpec): Times {
	const before = known.get(spec);
	if (before) return before;
	const cron = new Cron(patternOf(parseSchedule(spec.schedule)), { timezone: spec.timeZone, mode: '5-part' });
	const times: Times = {
		next: (after) => cron.nextRun(new Date(after))?.getTime(),
		last: (now) => cron.previousRuns(1, new Date(now + 1))[0]?.getTime(),
	};
	known.set(spec, times);
	return times;
}

/** What has been read, in a form that has no other meaning to the library. */
function patternOf({ minute, hour, dayOfMonth, month, dayOfWeek }: Schedule): string {
	return [minute, hour, dayOfMonth, month, dayOfWeek]
		.map((field) => (field === '*' ? field : field.join(',')))
		.join(' ');
}

/** As Kubernetes writes the time of a run: `2024-05-01T12:00:00+02:00` in the zone of the schedule. */
export function zonedTime(ms: number, timeZone: string | undefined): string {
	const parts = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' }).formatToParts(ms);
	const [, sign = '+', hours = '00', minutes = '00'] =
		/GMT([+-])(\d\d):(\d\d)/.exec(parts.find(({ type }) => type === 'timeZoneName')?.value ?? '') ?? [];
	const offset = (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '-' ? -1 : 1);
	const local = new Date(ms + offset).toISOString().slice(0, 19);
	return offset === 0 ? `${local}Z` : `${local}${sign}${hours}:${minutes}`;
}
