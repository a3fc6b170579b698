import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import {
	Application,
	ConfigMap,
	Deployment,
	type Dynamic,
	Event,
	type Kind,
	kind,
	Namespace,
} from '../../src/kinds/index.ts';
import { startGitOps } from './gitops.ts';

const configMap = (name: string, value: string, namespace?: string) => `apiVersion: v1
kind: ConfigMap
metadata:
  name: ${name}
${namespace ? `  namespace: ${namespace}\n` : ''}data:
  value: "${value}"
`;
const deployment = (replicas: number, image = 'driftless/example:1') => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: ${replicas}
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        - name: web
          image: ${image}
`;
const synced = (revision?: string) => (status: { sync?: { status?: string; revision?: string } }) =>
	status.sync?.status === 'Synced' && (revision === undefined || status.sync.revision === revision);

test('a push creates, changes and prunes, and says so to the pusher', async (t) => {
	const world = await startGitOps(t, { pushWaitMs: 30_000 });
	const first = await world.push({
		'ns.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n',
		'a.yaml': configMap('a', '1', 'shop'),
		'b.yaml': configMap('b', '1'),
	});
	t.is(first.code, 0, first.output);
	t.regex(first.output, /created +namespace\/shop[\s\S]*created +configmap\/a in shop/, 'the namespace goes first');
	t.regex(first.output, /converged in .* default is in sync and healthy/);

	const second = await world.push({ 'a.yaml': configMap('a', '2', 'shop'), 'b.yaml': undefined });
	t.regex(second.output, /configured configmap\/a in shop/);
	t.regex(second.output, /pruned +configmap\/b in default/);
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'shop' })).data?.value, '2');
	await t.throwsAsync(world.client.get(ConfigMap, { name: 'b', namespace: 'default' }), { message: /not found/ });

	const status = await world.status(synced());
	t.deepEqual(
		status.history?.map(({ id }) => id),
		[0, 1],
	);
	t.is(status.operationState?.phase, 'Succeeded');
});

test('a broken push is refused with file, line and field, and nothing of it is applied', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a', '1') });
	const { code, output } = await world.push({
		'a.yaml': configMap('a', '2'),
		'web.yaml': deployment(3).replace('replicas: 3', 'replicas: three').replace('image:', 'imagee:'),
		'x.yaml': 'apiVersion: apps/v1\nkind: Deploymnt\nmetadata: {name: x}\n',
		'broken.yaml': 'a: [1,\n',
		'twice.yaml': configMap('a', '3'),
	});
	t.not(code, 0);
	t.regex(output, /web\.yaml:6:\d+: spec\.replicas: expected an integer, got the string "three"/);
	t.regex(output, /web\.yaml:15:\d+: spec\.template\.spec\.containers\[0\]\.imagee: .*unknown field/);
	t.regex(output, /x\.yaml:2:\d+: .*Deploymnt/);
	t.regex(output, /broken\.yaml:\d+:\d+: /);
	t.regex(output, /twice\.yaml:\d+:\d+: .*a\.yaml/, 'a duplicate names the other place');
	t.regex(output, /refused: \d+ problems/);
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '1');
});

test('what the API alone can know is refused at its place in the file as well', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'web.yaml': deployment(1) });
	const { code, output } = await world.push({ 'web.yaml': deployment(1).replaceAll('app: web', 'app: other') });
	t.not(code, 0);
	t.regex(output, /web\.yaml:7:\d+: spec\.selector: .*field is immutable/);
	const missing = await world.push({ 'web.yaml': deployment(1), 'n.yaml': configMap('lost', '1', 'nowhere') });
	t.not(missing.code, 0);
	t.regex(missing.output, /n\.yaml:5:3: namespaces "nowhere" not found: put a Namespace of this name into the source/);
});

test('what is wrong beside something that is null is told, and nothing of a Secret with it', async (t) => {
	const world = await startGitOps(t);
	const { code, output } = await world.push({
		's.yaml':
			'apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: , b: aGVsbG8=}\nstringData: {c: , d: hello}\n',
		'w.yaml': deployment(1).replace('      labels: {app: web}', '      labels: {app: other}'),
		'x.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: [1]\n',
	});
	t.not(code, 0);
	t.regex(output, /w\.yaml:\d+:\d+: spec\.template\.metadata\.labels: .*`selector` does not match/);
	t.regex(output, /refused: 2 problems/);
});

test('drift is shown by field with its owner and its origin, and then healed', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'web.yaml': deployment(2) });
	await world.status(synced());
	await world.client
		.as('somebody')
		.patch(Deployment, { name: 'web', namespace: 'default' }, { type: 'merge', body: { spec: { replicas: 7 } } });
	const drifted = await world.status((status) => status.sync?.status === 'OutOfSync');
	const [resource] = drifted.resources ?? [];
	t.like(resource?.drift?.[0], {
		path: '.spec.replicas',
		live: '7',
		desired: '2',
		manager: 'somebody',
		origin: { file: 'web.yaml', line: 6, column: 3 },
	});
	t.is(resource?.drift?.length, 1);
	await world.status(synced());
	t.is((await world.client.get(Deployment, { name: 'web', namespace: 'default' })).spec.replicas, 2);
	const healed = async () =>
		(await world.client.list(Event, { fieldSelector: 'reason=SelfHealed' })).items.map(({ message }) => message);
	while ((await healed()).length === 0) await new Promise(setImmediate);
	t.regex((await healed())[0] ?? '', /deployment\.apps\/web in default: \.spec\.replicas 7 to 2 \(set by somebody\)/);
});

test('what others set and no manifest mentions is no drift', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a', '1') });
	const before = await world.status(synced());
	await world.client
		.as('somebody')
		.patch(
			ConfigMap,
			{ name: 'a', namespace: 'default' },
			{ type: 'merge', body: { data: { more: 'x' }, metadata: { labels: { l: '1' } } } },
		);
	await world.push({ 'b.yaml': configMap('b', '1') });
	const after = await world.status((status) => status.sync?.revision !== before.sync?.revision && synced()(status));
	t.true(after.resources?.every(({ status }) => status === 'Synced'));
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.more, 'x');
});

test('a deleted object comes back', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a', '1') });
	await world.status(synced());
	await world.client.delete(ConfigMap, { name: 'a', namespace: 'default' });
	const missing = await world.status((status) => status.resources?.[0]?.health?.status === 'Missing');
	t.is(missing.resources?.[0]?.origin?.file, 'a.yaml');
	await world.status(synced());
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '1');
});

test('an empty source prunes nothing until allowEmpty says so', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a', '1') });
	await world.status(synced());
	await world.push({ 'a.yaml': undefined, 'README.md': 'nothing here' }, '-o', 'x');
	const status = await world.status(({ conditions }) => (conditions ?? []).length > 0);
	t.regex(status.conditions?.[0]?.message ?? '', /allowEmpty/);
	t.truthy(await world.client.get(ConfigMap, { name: 'a', namespace: 'default' }));
	await world.client.patch(
		Application,
		{ name: 'default', namespace: 'default' },
		{ type: 'merge', body: { spec: { syncPolicy: { automated: { allowEmpty: true } } } } },
	);
	await world.status(synced());
	await t.throwsAsync(world.client.get(ConfigMap, { name: 'a', namespace: 'default' }), { message: /not found/ });
});

test('a revert brings the earlier state back, and a forced push counts like any other', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a', '1') });
	await world.push({ 'a.yaml': configMap('a', '2'), 'b.yaml': configMap('b', '1') });
	await world.git('revert', '--no-edit', 'HEAD');
	const reverted = await world.git('push', world.url, 'HEAD:main');
	t.is(reverted.code, 0, reverted.output);
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '1');
	await world.git('reset', '-q', '--hard', 'HEAD~1');
	const forced = await world.git('push', '--force', world.url, 'HEAD:main');
	t.is(forced.code, 0, forced.output);
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '2');
});

test('Prune=false keeps an object that left the source, and the status says that it is to be pruned', async (t) => {
	const world = await startGitOps(t);
	const kept = configMap('kept', '1').replace(
		'metadata:\n',
		'metadata:\n  annotations: {argocd.argoproj.io/sync-options: Prune=false}\n',
	);
	await world.push({ 'kept.yaml': kept, 'a.yaml': configMap('a', '1') });
	await world.status(synced());
	await world.push({ 'kept.yaml': undefined });
	const status = await world.status(
		({ resources }) => resources?.some(({ requiresPruning }) => requiresPruning) ?? false,
	);
	t.is(status.resources?.find(({ name }) => name === 'kept')?.requiresPruning, true);
	t.truthy(await world.client.get(ConfigMap, { name: 'kept', namespace: 'default' }));
});

test('an object that a controller made from an annotated one is nobody’s to prune', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'web.yaml': deployment(1) });
	await world.status(synced());
	const { metadata } = await world.client.get(Deployment, { name: 'web', namespace: 'default' });
	await world.client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'copy', namespace: 'default', annotations: metadata.annotations },
	});
	await world.push({ 'b.yaml': configMap('b', '1') });
	const status = await world.status(({ resources }) => resources?.some(({ name }) => name === 'b') ?? false);
	t.false(status.resources?.some(({ name }) => name === 'copy'));
});

test('a folder is followed; one that vanishes prunes nothing and is followed again when it is back', async (t) => {
	const base = await mkdtemp(join(tmpdir(), 'driftless-folder-'));
	t.teardown(() => rm(base, { recursive: true, force: true }));
	const folder = join(base, 'manifests');
	await mkdir(folder);
	await writeFile(join(folder, 'a.yaml'), configMap('a', '1'));
	const world = await startGitOps(t, { source: `folder://${folder}` });
	const first = await world.status(synced());
	await rename(folder, `${folder}-away`);
	const gone = await world.status(({ conditions }) => (conditions ?? []).length > 0);
	t.is(gone.conditions?.[0]?.type, 'ComparisonError');
	t.truthy(await world.client.get(ConfigMap, { name: 'a', namespace: 'default' }));
	await rename(`${folder}-away`, folder);
	await writeFile(join(folder, 'a.yaml'), configMap('a', '2'));
	await world.status((status) => synced()(status) && status.sync?.revision !== first.sync?.revision);
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '2');
	await writeFile(join(folder, 'a.yaml'), 'kind: [');
	const broken = await world.status(({ conditions }) => (conditions ?? []).length > 0);
	t.regex(broken.conditions?.[0]?.message ?? '', /a\.yaml:1:\d+: /);
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '2');
});

test('an application that asks for what is not supported says so and touches nothing', async (t) => {
	const world = await startGitOps(t);
	await world.client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'chart', namespace: 'default' },
		spec: {
			project: 'default',
			destination: { server: 'https://elsewhere.example.com' },
			source: { repoURL: 'https://charts.example.com', chart: 'redis', targetRevision: '1.0.0' },
		},
	});
	const status = await world.status(({ conditions }) => (conditions ?? []).length > 0, 'chart');
	t.is(status.conditions?.[0]?.type, 'InvalidSpecError');
	t.regex(
		status.conditions?.[0]?.message ?? '',
		/source\.chart is not supported.*destination\.server is not supported/,
	);
	t.is(status.sync?.status, 'Unknown');
});

test('an application without automated sync waits for a request, and can be synced to another revision', async (t) => {
	const world = await startGitOps(t);
	await world.client.patch(
		Application,
		{ name: 'default', namespace: 'default' },
		{ type: 'merge', body: { spec: { syncPolicy: { automated: null } } } },
	);
	const pushed = await world.push({ 'a.yaml': configMap('a', '1') });
	t.regex(pushed.output, /automated sync is off/);
	await world.status(({ sync }) => sync?.status === 'OutOfSync');
	await t.throwsAsync(world.client.get(ConfigMap, { name: 'a', namespace: 'default' }));
	const first = (await world.git('rev-parse', 'HEAD')).output.trim();
	await world.push({ 'a.yaml': configMap('a', '2') });
	const ask = (operation: object) =>
		world.client.patch(Application, { name: 'default', namespace: 'default' }, { type: 'merge', body: { operation } });
	await ask({ sync: { dryRun: true } });
	const dry = await world.status(({ operationState }) => operationState?.phase === 'Succeeded');
	t.regex(dry.operationState?.message ?? '', /dry run/);
	await t.throwsAsync(
		world.client.get(ConfigMap, { name: 'a', namespace: 'default' }),
		undefined,
		'a dry run stores nothing',
	);
	await ask({ sync: {} });
	await world.status(synced());
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '2');
	await ask({ sync: { revision: first } });
	await world.status(
		({ operationState, sync }) =>
			operationState?.syncResult?.revision === first &&
			operationState.phase === 'Succeeded' &&
			sync?.status === 'OutOfSync',
	);
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '1');
});

test('a deleted application leaves its objects, or takes them with it where its finalizer says so', async (t) => {
	const world = await startGitOps(t);
	await world.push({
		'ns.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n',
		'a.yaml': configMap('a', '1', 'shop'),
	});
	await world.status(synced());
	await world.client.patch(
		Application,
		{ name: 'default', namespace: 'default' },
		{ type: 'merge', body: { metadata: { finalizers: ['resources-finalizer.argocd.argoproj.io'] } } },
	);
	await world.client.delete(Application, { name: 'default', namespace: 'default' });
	const gone = async () => {
		try {
			await world.client.get(Application, { name: 'default', namespace: 'default' });
			return false;
		} catch {
			return true;
		}
	};
	while (!(await gone())) await new Promise(setImmediate);
	await t.throwsAsync(world.client.get(ConfigMap, { name: 'a', namespace: 'shop' }));
	await t.throwsAsync(world.client.get(Namespace, { name: 'shop' }));
});

test('a revision that was refused for a kind that nobody knew is taken as soon as the kind is there', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'driftless-watched-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const widget = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' }, spec: { size: 3 } };
	await writeFile(join(folder, 'widget.json'), JSON.stringify(widget));
	const world = await startGitOps(t, { source: `folder://${folder}` });
	const refused = await world.status(({ conditions }) => (conditions ?? []).length > 0);
	t.regex(JSON.stringify(refused.conditions), /Widget/);
	const Widget = kind<Dynamic>({
		group: 'example.com',
		version: 'v1',
		kind: 'Widget',
		plural: 'widgets',
		schema: 'com.example.v1.Widget',
		schemas: { 'com.example.v1.Widget': { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
	});
	world.registry.add(Widget as unknown as Kind);
	await world.status(({ sync, conditions }) => sync?.status === 'Synced' && !conditions?.length);
	t.like(await world.client.get(Widget, { name: 'w', namespace: 'default' }), { spec: { size: 3 } });
});

test('what the API warns of in what is new is told to the pusher', async (t) => {
	const world = await startGitOps(t);
	const nodeSelector = { 'beta.kubernetes.io/os': 'linux' };
	const object = {
		apiVersion: 'apps/v1',
		kind: 'ReplicaSet',
		metadata: { name: 'web', namespace: 'default' },
		spec: {
			replicas: 0,
			selector: { matchLabels: { app: 'web' } },
			template: {
				metadata: { labels: { app: 'web' } },
				spec: { nodeSelector, containers: [{ name: 'main', image: 'x' }] },
			},
		},
	};
	const first = await world.push({ 'web.json': JSON.stringify(object) });
	t.is(first.code, 0, first.output);
	t.regex(
		first.output,
		/^remote: warning: web\.json:1:\d+: .*deprecated since v1.14; use "kubernetes.io\/os" instead/m,
	);
	const again = await world.push({ 'a.yaml': configMap('a', '1') });
	t.notRegex(again.output, /warning:/, 'what has not changed was told before');
});
