/** Objects of a namespace that is not there: what is shown, what a sync says, and that it succeeds when the namespace has come. */
import test from 'ava';
import { Application, ConfigMap, Namespace } from '../../src/kinds/index.ts';
import { createGitRemote, createWorkTree } from '../testbed/git.ts';
import { type GitOpsWorld, startGitOps } from './gitops.ts';

type Status = Application['status'] & object;

const home = { name: 'default', namespace: 'default' };
const configMap = (name: string, metadata: object = {}) =>
	JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data: { a: 'b' } });
const namespaceOf = (name: string, annotations = {}): Namespace => ({
	apiVersion: 'v1',
	kind: 'Namespace',
	metadata: { name, annotations },
	spec: {},
});
const wave = (number: number) => ({ 'argocd.argoproj.io/sync-wave': String(number) });
const make = ({ client }: GitOpsWorld, name: string) => client.create(Namespace, namespaceOf(name));
const change = ({ client }: GitOpsWorld, body: object) => client.patch(Application, home, { type: 'merge', body });
/** What is lacking is tried again only when it has come: the next attempt by time lies beyond the test. */
const patient = { limit: 1, backoff: { duration: '1h', maxDuration: '1h' } };
const moveTo = (world: GitOpsWorld, namespace: string, syncPolicy: object = {}) =>
	change(world, { spec: { destination: { namespace }, syncPolicy } });
const ask = (world: GitOpsWorld, sync: object) => change(world, { operation: { sync } });
const names = async ({ client }: GitOpsWorld, namespace: string) =>
	(await client.list(ConfigMap, { namespace })).items
		.map(({ metadata }) => metadata.name)
		.filter((name) => name !== 'kube-root-ca.crt')
		.sort();
const synced = ({ sync }: Status) => sync?.status === 'Synced';
const absent = ({ sync, health }: Status) => sync?.status === 'OutOfSync' && health?.status === 'Missing';
const failed = ({ operationState }: Status) => operationState?.phase === 'Failed';
const retried = ({ operationState }: Status) =>
	operationState?.phase === 'Running' && operationState.retryCount !== undefined;
const advice = /namespaces "shop" not found: put a Namespace of this name into the source/;
const orOption = /, or set the sync option CreateNamespace=true/;

test('what is to go into a namespace that is not there is out of sync and missing, and its status says what to do', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	await world.push({ 'a.yaml': configMap('a') });
	await moveTo(world, 'shop');
	const status = await world.status((now) => absent(now) && now.resources?.[0]?.namespace === 'shop');
	t.deepEqual(status.conditions ?? [], []);
	t.is(status.resources?.length, 1, 'nothing of an earlier namespace');
	t.like(status.resources?.[0], {
		namespace: 'shop',
		status: 'OutOfSync',
		health: { status: 'Missing' },
		origin: { file: 'a.yaml', line: 1, column: 1 },
	});
	t.regex(status.resources?.[0]?.message ?? '', advice);
	t.regex(status.resources?.[0]?.message ?? '', orOption);
	await make(world, 'shop');
	await world.status((now) => absent(now) && now.resources?.[0]?.message === undefined);
});

test('a sync to a namespace that is not there fails and says what to do; it can be asked for again when that has come', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	await world.push({ 'a.yaml': configMap('a') });
	await moveTo(world, 'shop');
	await world.status(absent);
	for (const dryRun of [true, false]) {
		await ask(world, { dryRun });
		const { operationState } = await world.status(
			(now) => failed(now) && (now.operationState?.operation.sync?.dryRun ?? false) === dryRun,
		);
		t.regex(operationState?.message ?? '', advice);
		t.regex(operationState?.message ?? '', orOption);
		t.like(operationState?.syncResult?.resources?.[0], { name: 'a', namespace: 'shop', status: 'SyncFailed' });
	}
	await make(world, 'shop');
	await ask(world, {});
	await world.status(synced);
	t.deepEqual(await names(world, 'shop'), ['a']);
});

test('the option CreateNamespace of a request alone makes the namespace too', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	await world.push({ 'a.yaml': configMap('a') });
	await moveTo(world, 'shop');
	await world.status(absent);
	await ask(world, { syncOptions: ['CreateNamespace=true'] });
	await world.status(synced);
	t.deepEqual(await names(world, 'shop'), ['a']);
});

test('an automated sync to a namespace that is not there is tried again, prunes nothing, and goes on at once when it has come', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a') });
	await world.status(synced);
	await moveTo(world, 'shop', { retry: patient });
	const waiting = await world.status(retried);
	t.regex(waiting.operationState?.message ?? '', advice);
	t.regex(waiting.operationState?.message ?? '', /Retrying attempt #1 at/);
	t.deepEqual(await names(world, 'default'), ['a'], 'what is to be moved works on where it is');
	await make(world, 'shop');
	await world.status((now) => synced(now) && now.resources?.every(({ namespace }) => namespace === 'shop') === true);
	t.deepEqual([await names(world, 'shop'), await names(world, 'default')], [['a'], []]);
});

test('an automated sync that has used up its retries begins anew when the namespace has come', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a') });
	await world.status(synced);
	await moveTo(world, 'shop', { retry: { limit: 0 } });
	const ended = await world.status((now) => failed(now) && now.conditions?.[0]?.type === 'SyncError');
	t.regex(ended.conditions?.[0]?.message ?? '', advice);
	t.is(ended.sync?.status, 'OutOfSync');
	await make(world, 'shop');
	await world.status(synced);
	t.deepEqual(await names(world, 'shop'), ['a']);
});

test('where a manifest names a namespace that is not there, nothing of the revision is applied, in no wave', async (t) => {
	await using remote = await createGitRemote();
	await using tree = await createWorkTree(remote.url);
	const commit = async (files: Record<string, string>) => {
		const id = await tree.commit(files);
		await tree.push();
		return id;
	};
	await commit({ 'a.yaml': configMap('a'), 'b.yaml': configMap('b') });
	const world = await startGitOps(t, { source: remote.url, pollMs: 200 });
	await world.status(synced);
	await change(world, { spec: { syncPolicy: { retry: patient } } });
	const second = await commit({
		'b.yaml': configMap('c', { annotations: wave(-1) }),
		'd.yaml': configMap('d', { namespace: 'shop', annotations: wave(1) }),
	});
	const status = await world.status((now) => retried(now) && now.sync?.revision === second);
	t.deepEqual(status.conditions ?? [], []);
	t.regex(status.operationState?.message ?? '', /configmap\/d: namespaces "shop" not found/);
	t.notRegex(status.operationState?.message ?? '', orOption, 'that option makes the namespace of the destination only');
	t.deepEqual(await names(world, 'default'), ['a', 'b']);
	await make(world, 'shop');
	await world.status(synced);
	t.deepEqual([await names(world, 'default'), await names(world, 'shop')], [['a', 'c'], ['d']]);
});

test('a Namespace of a later wave is none yet for what comes before it', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	const files = (of: number) => ({
		'ns.yaml': JSON.stringify(namespaceOf('shop', wave(of))),
		'a.yaml': configMap('a', { namespace: 'shop' }),
	});
	await world.push(files(1));
	await world.status(absent);
	await ask(world, {});
	const { operationState } = await world.status(failed);
	t.regex(operationState?.message ?? '', /namespaces "shop" not found: .* wave/);
	await world.push(files(-1));
	await ask(world, {});
	await world.status(synced);
	t.deepEqual(await names(world, 'shop'), ['a']);
});

test('a selective sync minds the namespaces of what it is about, and no others', async (t) => {
	const world = await startGitOps(t);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	await world.push({
		'ns.yaml': JSON.stringify(namespaceOf('shop')),
		'a.yaml': configMap('a', { namespace: 'shop' }),
		'b.yaml': configMap('b'),
	});
	await world.status(absent);
	const pick = (...of: [string, string][]) =>
		ask(world, { resources: of.map(([kind, name]) => ({ group: '', kind, name })) });
	await pick(['ConfigMap', 'b']);
	const { operationState } = await world.status((now) => now.operationState?.phase === 'Succeeded');
	t.deepEqual(
		operationState?.syncResult?.resources?.map(({ name }) => name),
		['b'],
	);
	await pick(['ConfigMap', 'a']);
	const alone = await world.status(failed);
	t.regex(alone.operationState?.message ?? '', /namespaces "shop" not found: its Namespace is in the source/);
	await pick(['ConfigMap', 'a'], ['Namespace', 'shop']);
	await world.status(synced);
	t.deepEqual(await names(world, 'shop'), ['a']);
});

test('one application may bring the namespace of another, which waits alone', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a/a.yaml': configMap('a'), 'b/b.yaml': configMap('b') });
	const { spec } = await world.client.get(Application, home);
	await change(world, {
		spec: { source: { ...spec.source, path: 'a' }, destination: { namespace: 'shop' }, syncPolicy: { retry: patient } },
	});
	await world.status(retried);
	await world.client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'other', namespace: 'default' },
		spec: {
			...spec,
			source: { repoURL: spec.source?.repoURL ?? '', targetRevision: 'main', path: 'b' },
			destination: { namespace: 'shop' },
			syncPolicy: { automated: { prune: true }, syncOptions: ['CreateNamespace=true'] },
		},
	});
	await world.status(synced, 'other');
	await world.status(synced);
	t.deepEqual(await names(world, 'shop'), ['a', 'b']);
});

test('where a namespace has gone, self-heal mends what it can, fails and says so, and goes on when it is there again', async (t) => {
	const world = await startGitOps(t);
	await make(world, 'shop');
	await moveTo(world, 'shop', { retry: patient });
	await world.push({ 'a.yaml': configMap('a'), 'b.yaml': configMap('b', { namespace: 'default' }) });
	await world.status(synced);
	await change(world, { spec: { syncPolicy: { automated: null } } });
	const b = { name: 'b', namespace: 'default' };
	await world.client.as('somebody').patch(ConfigMap, b, { type: 'merge', body: { data: { a: 'by hand' } } });
	await world.client.delete(Namespace, { name: 'shop' });
	while ((await world.client.list(Namespace, {})).items.some(({ metadata }) => metadata.name === 'shop'))
		await new Promise((resolve) => setTimeout(resolve, 50));
	await world.status(({ resources = [] }) => resources.every(({ status }) => status === 'OutOfSync'));
	await change(world, { spec: { syncPolicy: { automated: { prune: true, selfHeal: true } } } });
	const { operationState } = await world.status(retried);
	t.regex(operationState?.message ?? '', advice);
	t.is(operationState?.operation.sync?.autoHealAttemptsCount, 1);
	t.is((await world.client.get(ConfigMap, b)).data?.a, 'b');
	await make(world, 'shop');
	await world.status((now) => synced(now) && now.operationState?.phase === 'Succeeded');
	t.deepEqual(await names(world, 'shop'), ['a']);
});

test('a namespace that is on its way out is as good as none, and counts again when it has been made anew', async (t) => {
	const world = await startGitOps(t);
	const metadata = { name: 'shop', finalizers: ['example.com/hold'] };
	await world.client.create(Namespace, { ...namespaceOf('shop'), metadata });
	await world.client.delete(Namespace, { name: 'shop' });
	await world.push({ 'a.yaml': configMap('a') });
	await world.status(synced);
	await moveTo(world, 'shop', { retry: patient });
	const status = await world.status((now) => retried(now) && now.sync?.status === 'OutOfSync');
	t.deepEqual(status.conditions ?? [], []);
	t.regex(status.operationState?.message ?? '', /namespace shop because it is being terminated/);
	t.deepEqual(await names(world, 'default'), ['a']);
	await world.client.patch(Namespace, { name: 'shop' }, { type: 'merge', body: { metadata: { finalizers: null } } });
	await world.status((now) => failed(now) && advice.test(now.operationState?.message ?? ''));
	await make(world, 'shop');
	await world.status(synced);
	t.deepEqual([await names(world, 'shop'), await names(world, 'default')], [['a'], []]);
});

test('one of several sources may describe the namespace that another one needs', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a/a.yaml': configMap('a'), 'b/ns.yaml': JSON.stringify(namespaceOf('shop')) });
	const { spec } = await world.client.get(Application, home);
	const source = (path: string) => ({ repoURL: spec.source?.repoURL, targetRevision: 'main', path });
	await change(world, {
		spec: { source: null, sources: [source('a')], destination: { namespace: 'shop' }, syncPolicy: { retry: patient } },
	});
	const status = await world.status(retried);
	t.regex(status.operationState?.message ?? '', advice);
	await change(world, { spec: { sources: [source('a'), source('b')] } });
	await world.status(synced);
	t.deepEqual(await names(world, 'shop'), ['a']);
});

test('a push to what lacks its namespace is refused at its line, until the push brings it', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.yaml': configMap('a') });
	await world.status(synced);
	await moveTo(world, 'shop', { retry: patient });
	await world.status(retried);
	const refused = await world.push({ 'b.yaml': configMap('b', { namespace: 'default' }) });
	t.not(refused.code, 0);
	t.regex(refused.output, /a\.yaml:1:\d+: namespaces "shop" not found/, 'what was there before counts too');
	const { code, output } = await world.push({ 'ns.yaml': JSON.stringify(namespaceOf('shop')) });
	t.is(code, 0, output);
	await world.status(synced);
	t.deepEqual(await names(world, 'shop'), ['a']);
});
