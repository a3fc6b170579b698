/** Applications as Argo CD documents them: options, waves, requests, shared objects, deletion. */
import test from 'ava';
import {
	Application,
	ConfigMap,
	Deployment,
	type Dynamic,
	Namespace,
	Pod,
	ReplicaSet,
	Service,
} from '../../src/kinds/index.ts';
import { type GitOpsWorld, startGitOps } from './gitops.ts';

const home = { name: 'default', namespace: 'default' };
const configMap = (name: string, annotations: Record<string, string> = {}, namespace?: string) => `apiVersion: v1
kind: ConfigMap
metadata:
  name: ${name}
${namespace ? `  namespace: ${namespace}\n` : ''}  annotations: ${JSON.stringify(annotations)}
`;
/** Healthy once it has an address, which nothing gives out here but the test. */
const balancer = (wave: number, port = 80) => `apiVersion: v1
kind: Service
metadata:
  name: front
  annotations: {argocd.argoproj.io/sync-wave: "${wave}"}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: ${port}}]}
`;
const makeHealthy = ({ client }: GitOpsWorld) =>
	client.patch(
		Service,
		{ name: 'front', namespace: 'default' },
		{ type: 'merge', body: { status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } } } },
		{ subresource: 'status' },
	);
const exists = async ({ client }: GitOpsWorld, name: string) =>
	(await client.list(ConfigMap, { namespace: 'default' })).items.some(({ metadata }) => metadata.name === name);
const change = ({ client }: GitOpsWorld, body: object) => client.patch(Application, home, { type: 'merge', body });
const policy = (world: GitOpsWorld, syncPolicy: object) => change(world, { spec: { syncPolicy } });
const ask = (world: GitOpsWorld, sync: object) => change(world, { operation: { sync } });
const ended = (status: { operationState?: { phase: string } }) =>
	status.operationState?.phase === 'Succeeded' || status.operationState?.phase === 'Failed';
/** Settles when the request has been taken away. */
const answeredAndTaken = async ({ client }: GitOpsWorld) => {
	while ((await client.get(Application, home)).operation) await new Promise((resolve) => setTimeout(resolve, 20));
};
const synced = (status: { sync?: { status?: string } }) => status.sync?.status === 'Synced';

test('an option that is not carried out is named, and a request is answered', async (t) => {
	const world = await startGitOps(t);
	await policy(world, { syncOptions: ['Replace=true', 'Nonsense=true'] });
	const status = await world.status(({ conditions }) => conditions?.[0]?.type === 'InvalidSpecError');
	t.regex(status.conditions?.[0]?.message ?? '', /Replace=true is not supported.*no sync option Nonsense/);
	await ask(world, {});
	const answered = await world.status(ended);
	t.is(answered.operationState?.phase, 'Failed');
	t.regex(answered.operationState?.message ?? '', /Replace=true is not supported/);
	await answeredAndTaken(world);
});

test('an option of an object that is not carried out refuses the push, at its line', async (t) => {
	const world = await startGitOps(t);
	const { code, output } = await world.push({
		'a.yaml': configMap('a', { 'argocd.argoproj.io/sync-options': 'Prune=fasle' }),
		'b.yaml': configMap('b', { 'argocd.argoproj.io/sync-options': 'Replace=true' }),
	});
	t.not(code, 0);
	t.regex(
		output,
		/a\.yaml:5:\d+: metadata\.annotations\[.*sync-options\]: .*Prune takes one of true, false, not "fasle"/,
	);
	t.regex(output, /b\.yaml:5:\d+: .*Replace=true is not supported/);
});

test('a wave is applied when the one before it is healthy; the status says what it waits for', async (t) => {
	const world = await startGitOps(t, { pushWaitMs: 30_000 });
	const pushing = world.push({
		'front.yaml': balancer(-1),
		'later.yaml': configMap('later', { 'argocd.argoproj.io/sync-wave': '1' }),
	});
	const waits = await world.status(({ operationState }) => /waiting/.test(operationState?.message ?? ''));
	t.like(waits.operationState, { phase: 'Running', message: 'waiting for service/front to be healthy' });
	t.false(await exists(world, 'later'));
	await makeHealthy(world);
	const { output } = await pushing;
	t.regex(output, /created +service\/front[\s\S]*created +configmap\/later[\s\S]*synced[\s\S]*converged/);
	const done = await world.status(ended);
	t.true(await exists(world, 'later'));
	t.deepEqual(
		done.operationState?.syncResult?.resources?.map(({ name, status, hookPhase }) => [name, status, hookPhase]),
		[
			['front', 'Synced', 'Succeeded'],
			['later', 'Synced', 'Succeeded'],
		],
	);
	t.is(done.history?.length, 1, 'one sync, however many turns it took');
});

test('a newer revision takes over from one that waits', async (t) => {
	const world = await startGitOps(t);
	const later = configMap('later', { 'argocd.argoproj.io/sync-wave': '1' });
	await world.push({ 'front.yaml': balancer(0), 'later.yaml': later });
	await world.status(({ operationState }) => /waiting/.test(operationState?.message ?? ''));
	await world.push({ 'front.yaml': undefined });
	await world.status((status) => ended(status) && synced(status));
	t.true(await exists(world, 'later'));
});

test('with PruneLast what left the source goes when what stays is healthy', async (t) => {
	const world = await startGitOps(t);
	await policy(world, { syncOptions: ['PruneLast=true'] });
	await world.push({ 'old.yaml': configMap('old'), 'a.yaml': configMap('a') });
	await world.status(synced);
	await world.push({ 'old.yaml': undefined, 'front.yaml': balancer(0) });
	await world.status(({ operationState }) => /waiting/.test(operationState?.message ?? ''));
	t.true(await exists(world, 'old'));
	await makeHealthy(world);
	await world.status((status) => ended(status) && synced(status));
	t.false(await exists(world, 'old'));
});

test('a sync that a dead process has begun is ended by the next one, and one that is to be ended ends', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a') });
	await world.status(synced);
	const begin = (phase: string) =>
		world.client.patch(
			Application,
			home,
			{
				type: 'merge',
				body: { status: { operationState: { phase, startedAt: '2026-01-01T00:00:00Z', operation: { sync: {} } } } },
			},
			{ subresource: 'status' },
		);
	await begin('Running');
	t.is((await world.status(ended)).operationState?.phase, 'Succeeded');
	await begin('Terminating');
	const status = await world.status(({ operationState }) => operationState?.phase === 'Failed');
	t.is(status.operationState?.message, 'the sync was terminated');
});

test('a request names the objects that it is about, and those that it leaves out; it is no revision of the history', async (t) => {
	const world = await startGitOps(t);
	await policy(world, { automated: null });
	await world.push({ 'a.yaml': configMap('a'), 'b.yaml': configMap('b') });
	await world.status(({ sync }) => sync?.status === 'OutOfSync');
	await ask(world, { resources: [{ kind: 'ConfigMap', name: 'a', exclude: true }] });
	const status = await world.status(ended);
	t.deepEqual([await exists(world, 'a'), await exists(world, 'b')], [false, true]);
	t.deepEqual(status.history ?? [], []);
});

test('an empty namespace is none, as templates write it', async (t) => {
	const world = await startGitOps(t);
	const named = (name: string, namespace: string) =>
		configMap(name).replace('metadata:', `metadata:\n  namespace: ${namespace}`);
	const { code, output } = await world.push({ 'a.yaml': named('a', '""'), 'b.yaml': named('b', '') });
	t.is(code, 0, output);
	await world.status(synced);
	t.deepEqual([await exists(world, 'a'), await exists(world, 'b')], [true, true]);
	const twice = await world.push({ 'c.yaml': named('a', 'default') });
	t.regex(twice.output, /c\.yaml:1:1: ConfigMap a is already defined at a\.yaml:1:1/);
});

test('a dry run of what needs a namespace that comes with it succeeds', async (t) => {
	const world = await startGitOps(t);
	await change(world, {
		spec: {
			destination: { namespace: 'team' },
			syncPolicy: { automated: null, syncOptions: ['CreateNamespace=true'] },
		},
	});
	await world.push({
		'ns.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n',
		'a.yaml': configMap('a', {}, 'shop'),
		'b.yaml': configMap('b'),
	});
	await world.status(({ sync }) => sync?.status === 'OutOfSync');
	await ask(world, { dryRun: true });
	const { operationState } = await world.status(ended);
	t.is(operationState?.phase, 'Succeeded', operationState?.message);
	t.is(operationState?.syncResult?.resources?.length, 3);
	t.false((await world.client.list(Namespace, {})).items.some(({ metadata }) => metadata.name === 'shop'));
});

test('a pod may come with the service account that it names, and is refused where nobody brings it', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	const pod = (account: string) =>
		`apiVersion: v1\nkind: Pod\nmetadata: {name: runs}\nspec:\n  serviceAccountName: ${account}\n  containers: [{name: main, image: example}]\n`;
	const account = 'apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: builder}\n';
	const { code, output } = await world.push({ 'a-pod.yaml': pod('builder'), 'b-account.yaml': account });
	t.is(code, 0, output);
	await world.status(({ sync }) => sync?.status === 'OutOfSync');
	await ask(world, { dryRun: true });
	const { operationState } = await world.status(ended);
	t.is(operationState?.phase, 'Succeeded', operationState?.message);
	const refused = await world.push({ 'a-pod.yaml': pod('nobody') });
	t.regex(refused.output, /a-pod\.yaml:1:1: .*error looking up service account default\/nobody: .* not found/);
});

test('what nothing here can do is said in the answer to the request', async (t) => {
	const world = await startGitOps(t);
	await ask(world, { manifests: ['{}'] });
	const status = await world.status(ended);
	t.regex(status.operationState?.message ?? '', /operation\.sync\.manifests is not supported; push them/);
});

test('a sync that failed for what it could not change goes on when that has gone', async (t) => {
	const world = await startGitOps(t);
	const web = (label: string) => `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: ${label}}}
  template:
    metadata: {labels: {app: ${label}}}
    spec: {containers: [{name: web, image: example}]}
`;
	await change(world, { spec: { source: { path: 'a' } } });
	await world.push({ 'a/web.yaml': web('one'), 'b/web.yaml': web('two') });
	await world.status(synced);
	await change(world, { spec: { source: { path: 'b' } } });
	const { operationState } = await world.status((status) => /immutable/.test(status.operationState?.message ?? ''));
	t.regex(operationState?.message ?? '', /deployment\.apps\/web: .*spec\.selector: .*field is immutable/);
	await world.client.delete(Deployment, { name: 'web', namespace: 'default' });
	await world.status((status) => synced(status) && (status.conditions ?? []).length === 0);
	const { spec } = await world.client.get(Deployment, { name: 'web', namespace: 'default' });
	t.is(spec.selector.matchLabels?.app, 'two');
});

test('CreateNamespace makes the namespace, with the labels and annotations that are asked for', async (t) => {
	const world = await startGitOps(t);
	await change(world, {
		spec: {
			destination: { namespace: 'shop' },
			syncPolicy: {
				syncOptions: ['CreateNamespace=true'],
				managedNamespaceMetadata: { labels: { team: 'blue' }, annotations: { note: 'x' } },
			},
		},
	});
	await world.push({ 'a.yaml': configMap('a') });
	await world.status(synced);
	const metadata = async () => (await world.client.get(Namespace, { name: 'shop' })).metadata;
	t.like(await metadata(), { labels: { team: 'blue' }, annotations: { note: 'x' } });

	await world.client
		.as('somebody')
		.patch(Namespace, { name: 'shop' }, { type: 'merge', body: { metadata: { labels: { team: 'red' } } } });
	await world.status(({ sync }) => sync?.status === 'OutOfSync');
	await world.status(synced);
	t.is((await metadata()).labels?.team, 'blue', 'it is compared and healed');
	await policy(world, { managedNamespaceMetadata: { labels: { team: null, tier: 'one' } } });
	await world.status(({ sync }) => sync?.status === 'OutOfSync');
	await world.status(synced);
	t.like((await metadata()).labels, { team: undefined, tier: 'one' });

	await change(world, { metadata: { finalizers: ['resources-finalizer.argocd.argoproj.io'] } });
	await world.client.delete(Application, home);
	while ((await world.client.list(Application, { namespace: 'default' })).items.length > 0)
		await new Promise((resolve) => setTimeout(resolve, 50));
	t.is((await metadata()).deletionTimestamp, undefined, 'it outlives its application');
});

test('with Validate=false a field that nobody knows is dropped; without, it is refused', async (t) => {
	const world = await startGitOps(t);
	const odd = `${configMap('a')}colour: red\n`;
	t.not((await world.push({ 'a.yaml': odd })).code, 0);
	const own = configMap('a', { 'argocd.argoproj.io/sync-options': 'Validate=false' });
	const { code, output } = await world.push({ 'a.yaml': `${own}colour: red\n` });
	t.is(code, 0, output);
	await world.status(synced);
	t.false('colour' in (await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })));
});

test('PrunePropagationPolicy=orphan leaves what a pruned object owns', async (t) => {
	const world = await startGitOps(t);
	await policy(world, { syncOptions: ['PrunePropagationPolicy=orphan'] });
	const web = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: example}]}
`;
	await world.push({ 'web.yaml': web, 'a.yaml': configMap('a') });
	await world.status((status) => synced(status) && status.health?.status === 'Healthy');
	await world.push({ 'web.yaml': undefined });
	await world.status((status) => synced(status) && status.resources?.length === 1);
	const { items } = await world.client.list(ReplicaSet, { namespace: 'default' });
	t.is(items.length, 1);
	t.deepEqual(items[0]?.metadata.ownerReferences ?? [], []);
});

test('what is generated and left the source does not count where it says so', async (t) => {
	const world = await startGitOps(t);
	await policy(world, { automated: { prune: false } });
	const old = configMap('old', { 'argocd.argoproj.io/compare-options': 'IgnoreExtraneous' });
	await world.push({ 'old.yaml': old, 'a.yaml': configMap('a') });
	const first = await world.status(synced);
	await world.push({ 'old.yaml': undefined });
	const status = await world.status((now) => synced(now) && now.sync?.revision !== first.sync?.revision);
	t.true(await exists(world, 'old'));
	t.like(
		status.resources?.find(({ name }) => name === 'old'),
		{ requiresPruning: true, status: 'Synced' },
	);
});

const second = async ({ client }: GitOpsWorld, syncOptions: string[] = []) => {
	const { spec } = await client.get(Application, home);
	await client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'second', namespace: 'default' },
		spec: {
			...spec,
			source: { repoURL: spec.source?.repoURL ?? '', targetRevision: 'main', path: 'b' },
			syncPolicy: { automated: { selfHeal: true, prune: true }, syncOptions },
		},
	});
};

test('two applications that want one object are told of it, and do not fight over it', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { source: { path: 'a' } } });
	await world.push({
		'a/same.yaml': configMap('same'),
		'b/same.yaml': configMap('same'),
		'b/own.yaml': configMap('own'),
	});
	await world.status(synced);
	await second(world);
	const has = (type: string) => (status: { conditions?: { type: string }[] }) =>
		status.conditions?.some((each) => each.type === type) ?? false;
	const warned = await world.status(has('SharedResourceWarning'));
	t.is(warned.conditions?.[0]?.message, 'ConfigMap/same is part of the applications second and default');
	t.is(warned.sync?.status, 'OutOfSync');
	const other = await world.status(synced, 'second');
	t.deepEqual(other.conditions ?? [], []);
	const { metadata } = await world.client.get(ConfigMap, { name: 'same', namespace: 'default' });
	t.regex(metadata.annotations?.['argocd.argoproj.io/tracking-id'] ?? '', /^second:/);

	// Whoever still wants it when the other has let go takes it over: it is never gone in between.
	await world.push({ 'b/same.yaml': undefined });
	await world.status((status) => synced(status) && !has('SharedResourceWarning')(status));
	const after = await world.client.get(ConfigMap, { name: 'same', namespace: 'default' });
	t.is(after.metadata.uid, metadata.uid);
	t.regex(after.metadata.annotations?.['argocd.argoproj.io/tracking-id'] ?? '', /^default:/);
});

test('FailOnSharedResource fails the sync of whoever comes second', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { source: { path: 'a' } } });
	await world.push({ 'a/same.yaml': configMap('same'), 'b/same.yaml': configMap('same') });
	await world.status(synced);
	await second(world, ['FailOnSharedResource=true']);
	const failed = await world.status(({ operationState }) => (operationState?.retryCount ?? 0) > 0, 'second');
	t.regex(
		failed.operationState?.message ?? '',
		/^ConfigMap\/same is part of the applications default and second\. Retrying attempt #1 at \S+ UTC\.$/,
	);
	t.is((await world.status(synced)).conditions?.length ?? 0, 0);
});

test('an application that goes with its objects leaves those that say Delete=false', async (t) => {
	const world = await startGitOps(t);
	await world.push({
		'kept.yaml': configMap('kept', { 'argocd.argoproj.io/sync-options': 'Delete=false' }),
		'a.yaml': configMap('a'),
	});
	await world.status(synced);
	await change(world, { metadata: { finalizers: ['resources-finalizer.argocd.argoproj.io/background'] } });
	await world.client.delete(Application, home);
	const left = async () => (await world.client.list(Application, { namespace: 'default' })).items.length;
	while ((await left()) > 0) await new Promise(setImmediate);
	t.deepEqual([await exists(world, 'kept'), await exists(world, 'a')], [true, false]);
});

test('an application goes with its objects wave by wave, and leaves what another one wants', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { source: { path: 'a' } } });
	const annotations = { 'argocd.argoproj.io/sync-wave': '1' };
	const held = {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'last', annotations, finalizers: ['example.com/hold'] },
	};
	await world.push({
		'a/first.yaml': configMap('first', { 'argocd.argoproj.io/sync-wave': '-1' }),
		'a/last.json': JSON.stringify(held),
		'a/same.yaml': configMap('same'),
		'b/same.yaml': configMap('same'),
	});
	await world.status(synced);
	await second(world);
	await world.status(synced, 'second');
	const { metadata } = await world.client.get(ConfigMap, { name: 'same', namespace: 'default' });
	await change(world, {
		metadata: {
			finalizers: ['resources-finalizer.argocd.argoproj.io', 'post-delete-finalizer.argocd.argoproj.io/cleanup'],
		},
	});
	await world.client.delete(Application, home);
	const last = () => world.client.get(ConfigMap, { name: 'last', namespace: 'default' });
	while (!(await last()).metadata.deletionTimestamp) await new Promise((resolve) => setTimeout(resolve, 50));
	t.true(await exists(world, 'first'), 'the wave after it has not gone yet');
	await world.client.patch(
		ConfigMap,
		{ name: 'last', namespace: 'default' },
		{ type: 'merge', body: { metadata: { finalizers: null } } },
	);
	const left = async () =>
		(await world.client.list(Application, { namespace: 'default' })).items.map(({ metadata: { name } }) => name);
	while ((await left()).includes('default')) await new Promise((resolve) => setTimeout(resolve, 50));
	t.deepEqual([await exists(world, 'first'), await exists(world, 'last')], [false, false]);
	const kept = await world.client.get(ConfigMap, { name: 'same', namespace: 'default' });
	t.is(kept.metadata.uid, metadata.uid);
	t.is(kept.metadata.deletionTimestamp, undefined);
});

test('an object with the hook Skip is left out, another hook is refused', async (t) => {
	const world = await startGitOps(t);
	const skipped = configMap('skipped', { 'argocd.argoproj.io/hook': 'Skip' });
	const { code, output } = await world.push({ 'skipped.yaml': skipped, 'a.yaml': configMap('a') });
	t.is(code, 0, output);
	const status = await world.status(synced);
	t.deepEqual(
		status.resources?.map(({ name }) => name),
		['a'],
	);
	t.false(await exists(world, 'skipped'));
	const hook = await world.push({ 'b.yaml': configMap('b', { 'argocd.argoproj.io/hook': 'PreSync' }) });
	t.regex(hook.output, /b\.yaml:5:\d+: .*sync hooks are not supported/);
});

test('the type of the source is told as Argo CD tells it', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a') });
	t.is((await world.status(synced)).sourceType, 'Directory');
	await world.push({ 'kustomization.yaml': 'resources: [a.yaml]\nnamePrefix: x-\n' });
	const status = await world.status(({ sourceType }) => sourceType === 'Kustomize');
	t.true(status.resources?.some(({ name }: { name?: string }) => name === 'x-a'));
});

test('an application among applications: the child is made in its own namespace and counts with its health', async (t) => {
	const world = await startGitOps(t);
	await world.client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'argocd' }, spec: {} });
	const url = (await world.client.get(Application, home)).spec.source?.repoURL;
	const child: Dynamic = {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'child', namespace: 'argocd', finalizers: ['resources-finalizer.argocd.argoproj.io'] },
		spec: {
			project: 'default',
			source: { repoURL: url, targetRevision: 'HEAD', path: 'child' },
			destination: { server: 'https://kubernetes.default.svc', namespace: 'default' },
			syncPolicy: { automated: {} },
		},
	};
	await change(world, { spec: { source: { path: 'apps' } } });
	await world.push({ 'apps/child.json': JSON.stringify(child), 'child/a.yaml': configMap('of-child') });
	await world.status((status) => synced(status) && status.resources?.[0]?.health?.status === 'Healthy');
	t.true(await exists(world, 'of-child'));
});

test('what does not run yet says why: the pod that cannot be placed, or does not start', async (t) => {
	const world = await startGitOps(t);
	const web = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: nosuch}]}
`;
	const alone = 'apiVersion: v1\nkind: Pod\nmetadata: {name: alone}\nspec: {containers: [{name: main, image: x}]}\n';
	await world.push({ 'web.yaml': web });
	const messageOf = ({ resources }: { resources?: { name?: string; health?: { message?: string } }[] }) =>
		resources?.[0]?.health?.message ?? '';
	const placed = await world.status((status) => /pod web-/.test(messageOf(status)));
	t.regex(messageOf(placed), /^Waiting for rollout to finish: .*[^.]: pod web-\S+: .*node/);
	const { items } = await world.client.list(Pod, { namespace: 'default' });
	const [pod] = items;
	t.truthy(pod);
	const waiting = { reason: 'ErrImagePull', message: 'nosuch: not found' };
	const container = { name: 'main', image: 'nosuch', imageID: '', ready: false, restartCount: 0, state: { waiting } };
	await world.client.patch(
		Pod,
		{ name: pod?.metadata.name ?? '', namespace: 'default' },
		{ type: 'merge', body: { status: { phase: 'Pending', containerStatuses: [container] } } },
		{ subresource: 'status' },
	);
	const started = await world.status((status) => /ErrImagePull|not found/.test(messageOf(status)));
	t.regex(messageOf(started), /: pod web-\S+: main: nosuch: not found$/);
	await world.push({ 'web.yaml': undefined, 'alone.yaml': alone });
	const lone = await world.status(
		(status) => /nodes/.test(messageOf(status)) && status.resources?.[0]?.name === 'alone',
	);
	t.is(lone.resources?.[0]?.kind, 'Pod');
});
