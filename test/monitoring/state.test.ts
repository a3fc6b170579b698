/** What objects are, as a Prometheus reads it: under the names of kube-state-metrics. */
import test from 'ava';
import { inProcess } from '../../src/client/index.ts';
import { Application, Deployment, Namespace, Node, Pod, Secret } from '../../src/kinds/index.ts';
import { stateText } from '../../src/monitoring/index.ts';
import { deployment, node, pod } from '../reconcile/workloads.ts';
import { admin, openTestApi, serveTestApi } from '../testbed/api.ts';
import { kubectl } from '../testbed/kubectl.ts';

async function textOf(client: Parameters<typeof stateText>[0]): Promise<string> {
	let text = '';
	for await (const piece of stateText(client)) text += piece;
	return text;
}

/** The samples of a series whose labels have all of `labels`, with the rest of the labels. */
const samples = (text: string, name: string, ...labels: readonly string[]) =>
	text.split('\n').filter((line) => line.startsWith(`${name}{`) && labels.every((each) => line.includes(each)));
const values = (text: string, name: string, ...labels: readonly string[]) =>
	samples(text, name, ...labels).map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));

test('pods, nodes and workloads are told as kube-state-metrics tells them', async (t) => {
	await using opened = await openTestApi();
	const client = inProcess(opened.api, admin);
	const made = await client.create(Node, {
		...node('n1'),
		metadata: { name: 'n1', labels: { 'node-role.kubernetes.io/db': '' } },
	});
	const conditions = [{ type: 'Ready', status: 'True' }];
	await client.update(Node, { ...made, status: { ...node('n1').status, conditions } }, { subresource: 'status' });
	const requests = { cpu: '250m', memory: '64Mi' };
	const shape = pod('web-1', { node: 'n1', ready: 5, restarts: 3 });
	const spec = { nodeName: 'n1', containers: [{ name: 'main', image: 'example:1', resources: { requests } }] };
	const created = await client.create(Pod, { ...shape, metadata: { name: 'web-1', namespace: 'default' }, spec });
	const waiting = { reason: 'CrashLoopBackOff' };
	const containerStatuses = shape.status?.containerStatuses?.map((each) => ({ ...each, state: { waiting } }));
	await client.update(Pod, { ...created, status: { ...shape.status, containerStatuses } }, { subresource: 'status' });
	await client.create(Deployment, { ...deployment(3), metadata: { name: 'web', namespace: 'default' } });
	await client.create(Secret, {
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: { name: 'key', namespace: 'default' },
		stringData: { password: 'never told' },
	});

	await client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'shop', namespace: 'default' },
		spec: {
			project: 'default',
			source: { repoURL: 'https://ada:secret@git.example.com/shop.git', path: '.' },
			destination: { server: 'https://kubernetes.default.svc', namespace: 'shop' },
		},
	});

	const text = await textOf(client);
	t.is(samples(text, 'argocd_app_info', 'name="shop"', 'repo="https://git.example.com/shop.git"').length, 1);
	t.notRegex(text, /secret@/);
	t.deepEqual(values(text, 'kube_pod_status_phase', 'pod="web-1"', 'phase="Running"'), [1]);
	t.deepEqual(values(text, 'kube_pod_status_phase', 'pod="web-1"', 'phase="Failed"'), [0]);
	t.deepEqual(values(text, 'kube_pod_status_ready', 'condition="true"'), [1]);
	t.deepEqual(values(text, 'kube_pod_container_status_restarts_total', 'container="main"'), [3]);
	t.deepEqual(values(text, 'kube_pod_container_status_waiting_reason', 'reason="CrashLoopBackOff"'), [1]);
	t.deepEqual(
		values(text, 'kube_pod_container_resource_requests', 'resource="cpu"', 'unit="core"', 'node="n1"'),
		[0.25],
	);
	t.deepEqual(values(text, 'kube_pod_container_resource_requests', 'resource="memory"', 'unit="byte"'), [64 * 2 ** 20]);
	t.is(samples(text, 'kube_pod_info', 'node="n1"', 'namespace="default"', 'uid="').length, 1);
	t.deepEqual(values(text, 'kube_node_status_condition', 'condition="Ready"', 'status="true"'), [1]);
	t.deepEqual(values(text, 'kube_node_status_allocatable', 'node="n1"', 'resource="ephemeral_storage"'), [
		100 * 2 ** 30,
	]);
	t.is(samples(text, 'kube_node_role', 'role="db"').length, 1);
	t.deepEqual(values(text, 'kube_deployment_spec_replicas', 'deployment="web"'), [3]);
	t.deepEqual(values(text, 'kube_deployment_metadata_generation', 'deployment="web"'), [1]);
	t.is(samples(text, 'kube_secret_info', 'secret="key"').length, 1);
	t.notRegex(text, /never told/);
	t.is(text.match(/^# TYPE kube_pod_status_phase gauge$/gm)?.length, 1, 'what a series is, is said once');
	t.is(samples(text, 'kube_horizontalpodautoscaler_info').length, 0);
});

test('each series has its samples at one place, also where there are many', async (t) => {
	await using opened = await openTestApi();
	const client = inProcess(opened.api, admin);
	const names = Array.from({ length: 400 }, (_, index) => `${'n'.repeat(40)}-${index}`);
	await Promise.all(
		names.map((name) =>
			client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} }),
		),
	);
	const pieces = await Array.fromAsync(stateText(client));
	const text = pieces.join('');
	t.true(pieces.length >= 3 && pieces.every(({ length }) => length < 128 * 1024), 'it comes in pieces');
	t.is(samples(text, 'kube_namespace_created').length >= 400, true);
	const ends = new Set<string>();
	let last = '';
	for (const line of text.split('\n')) {
		const name = /^[a-z_]+(?=[{ ])/.exec(line)?.[0];
		if (!name || name === last) continue;
		t.false(ends.has(name), `${name} comes twice`);
		ends.add(name);
		last = name;
	}
});

test('it is served to administrators, at a path of its own', async (t) => {
	let ended = 0;
	const texts = new Map([
		[
			'state',
			async function* () {
				yield '# TYPE a gauge\n';
				yield 'a 1\n';
				ended++;
			},
		],
	]);
	await using server = await serveTestApi({}, { texts });
	using run = kubectl(server.kubeconfig);
	t.is(await run.ok('get', '--raw', '/metrics/state'), '# TYPE a gauge\na 1\n');
	t.is((await server.ask('/metrics/state')).headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
	t.is((await server.ask('/metrics/other')).code, 404);
	t.is((await server.ask('/metrics/state', { as: 'nobody' })).code, 401);
	t.is(ended, 2);
});
