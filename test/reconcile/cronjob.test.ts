/** CronJobs: which run is due, what their Jobs mean, and the controller against a real API and store. */
import test, { type ExecutionContext } from 'ava';
import type { CronJobSpec, CronJobStatus } from 'kubernetes-types/batch/v1.js';
import { CronJob, Event, Job, Pod, timestamp } from '../../src/kinds/index.ts';
import { garbageCollector } from '../../src/reconcile/cleanup/garbage-collector.ts';
import { dueRun } from '../../src/reconcile/workloads/cron-due.ts';
import { follow, jobNameOf, outdated } from '../../src/reconcile/workloads/cron-follow.ts';
import { timesOf, zonedTime } from '../../src/reconcile/workloads/cron-times.ts';
import { cronJob } from '../../src/reconcile/workloads/cronjob.ts';
import { job } from '../../src/reconcile/workloads/job.ts';
import { jobFinalizer } from '../../src/reconcile/workloads/job-finalizer.ts';
import { handClock } from '../client/clock.ts';
import { pass, run, world } from '../client/world.ts';
import { workers } from './workers.ts';

const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'example:1' }] } };
const name = { name: 'tick', namespace: 'default' };
const cron = (spec: Partial<CronJobSpec> = {}, status: CronJobStatus = {}): CronJob => ({
	apiVersion: 'batch/v1',
	kind: 'CronJob',
	metadata: { ...name, uid: 'uid-tick', creationTimestamp: '2030-01-01T00:00:30Z' },
	spec: { schedule: '*/10 * * * *', timeZone: 'UTC', jobTemplate: { spec: { template } }, ...spec },
	status,
});
const at = (time: string) => Date.parse(`2030-01-01T${time}Z`);

const dues: [string, CronJob, string, { at?: string; next?: string; tooMany?: boolean; ahead?: string }][] = [
	['nothing, before the first time', cron(), '00:09:59', { next: '00:10:00' }],
	['the first', cron(), '00:10:00', { at: '00:10:00', next: '00:20:00' }],
	[
		'nothing, when it has run',
		cron({}, { lastScheduleTime: '2030-01-01T00:10:00Z' }),
		'00:10:01',
		{ next: '00:20:00' },
	],
	['the last of those that were missed', cron(), '00:45:00', { at: '00:40:00', next: '00:50:00' }],
	['none that is past its deadline', cron({ startingDeadlineSeconds: 60 }), '00:45:00', { next: '00:50:00' }],
	['one that is not past it', cron({ startingDeadlineSeconds: 600 }), '00:45:00', { at: '00:40:00', next: '00:50:00' }],
	[
		'the last, of very many',
		cron({ schedule: '* * * * *' }),
		'12:00:10',
		{ at: '12:00:00', next: '12:01:00', tooMany: true },
	],
	['a hundred are not too many', cron({ schedule: '* * * * *' }), '01:40:10', { at: '01:40:00', next: '01:41:00' }],
	['the last of a bunch', cron({ schedule: '1,2 0 * * *' }), '00:30:00', { at: '00:02:00' }],
	[
		'nothing before what has run, on a clock that was set back',
		cron({}, { lastScheduleTime: '2030-01-01T02:00:00Z' }),
		'01:05:00',
		{ next: '02:10:00', ahead: '02:00:00' },
	],
];
for (const [what, of, now, expected] of dues)
	test(`due is ${what}`, (t) => {
		const { at: run, next, tooMany, ahead } = dueRun(of, timesOf(of.spec), at(now));
		const time = (ms: number | undefined) => (ms === undefined ? undefined : timestamp(ms).slice(11, 19));
		t.is(time(run), expected.at);
		if (expected.next) t.is(time(next), expected.next);
		t.is(tooMany, expected.tooMany ?? false);
		t.is(time(ahead), expected.ahead);
	});

const schedules: [string, string, string, string[]][] = [
	['a quarter of an hour', '*/15 * * * *', 'UTC', ['2030-01-01T00:15:00Z', '2030-01-01T00:30:00Z']],
	['the morning of another place', '0 6 * * *', 'Asia/Tokyo', ['2030-01-01T21:00:00Z', '2030-01-02T21:00:00Z']],
	[
		'either of two days',
		'0 0 13 * FRI',
		'UTC',
		['2030-01-04T00:00:00Z', '2030-01-11T00:00:00Z', '2030-01-13T00:00:00Z'],
	],
	['a leap day', '0 0 29 2 *', 'UTC', ['2032-02-29T00:00:00Z', '2036-02-29T00:00:00Z']],
	['an hour that is left out', '30 2 31 3 *', 'Europe/Zurich', ['2030-03-31T01:00:00Z', '2031-03-31T00:30:00Z']],
	['an hour that comes twice', '30 2 27 10 *', 'Europe/Zurich', ['2030-10-27T00:30:00Z', '2031-10-27T01:30:00Z']],
	['a macro', '@weekly', 'UTC', ['2030-01-06T00:00:00Z', '2030-01-13T00:00:00Z']],
	[
		'a step from a value on',
		'50/4 0 1 1 ?',
		'UTC',
		['2030-01-01T00:50:00Z', '2030-01-01T00:54:00Z', '2030-01-01T00:58:00Z', '2031-01-01T00:50:00Z'],
	],
];
for (const [what, schedule, timeZone, wanted] of schedules)
	test(`a schedule of ${what} has its times`, (t) => {
		const times = timesOf(cron({ schedule, timeZone }).spec);
		const found: string[] = [];
		for (
			let time = times.next(at('00:00:00'));
			found.length < wanted.length && time !== undefined;
			time = times.next(time)
		) {
			found.push(timestamp(time));
			t.is(times.last(time), time, 'the last one at its time is itself');
		}
		t.deepEqual(found, wanted);
	});

test('the time of a run is written in the zone of its schedule', (t) => {
	t.is(zonedTime(at('00:00:00'), 'UTC'), '2030-01-01T00:00:00Z');
	t.is(zonedTime(at('00:00:00'), 'Asia/Kolkata'), '2030-01-01T05:30:00+05:30');
	t.is(zonedTime(at('00:00:00'), 'America/New_York'), '2029-12-31T19:00:00-05:00');
});

const made = (time: string, end?: 'Complete' | 'Failed', more: Partial<Job['metadata']> = {}): Job => {
	const when = at(time);
	const started = timestamp(when + 1000);
	return {
		apiVersion: 'batch/v1',
		kind: 'Job',
		metadata: {
			name: jobNameOf(cron(), when),
			namespace: 'default',
			uid: `uid-${time}`,
			annotations: { 'batch.kubernetes.io/cronjob-scheduled-timestamp': timestamp(when) },
			...more,
		},
		spec: { template },
		status: {
			startTime: started,
			...(end && { conditions: [{ type: end, status: 'True' }] }),
			...(end === 'Complete' && { completionTime: timestamp(when + 5000) }),
		},
	};
};

test('a Job that was made and not written down is found again', (t) => {
	const { status, events } = follow(cron(), [made('00:10:00')]);
	t.is(status.lastScheduleTime, '2030-01-01T00:10:00Z');
	t.deepEqual(
		status.active?.map(({ uid }) => uid),
		['uid-00:10:00'],
	);
	t.deepEqual(events, []);
});

test('Jobs that have ended, went missing or came from elsewhere are told of', (t) => {
	const active = [
		{ name: 'a', uid: 'uid-00:10:00' },
		{ name: 'b', uid: 'gone' },
		{ name: 'c', uid: 'uid-00:20:00' },
	];
	const byHand = made('00:40:00', undefined, { name: 'by-hand', annotations: {} });
	const { status, events } = follow(cron({}, { active, lastScheduleTime: '2030-01-01T00:30:00Z' }), [
		made('00:10:00', 'Complete'),
		made('00:20:00', 'Failed'),
		byHand,
	]);
	t.deepEqual(
		events.map(({ reason, message }) => [reason, message]),
		[
			['SawCompletedJob', 'Saw completed job: a, condition: Complete'],
			['MissingJob', 'Active job went missing: b'],
			['SawCompletedJob', 'Saw completed job: c, condition: Failed'],
			['UnexpectedJob', 'Saw a job that the controller did not create or forgot: by-hand'],
		],
	);
	t.like(status, {
		active: undefined,
		lastScheduleTime: '2030-01-01T00:30:00Z',
		lastSuccessfulTime: '2030-01-01T00:10:05Z',
	});
});

test('of the Jobs that have ended the newest are kept', (t) => {
	const jobs = [
		made('00:30:00', 'Complete'),
		made('00:10:00', 'Complete'),
		made('00:20:00', 'Failed'),
		made('00:40:00', 'Failed'),
		made('00:00:00'),
	];
	const names = (spec: Partial<CronJobSpec>) => outdated(cron(spec), jobs).map(({ metadata }) => metadata.uid);
	t.deepEqual(names({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 1 }), ['uid-00:10:00', 'uid-00:20:00']);
	t.deepEqual(names({ successfulJobsHistoryLimit: 0, failedJobsHistoryLimit: 5 }), ['uid-00:10:00', 'uid-00:30:00']);
	t.deepEqual(names({}), []);
});

async function start(t: ExecutionContext, spec: Partial<CronJobSpec>) {
	const w = await world(t);
	const clock = handClock();
	let jump = 0;
	const now = () => at('00:00:30') + clock.now() + jump;
	const nodes = workers();
	const controllers = [cronJob, job, jobFinalizer, garbageCollector(), nodes.controller];
	const made = await w.client.create(CronJob, { ...cron(spec), metadata: { ...name }, status: undefined });
	// Its creation is told by the API, whose clock is another.
	await w.client.update(
		CronJob,
		{ ...made, status: { lastScheduleTime: '2030-01-01T00:00:00Z' } },
		{ subresource: 'status' },
	);
	const running = run(t, w, controllers, now, clock);
	return {
		w,
		nodes,
		pass: (seconds: number) => pass(running, clock, seconds),
		jump: (seconds: number) => {
			jump += seconds * 1000;
		},
		jobs: async () => {
			const { items } = await w.client.list(Job);
			const minute = ({ metadata }: Job) => Number(metadata.name.slice('tick-'.length)) * 60_000;
			return items.map((each) => timestamp(minute(each)).slice(11, 16)).sort();
		},
		reasons: async () => (await w.client.list(Event)).items.map(({ reason }) => reason),
		status: async () => (await w.client.get(CronJob, name)).status,
	};
}

test('a Job is made at each time, named by its minute, and the old ones go', async (t) => {
	const { pass, jobs, status, w } = await start(t, {
		schedule: '* * * * *',
		successfulJobsHistoryLimit: 2,
		timeZone: 'Asia/Tokyo',
	});
	await pass(25);
	t.deepEqual(await jobs(), []);
	await pass(20);
	t.deepEqual(await jobs(), ['00:01']);
	const [first] = (await w.client.list(Job)).items;
	t.is(first?.metadata.annotations?.['batch.kubernetes.io/cronjob-scheduled-timestamp'], '2030-01-01T09:01:00+09:00');
	t.like(first?.metadata.ownerReferences?.[0], { kind: 'CronJob', name: 'tick', controller: true });
	await pass(190);
	t.deepEqual(await jobs(), ['00:03', '00:04']);
	t.like(await status(), { lastScheduleTime: '2030-01-01T00:04:00Z', active: undefined });
});

test('a clock that jumps ahead runs the last missed one, and no run twice', async (t) => {
	const { pass, jump, jobs } = await start(t, { schedule: '*/5 * * * *', successfulJobsHistoryLimit: 100 });
	await pass(300);
	t.deepEqual(await jobs(), ['00:05']);
	jump(1800);
	await pass(60);
	t.deepEqual(await jobs(), ['00:05', '00:35']);
	await pass(300);
	t.deepEqual(await jobs(), ['00:05', '00:35', '00:40']);
});

test('a clock that jumps back runs nothing again, says so, and goes on in time', async (t) => {
	const { pass, jump, jobs, reasons } = await start(t, { schedule: '*/5 * * * *', successfulJobsHistoryLimit: 0 });
	await pass(600);
	t.deepEqual(await jobs(), []);
	jump(-400);
	await pass(60);
	t.true((await reasons()).includes('ClockBehind'));
	const before = (await reasons()).filter((reason) => reason === 'SuccessfulCreate').length;
	await pass(340);
	const { length } = (await reasons()).filter((reason) => reason === 'SuccessfulCreate');
	t.is(length, before, 'nothing runs twice');
	await pass(320);
	t.true((await reasons()).filter((reason) => reason === 'SuccessfulCreate').length > before);
});

test('runs do not overlap where they must not, and what waits is made up for', async (t) => {
	const { pass, jobs, nodes, reasons, w, status } = await start(t, {
		schedule: '* * * * *',
		concurrencyPolicy: 'Forbid',
	});
	nodes.exit = () => undefined;
	await pass(200);
	t.deepEqual(await jobs(), ['00:01']);
	t.true((await reasons()).includes('JobAlreadyActive'));
	t.is((await status())?.active?.length, 1);
	nodes.exit = () => 0;
	const { items } = await w.client.list(Pod);
	for (const { metadata } of items)
		await w.client.patch(Pod, metadata, {
			type: 'merge',
			body: { metadata: { annotations: { touched: 'yes' } } },
		});
	await pass(5);
	t.deepEqual(await jobs(), ['00:01', '00:03'], 'the last one that was missed follows at once');
});

test('a run takes the place of the one before', async (t) => {
	const { pass, jobs, nodes, status } = await start(t, { schedule: '* * * * *', concurrencyPolicy: 'Replace' });
	nodes.exit = () => undefined;
	await pass(140);
	t.deepEqual(await jobs(), ['00:02']);
	t.is((await status())?.active?.length, 1);
});

test('nothing runs while a CronJob is suspended, and too many that were missed are told of', async (t) => {
	const { pass, jobs, reasons, w, jump } = await start(t, { schedule: '* * * * *', suspend: true });
	await pass(200);
	t.deepEqual(await jobs(), []);
	jump(7200);
	await w.client.patch(CronJob, name, { type: 'merge', body: { spec: { suspend: false } } });
	await pass(5);
	t.deepEqual(await jobs(), ['02:03'], 'one makes up for all');
	t.true((await reasons()).includes('TooManyMissedTimes'));
});

test('a schedule that never fires is told of, and nothing spins', async (t) => {
	const { pass, jobs, reasons } = await start(t, { schedule: '0 0 30 2 *' });
	await pass(300);
	t.deepEqual(await jobs(), []);
	t.true((await reasons()).includes('InvalidSchedule'));
});
