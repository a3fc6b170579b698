/** What the cluster refuses, though the manifests are right: the revision is taken, its sync changes nothing, and is tried again. */
import test from 'ava';
import { Application, ConfigMap, Deployment, Namespace, Pod, Service, ServiceAccount } from '../../src/kinds/index.ts';
import { createGitRemote, createWorkTree } from '../testbed/git.ts';
import { type GitOpsWorld, startGitOps } from './gitops.ts';

type Status = Application['status'] & object;

const home = { name: 'default', namespace: 'default' };
const configMap = (name: string, metadata: object = {}, data: object = { a: 'b' }) =>
	JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data });
const pod = (name: string, serviceAccountName: string, metadata: object = {}) =>
	JSON.stringify({
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, ...metadata },
		spec: { serviceAccountName, containers: [{ name: 'main', image: 'example' }] },
	});
const web = (label: string) =>
	JSON.stringify({
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', namespace: 'default' },
		spec: {
			replicas: 0,
			selector: { matchLabels: { app: label } },
			template: { metadata: { labels: { app: label } }, spec: { containers: [{ name: 'web', image: 'example' }] } },
		},
	});
const wave = (number: number) => ({ annotations: { 'argocd.argoproj.io/sync-wave': String(number) } });
const account = (name: string, namespace = 'default'): ServiceAccount => ({
	apiVersion: 'v1',
	kind: 'ServiceAccount',
	metadata: { name, namespace },
});
const namespaceOf = (name: string): Namespace => ({
	apiVersion: 'v1',
	kind: 'Namespace',
	metadata: { name },
	spec: {},
});
const change = ({ client }: GitOpsWorld, body: object) => client.patch(Application, home, { type: 'merge', body });
const ask = (world: GitOpsWorld, sync: object) => change(world, { operation: { sync } });
/** The next attempt by time lies beyond the test. */
const patient = { limit: 1, backoff: { duration: '1h', maxDuration: '1h' } };
const names = async ({ client }: GitOpsWorld, namespace = 'default') =>
	(await client.list(ConfigMap, { namespace })).items
		.map(({ metadata }) => metadata.name)
		.filter((name) => name !== 'kube-root-ca.crt')
		.sort();
const gone = async ({ client }: GitOpsWorld, namespace: string) => {
	while ((await client.list(Namespace, {})).items.some(({ metadata }) => metadata.name === namespace))
		await new Promise((resolve) => setTimeout(resolve, 50));
};
const synced = ({ sync }: Status) => sync?.status === 'Synced';
const retried = ({ operationState }: Status) =>
	operationState?.phase === 'Running' && operationState.retryCount !== undefined;
const noAccount = /pod\/runs: .*error looking up service account default\/builder: .*not found/;

/** A remote repository that the application follows, which nobody checks before it moves. */
async function remoteWorld(t: Parameters<typeof startGitOps>[0]) {
	const remote = await createGitRemote();
	const tree = await createWorkTree(remote.url);
	t.teardown(async () => {
		await tree[Symbol.asyncDispose]();
		await remote[Symbol.asyncDispose]();
	});
	const commit = async (files: Record<string, string | undefined>) => {
		const id = await tree.commit(files);
		await tree.push();
		return id;
	};
	await commit({ 'a.yaml': configMap('a') });
	const world = await startGitOps(t, { source: remote.url, pollMs: 200 });
	await world.status(synced);
	return { world, commit };
}

test('a commit whose pod lacks its service account is taken, its sync changes nothing, and goes on when the account has come', async (t) => {
	const { world, commit } = await remoteWorld(t);
	await change(world, { spec: { syncPolicy: { retry: patient } } });
	const second = await commit({ 'a.yaml': configMap('b', wave(-1)), 'pod.yaml': pod('runs', 'builder') });
	const status = await world.status((now) => retried(now) && now.sync?.revision === second);
	t.deepEqual(status.conditions ?? [], []);
	t.is(status.sync?.status, 'OutOfSync');
	t.regex(status.operationState?.message ?? '', noAccount);
	t.like(status.operationState?.syncResult?.resources, [{ kind: 'Pod', name: 'runs', status: 'SyncFailed' }]);
	t.deepEqual(await names(world), ['a'], 'nothing is applied or pruned for it');
	await world.client.create(ServiceAccount, account('builder'));
	await world.status((now) => synced(now) && now.sync?.revision === second);
	t.deepEqual(await names(world), ['b']);
	await t.notThrowsAsync(world.client.get(Pod, { name: 'runs', namespace: 'default' }));
});

test('a newer commit takes the place of the last one also where its sync fails: what that described heals no more', async (t) => {
	const { world, commit } = await remoteWorld(t);
	await change(world, { spec: { syncPolicy: { automated: { prune: true, selfHeal: true }, retry: { limit: 0 } } } });
	const second = await commit({ 'a.yaml': configMap('b'), 'pod.yaml': pod('runs', 'builder') });
	const status = await world.status(
		(now) => now.sync?.revision === second && now.conditions?.[0]?.type === 'SyncError',
	);
	t.regex(status.conditions?.[0]?.message ?? '', noAccount);
	const left = status.resources?.find(({ name }) => name === 'a');
	t.true(left?.requiresPruning, 'what only the one before described is to be pruned, once a sync goes through');
	t.deepEqual(await names(world), ['a']);
	const third = await commit({ 'pod.yaml': undefined });
	await world.status((now) => synced(now) && now.sync?.revision === third);
	t.deepEqual(await names(world), ['b']);
});

test('a field that cannot be changed fails the sync of a commit before anything of it is done, and says what to do', async (t) => {
	const { world, commit } = await remoteWorld(t);
	await commit({ 'web.yaml': web('one') });
	await world.status((now) => synced(now) && now.resources?.length === 2);
	await change(world, { spec: { syncPolicy: { retry: patient } } });
	const changed = await commit({ 'web.yaml': web('two'), 'a.yaml': configMap('b', wave(-1)) });
	const status = await world.status((now) => retried(now) && now.sync?.revision === changed);
	t.deepEqual(status.conditions ?? [], []);
	t.regex(status.operationState?.message ?? '', /immutable; to change it the object must be made anew/);
	t.regex(status.resources?.find(({ name }) => name === 'web')?.message ?? '', /immutable/);
	t.deepEqual(await names(world), ['a']);
	await world.client.delete(Deployment, { name: 'web', namespace: 'default' });
	await world.status((now) => synced(now) && now.sync?.revision === changed);
	t.deepEqual(await names(world), ['b']);
});

test('what is wrong in a manifest itself refuses the commit, as before', async (t) => {
	const { world, commit } = await remoteWorld(t);
	const broken = await commit({
		'a.yaml': configMap('b'),
		'pod.yaml': pod('runs', 'builder').replace('"image"', '"imagination"'),
	});
	const status = await world.status(({ conditions }) => conditions?.[0]?.type === 'ComparisonError');
	t.regex(status.conditions?.[0]?.message ?? '', /imagination|image/);
	t.not(status.sync?.revision, broken);
	t.deepEqual(await names(world), ['a']);
});

test('an application that moves to a namespace is asked for when that is made, before what it had is pruned', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { syncPolicy: { retry: patient, syncOptions: ['CreateNamespace=true'] } } });
	await world.client.create(ServiceAccount, account('builder'));
	await world.push({ 'a.yaml': configMap('a'), 'pod.yaml': pod('runs', 'builder') });
	await world.status(synced);
	await change(world, { spec: { destination: { namespace: 'shop' } } });
	const status = await world.status(retried);
	t.regex(status.operationState?.message ?? '', /error looking up service account shop\/builder/);
	t.deepEqual([await names(world), await names(world, 'shop')], [['a'], []]);
	await world.client.create(ServiceAccount, account('builder', 'shop'));
	await world.status((now) => synced(now) && now.resources?.every(({ namespace }) => namespace === 'shop') === true);
	t.deepEqual([await names(world), await names(world, 'shop')], [[], ['a']]);
});

test('self-heal mends what it can in every wave, whatever of an earlier one cannot be made', async (t) => {
	const world = await startGitOps(t);
	await world.client.create(Namespace, namespaceOf('shop'));
	await world.push({
		'a.yaml': configMap('a', { namespace: 'shop', ...wave(-1) }),
		'b.yaml': configMap('b', wave(1)),
		'web.yaml': web('one'),
	});
	await world.status(synced);
	await change(world, { spec: { syncPolicy: { automated: null, retry: patient } } });
	await world.client.delete(Namespace, { name: 'shop' });
	await world.client.delete(ConfigMap, { name: 'b', namespace: 'default' });
	const body = { spec: { replicas: 1 } };
	await world.client.as('somebody').patch(Deployment, { name: 'web', namespace: 'default' }, { type: 'merge', body });
	await world.status(({ resources = [] }) => resources.every(({ status }) => status === 'OutOfSync'));
	await change(world, { spec: { syncPolicy: { automated: { prune: true, selfHeal: true } } } });
	const { operationState, resources } = await world.status(retried);
	t.regex(operationState?.message ?? '', /configmap\/a: namespaces "shop" not found/);
	t.notRegex(operationState?.message ?? '', /configmap\/b|web/);
	t.deepEqual(await names(world), ['b']);
	t.is((await world.client.get(Deployment, { name: 'web', namespace: 'default' })).spec.replicas, 0);
	t.truthy(resources);
});

test('a dry run of a service that takes the node port of one that is pruned succeeds, as the sync does', async (t) => {
	const world = await startGitOps(t);
	const service = (name: string) =>
		JSON.stringify({
			apiVersion: 'v1',
			kind: 'Service',
			metadata: { name },
			spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80, nodePort: 30_124 }] },
		});
	await world.push({ 'service.json': service('old') });
	await world.status(synced);
	await change(world, { spec: { syncPolicy: { automated: { enabled: false } } } });
	await world.push({ 'service.json': service('new') });
	await world.status((now) => now.resources?.length === 2);
	for (const dryRun of [true, false]) {
		await ask(world, { prune: true, dryRun });
		const { operationState } = await world.status(
			({ operationState: now }) => now?.finishedAt !== undefined && (now.operation.sync?.dryRun ?? false) === dryRun,
		);
		t.is(operationState?.phase, 'Succeeded', operationState?.message);
	}
	await t.notThrowsAsync(world.client.get(Service, { name: 'new', namespace: 'default' }));
	await t.throwsAsync(world.client.get(Service, { name: 'old', namespace: 'default' }));
});

test('a sync that was asked for goes on with what is pushed meanwhile, and applies all of that', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	const job = (value: string) => ({
		'a.yaml': configMap('a', wave(-2), { value }),
		'pod.yaml': pod('runs', 'default', wave(-1)),
		'z.yaml': configMap('z', {}, { value }),
	});
	await world.push(job('1'));
	await world.status(({ resources }) => resources?.length === 3);
	await ask(world, {});
	await world.status(({ operationState }) => /waiting for pod\/runs/.test(operationState?.message ?? ''));
	await world.push(job('2'));
	const second = (await world.git('rev-parse', 'HEAD')).output.trim();
	await world.status(({ sync }) => sync?.revision === second);
	const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
	await world.client.patch(
		Pod,
		{ name: 'runs', namespace: 'default' },
		{ type: 'merge', body: { status } },
		{ subresource: 'status' },
	);
	const done = await world.status(({ operationState }) => operationState?.phase === 'Succeeded');
	t.is(done.history?.at(-1)?.revision, second);
	const value = async (name: string) => (await world.client.get(ConfigMap, { name, namespace: 'default' })).data?.value;
	t.deepEqual([await value('a'), await value('z')], ['2', '2']);
});

test('a sync to another revision that a dead process had to leave goes on when the namespace has come that it lacked', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a', { namespace: 'kube-public' }) });
	await world.status(synced);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	await world.client.create(Namespace, namespaceOf('shop'));
	await world.push({ 'b.yaml': configMap('b', { namespace: 'shop' }) });
	const other = (await world.git('rev-parse', 'HEAD')).output.trim();
	await world.push({ 'b.yaml': undefined });
	await world.client.delete(Namespace, { name: 'shop' });
	await gone(world, 'shop');
	await world.status(({ resources }) => resources?.length === 1);
	// What a process before has left in the status.
	const now = new Date().toISOString();
	const operationState = {
		operation: { sync: { revision: other, prune: null }, initiatedBy: null, retry: patient },
		phase: 'Running',
		startedAt: now,
		finishedAt: now,
		retryCount: 1,
		message: 'left by a process before',
		syncResult: {
			revision: other,
			resources: [
				{
					group: '',
					version: 'v1',
					kind: 'ConfigMap',
					namespace: 'shop',
					name: 'b',
					status: 'SyncFailed',
					message: 'namespaces "shop" not found: put a Namespace of this name into the source',
				},
			],
		},
	};
	await world.client.patch(
		Application,
		home,
		{ type: 'merge', body: { status: { operationState } } },
		{
			subresource: 'status',
		},
	);
	await world.status(({ operationState: last }) => last?.retryCount === 1);
	await world.client.create(Namespace, namespaceOf('shop'));
	await world.status(({ operationState: last }) => last?.phase === 'Succeeded');
	t.deepEqual(await names(world, 'shop'), ['b']);
});

test('a sync to another revision that fails for an object that is not of this application keeps to its retry policy', async (t) => {
	const { world, commit } = await remoteWorld(t);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	await world.client.create(Deployment, JSON.parse(web('theirs')));
	const other = await commit({ 'web.yaml': web('ours') });
	await commit({ 'web.yaml': undefined });
	await change(world, { operation: { sync: { revision: other }, retry: patient } });
	const { operationState } = await world.status(
		({ operationState: last }) => last?.phase === 'Failed' || last?.retryCount !== undefined,
	);
	t.regex(operationState?.message ?? '', /field is immutable.* Retrying attempt #1 at /);
	// It is looked at again, more than once: whoever asks for that is answered by the annotation's going.
	for (let time = 0; time < 3; time++) {
		await change(world, { metadata: { annotations: { 'argocd.argoproj.io/refresh': 'normal' } } });
		while ((await world.client.get(Application, home)).metadata.annotations?.['argocd.argoproj.io/refresh'])
			await new Promise((resolve) => setTimeout(resolve, 50));
	}
	const { status } = await world.client.get(Application, home);
	t.is(status?.operationState?.phase, 'Running', 'the next attempt is an hour away');
	t.is(status?.operationState?.finishedAt, operationState?.finishedAt);
});
