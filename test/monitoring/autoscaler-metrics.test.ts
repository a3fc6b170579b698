/** What autoscalers scale by beside processors and memory, asked of a real Prometheus. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import { inProcess } from '../../src/client/index.ts';
import { ConfigMap, Deployment, HorizontalPodAutoscaler, Namespace, Pod } from '../../src/kinds/index.ts';
import { filledIn, matchers, QUERIES } from '../../src/monitoring/autoscaler-metrics.ts';
import { autoscalerMetrics, connectPrometheus, stateText } from '../../src/monitoring/index.ts';
import { horizontalPodAutoscaler } from '../../src/reconcile/autoscaling/hpa.ts';
import { deployment as deploymentController } from '../../src/reconcile/workloads/deployment.ts';
import { replicaSet } from '../../src/reconcile/workloads/replicaset.ts';
import { eventually, run, world } from '../client/world.ts';
import { kubelet } from '../reconcile/kubelet.ts';
import { deployment } from '../reconcile/workloads.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { startPrometheus } from './world.ts';

const PATIENCE_MS = 120_000;

test('names in a query are filled in, and what is hostile in them stays text', (t) => {
	const query = 'sum(hits{$selector namespace="$namespace",service="$name",kind="$kind",other="$other"})';
	t.is(
		filledIn(query, { selector: 'a="b",', namespace: 'shop', name: 'a"} or vector(9', kind: 'Service' }),
		'sum(hits{a="b", namespace="shop",service="a\\"} or vector(9",kind="Service",other="$other"})',
	);
	t.is(matchers(undefined), '');
	t.is(matchers({ matchLabels: { verb: 'G"ET\\', code: '2' } }), 'verb="G\\"ET\\\\",code="2",');
	const rules = [
		{ key: 'a', operator: 'In', values: ['x.y', 'z'] },
		{ key: 'b', operator: 'NotIn', values: ['|'] },
		{ key: 'c', operator: 'Exists' },
		{ key: 'd', operator: 'DoesNotExist' },
	];
	t.is(matchers({ matchExpressions: rules }), 'a=~"x\\\\.y|z",b!~"\\\\|",c!="",d="",');
	t.throws(() => matchers({ matchLabels: { 'a"}': 'x' } }), { message: /is none of a Prometheus$/ });
});

test('pods, objects and what is outside are asked for by the queries of the ConfigMap', async (t) => {
	t.timeout(PATIENCE_MS);
	await using prometheus = await startPrometheus();
	const w = await world(t);
	const { client } = w;
	await client
		.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system' }, spec: {} })
		.catch(() => {});
	const metrics = autoscalerMetrics(client, connectPrometheus(prometheus.url, w.signal));
	const hits = { name: 'hits' };
	await t.throwsAsync(metrics.external('default', hits), {
		message: 'there is no query external.hits: the ConfigMap kube-system/driftless-metrics is missing',
	});
	const data = {
		'pods.hits': 'sum by (pod) (hits{$selector namespace="$namespace"})',
		'pods.all': 'sum(hits)',
		'object.depth': 'sum(depth{$selector namespace="$namespace", service="$name"})',
		'object.two': 'hits',
		'external.depth': 'depth{$selector namespace!=""}',
		'external.wrong': 'sum(',
		'external.nothing': 'absent_for_sure',
	};
	await client.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { ...QUERIES }, data });
	prometheus.tell(`hits{namespace="default",pod="web-1",verb="GET"} 3
hits{namespace="default",pod="web-1",verb="PUT"} 1
hits{namespace="default",pod="other",verb="GET"} 100
hits{namespace="shop",pod="web-1",verb="GET"} 1000
depth{namespace="default",service="queue"} 7.5
depth{namespace="shop",service="queue"} 70
`);
	await prometheus.until('count(hits) + count(depth)', ([count]) => count === 6);

	const names = new Set(['web-1', 'web-2']);
	t.deepEqual(await metrics.ofPods('default', names, hits), new Map([['web-1', { milli: 4_000 }]]));
	const gets = { name: 'hits', selector: { matchLabels: { verb: 'GET' } } };
	t.deepEqual(await metrics.ofPods('default', names, gets), new Map([['web-1', { milli: 3_000 }]]));
	const queue = { apiVersion: 'v1', kind: 'Service', name: 'queue' };
	t.is(await metrics.ofObject('default', queue, { name: 'depth' }), 7_500);
	t.deepEqual((await metrics.external('default', { name: 'depth' })).toSorted(), [70_000, 7_500]);

	const refused = (call: Promise<unknown>, message: RegExp) => t.throwsAsync(call, { message });
	await refused(
		metrics.ofPods('default', names, { name: 'all' }),
		/^the query pods.all gives values without a label pod$/,
	);
	await refused(
		metrics.ofObject('default', queue, { name: 'two' }),
		/^the query object.two gives 4 values for one object$/,
	);
	await refused(metrics.external('default', { name: 'wrong' }), /refuses the query: .*parse error/);
	await refused(metrics.external('default', { name: 'nothing' }), /^no metrics returned from external metrics API$/);
	await refused(
		metrics.external('default', { name: 'unheard' }),
		/^the ConfigMap kube-system\/driftless-metrics has no query external.unheard$/,
	);

	run(t, w, [
		deploymentController,
		replicaSet,
		kubelet({ anywhere: true }).controller,
		horizontalPodAutoscaler({ metrics }),
	]);
	const web = { name: 'web', namespace: 'default' };
	await client.create(Deployment, { ...deployment(2), metadata: { ...web } });
	await eventually(
		w,
		[Deployment, Pod],
		async () => (await client.get(Deployment, web)).status?.readyReplicas === 2 || undefined,
	);
	await client.create(HorizontalPodAutoscaler, {
		apiVersion: 'autoscaling/v2',
		kind: 'HorizontalPodAutoscaler',
		metadata: { ...web },
		spec: {
			scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
			maxReplicas: 9,
			metrics: [
				{
					type: 'External',
					external: {
						metric: { name: 'depth', selector: { matchLabels: { namespace: 'shop' } } },
						target: { type: 'AverageValue', averageValue: '20' },
					},
				},
			],
		},
	});
	await eventually(w, [Deployment], async () => (await client.get(Deployment, web)).spec.replicas === 4 || undefined);

	await prometheus.stop();
	await refused(
		metrics.external('default', { name: 'depth' }),
		/^the Prometheus at http:\/\/127.0.0.1:\d+\/ cannot be asked: .*ECONNREFUSED/,
	);
	const body = { metadata: { annotations: { 'driftless.io/scale-interval': '20s' } } };
	await client.patch(HorizontalPodAutoscaler, web, { type: 'merge', body });
	const down = await eventually(
		w,
		[HorizontalPodAutoscaler],
		async () => {
			const { status } = await client.get(HorizontalPodAutoscaler, web);
			return status?.conditions?.find(({ reason }) => reason === 'FailedGetExternalMetric');
		},
		PATIENCE_MS / 2,
	);
	t.regex(
		down.message ?? '',
		/unable to fetch metrics from external metrics API: the Prometheus at .* cannot be asked/,
	);
	t.is((await client.get(Deployment, web)).spec.replicas, 4, 'and nothing is changed by what is not known');
});

test('what answers with too much, too late to be told, or as something else is an error that says so', async (t) => {
	let answer = 'hello';
	const server = createServer((_, response) => response.end(answer)).listen(0, '127.0.0.1');
	await new Promise((resolve) => server.once('listening', resolve));
	t.teardown(() => server.close());
	const { port } = server.address() as AddressInfo;
	const { query } = connectPrometheus(`http://ada:secret@127.0.0.1:${port}/sub`, new AbortController().signal);
	const error = await t.throwsAsync(query('up'), { message: /is no Prometheus$/ });
	t.notRegex(error?.message ?? '', /secret/);
	answer = 'x'.repeat(5 * 2 ** 20);
	await t.throwsAsync(query('up'), { message: /an answer of more than 4194304 bytes$/ });
	answer = JSON.stringify({ status: 'success', data: { resultType: 'matrix', result: [] } });
	await t.throwsAsync(query('up'), { message: /the query gives a matrix, where numbers of now are asked for/ });
	answer = JSON.stringify({ status: 'success', data: { resultType: 'scalar', result: [1, '2.5'] } });
	t.deepEqual(await query('2.5'), [{ labels: {}, value: 2.5 }]);
});

test('a Prometheus reads what objects are', async (t) => {
	t.timeout(PATIENCE_MS);
	await using prometheus = await startPrometheus();
	await using opened = await openTestApi();
	const client = inProcess(opened.api, admin);
	await client.create(Deployment, { ...deployment(3), metadata: { name: 'web', namespace: 'default' } });
	prometheus.tell((await Array.fromAsync(stateText(client))).join(''));
	t.deepEqual(
		await prometheus.until('kube_deployment_spec_replicas{deployment="web"}', ([value]) => value !== undefined),
		[3],
	);
	t.deepEqual(await prometheus.until('up', ([value]) => value === 1), [1]);
});
