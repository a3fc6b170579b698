/** The Job controller against a real API and store; the nodes are played. */
import test, { type ExecutionContext } from 'ava';
import { Event, Job, jobCondition, jobEnd, Pod } from '../../src/kinds/index.ts';
import { job } from '../../src/reconcile/workloads/job.ts';
import { jobFinalizer } from '../../src/reconcile/workloads/job-finalizer.ts';
import { TRACKING } from '../../src/reconcile/workloads/job-pods.ts';
import { eventually, found, run, type World, world } from '../client/world.ts';
import { workers } from './workers.ts';

const name = { name: 'work', namespace: 'default' };
const template = {
	spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'example:1' }] },
};
const shape = (spec: Partial<Job['spec']>): Job => ({
	apiVersion: 'batch/v1',
	kind: 'Job',
	metadata: { ...name },
	spec: { template, ...spec },
});

async function start(t: ExecutionContext) {
	const w = await world(t);
	const nodes = workers();
	const running = run(t, w, [job, jobFinalizer, nodes.controller]);
	return { w, nodes, running };
}

/** The Job, once what is asked of it holds. */
const until = (w: World, holds: (job: Job) => unknown) =>
	eventually(w, [Job, Pod], async () => {
		const found = await w.client.get(Job, name);
		return holds(found) ? found : undefined;
	});
const ended = (w: World) => until(w, jobEnd);
const pods = async ({ client }: World) => (await client.list(Pod)).items;
const types = (job: Job) => job.status?.conditions?.map(({ type }) => type);
const patch = (w: World, body: object) => w.client.patch(Job, name, { type: 'merge', body });
/** Has the nodes look at their pods again. */
const touch = async (w: World, which: readonly Pod[]) => {
	for (const { metadata } of which)
		await w.client.patch(Pod, metadata, {
			type: 'merge',
			body: { metadata: { annotations: { touched: String(Math.random()) } } },
		});
};

test('a Job of many completions runs so many at once, and counts each', async (t) => {
	const { w, nodes } = await start(t);
	let most = 0;
	nodes.exit = () => {
		const working = [...w.cache.informer(Pod).list()].filter(({ status }) => status?.phase === 'Running').length;
		most = Math.max(most, working);
		return 0;
	};
	await w.client.create(Job, shape({ completions: 7, parallelism: 3 }));
	const done = await ended(w);
	t.like(done.status, { succeeded: 7, ready: 0, terminating: 0, uncountedTerminatedPods: {} });
	t.is(done.status?.active, undefined);
	t.deepEqual(types(done), ['SuccessCriteriaMet', 'Complete']);
	t.like(jobEnd(done), { reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' });
	t.truthy(done.status?.startTime);
	t.truthy(done.status?.completionTime);
	t.true(most <= 3, `${most} at once`);
	const all = await pods(w);
	t.is(all.length, 7);
	t.true(
		all.every(({ metadata }) => metadata.finalizers === undefined),
		'and no empty list is left',
	);
	t.true(all.every(({ metadata }) => /^work-[a-z0-9]{5}$/.test(metadata.name)));
	const events = await eventually(w, [Event], async () => {
		const { items } = await w.client.list(Event);
		return items.some(({ reason }) => reason === 'Completed') ? items : undefined;
	});
	t.true(events.some(({ reason, message }) => reason === 'Completed' && message === 'Job completed'));
});

test('an indexed Job gives each pod its index, its host name and its environment', async (t) => {
	const { w } = await start(t);
	await w.client.create(Job, shape({ completions: 4, parallelism: 2, completionMode: 'Indexed' }));
	const done = await ended(w);
	t.like(done.status, { succeeded: 4, completedIndexes: '0-3' });
	const all = (await pods(w)).toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
	t.deepEqual(
		all.map(({ metadata, spec }) => [
			metadata.annotations?.['batch.kubernetes.io/job-completion-index'],
			metadata.labels?.['batch.kubernetes.io/job-completion-index'],
			spec.hostname,
			metadata.name.slice(0, -5),
		]),
		['0', '1', '2', '3'].map((index) => [index, index, `work-${index}`, `work-${index}-`]),
	);
	t.like(all[0]?.spec.containers[0]?.env?.[0], {
		name: 'JOB_COMPLETION_INDEX',
		valueFrom: { fieldRef: { fieldPath: "metadata.labels['batch.kubernetes.io/job-completion-index']" } },
	});
});

test('a Job whose pods fail too often fails, and its other pods end', async (t) => {
	const { w, nodes } = await start(t);
	let first: string | undefined;
	nodes.exit = ({ metadata }) => {
		first ??= metadata.name;
		return metadata.name === first ? 3 : undefined;
	};
	await w.client.create(Job, shape({ completions: 3, parallelism: 3, backoffLimit: 0 }));
	const done = await ended(w);
	t.deepEqual(types(done), ['FailureTarget', 'Failed']);
	t.like(jobCondition(done, 'Failed'), {
		reason: 'BackoffLimitExceeded',
		message: 'Job has reached the specified backoff limit',
	});
	t.like(done.status, { failed: 3, ready: 0, terminating: 0, uncountedTerminatedPods: {} });
	t.deepEqual(
		(await pods(w)).map(({ metadata }) => metadata.name),
		[first ?? ''],
	);
	const events = await eventually(w, [Event], async () => {
		const { items } = await w.client.list(Event);
		return items.some(({ reason }) => reason === 'BackoffLimitExceeded') ? items : undefined;
	});
	t.is(events.filter(({ reason }) => reason === 'BackoffLimitExceeded').length, 1);
});

test('a failed pod is replaced after a wait', async (t) => {
	const w = await world(t);
	const nodes = workers();
	let ms = Date.parse('2030-01-01T00:00:00Z');
	const now = () => ms;
	nodes.exit = () => 1;
	const running = run(t, w, [job, jobFinalizer, nodes.controller], now);
	await w.client.create(Job, shape({ backoffLimit: 3 }));
	await until(w, ({ status }) => status?.failed === 1 && !status.active);
	t.is((await pods(w)).length, 1, 'the second waits for ten seconds');
	ms += 9_000;
	await patch(w, { metadata: { annotations: { a: '1' } } });
	await until(w, ({ metadata }) => metadata.annotations?.a === '1');
	t.is((await pods(w)).length, 1);
	ms += 1_000;
	nodes.exit = () => 0;
	await patch(w, { metadata: { annotations: { a: '2' } } });
	const done = await ended(w);
	t.like(done.status, { failed: 1, succeeded: 1 });
	await running.stop();
});

test('a Job past its deadline fails with what it has', async (t) => {
	const w = await world(t);
	const nodes = workers();
	nodes.exit = () => undefined;
	let ms = Date.parse('2030-01-01T00:00:00Z');
	run(t, w, [job, jobFinalizer, nodes.controller], () => ms);
	await w.client.create(Job, shape({ parallelism: 2, activeDeadlineSeconds: 30 }));
	await until(w, ({ status }) => status?.active === 2 && status.ready === 2);
	ms += 31_000;
	await patch(w, { metadata: { annotations: { a: '1' } } });
	const done = await ended(w);
	t.like(jobCondition(done, 'Failed'), {
		reason: 'DeadlineExceeded',
		message: 'Job was active longer than specified deadline',
	});
	t.like(done.status, { failed: 2 });
	t.deepEqual(await pods(w), []);
});

test('a Job that is suspended loses its pods without counting them, and begins anew when it is resumed', async (t) => {
	const w = await world(t);
	const nodes = workers();
	nodes.exit = () => undefined;
	let ms = Date.parse('2030-01-01T00:00:00Z');
	run(t, w, [job, jobFinalizer, nodes.controller], () => ms);
	await w.client.create(Job, shape({ completions: 2, parallelism: 2, activeDeadlineSeconds: 100 }));
	await until(w, ({ status }) => status?.ready === 2);
	await patch(w, { spec: { suspend: true } });
	const suspended = await until(w, (each) => jobCondition(each, 'Suspended') && !each.status?.terminating);
	t.like(suspended.status, { ready: 0 });
	t.is(suspended.status?.failed, undefined);
	t.deepEqual(await pods(w), []);
	ms += 200_000;
	await patch(w, { spec: { suspend: false } });
	const resumed = await until(w, ({ status }) => status?.ready === 2);
	t.is(resumed.status?.startTime, '2030-01-01T00:03:20Z', 'its time has begun anew');
	t.like(resumed.status?.conditions?.[0], { type: 'Suspended', status: 'False', reason: 'JobResumed' });
	nodes.exit = () => 0;
	await touch(w, await pods(w));
	t.like((await ended(w)).status, { succeeded: 2 });
});

test('a Job that is created suspended makes no pods, and does not begin', async (t) => {
	const { w } = await start(t);
	await w.client.create(Job, shape({ suspend: true }));
	const suspended = await until(w, (each) => jobCondition(each, 'Suspended'));
	t.is(suspended.status?.startTime, undefined);
	t.deepEqual(await pods(w), []);
	await patch(w, { spec: { suspend: false } });
	t.like((await ended(w)).status, { succeeded: 1 });
});

test('one pod that succeeds ends a queue of work, when the others have ended', async (t) => {
	const { w, nodes } = await start(t);
	nodes.exit = () => undefined;
	await w.client.create(Job, shape({ parallelism: 3, completions: undefined }));
	await until(w, ({ status }) => status?.ready === 3);
	const [first, ...others] = await pods(w);
	nodes.exit = ({ metadata }) => (metadata.name === first?.metadata.name ? 0 : undefined);
	await touch(w, first ? [first] : []);
	const one = await until(w, ({ status }) => status?.succeeded === 1);
	t.is(one.status?.active, 2);
	t.is(jobEnd(one), undefined);
	nodes.exit = () => 0;
	await touch(w, others);
	t.like((await ended(w)).status, { succeeded: 3 });
});

test('an index that fails too often fails alone, and the Job with it at the end', async (t) => {
	const { w, nodes } = await start(t);
	nodes.exit = ({ metadata }) => (metadata.annotations?.['batch.kubernetes.io/job-completion-index'] === '1' ? 1 : 0);
	await w.client.create(
		Job,
		shape({ completions: 3, parallelism: 3, completionMode: 'Indexed', backoffLimitPerIndex: 0 }),
	);
	const done = await ended(w);
	t.like(done.status, { succeeded: 2, failed: 1, completedIndexes: '0,2', failedIndexes: '1' });
	t.like(jobCondition(done, 'Failed'), { reason: 'FailedIndexes', message: 'Job has failed indexes' });
});

test('a pod that takes the place of another carries on the failures of its index', async (t) => {
	const w = await world(t);
	const nodes = workers();
	let ms = Date.parse('2030-01-01T00:00:00Z');
	nodes.exit = ({ metadata }) =>
		metadata.annotations?.['batch.kubernetes.io/job-index-failure-count'] === '2' ? 0 : 1;
	run(t, w, [job, jobFinalizer, nodes.controller], () => ms);
	await w.client.create(Job, shape({ completions: 1, completionMode: 'Indexed', backoffLimitPerIndex: 2 }));
	for (const failures of [1, 2]) {
		await eventually(w, [Pod], async () =>
			(await pods(w)).filter(({ status }) => status?.phase === 'Failed').length === failures ? true : undefined,
		);
		const held = (await pods(w)).filter(({ metadata }) => metadata.finalizers?.includes(TRACKING));
		t.is(held.length, 1, 'the last one is kept for its count');
		ms += 60_000;
		await patch(w, { metadata: { annotations: { a: String(failures) } } });
	}
	t.like((await ended(w)).status, { succeeded: 1, failed: 2, completedIndexes: '0', failedIndexes: '' });
});

test('a rule of failures fails the Job at once, ignores, or fails the index', async (t) => {
	const { w, nodes } = await start(t);
	nodes.exit = () => 42;
	await w.client.create(
		Job,
		shape({
			podFailurePolicy: {
				rules: [{ action: 'FailJob', onExitCodes: { containerName: 'main', operator: 'In', values: [42] } }],
			},
		}),
	);
	const done = await ended(w);
	const [pod] = await pods(w);
	t.like(jobCondition(done, 'Failed'), {
		reason: 'PodFailurePolicy',
		message: `Container main for pod default/${pod?.metadata.name} failed with exit code 42 matching FailJob rule at index 0`,
	});
	t.like(done.status, { failed: 1 });
});

test('what the policy of success asks for is enough, and the rest ends without failing', async (t) => {
	const { w, nodes } = await start(t);
	nodes.exit = ({ metadata }) =>
		metadata.annotations?.['batch.kubernetes.io/job-completion-index'] === '0' ? 0 : undefined;
	await w.client.create(
		Job,
		shape({
			completions: 3,
			parallelism: 3,
			completionMode: 'Indexed',
			successPolicy: { rules: [{ succeededIndexes: '0' }] },
		}),
	);
	const done = await ended(w);
	t.deepEqual(types(done), ['SuccessCriteriaMet', 'Complete']);
	t.like(jobEnd(done), { reason: 'SuccessPolicy', message: 'Matched rules at index 0' });
	t.like(done.status, { succeeded: 1, completedIndexes: '0', terminating: 0 });
	t.is(done.status?.failed, undefined);
});

test('a pod is replaced when it has ended, where the Job says so', async (t) => {
	const { w, nodes } = await start(t);
	nodes.exit = () => undefined;
	nodes.ends = () => false;
	await w.client.create(Job, shape({ podReplacementPolicy: 'Failed' }));
	await until(w, ({ status }) => status?.ready === 1);
	const [pod] = await pods(w);
	if (!pod) return t.fail();
	await w.client.bind({ ...pod.metadata }, 'n1');
	await w.client.delete(Pod, pod.metadata);
	const waiting = await until(w, ({ status }) => status?.terminating === 1);
	t.is(waiting.status?.active, undefined);
	t.is((await pods(w)).length, 1);
	nodes.ends = () => true;
	nodes.exit = () => 0;
	await touch(w, await pods(w));
	await until(w, ({ status }) => status?.failed === 1 && !status.terminating);
	t.is(await found(w.client.get(Pod, pod.metadata)), undefined);
});

test('a Job of another manager is left alone', async (t) => {
	const { w } = await start(t);
	await w.client.create(Job, shape({ managedBy: 'acme.io/other' }));
	await w.client.create(Job, { ...shape({}), metadata: { ...name, name: 'own' } });
	await eventually(w, [Job], async () => jobEnd(await w.client.get(Job, { ...name, name: 'own' })));
	t.deepEqual((await w.client.get(Job, name)).status, {});
	t.is((await pods(w)).length, 1);
});

test('pods of a Job that is gone are let go', async (t) => {
	const { w, nodes } = await start(t);
	nodes.exit = () => undefined;
	await w.client.create(Job, shape({ parallelism: 2 }));
	await until(w, ({ status }) => status?.ready === 2);
	await w.client.delete(Job, name, { propagationPolicy: 'Background' });
	await eventually(w, [Pod], async () =>
		(await pods(w)).every(({ metadata }) => !metadata.finalizers?.includes(TRACKING)) ? true : undefined,
	);
	t.is((await pods(w)).length, 2);
});

test('a Job with a selector of its own takes over pods that match, and counts them', async (t) => {
	const { w, nodes } = await start(t);
	nodes.exit = () => undefined;
	const labels = { app: 'taken' };
	const made = await w.client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name: 'there', namespace: 'default', labels },
		spec: template.spec,
	});
	await w.client.create(
		Job,
		shape({ manualSelector: true, selector: { matchLabels: labels }, template: { ...template, metadata: { labels } } }),
	);
	await until(w, ({ status }) => status?.active === 1);
	const [pod] = await pods(w);
	t.is(pod?.metadata.uid, made.metadata.uid);
	t.true(pod?.metadata.finalizers?.includes(TRACKING));
	nodes.exit = () => 0;
	await touch(w, pod ? [pod] : []);
	t.like((await ended(w)).status, { succeeded: 1 });
});
