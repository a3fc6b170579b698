/** What people do to Jobs and CronJobs with the real kubectl, against the real API over HTTPS; only the nodes are played. */
import test, { type ExecutionContext } from 'ava';
import { createCache, inProcess } from '../../src/client/index.ts';
import { garbageCollector } from '../../src/reconcile/cleanup/garbage-collector.ts';
import { runControllers } from '../../src/reconcile/index.ts';
import { cronJob } from '../../src/reconcile/workloads/cronjob.ts';
import { job } from '../../src/reconcile/workloads/job.ts';
import { jobFinalizer } from '../../src/reconcile/workloads/job-finalizer.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { kubectl as connect } from '../testbed/kubectl.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { workers } from './workers.ts';

async function start(t: ExecutionContext) {
	const server = await serveTestApi();
	const stop = new AbortController();
	const { signal } = stop;
	const client = inProcess(server.api, admin);
	const cache = createCache(client, { signal, log: silentLog });
	const nodes = workers();
	const controllers = [job, jobFinalizer, cronJob, garbageCollector(), nodes.controller];
	const running = runControllers({ client, cache, controllers, log: silentLog, now: Date.now, signal });
	const kubectl = connect(server.kubeconfig);
	t.teardown(async () => {
		kubectl[Symbol.dispose]();
		stop.abort();
		await running;
		await cache[Symbol.asyncDispose]();
		await server[Symbol.asyncDispose]();
	});
	return {
		kubectl: (line: string, input?: string) => kubectl.ok(...line.split(' '), ...(input ? [{ input }] : [])),
		run: kubectl,
		nodes,
	};
}

const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'example:1' }] } };
const jobOf = (name: string, spec: object) =>
	JSON.stringify({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name }, spec: { template, ...spec } });

test('kubectl: create a job, wait for it, look at it, delete it with its pods', async (t) => {
	const { kubectl } = await start(t);
	t.is(await kubectl('create job once --image=example:1'), 'job.batch/once created\n');
	t.is(await kubectl('wait --for=condition=complete job/once --timeout=30s'), 'job.batch/once condition met\n');
	t.regex(
		await kubectl('get job once'),
		/NAME\s+STATUS\s+COMPLETIONS\s+DURATION\s+AGE\nonce\s+Complete\s+1\/1\s+\d+s\s+\d+s/,
	);
	t.regex(
		await kubectl('get job once -o wide'),
		/CONTAINERS\s+IMAGES\s+SELECTOR\n.*once\s+example:1\s+batch\.kubernetes\.io\/controller-uid=[-0-9a-f]{36}/,
	);
	const described = await kubectl('describe job once');
	for (const line of [
		/Parallelism:\s+1/,
		/Completions:\s+1/,
		/Completion Mode:\s+NonIndexed/,
		/Pods Statuses:\s+0 Active \(0 Ready\) \/ 1 Succeeded \/ 0 Failed/,
		/batch\.kubernetes\.io\/job-name=once/,
		/Normal\s+SuccessfulCreate\s.*job-controller\s+Created pod: once-\w{5}/,
		/Normal\s+Completed\s.*job-controller\s+Job completed/,
	])
		t.regex(described, line);
	t.regex(await kubectl('get pods -l job-name=once -o name'), /^pod\/once-\w{5}\n$/);
	t.regex(await kubectl('get jobs --field-selector=status.successful=1 -o name'), /job\.batch\/once/);
	t.is(await kubectl('delete job once'), 'job.batch "once" deleted\n');
	await kubectl('wait --for=delete pod -l job-name=once --timeout=30s');
	t.is(await kubectl('get pods -o name'), '');
});

test('kubectl: a job that fails says why, and one that is suspended waits', async (t) => {
	const { kubectl, nodes } = await start(t);
	nodes.exit = () => 7;
	await kubectl('create -f -', jobOf('bad', { backoffLimit: 0 }));
	await kubectl('wait --for=condition=failed job/bad --timeout=30s');
	t.regex(await kubectl('get job bad'), /bad\s+Failed\s+0\/1/);
	t.regex(
		await kubectl('describe job bad'),
		/Warning\s+BackoffLimitExceeded\s.*Job has reached the specified backoff limit/,
	);
	nodes.exit = () => 0;
	await kubectl('create -f -', jobOf('later', { suspend: true, completions: 3, completionMode: 'Indexed' }));
	await kubectl('wait --for=condition=suspended job/later --timeout=30s');
	t.regex(await kubectl('get job later'), /later\s+Suspended\s+0\/3/);
	await kubectl('patch job later --type=merge -p {"spec":{"suspend":false}}');
	await kubectl('wait --for=condition=complete job/later --timeout=30s');
	t.is(await kubectl('get job later -o jsonpath={.status.completedIndexes}'), '0-2');
});

test('kubectl: what a job is made of stays, and a delete may leave its pods', async (t) => {
	const { kubectl, run, nodes } = await start(t);
	nodes.exit = () => undefined;
	const manifest = jobOf('fixed', {});
	await kubectl('apply -f -', manifest);
	t.is(await kubectl('apply -f -', manifest), 'job.batch/fixed unchanged\n', 'what the server fills in is no change');
	t.is(await kubectl('apply --server-side --force-conflicts -f -', manifest), 'job.batch/fixed serverside-applied\n');
	const other = { spec: { template: { spec: { containers: [{ name: 'main', image: 'example:2' }] } } } };
	const { stderr } = await run('patch', 'job', 'fixed', '--type=merge', '-p', JSON.stringify(other));
	t.regex(stderr, /spec\.template: Invalid value: .*: field is immutable/s);
	await kubectl('wait --for=jsonpath={.status.ready}=1 job/fixed --timeout=30s');
	await kubectl('delete job fixed --cascade=orphan');
	const [pod] = (await kubectl('get pods -o jsonpath={.items[*].metadata.name}')).split(' ');
	t.is(await kubectl(`get pod ${pod} -o jsonpath={.metadata.ownerReferences}`), '');
});

test('kubectl: create a cron job, run it by hand, look at it, delete it with its jobs', async (t) => {
	const { kubectl, run } = await start(t);
	await kubectl(
		'create -f -',
		JSON.stringify({
			apiVersion: 'batch/v1',
			kind: 'CronJob',
			metadata: { name: 'nightly' },
			spec: { schedule: '0 3 * * *', timeZone: 'Europe/Zurich', jobTemplate: { spec: { template } } },
		}),
	);
	t.regex(
		await kubectl('get cronjob nightly'),
		/NAME\s+SCHEDULE\s+TIMEZONE\s+SUSPEND\s+ACTIVE\s+LAST SCHEDULE\s+AGE\nnightly\s+0 3 \* \* \*\s+Europe\/Zurich\s+False\s+0\s+<none>/,
	);
	await kubectl('create job now --from=cronjob/nightly');
	await kubectl('wait --for=condition=complete job/now --timeout=30s');
	t.is(
		await kubectl('get job now -o jsonpath={.metadata.annotations}'),
		'{"cronjob.kubernetes.io/instantiate":"manual"}',
	);
	t.regex(await kubectl('describe cj nightly'), /Schedule:\s+0 3 \* \* \*\n.*Concurrency Policy:\s+Allow/s);
	t.regex(await kubectl('get cronjobs.v1beta1.batch nightly -o jsonpath={.apiVersion}'), /batch\/v1beta1/);
	t.is(await kubectl('get cj nightly -o jsonpath={.apiVersion}'), 'batch/v1');

	const never = ['create', 'cronjob', 'pi', '--schedule=59 23 31 2 *', '--image=example:1', '--', '/bin/true'];
	const { stdout, stderr } = await run(...never);
	t.is(stdout, 'cronjob.batch/pi created\n');
	t.regex(stderr, /Warning: .*never fires/);
	t.regex(
		(await run('create', 'cronjob', 'bad', '--schedule=* * *', '--image=example:1')).stderr,
		/expected exactly 5 fields, found 3/,
	);

	await kubectl('delete cronjob nightly');
	await kubectl('wait --for=delete job/now --timeout=30s');
	t.is(await kubectl('get jobs -o name'), '');
});
