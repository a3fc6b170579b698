/** kubectl top and an autoscaler on a real engine. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { type Platform, root, startPlatform } from '../testbed/platform.ts';

const PATIENCE_MS = 300_000;
let platform: Platform;

const busy = `apiVersion: v1
kind: Pod
metadata: { name: busy, labels: { app: top } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - { name: turning, image: driftless/example:1, imagePullPolicy: IfNotPresent, command: [sh, -c, "while :; do :; done"], resources: { limits: { cpu: 200m } } }
    - { name: resting, image: driftless/example:1, imagePullPolicy: IfNotPresent, command: [sleep, "3600"] }
---
apiVersion: v1
kind: Pod
metadata: { name: idle, labels: { app: top } }
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - { name: main, image: driftless/example:1, imagePullPolicy: IfNotPresent, command: [sleep, "3600"] }
`;

test.before(async (t) => {
	t.timeout(PATIENCE_MS);
	platform = await startPlatform();
	await platform.run('kubectl', ['apply', '-f', '-'], { input: busy });
	const waited = await platform.kubectl('wait', '--for=condition=Ready', 'pod', '-l', 'app=top', '--timeout=120s');
	t.is(waited.code, 0, waited.output);
});
test.after.always(() => platform?.[Symbol.asyncDispose]());

test.serial('kubectl top tells what nodes, pods and containers use, sorted by it', async (t) => {
	t.timeout(PATIENCE_MS);
	const { kubectl, until } = platform;
	const millicores = (line = '') => Number(/ (\d+)m /.exec(line)?.[1]);
	const sorted = await until(
		'both pods are measured, the busy one at what it may use',
		() => kubectl('top', 'pods', '-l', 'app=top', '--sort-by=cpu', '--no-headers'),
		({ stdout }) => /^busy .*\n^idle /m.test(stdout) && millicores(stdout) >= 50,
	);
	const [first, second] = sorted.stdout.split('\n');
	t.true(millicores(first) <= 300, sorted.stdout);
	t.true(millicores(second) < 50, sorted.stdout);
	const containers = await kubectl('top', 'pod', 'busy', '--containers', '--no-headers');
	t.regex(containers.stdout, /^busy +resting +\dm +\d+Mi +\n^busy +turning +\d+m +\d+Mi/m, containers.output);
	const nodes = await kubectl('top', 'nodes');
	t.regex(nodes.stdout, /^NAME +CPU\(cores\) .*\nnode-1 +\d+m +\d+% +\d+Mi +\d+%/m, nodes.output);
	const none = await kubectl('top', 'pod', 'nobody');
	t.regex(none.stderr, /pods.metrics.k8s.io "nobody" not found|pods "nobody" not found/);
	const table = await kubectl('get', 'pods.metrics.k8s.io', 'busy');
	t.regex(table.stdout, /^NAME +CPU +MEMORY +WINDOW\nbusy +\d+u? .* [\d.]+s/m, table.output);
});

test.serial('the figures of the parts, and of what objects are, are there for a Prometheus', async (t) => {
	t.timeout(PATIENCE_MS);
	const { kubectl } = platform;
	const { stdout: parts } = await kubectl('get', '--raw', '/metrics');
	t.regex(parts, /^scheduler_schedule_attempts_total\{profile="default-scheduler",result="scheduled"\} \d+$/m);
	t.regex(parts, /^scheduler_pending_pods\{queue="active"\} 0$/m);
	t.regex(parts, /^workqueue_adds_total\{name="horizontalpodautoscaler"\}/m);
	const { stdout: state } = await kubectl('get', '--raw', '/metrics/state');
	t.regex(state, /^argocd_app_info\{namespace="default",name="default",project="default",.*sync_status="\w+"/m);
	t.regex(state, /^kube_pod_info\{namespace="default",pod="busy",.*node="node-1"/m);
	t.regex(state, /^kube_node_info\{node="node-1",.*internal_ip="[\d.]+"\} 1$/m);
});

test.serial(
	'a Prometheus with the configuration of the documentation measures all of it, and knows its alerts',
	async (t) => {
		t.timeout(PATIENCE_MS);
		const { kubectl, run, until, folder } = platform;
		const place = join(folder, 'monitoring');
		await mkdir(place);
		const fields = {
			'ca.crt': '.clusters[0].cluster.certificate-authority-data',
			'admin.crt': '.users[0].user.client-certificate-data',
			'admin.key': '.users[0].user.client-key-data',
		};
		for (const [name, field] of Object.entries(fields)) {
			const { stdout } = await kubectl('config', 'view', '--raw', '-o', `jsonpath={${field}}`);
			await writeFile(join(place, name), Buffer.from(stdout, 'base64'));
		}
		await cp(join(root, 'docs/monitoring/alerts.yml'), join(place, 'alerts.yml'));
		const written = await readFile(join(root, 'docs/monitoring/prometheus.yml'), 'utf8');
		const config = join(place, 'prometheus.yml');
		await writeFile(
			config,
			written.replaceAll('/etc/driftless', place).replace('scrape_interval: 30s', 'scrape_interval: 2s'),
		);
		const running = run('timeout', [
			'240',
			'prometheus',
			`--config.file=${config}`,
			`--storage.tsdb.path=${place}/data`,
			'--web.listen-address=127.0.0.1:9090',
			'--web.enable-lifecycle',
		]);
		const ask = (path: string) => run('curl', ['-sS', `http://127.0.0.1:9090/api/v1/${path}`]);
		const up = await until(
			'all that it scrapes is up',
			() => ask('query?query=up'),
			({ stdout }) => (stdout.match(/"1"\]/g) ?? []).length === 5,
		);
		for (const job of ['apiserver', 'kube-state-metrics', 'kubelet', 'resource', 'cadvisor'])
			t.true(up.stdout.includes(`"job":"${job}"`), job);
		const rules = await until(
			'its rules are judged',
			() => ask('rules'),
			({ stdout }) => (stdout.match(/"health":"ok","evaluationTime"/g) ?? []).length === 9,
		);
		t.regex(rules.stdout, /"name":"KubePodCrashLooping"/);
		// What the rules ask for is there: a name that nobody tells would never fire.
		const alerts = await readFile(join(place, 'alerts.yml'), 'utf8');
		const lasting = ['kube_node_status_condition', 'kube_pod_status_phase', 'argocd_app_info', 'up'];
		for (const name of lasting) {
			t.true(alerts.includes(name));
			t.regex((await ask(`query?query=count(${name})`)).stdout, /"value":\[[\d.]+,"[1-9]\d*"\]/, name);
		}
		await run('curl', ['-sS', '-X', 'POST', 'http://127.0.0.1:9090/-/quit']);
		await running;
	},
);

test.serial('a pushed autoscaler makes replicas of a busy worker, and kubectl tells of it', async (t) => {
	t.timeout(PATIENCE_MS);
	const { kubectl, driftless, run, until, folder } = platform;
	const clone = join(folder, 'scaled');
	const git = async (...args: string[]) => t.is((await run('git', args, { cwd: clone })).code, 0, args.join(' '));
	await cp(join(root, 'manifests-example/autoscaling'), clone, { recursive: true });
	await git('init', '-q', '-b', 'main');
	await git('add', '-A');
	await git('commit', '-q', '-m', 'Scale the worker');
	await git('push', '-q', (await driftless('remote')).stdout.trim(), 'HEAD:main');
	const hpa = () => kubectl('-n', 'busy', 'get', 'hpa', 'worker');
	await until('the worker is measured', hpa, ({ stdout }) => /cpu: \d+%\/80% +1 +4 +1 /.test(stdout));
	const waited = await kubectl('-n', 'busy', 'wait', '--for=condition=ScalingActive', 'hpa/worker', '--timeout=60s');
	t.is(waited.code, 0, waited.output);
	const replicas = () => kubectl('-n', 'busy', 'get', 'deployment', 'worker', '-o', 'jsonpath={.status.readyReplicas}');
	t.is((await replicas()).stdout, '1');

	const on = await kubectl('-n', 'busy', 'exec', 'deployment/worker', '--', 'touch', '/work/on');
	t.is(on.code, 0, on.output);
	await until('a second worker runs', replicas, ({ stdout }) => Number(stdout) >= 2);
	const described = await kubectl('-n', 'busy', 'describe', 'hpa', 'worker');
	t.regex(
		described.stdout,
		/resource cpu on pods +\(as a percentage of request\): +\d+% \(\d+m\) \/ 80%/,
		described.output,
	);
	t.regex(described.stdout, /ScalingActive +True +ValidMetricFound/);
	t.regex(
		described.stdout,
		/SuccessfulRescale.*horizontal-pod-autoscaler +New size: \d; reason: cpu resource utilization/,
	);
	t.is((await driftless('diff', '--exit-code')).code, 0, 'what it has changed is no drift');

	const wrong = await kubectl('-n', 'busy', 'autoscale', 'deployment', 'worker', '--min=1', '--max=3', '--name=second');
	t.is(wrong.code, 0, wrong.output);
	const status = await until(
		'two autoscalers of one target are told of',
		() => kubectl('-n', 'busy', 'get', 'hpa', 'second', '-o', 'jsonpath={.status.conditions[*].reason}'),
		({ stdout }) => stdout.includes('AmbiguousSelector'),
	);
	t.truthy(status);
	await until(
		'the status of the application names it',
		() => driftless('status'),
		({ stdout }) =>
			/HorizontalPodAutoscaler.*worker.*Degraded|Degraded.*worker/s.test(stdout) &&
			/controlled by multiple HPAs/.test(stdout),
	);
});
