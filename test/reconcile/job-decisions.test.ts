/** What a Job decides: its indexes, its counts, its verdict, its pods. Times are seconds before NOW. */

import test from 'ava';
import type { JobSpec, JobStatus } from 'kubernetes-types/batch/v1.js';
import {
	countIndexes,
	formatIndexes,
	hasIndex,
	type Job,
	type Pod,
	parseIndexes,
	readIndexes,
	withIndexes,
} from '../../src/kinds/index.ts';
import { backoffOf } from '../../src/reconcile/workloads/job-backoff.ts';
import { countPods, MOST_UNCOUNTED, settled } from '../../src/reconcile/workloads/job-count.ts';
import { failureOf } from '../../src/reconcile/workloads/job-failure-policy.ts';
import { lookAt } from '../../src/reconcile/workloads/job-look.ts';
import { planJob } from '../../src/reconcile/workloads/job-plan.ts';
import { podsOf } from '../../src/reconcile/workloads/job-pod.ts';
import { TRACKING } from '../../src/reconcile/workloads/job-pods.ts';
import { verdictOf } from '../../src/reconcile/workloads/job-verdict.ts';
import fc from '../testbed/fast-check.ts';
import { ago, NOW } from './workloads.ts';

const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'example:1' }] } };
const job = (spec: Partial<JobSpec> = {}, status: JobStatus = {}): Job => ({
	apiVersion: 'batch/v1',
	kind: 'Job',
	metadata: { name: 'work', namespace: 'default', uid: 'uid-work' },
	spec: { completions: 1, parallelism: 1, backoffLimit: 6, template, ...spec },
	status: { startTime: ago(1000), ...status },
});
const indexed = (completions: number, spec: Partial<JobSpec> = {}, status: JobStatus = {}) =>
	job({ completionMode: 'Indexed', completions, parallelism: completions, ...spec }, status);

interface Shape {
	phase?: string;
	index?: number;
	/** Whether it has been counted. */
	counted?: boolean;
	terminating?: boolean;
	/** Ended so many seconds ago. */
	ended?: number;
	code?: number;
	failures?: number;
	conditions?: { type: string; status: string }[];
	restarts?: number;
}
const pod = (name: string, shape: Shape = {}): Pod => {
	const {
		phase = 'Running',
		index,
		counted,
		terminating,
		ended = 100,
		code,
		failures,
		conditions,
		restarts = 0,
	} = shape;
	const exitCode = code ?? (phase === 'Succeeded' ? 0 : phase === 'Failed' ? 1 : undefined);
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: {
			name,
			namespace: 'default',
			uid: name,
			creationTimestamp: ago(500),
			annotations: {
				...(index !== undefined && { 'batch.kubernetes.io/job-completion-index': String(index) }),
				...(failures !== undefined && { 'batch.kubernetes.io/job-index-failure-count': String(failures) }),
			},
			...(!counted && { finalizers: [TRACKING] }),
			...(terminating && { deletionTimestamp: ago(1) }),
		},
		spec: template.spec,
		status: {
			phase,
			conditions,
			containerStatuses: [
				{
					name: 'main',
					image: '',
					imageID: '',
					ready: false,
					restartCount: restarts,
					state: exitCode === undefined ? {} : { terminated: { exitCode, finishedAt: ago(ended) } },
				},
			],
		},
	};
};
const failed = (name: string, shape: Shape = {}) => pod(name, { phase: 'Failed', ...shape });
const succeeded = (name: string, shape: Shape = {}) => pod(name, { phase: 'Succeeded', ...shape });
const policy = (...rules: NonNullable<JobSpec['podFailurePolicy']>['rules']) => ({ podFailurePolicy: { rules } });
const codes = (action: string, operator: string, values: number[], containerName?: string) => ({
	action,
	onExitCodes: { operator, values, ...(containerName && { containerName }) },
});

test('indexes are read, written, joined and found', (t) => {
	for (const [text, count] of [
		['', 0],
		['0', 1],
		['0,1', 2],
		['1,3-5,7', 5],
		['0-99', 100],
	] as const) {
		t.is(countIndexes(parseIndexes(text, 100)), count);
		t.is(formatIndexes(parseIndexes(text, 100)), text);
	}
	t.is(formatIndexes(withIndexes(parseIndexes('1,3-5', 10), [2, 7, 3])), '1-5,7');
	t.is(formatIndexes(readIndexes('0-3,9,x,5', 6)), '0-3,5', 'what is beyond or nothing is left out');
	for (const text of ['3-1', '1,1', '6', '-1', '1--2', ' 1', '1,'])
		t.throws(() => parseIndexes(text, 6), { instanceOf: RangeError }, text);
});

test('a set of indexes is what was put into it', (t) => {
	const numbers = fc.array(fc.integer({ min: 0, max: 60 }));
	fc.assert(
		fc.property(numbers, numbers, (one, other) => {
			const all = new Set([...one, ...other]);
			const set = withIndexes(withIndexes([], one), other);
			t.is(countIndexes(set), all.size);
			t.deepEqual(parseIndexes(formatIndexes(set), 61), set);
			for (let index = 0; index < 62; index++) if (hasIndex(set, index) !== all.has(index)) return false;
			return true;
		}),
	);
});

const failures: [string, Job, Pod, object][] = [
	['no policy', job(), failed('a'), { counts: true }],
	['a code that is named', job(policy(codes('Ignore', 'In', [1]))), failed('a'), { counts: false }],
	['a code that is not', job(policy(codes('Ignore', 'In', [2]))), failed('a'), { counts: true }],
	[
		'a code that is none of those named',
		job(policy(codes('FailIndex', 'NotIn', [2]))),
		failed('a'),
		{ failsIndex: true },
	],
	[
		'success, which is no failure',
		job(policy(codes('Ignore', 'NotIn', [2]))),
		failed('a', { code: 0 }),
		{ counts: true },
	],
	['another container', job(policy(codes('Ignore', 'In', [1], 'other'))), failed('a'), { counts: true }],
	[
		'the first rule that matches',
		job(policy(codes('Count', 'In', [1]), codes('FailJob', 'In', [1]))),
		failed('a'),
		{ counts: true, failsJob: undefined },
	],
	[
		'a disruption',
		job(policy({ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] })),
		failed('a', { conditions: [{ type: 'DisruptionTarget', status: 'True' }] }),
		{ counts: false },
	],
	[
		'a disruption that was none',
		job(policy({ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] })),
		failed('a', { conditions: [{ type: 'DisruptionTarget', status: 'False' }] }),
		{ counts: true },
	],
	[
		'a condition that fails the Job',
		job(policy({ action: 'FailJob', onPodConditions: [{ type: 'ConfigIssue', status: 'True' }] })),
		failed('a', { conditions: [{ type: 'ConfigIssue', status: 'True' }] }),
		{ failsJob: 'Pod default/a has condition ConfigIssue matching FailJob rule at index 0' },
	],
	[
		'an action of the future',
		job(policy(codes('Postpone', 'In', [1]))),
		failed('a'),
		{ counts: true, failsIndex: false },
	],
];
for (const [what, of, which, expected] of failures)
	test(`a failure is judged by ${what}`, (t) => {
		t.like(failureOf(which, of), expected);
	});

const waits: [string, Pod[], number][] = [
	['nothing has failed', [succeeded('a')], 0],
	['one has just failed', [failed('a', { ended: 0 })], 10],
	['one has failed a while ago', [failed('a', { ended: 4 })], 6],
	['two have failed', [failed('a', { ended: 15 }), failed('b', { ended: 5 })], 15],
	['one has succeeded since', [failed('a', { ended: 5 }), succeeded('b', { ended: 4 })], 0],
	[
		'one has failed since the last success',
		[failed('a', { ended: 9 }), succeeded('b', { ended: 8 }), failed('c', { ended: 1 })],
		9,
	],
	['very many have failed', Array.from({ length: 20 }, (_, n) => failed(`p${n}`, { ended: 0 })), 600],
	['the clock was set back', [failed('a', { ended: -5000 })], 10],
];
for (const [what, pods, seconds] of waits)
	test(`a Job waits ${seconds} s when ${what}`, (t) => {
		t.is(backoffOf(job(), pods, NOW), seconds * 1000);
	});

const verdicts: [string, Job, Pod[], string | undefined][] = [
	['it works', job(), [pod('a')], undefined],
	['all have succeeded', job({}, { succeeded: 1 }), [succeeded('a', { counted: true })], 'CompletionsReached'],
	[
		'all have succeeded, and are not counted yet',
		job({ completions: 2 }),
		[succeeded('a'), succeeded('b')],
		'CompletionsReached',
	],
	['enough have succeeded, and one too many runs', job({}, { succeeded: 1 }), [pod('b')], undefined],
	['nothing is to be done', job({ completions: 0 }), [], 'CompletionsReached'],
	[
		'one of a queue has succeeded, and one runs',
		job({ completions: undefined, parallelism: 2 }),
		[succeeded('a'), pod('b')],
		undefined,
	],
	[
		'one of a queue has succeeded, and none runs',
		job({ completions: undefined, parallelism: 2 }),
		[succeeded('a'), failed('b')],
		'CompletionsReached',
	],
	['as many have failed as may', job({ backoffLimit: 2 }, { failed: 1 }), [failed('a')], undefined],
	['one more has failed than may', job({ backoffLimit: 1 }, { failed: 1 }), [failed('a')], 'BackoffLimitExceeded'],
	[
		'one is counted among those that failed',
		job({ backoffLimit: 1 }, { failed: 1, uncountedTerminatedPods: { failed: ['a'] } }),
		[failed('a')],
		'BackoffLimitExceeded',
	],
	[
		'one that failed is ignored',
		job({ backoffLimit: 0, ...policy(codes('Ignore', 'In', [1])) }),
		[failed('a')],
		undefined,
	],
	['one failed as none may', job({ ...policy(codes('FailJob', 'In', [1])) }), [failed('a')], 'PodFailurePolicy'],
	['its time is up', job({ activeDeadlineSeconds: 1000 }), [pod('a')], 'DeadlineExceeded'],
	['its time is up while it is suspended', job({ activeDeadlineSeconds: 1000, suspend: true }), [], undefined],
	[
		'its time was up before it was resumed',
		job({ activeDeadlineSeconds: 1000, suspend: false }, { conditions: [{ type: 'Suspended', status: 'True' }] }),
		[],
		undefined,
	],
	[
		'containers were restarted too often',
		job({ backoffLimit: 3, template: { spec: { ...template.spec, restartPolicy: 'OnFailure' } } }),
		[pod('a', { restarts: 3 })],
		'BackoffLimitExceeded',
	],
	[
		'an index has failed, and others work',
		indexed(2, { backoffLimitPerIndex: 0 }),
		[failed('a', { index: 0 }), pod('b', { index: 1 })],
		undefined,
	],
	[
		'an index has failed, and all others are done',
		indexed(2, { backoffLimitPerIndex: 0 }),
		[failed('a', { index: 0 }), succeeded('b', { index: 1 })],
		'FailedIndexes',
	],
	[
		'more indexes have failed than may',
		indexed(9, { backoffLimitPerIndex: 0, maxFailedIndexes: 1 }, { failedIndexes: '5' }),
		[failed('a', { index: 0 })],
		'MaxFailedIndexesExceeded',
	],
	[
		'an index may fail again',
		indexed(1, { backoffLimitPerIndex: 2 }),
		[failed('a', { index: 0, failures: 1 })],
		undefined,
	],
	[
		'success asks for some',
		indexed(
			9,
			{ successPolicy: { rules: [{ succeededIndexes: '0-2', succeededCount: 2 }] } },
			{ completedIndexes: '1' },
		),
		[succeeded('a', { index: 2 })],
		'SuccessPolicy',
	],
	[
		'success asks for others',
		indexed(9, { successPolicy: { rules: [{ succeededIndexes: '0-2' }, { succeededCount: 3 }] } }),
		[succeeded('a', { index: 2 })],
		undefined,
	],
	[
		'it failed before, whatever has succeeded since',
		job({}, { conditions: [{ type: 'FailureTarget', status: 'True', reason: 'DeadlineExceeded' }] }),
		[succeeded('a')],
		'DeadlineExceeded',
	],
	[
		'it succeeded before, whatever has failed since',
		job({ backoffLimit: 0 }, { conditions: [{ type: 'SuccessCriteriaMet', status: 'True', reason: 'SuccessPolicy' }] }),
		[failed('a')],
		'SuccessPolicy',
	],
];
for (const [what, of, pods, reason] of verdicts)
	test(`the verdict is ${reason ?? 'open'} when ${what}`, (t) => {
		t.is(verdictOf(lookAt(of, pods), NOW)?.reason, reason);
	});

const plans: [string, Job, Pod[], { create?: number | number[]; remove?: string[]; after?: number }][] = [
	['a new Job', job({ completions: 5, parallelism: 2 }), [], { create: 2 }],
	['few are left to do', job({ completions: 5, parallelism: 3 }, { succeeded: 4 }), [], { create: 1 }],
	[
		'one has succeeded, and is not counted yet',
		job({ completions: 2, parallelism: 2 }),
		[succeeded('a'), pod('b')],
		{},
	],
	['a queue of work', job({ completions: undefined, parallelism: 3 }), [pod('a')], { create: 2 }],
	['a queue of work that is done', job({ completions: undefined, parallelism: 3 }), [pod('a'), succeeded('b')], {}],
	['none at once', job({ parallelism: 0 }), [], {}],
	[
		'fewer at once than there are',
		job({ completions: 5, parallelism: 1 }),
		[pod('a'), pod('b', { phase: 'Pending' })],
		{ remove: ['b'] },
	],
	['a suspended Job', job({ suspend: true }), [pod('a')], { remove: ['a'] }],
	['a pod that nobody would count', job(), [pod('a', { counted: true })], { remove: ['a'] }],
	['a pod that is being deleted', job(), [pod('a', { terminating: true })], { after: 600 }],
	[
		'a pod that is being deleted, and is waited for',
		job({ podReplacementPolicy: 'Failed' }),
		[pod('a', { terminating: true })],
		{},
	],
	['after a failure', job(), [failed('a', { ended: 3 })], { after: 7 }],
	['very many', job({ completions: 5000, parallelism: 5000 }), [], { create: 500 }],
	['indexes', indexed(4, { parallelism: 2 }, { completedIndexes: '1' }), [pod('a', { index: 0 })], { create: [2] }],
	[
		'the same index twice',
		indexed(2),
		[pod('a', { index: 0 }), pod('b', { index: 0, phase: 'Pending' })],
		{ remove: ['b'] },
	],
	['an index that is none', indexed(2), [pod('a', { index: 7 })], { remove: ['a'] }],
	[
		'indexes of which one has failed',
		indexed(3, { backoffLimitPerIndex: 0 }, { failedIndexes: '1' }),
		[],
		{ create: [0, 2] },
	],
	[
		'indexes, each with a wait of its own',
		indexed(3, { backoffLimitPerIndex: 5 }),
		[failed('a', { index: 1, ended: 4, failures: 0 }), failed('b', { index: 2, ended: 4, failures: 1 })],
		{ create: [0], after: 6 },
	],
	[
		'an index whose pod is being deleted, and is waited for',
		indexed(2, { podReplacementPolicy: 'Failed', parallelism: 2 }),
		[pod('a', { index: 0, terminating: true })],
		{ create: [1] },
	],
];
for (const [what, of, pods, expected] of plans)
	test(`pods are made and taken back: ${what}`, (t) => {
		const plan = planJob(lookAt(of, pods), NOW);
		const { create = 0, remove = [], after } = expected;
		if (typeof create === 'number') t.is(plan.create.length, create);
		else
			t.deepEqual(
				plan.create.map(({ index }) => index),
				create,
			);
		t.deepEqual(
			plan.remove.map(({ metadata }) => metadata.name),
			remove,
		);
		t.is(plan.after, expected.after === 600 ? plan.after : after && after * 1000);
		t.is(plan.after !== undefined, after !== undefined);
	});

const counts: [string, Job, Pod[], object, string[]][] = [
	['nothing has ended', job(), [pod('a')], { uncountedTerminatedPods: {} }, []],
	[
		'pods have ended',
		job(),
		[succeeded('a'), failed('b'), pod('c')],
		{ uncountedTerminatedPods: { succeeded: ['a'], failed: ['b'] } },
		['a', 'b'],
	],
	[
		'they are written down',
		job({}, { uncountedTerminatedPods: { succeeded: ['a'] } }),
		[succeeded('a')],
		{ uncountedTerminatedPods: { succeeded: ['a'] } },
		['a'],
	],
	[
		'their finalizers are gone',
		job({}, { succeeded: 3, uncountedTerminatedPods: { succeeded: ['a', 'gone'], failed: ['b'] } }),
		[succeeded('a', { counted: true }), failed('b')],
		{ succeeded: 5, uncountedTerminatedPods: { failed: ['b'] } },
		['b'],
	],
	[
		'they were counted',
		job({}, { succeeded: 1 }),
		[succeeded('a', { counted: true })],
		{ succeeded: 1, uncountedTerminatedPods: {} },
		[],
	],
	[
		'a pod that was to fail has succeeded',
		job({}, { uncountedTerminatedPods: { failed: ['a'] } }),
		[succeeded('a')],
		{ uncountedTerminatedPods: { failed: ['a'] } },
		['a'],
	],
	[
		'a failure is ignored',
		job(policy(codes('Ignore', 'In', [1]))),
		[failed('a')],
		{ uncountedTerminatedPods: {} },
		['a'],
	],
	[
		'indexes have succeeded',
		indexed(4, {}, { completedIndexes: '0', succeeded: 1 }),
		[succeeded('a', { index: 1 }), succeeded('b', { index: 0 })],
		{ succeeded: 2, completedIndexes: '0,1', uncountedTerminatedPods: {} },
		['a', 'b'],
	],
	[
		'an index that is none has succeeded',
		indexed(2),
		[succeeded('a', { index: 5 })],
		{ uncountedTerminatedPods: {} },
		['a'],
	],
	[
		'a failed pod waits for its replacement',
		indexed(2, { backoffLimitPerIndex: 2 }),
		[failed('a', { index: 0 })],
		{ uncountedTerminatedPods: {}, failedIndexes: '' },
		[],
	],
	[
		'its replacement is there',
		indexed(2, { backoffLimitPerIndex: 2 }),
		[failed('a', { index: 0 }), pod('b', { index: 0, failures: 1 })],
		{ uncountedTerminatedPods: { failed: ['a'] } },
		['a'],
	],
	[
		'the Job fails',
		job({ backoffLimit: 0 }),
		[failed('a'), pod('b')],
		{ uncountedTerminatedPods: { failed: ['a', 'b'] } },
		['a', 'b'],
	],
	[
		'the Job succeeds',
		indexed(2, { successPolicy: { rules: [{ succeededCount: 1 }] } }),
		[succeeded('a', { index: 0 }), pod('b', { index: 1 }), pod('c', { index: 1, terminating: true })],
		{ completedIndexes: '0', uncountedTerminatedPods: {} },
		['a', 'b', 'c'],
	],
];
for (const [what, of, pods, status, release] of counts)
	test(`pods are counted when ${what}`, (t) => {
		const look = lookAt(of, pods);
		const count = countPods(look, verdictOf(look, NOW));
		t.like(count.status, status);
		t.deepEqual(
			count.release.map(({ metadata }) => metadata.name),
			release,
		);
		t.true(count.complete);
	});

test('a status holds so many uids and no more', (t) => {
	const many = Array.from({ length: MOST_UNCOUNTED + 7 }, (_, n) => succeeded(`p${n}`));
	const count = countPods(lookAt(job({ completions: 1000 }), many), undefined);
	t.is(count.status.uncountedTerminatedPods?.succeeded?.length, MOST_UNCOUNTED);
	t.is(count.release.length, MOST_UNCOUNTED);
	t.false(count.complete);
});

test('whatever breaks off when, each pod is counted once', (t) => {
	// Of each pod: whether its status is written, whether its finalizer is gone. A look may break off after any write.
	const breaks = fc.array(fc.nat({ max: 3 }), { minLength: 30, maxLength: 30 });
	const ends = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 });
	fc.assert(
		fc.property(ends, breaks, (good, where) => {
			let of = job({ completions: 100, parallelism: 100, backoffLimit: 100 });
			const tracked = new Map(good.map((well, n) => [`p${n}`, well]));
			const counted = new Set<string>();
			for (const stop of [...where, 9, 9, 9]) {
				const pods = good.map((well, n) => (well ? succeeded : failed)(`p${n}`, { counted: !tracked.has(`p${n}`) }));
				const count = countPods(lookAt(of, pods), undefined);
				if (stop === 0) continue;
				of = { ...of, status: count.status };
				const freed = count.release.slice(0, stop === 1 ? 0 : stop === 2 ? 1 : undefined);
				for (const { metadata } of freed) {
					tracked.delete(metadata.uid ?? '');
					counted.add(metadata.uid ?? '');
				}
				if (stop <= 2) continue;
				of = { ...of, status: settled(count.status, new Set(tracked.keys())) };
			}
			const wanted = { succeeded: good.filter(Boolean).length, failed: good.filter((each) => !each).length };
			return (
				counted.size === good.length &&
				(of.status?.succeeded ?? 0) === wanted.succeeded &&
				(of.status?.failed ?? 0) === wanted.failed &&
				JSON.stringify(of.status?.uncountedTerminatedPods) === '{}'
			);
		}),
	);
	t.pass();
});

test('the names of pods follow from the Job, so that a second attempt finds those of the first', (t) => {
	const slots = Array.from({ length: 200 }, () => ({}));
	const first = podsOf(job(), slots, () => false).map(({ metadata }) => metadata.name);
	t.is(new Set(first).size, 200);
	t.true(first.every((name) => /^work-[a-z0-9]{5}$/.test(name)));
	const seen = new Set(first.filter((_, n) => n % 3 === 0));
	const again = podsOf(job(), slots.slice(seen.size), (name) => seen.has(name)).map(({ metadata }) => metadata.name);
	t.deepEqual(
		again,
		first.filter((name) => !seen.has(name)),
	);
	const other = { ...job(), metadata: { ...job().metadata, uid: 'uid-other' } };
	t.true(podsOf(other, slots, () => false).every(({ metadata }) => !first.includes(metadata.name)));
});

test('the base of a long name is cut, and an index is not', (t) => {
	const long = { ...indexed(2), metadata: { name: 'x'.repeat(61), namespace: 'default', uid: 'u' } };
	const [pod] = podsOf(long, [{ index: 1 }], () => false);
	t.regex(pod?.metadata.name ?? '', /^x{55}-1-[a-z0-9]{5}$/);
});
