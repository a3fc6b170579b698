/** Jobs and CronJobs: what is filled in, refused, printed and healthy. */
import test from 'ava';
import type { Dynamic, HealthStatus } from '../../src/kinds/index.ts';
import { admit, at, cells, changed, kindOf, manifests, now } from './manifests.ts';

const of = (kind: string): Dynamic => {
	const found = manifests().find((each) => each.kind === kind);
	if (!found) throw new Error(`no ${kind}`);
	return found;
};
const uid = '00000000-0000-4000-8000-0000000000aa';
const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'busybox' }] } };
/** A Job of nothing but what is said. */
const plain = (spec: object = {}) => ({ ...of('Job'), spec: { template, ...spec } }) as Dynamic;
const indexed = (spec: object) => plain({ completionMode: 'Indexed', completions: 4, ...spec });
const cron = (spec: object) => changed(of('CronJob'), { spec });
const jobOf = (spec: object) => cron({ jobTemplate: { spec: { template, ...spec } } });

const refused: [string, Dynamic, string[]][] = [
	[
		'pods that are always restarted',
		plain({ template: { spec: { containers: template.spec.containers } } }),
		['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
	],
	[
		'fewer than no pods',
		plain({ parallelism: -1, completions: -2, backoffLimit: -3, ttlSecondsAfterFinished: -4 }),
		[
			'spec.parallelism: Invalid value: -1: must be greater than or equal to 0',
			'spec.completions: Invalid value: -2: must be greater than or equal to 0',
			'spec.backoffLimit: Invalid value: -3: must be greater than or equal to 0',
			'spec.ttlSecondsAfterFinished: Invalid value: -4: must be greater than or equal to 0',
		],
	],
	[
		'a mode that is none',
		plain({ completionMode: 'Sometimes' }),
		['spec.completionMode: Unsupported value: "Sometimes": supported values: "NonIndexed", "Indexed"'],
	],
	[
		'indexes without a number of them',
		plain({ completionMode: 'Indexed', parallelism: 2 }),
		['spec.completions: Required value: when completion mode is Indexed'],
	],
	[
		'too many indexes at once',
		indexed({ parallelism: 100_001 }),
		['spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed'],
	],
	[
		'a limit per index without indexes',
		plain({ backoffLimitPerIndex: 1 }),
		['spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode'],
	],
	[
		'a number of failed indexes without a limit for each',
		indexed({ maxFailedIndexes: 5 }),
		[
			'spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified',
			'spec.maxFailedIndexes: Invalid value: 5: must be less than or equal to completions',
		],
	],
	[
		'very many indexes with a limit for each',
		indexed({ completions: 100_001, parallelism: 10_001, backoffLimitPerIndex: 1 }),
		[
			'spec.maxFailedIndexes: Required value: must be specified when completions is above 100000',
			'spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index',
		],
	],
	[
		'a manager without a domain',
		plain({ managedBy: 'me' }),
		['spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")'],
	],
	[
		'a manager of a long name',
		plain({ managedBy: `acme.io/${'x'.repeat(60)}` }),
		['spec.managedBy: Too long: may not be more than 63 bytes'],
	],
	[
		'a success policy without indexes',
		plain({ successPolicy: { rules: [{ succeededCount: 1 }] } }),
		['spec.successPolicy: Invalid value: {"rules":[{"succeededCount":1}]}: requires indexed completion mode'],
	],
	[
		'success by nothing',
		indexed({ successPolicy: { rules: [{}] } }),
		[
			'spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified',
		],
	],
	[
		'a success policy without rules',
		indexed({ successPolicy: { rules: [] } }),
		[
			'spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified',
		],
	],
	...(
		[
			['3-1', 'non-increasing order, previous: 3, current: 1'],
			['2,1', 'non-increasing order, previous: 2, current: 1'],
			['4', 'too large index: "4"'],
			['a', 'cannot convert string to integer for index: "a"'],
			[
				'1-2-3',
				'the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by \'-\'',
			],
		] as const
	).map(([succeededIndexes, why]): [string, Dynamic, string[]] => [
		`success by the indexes ${succeededIndexes}`,
		indexed({ successPolicy: { rules: [{ succeededIndexes }] } }),
		[
			`spec.successPolicy.rules[0].succeededIndexes: Invalid value: "${succeededIndexes}": error parsing succeededIndexes: ${why}`,
		],
	]),
	[
		'success by more indexes than are named',
		indexed({ successPolicy: { rules: [{ succeededIndexes: '0,2', succeededCount: 3 }] } }),
		[
			'spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)',
		],
	],
	[
		'a failure policy of pods that restart',
		plain({ podFailurePolicy: { rules: [] }, template: changed(template, { spec: { restartPolicy: 'OnFailure' } }) }),
		[
			'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
		],
	],
	[
		'a rule of failures about nothing',
		plain({ podFailurePolicy: { rules: [{ action: 'Count' }] } }),
		['spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required'],
	],
	[
		'a rule of failures that does nothing known',
		plain({ podFailurePolicy: { rules: [{ action: 'Shrug', onPodConditions: [{ type: 'a b', status: 'Maybe' }] }] } }),
		[
			'spec.podFailurePolicy.rules[0].action: Unsupported value: "Shrug": supported values: "Count", "FailIndex", "FailJob", "Ignore"',
			"spec.podFailurePolicy.rules[0].onPodConditions[0].type: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
			'spec.podFailurePolicy.rules[0].onPodConditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
		],
	],
	[
		'an index that fails where none is limited',
		plain({ podFailurePolicy: { rules: [{ action: 'FailIndex', onExitCodes: { operator: 'In', values: [1] } }] } }),
		['spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set'],
	],
	[
		'exit codes in disorder',
		plain({
			podFailurePolicy: {
				rules: [{ action: 'Count', onExitCodes: { containerName: 'other', operator: 'In', values: [2, 0, 2] } }],
			},
		}),
		[
			'spec.podFailurePolicy.rules[0].onExitCodes.containerName: Invalid value: "other": must be one of the container or initContainer names in the pod template',
			'spec.podFailurePolicy.rules[0].onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator',
			'spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 2',
			'spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,0,2]: must be ordered',
		],
	],
	[
		'replacements before the end where failures are looked at',
		plain({ podFailurePolicy: { rules: [] }, podReplacementPolicy: 'TerminatingOrFailed' }),
		['spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"'],
	],
	[
		'a selector of its own without being told so',
		plain({ selector: { matchLabels: { app: 'x' } } }),
		[
			`spec.selector: Invalid value: {"matchLabels":{"batch.kubernetes.io/controller-uid":"${uid}","app":"x"}}: \`selector\` not auto-generated`,
			`spec.template.metadata.labels: Invalid value: {"controller-uid":"${uid}","job-name":"migrate","batch.kubernetes.io/controller-uid":"${uid}","batch.kubernetes.io/job-name":"migrate"}: \`selector\` does not match template \`labels\``,
		],
	],
	['a manual selector that is none', plain({ manualSelector: true }), ['spec.selector: Required value']],
	[
		'a name too long for its hosts',
		changed(indexed({}), { metadata: { name: 'x'.repeat(62) } }),
		[
			`metadata.name: Invalid value: "${'x'.repeat(62)}": will not able to create pod with invalid DNS label: ${'x'.repeat(62)}-3`,
		],
	],
	[
		'a schedule of four fields',
		cron({ schedule: '* * * *' }),
		['spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]'],
	],
	[
		'a schedule with seconds',
		cron({ schedule: '0 * * * * *' }),
		['spec.schedule: Invalid value: "0 * * * * *": expected exactly 5 fields, found 6: [0 * * * * *]'],
	],
	['no schedule', cron({ schedule: '' }), ['spec.schedule: Required value']],
	[
		'a schedule of a macro that is none',
		cron({ schedule: '@reboot' }),
		['spec.schedule: Invalid value: "@reboot": unrecognized descriptor: @reboot'],
	],
	[
		'a minute that is none',
		cron({ schedule: '60 * * * *' }),
		['spec.schedule: Invalid value: "60 * * * *": end of range (60) above maximum (59): 60'],
	],
	[
		'the seventh day of the week',
		cron({ schedule: '0 0 * * 7' }),
		['spec.schedule: Invalid value: "0 0 * * 7": end of range (7) above maximum (6): 7'],
	],
	...['0 0 L * *', '0 0 15W * *', '0 0 * * MON#2', '0 0 * * 5L', '0 0 * * +MON'].map(
		(schedule): [string, Dynamic, string[]] => {
			const word = schedule.split(' ').find((each) => /[A-Z]/.test(each));
			return [
				`what other programs take: ${schedule}`,
				cron({ schedule }),
				[
					`spec.schedule: Invalid value: "${schedule}": failed to parse int from ${word}: strconv.Atoi: parsing "${word}": invalid syntax`,
				],
			];
		},
	),
	[
		'a zone in the schedule',
		cron({ schedule: 'TZ=Asia/Tokyo 0 0 * * *' }),
		[
			'spec.schedule: Invalid value: "TZ=Asia/Tokyo 0 0 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
		],
	],
	[
		'a zone that is none',
		cron({ timeZone: 'Europe/Atlantis' }),
		['spec.timeZone: Invalid value: "Europe/Atlantis": unknown time zone Europe/Atlantis'],
	],
	[
		'an offset for a zone',
		cron({ timeZone: '+01:00' }),
		['spec.timeZone: Invalid value: "+01:00": unknown time zone +01:00'],
	],
	[
		'the zone of the place',
		cron({ timeZone: 'Local' }),
		[
			'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones',
		],
	],
	[
		'an empty zone',
		cron({ timeZone: '' }),
		['spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string'],
	],
	[
		'a policy of concurrency that is none',
		cron({ concurrencyPolicy: 'Queue' }),
		['spec.concurrencyPolicy: Unsupported value: "Queue": supported values: "Allow", "Forbid", "Replace"'],
	],
	[
		'a selector for its Jobs',
		jobOf({ manualSelector: true, selector: { matchLabels: { a: 'b' } } }),
		[
			'spec.jobTemplate.spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` will be auto-generated',
			'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"',
		],
	],
	[
		'a name too long for its Jobs',
		changed(of('CronJob'), { metadata: { name: 'x'.repeat(53) } }),
		[`metadata.name: Invalid value: "${'x'.repeat(53)}": must be no more than 52 characters`],
	],
];
for (const [what, object, lines] of refused)
	test(`${object.kind}, refused: ${what}`, (t) => {
		t.deepEqual(admit(object).errors, lines);
	});

test('what is right is accepted', (t) => {
	for (const object of [of('Job'), of('CronJob'), plain(), plain({ parallelism: 3 }), cron({ schedule: '@hourly' })])
		t.deepEqual(admit(object).errors, []);
	for (const schedule of ['*/15 0-6/2 1,15 JAN-mar ?', '59 23 31 2 *', '5/10 * * * Sun,sat', '@annually'])
		t.deepEqual(admit(cron({ schedule })).errors, [], schedule);
	t.deepEqual(
		admit(
			plain({
				manualSelector: true,
				selector: { matchLabels: { a: 'b' } },
				template: { ...template, metadata: { labels: { a: 'b' } } },
			}),
		).errors,
		[],
	);
});

test('a Job runs once where it does not say, and its pods are found by labels of its own', (t) => {
	const { spec, status, metadata } = admit(plain()).object as Dynamic & {
		spec: Record<string, unknown>;
		status: unknown;
	};
	t.like(spec, {
		completions: 1,
		parallelism: 1,
		backoffLimit: 6,
		completionMode: 'NonIndexed',
		suspend: false,
		manualSelector: false,
		podReplacementPolicy: 'TerminatingOrFailed',
		selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } },
	});
	t.deepEqual(at(spec, 'template.metadata.labels'), {
		'controller-uid': uid,
		'job-name': 'migrate',
		'batch.kubernetes.io/controller-uid': uid,
		'batch.kubernetes.io/job-name': 'migrate',
	});
	t.deepEqual(status, {});
	t.is(metadata.labels, undefined);
	const open = admit(plain({ parallelism: 3 })).object;
	t.deepEqual([at(open, 'spec.completions'), at(open, 'spec.parallelism')], [undefined, 3], 'a queue of work');
	const full = admit(of('Job')).object;
	t.is(at(full, 'spec.backoffLimit'), 2 ** 31 - 1, 'the limit of each index counts');
	t.is(at(full, 'spec.podReplacementPolicy'), 'Failed', 'a failure is looked at before the pod is replaced');
	t.is(at(full, 'spec.podFailurePolicy.rules.1.onPodConditions.0.status'), 'True');
	t.deepEqual(full.metadata.labels, { app: 'guestbook' }, 'its labels are those of its template');
});

test('a CronJob keeps three that succeeded and one that failed, and lets them overlap', (t) => {
	const { object } = admit(cron({ concurrencyPolicy: undefined }));
	t.like(object.spec, {
		concurrencyPolicy: 'Allow',
		suspend: false,
		successfulJobsHistoryLimit: 3,
		failedJobsHistoryLimit: 1,
	});
	t.is(at(object, 'spec.jobTemplate.spec.backoffLimit'), undefined, 'its Jobs are filled in when they are made');
});

const began = { startTime: '2026-01-02T11:59:00Z' };
const isTrue = (type: string, more: object = {}) => ({ type, status: 'True', ...more });
const immutable: [string, object, object | undefined, object, string[]][] = [
	[
		'its pods',
		{},
		began,
		{ template: changed(template, { spec: { containers: [{ name: 'main', image: 'other' }] } }) },
		['spec.template'],
	],
	['the number of them', { completions: 2 }, began, { completions: 3 }, ['spec.completions']],
	['the number at once', { completions: 2 }, began, { parallelism: 2, completions: 2 }, []],
	[
		'where they run, while it waits to begin',
		{ suspend: true },
		undefined,
		{ suspend: true, template: changed(template, { spec: { nodeSelector: { disk: 'ssd' } } }) },
		[],
	],
	[
		'where they run, once it has begun',
		{ suspend: true },
		began,
		{ suspend: true, template: changed(template, { spec: { nodeSelector: { disk: 'ssd' } } }) },
		['spec.template'],
	],
	[
		'what runs, while it waits to begin',
		{ suspend: true },
		undefined,
		{ suspend: true, template: changed(template, { spec: { containers: [{ name: 'main', image: 'other' }] } }) },
		['spec.template'],
	],
	[
		'the size of an indexed one, in tandem',
		{ completionMode: 'Indexed', completions: 2, parallelism: 2 },
		began,
		{ completionMode: 'Indexed', completions: 3, parallelism: 3 },
		[],
	],
	[
		'the size of an indexed one alone',
		{ completionMode: 'Indexed', completions: 2 },
		began,
		{ completionMode: 'Indexed', completions: 3 },
		['spec.completions'],
	],
	['who runs it', { managedBy: 'acme.io/one' }, began, { managedBy: 'acme.io/two' }, ['spec.managedBy']],
	[
		'its limits and deadlines',
		{},
		began,
		{ backoffLimit: 1, activeDeadlineSeconds: 5, ttlSecondsAfterFinished: 0 },
		[],
	],
];
for (const [what, before, status, after, fields] of immutable)
	test(`of a Job ${fields.length ? 'stays' : 'may change'}: ${what}`, (t) => {
		const old = { ...admit(plain(before)).object, status } as Dynamic;
		const generated = old.spec as { selector: object; template: { metadata: object } };
		const next = plain({ selector: generated.selector, ...after });
		const labelled = changed(next, { spec: { template: { metadata: generated.template.metadata } } });
		t.deepEqual(
			admit(labelled, old).causes.map(({ field }) => field),
			fields,
		);
	});

/** A status that is written over another, and what is said of it. */
const statuses: [string, object, object, string[]][] = [
	['counts up', { ...began, failed: 1 }, { ...began, failed: 2, active: 1, ready: 1 }, []],
	['counts down', { ...began, failed: 2 }, { ...began, failed: 1 }, ['cannot decrease the failed counter']],
	[
		'loses a success',
		{ ...began, succeeded: 2 },
		{ ...began, succeeded: 1 },
		['cannot decrease the succeeded counter'],
	],
	['has more ready than there are', began, { ...began, ready: 1 }, ['cannot set more ready pods than active']],
	[
		'counts a pod on both sides',
		began,
		{ ...began, uncountedTerminatedPods: { succeeded: ['a'], failed: ['a'] } },
		['Duplicate value'],
	],
	[
		'has ended without a time',
		began,
		{ ...began, conditions: [isTrue('SuccessCriteriaMet'), isTrue('Complete')] },
		['completionTime is required'],
	],
	['has ended without a reason', began, { ...began, conditions: [isTrue('Failed')] }, ['without the FailureTarget']],
	[
		'has ended with pods',
		began,
		{ ...began, active: 1, conditions: [isTrue('FailureTarget'), isTrue('Failed')] },
		['active>0 is invalid'],
	],
	[
		'has ended well',
		began,
		{
			...began,
			completionTime: '2026-01-02T12:00:00Z',
			conditions: [isTrue('SuccessCriteriaMet'), isTrue('Complete')],
		},
		[],
	],
	[
		'goes on after its end',
		{ ...began, conditions: [isTrue('FailureTarget'), isTrue('Failed')] },
		began,
		['Failed=True', 'FailureTarget=True'],
	],
	['began at another time', began, { startTime: '2026-01-02T12:00:00Z' }, ['startTime cannot be removed']],
	[
		'is resumed',
		{ ...began, conditions: [isTrue('Suspended')] },
		{ startTime: '2026-01-02T12:00:00Z', conditions: [{ type: 'Suspended', status: 'False' }] },
		[],
	],
	['has indexes without having any', began, { ...began, completedIndexes: '1' }, ['too large index', 'non-indexed']],
];
for (const [what, before, after, words] of statuses)
	test(`a status that ${what} is ${words.length ? 'refused' : 'accepted'}`, (t) => {
		const { object } = admit(plain());
		const kind = kindOf(object);
		const errors = kind.validate({ ...object, status: after } as Dynamic, { ...object, status: before } as Dynamic);
		t.is(errors.length, words.length, errors.map(({ detail }) => detail).join('\n'));
		for (const word of words)
			t.true(
				errors.some(({ detail }) => detail.includes(word)),
				word,
			);
	});

test('a Job shows what has become of it', (t) => {
	const cellsOf = (status: object, spec: object = {}) => cells({ ...admit(plain(spec)).object, status } as Dynamic);
	t.like(cellsOf({}), { Status: 'Running', Completions: '0/1', Duration: '' });
	t.like(cellsOf({ ...began, succeeded: 1 }, { completions: 5 }), {
		Status: 'Running',
		Completions: '1/5',
		Duration: '60s',
	});
	t.like(cellsOf({ succeeded: 1 }, { parallelism: 3 }), { Completions: '1/1 of 3' });
	t.like(
		cellsOf({
			...began,
			completionTime: '2026-01-02T11:59:07Z',
			conditions: [isTrue('SuccessCriteriaMet'), isTrue('Complete')],
		}),
		{
			Status: 'Complete',
			Duration: '7s',
			Containers: 'main',
			Images: 'busybox',
			Selector: `batch.kubernetes.io/controller-uid=${uid}`,
		},
	);
	for (const type of ['Suspended', 'FailureTarget', 'SuccessCriteriaMet', 'Failed'])
		t.is(cellsOf({ conditions: [isTrue(type)] }).Status, type);
});

test('a CronJob shows when its Jobs are made', (t) => {
	t.like(cells(admit(of('CronJob')).object), {
		Schedule: '30 3 * * MON-FRI',
		Timezone: 'Europe/Zurich',
		Suspend: 'False',
		Active: 0,
		'Last Schedule': '<none>',
		Containers: 'tidy',
		Images: 'busybox',
		Selector: '<none>',
	});
	const status = { active: [{ name: 'a' }], lastScheduleTime: '2026-01-02T11:58:00Z' };
	t.like(cells({ ...cron({ suspend: true, timeZone: undefined }), status } as Dynamic, now), {
		Timezone: '<none>',
		Suspend: 'True',
		Active: 1,
		'Last Schedule': '2m',
	});
});

const healths: [string, Dynamic, HealthStatus, string][] = [
	['a Job that runs', plain(), 'Progressing', 'Waiting for the Job to complete'],
	[
		'a Job that has failed',
		{
			...plain(),
			status: { conditions: [isTrue('FailureTarget'), isTrue('Failed', { message: 'too often' })] },
		} as Dynamic,
		'Degraded',
		'too often',
	],
	[
		'a Job that is done',
		{ ...plain(), status: { conditions: [isTrue('Complete', { message: 'done' })] } } as Dynamic,
		'Healthy',
		'done',
	],
	[
		'a Job that is suspended',
		{ ...plain(), status: { conditions: [isTrue('Suspended')] } } as Dynamic,
		'Suspended',
		'Job is suspended',
	],
	[
		'a Job that was resumed',
		{ ...plain(), status: { conditions: [{ type: 'Suspended', status: 'False' }] } } as Dynamic,
		'Progressing',
		'Waiting for the Job to complete',
	],
	['a CronJob that waits', of('CronJob'), 'Healthy', 'CronJob has not been scheduled yet'],
	['a CronJob that is suspended', cron({ suspend: true }), 'Suspended', 'CronJob is Suspended'],
	[
		'a CronJob whose last Job failed',
		{
			...of('CronJob'),
			status: { lastScheduleTime: '2026-01-02T11:00:00Z', lastSuccessfulTime: '2026-01-02T10:00:05Z' },
		} as Dynamic,
		'Degraded',
		'CronJob has not completed its last execution successfully',
	],
	[
		'a CronJob whose last Job succeeded',
		{
			...of('CronJob'),
			status: { lastScheduleTime: '2026-01-02T11:00:00Z', lastSuccessfulTime: '2026-01-02T11:00:05Z' },
		} as Dynamic,
		'Healthy',
		'CronJob has completed its last execution successfully',
	],
	[
		'a CronJob of the 30th of February',
		cron({ schedule: '0 0 30 2 *' }),
		'Degraded',
		'invalid schedule: 0 0 30 2 * : it names a day that no month has, and never fires',
	],
	[
		'a CronJob of a zone that is known no more',
		cron({ timeZone: 'Europe/Atlantis' }),
		'Degraded',
		'invalid timeZone: "Europe/Atlantis": unknown time zone Europe/Atlantis',
	],
];
for (const [what, object, status, message] of healths)
	test(`${what} is ${status}`, (t) => {
		t.deepEqual(kindOf(object).health(object), { status, message });
	});

test('a schedule that never fires is warned of, one of which a part does is not', (t) => {
	const warnings = (schedule: string) => kindOf(of('CronJob')).warnings(cron({ schedule }), undefined);
	t.deepEqual(warnings('59 23 31 2 *'), [
		'spec.schedule: "59 23 31 2 *" names a day that no month has: it never fires',
	]);
	for (const schedule of ['0 0 29 2 *', '0 0 31 2,3 *', '0 0 30 2 MON', '0 0 31 * *'])
		t.deepEqual(warnings(schedule), [], schedule);
});

test('a CronJob of batch/v1beta1 is the same object', (t) => {
	const old = { ...of('CronJob'), apiVersion: 'batch/v1beta1' } as Dynamic;
	const kind = kindOf(old);
	const stored = kind.storedAs?.toStored(old);
	t.deepEqual(stored, of('CronJob') as object as typeof stored);
	t.deepEqual(stored && kind.storedAs?.fromStored(stored), old);
	t.deepEqual(admit(old).errors, []);
	t.is(cells(old).Schedule, '30 3 * * MON-FRI');
});
