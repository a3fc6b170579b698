/** Kinds whose objects are computed when they are asked for: they are read like all others, and cannot be written. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';
import type { Computing } from '../../src/api/index.ts';
import { inProcess } from '../../src/client/index.ts';
import { ApiError, type Kind, NodeMetrics, PodMetrics } from '../../src/kinds/index.ts';
import { admin, serveTestApi } from '../testbed/api.ts';

const run = promisify(execFile);

const measured = (namespace: string, name: string, cpu: string): PodMetrics => ({
	apiVersion: 'metrics.k8s.io/v1beta1',
	kind: 'PodMetrics',
	metadata: { name, namespace, labels: { app: name.slice(0, 3) }, creationTimestamp: '2026-01-02T03:04:05Z' },
	timestamp: '2026-01-02T03:04:05Z',
	window: '10s',
	containers: [
		{ name: 'one', usage: { cpu, memory: '1Mi' } },
		{ name: 'two', usage: { cpu: '1m', memory: '512Ki' } },
	],
});

const known = [
	measured('default', 'web-1', '10m'),
	measured('default', 'sql-1', '20m'),
	measured('other', 'web-2', '5m'),
];

/** All there is of a namespace, whatever the selector says. */
const pods: Computing<PodMetrics> = {
	kind: PodMetrics,
	compute: async (_, { namespace, name }) =>
		known.filter(
			({ metadata }) =>
				(namespace === undefined || metadata.namespace === namespace) && (!name || metadata.name === name),
		),
};

const withPods = () => serveTestApi({ computed: [pods as unknown as Computing] });
const root = '/apis/metrics.k8s.io/v1beta1';

test('computed objects are listed and got, with selectors, in process and over HTTP', async (t) => {
	await using server = await withPods();
	const names = async (path: string) => {
		const { code, body } = await server.ask(`${root}${path}`);
		t.is(code, 200, JSON.stringify(body));
		t.is(body.kind, 'PodMetricsList');
		return body.items.map(({ metadata }: PodMetrics) => `${metadata.namespace}/${metadata.name}`);
	};
	t.deepEqual(await names('/pods'), ['default/web-1', 'default/sql-1', 'other/web-2']);
	t.deepEqual(await names('/namespaces/default/pods'), ['default/web-1', 'default/sql-1']);
	t.deepEqual(await names('/pods?labelSelector=app%3Dweb'), ['default/web-1', 'other/web-2']);
	t.deepEqual(await names('/namespaces/default/pods?fieldSelector=metadata.name%3Dsql-1'), ['default/sql-1']);
	// There are no pages of what is never the same twice.
	t.is((await names('/pods?limit=1')).length, 3);
	const one = await server.ask(`${root}/namespaces/default/pods/web-1`);
	t.is(one.code, 200);
	t.is(one.body.containers[0].usage.cpu, '10m');
	const none = await server.ask(`${root}/namespaces/default/pods/absent`);
	t.is(none.code, 404, none.text);
	t.is(none.body.message, 'pods.metrics.k8s.io "absent" not found');

	const client = inProcess(server.api, admin);
	const { items } = await client.list(PodMetrics, { namespace: 'default', labelSelector: 'app=sql' });
	t.deepEqual(
		items.map(({ metadata }) => metadata.name),
		['sql-1'],
	);
	t.is((await client.get(PodMetrics, { name: 'web-2', namespace: 'other' })).containers.length, 2);
});

test('computed objects cannot be written or watched, and nothing of them is stored', async (t) => {
	await using server = await withPods();
	const path = `${root}/namespaces/default/pods`;
	const body = measured('default', 'new', '1m');
	for (const [method, at] of [
		['POST', path],
		['PUT', `${path}/web-1`],
		['DELETE', `${path}/web-1`],
		['DELETE', path],
	] as const) {
		const answer = await server.ask(at, { method, body: method === 'DELETE' ? {} : body });
		t.is(answer.code, 405, `${method} ${at}: ${answer.text}`);
		t.is(answer.body.reason, 'MethodNotAllowed');
	}
	const patch = { method: 'PATCH', body: {}, headers: { 'content-type': 'application/merge-patch+json' } };
	t.is((await server.ask(`${path}/web-1`, patch)).code, 405);
	t.is((await server.ask(`${path}?watch=true`)).code, 405);
	const apply = { method: 'PATCH', body, headers: { 'content-type': 'application/apply-patch+yaml' } };
	t.is((await server.ask(`${path}/new?fieldManager=me`, apply)).code, 405);
	t.deepEqual((await server.store.list('/registry/metrics.k8s.io/', { limit: 10 })).entries, []);
});

test('a kind that nobody computes is answered with 503', async (t) => {
	await using server = await withPods();
	const { code, body } = await server.ask(`${root}/nodes`);
	t.is(code, 503);
	t.regex(body.message, /does not compute nodes\.metrics\.k8s\.io/);
	await t.throwsAsync(inProcess(server.api, admin).get(NodeMetrics, { name: 'n' }), { instanceOf: ApiError });
});

test('discovery and OpenAPI offer get and list of computed kinds only', async (t) => {
	await using server = await withPods();
	const { body } = await server.ask(root);
	t.deepEqual(
		body.resources.map(({ name, kind, verbs, storageVersionHash }: Record<string, unknown>) => ({
			name,
			kind,
			verbs,
			storageVersionHash,
		})),
		[
			{ name: 'nodes', kind: 'NodeMetrics', verbs: ['get', 'list'], storageVersionHash: undefined },
			{ name: 'pods', kind: 'PodMetrics', verbs: ['get', 'list'], storageVersionHash: undefined },
		],
	);
	const openapi = (await server.ask(`/openapi/v3${root}`)).body;
	for (const [path, methods] of Object.entries<object>(openapi.paths))
		t.deepEqual(
			Object.keys(methods).filter((method) => method !== 'parameters'),
			['get'],
			path,
		);
	t.true(Object.keys(openapi.paths).length >= 5);
});

test('only stored kinds are what controllers follow as everything', async (t) => {
	await using server = await withPods();
	const stored = [...server.api.registry.stored()];
	t.false(stored.some(({ computed }) => computed));
	t.true(stored.length > 10);
	t.true([...server.api.registry.all()].includes(PodMetrics as unknown as Kind));
});

test('kubectl lists computed objects in the columns of metrics-server', async (t) => {
	await using server = await withPods();
	const kubectl = async (...args: string[]) => {
		const { stdout } = await run('kubectl', ['--kubeconfig', server.kubeconfig, ...args]);
		return stdout
			.trim()
			.split('\n')
			.map((line) => line.trim().split(/\s{2,}/));
	};
	t.deepEqual(await kubectl('get', 'pods.metrics.k8s.io'), [
		['NAME', 'CPU', 'MEMORY', 'WINDOW'],
		['web-1', '11m', '1536Ki', '10s'],
		['sql-1', '21m', '1536Ki', '10s'],
	]);
	t.deepEqual(
		await kubectl('top', 'pods', '--containers', '-A', '--sort-by=cpu', '--no-headers'),
		[
			['default', 'sql-1', 'one', '20m', '1Mi'],
			['default', 'sql-1', 'two', '1m', '0Mi'],
			['default', 'web-1', 'one', '10m', '1Mi'],
			['default', 'web-1', 'two', '1m', '0Mi'],
			['other', 'web-2', 'one', '5m', '1Mi'],
			['other', 'web-2', 'two', '1m', '0Mi'],
		].map(([namespace, pod, ...rest]) => [namespace ?? '', pod ?? '', ...rest]),
	);
	// Core pods are still the ones that `pods` means.
	const { stderr } = await run('kubectl', ['--kubeconfig', server.kubeconfig, 'get', 'pods']);
	t.is(stderr.trim(), 'No resources found in default namespace.');
});
