import test from 'ava';
import { Application, ConfigMap, Secret } from '../../src/kinds/index.ts';
import { createApplications, outsideOf } from '../../src/sync/index.ts';
import { createRenderer } from '../../src/sync/render/index.ts';
import { follow } from '../../src/sync/source/follow.ts';
import { createState } from '../../src/sync/state.ts';
import { eventually, run, world } from '../client/world.ts';
import { createGitRemote, createWorkTree } from '../testbed/git.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { startGitOps } from './gitops.ts';
import { memoryTree } from './memory-tree.ts';

const configMap = (value: string) =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: default\ndata:\n  value: "${value}"\n`;

test('a remote is followed; while it is down nothing is pruned and what was synced is kept up; then it is followed again', async (t) => {
	await using remote = await createGitRemote();
	await using tree = await createWorkTree(remote.url);
	const commit = async (value: string) => {
		await tree.write({ 'deploy/a.yaml': configMap(value) });
		await tree.git('add', '-A');
		await tree.git('commit', '-q', '-m', value);
		await tree.git('push', '-q', remote.url, 'HEAD:main');
		return tree.git('rev-parse', 'HEAD');
	};
	const first = await commit('1');
	const world = await startGitOps(t, { source: remote.url });
	const value = async () => (await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value;
	await world.status(({ sync }) => sync?.status === 'Synced' && sync.revision === first);
	t.is(await value(), '1');

	const second = await commit('2');
	await world.status(({ sync }) => sync?.status === 'Synced' && sync.revision === second);
	t.is(await value(), '2');

	remote.behaviour.mode = 'fail';
	const down = await world.status(({ conditions }) => (conditions ?? []).length > 0);
	t.is(down.conditions?.[0]?.type, 'ComparisonError');
	t.is(down.sync?.status, 'Unknown');
	t.is(await value(), '2');
	await world.client
		.as('somebody')
		.patch(ConfigMap, { name: 'a', namespace: 'default' }, { type: 'merge', body: { data: { value: 'by hand' } } });
	while ((await value()) !== '2') await new Promise((resolve) => setTimeout(resolve, 50));

	remote.behaviour.mode = 'serve';
	const third = await commit('3');
	await world.status(
		({ sync, conditions }) => sync?.status === 'Synced' && sync.revision === third && (conditions ?? []).length === 0,
	);
	t.is(await value(), '3');
});

test('a remote that asks for credentials gets those of its Secret, and says so while there are none', async (t) => {
	await using remote = await createGitRemote();
	await using tree = await createWorkTree(remote.url);
	await tree.write({ 'a.yaml': configMap('1') });
	await tree.git('add', '-A');
	await tree.git('commit', '-q', '-m', 'one');
	await tree.git('push', '-q', remote.url, 'HEAD:main');
	remote.behaviour.token = 'secret-token';
	const world = await startGitOps(t, { source: remote.url });
	const refused = await world.status(({ conditions }) => (conditions ?? []).length > 0);
	t.regex(refused.conditions?.[0]?.message ?? '', /credentials|401/i);
	await world.client.create(Secret, {
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: { name: 'remote', namespace: 'default', labels: { 'argocd.argoproj.io/secret-type': 'repository' } },
		stringData: { url: remote.url, username: 'git', password: 'secret-token' },
	});
	await world.status(({ sync }) => sync?.status === 'Synced');
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '1');
	const { status } = await world.client.get(Application, { name: 'default', namespace: 'default' });
	t.false(JSON.stringify(status).includes('secret-token'));
});

test('credentials in the URL of a source are in no status, and a rollback finds the source all the same', async (t) => {
	await using remote = await createGitRemote();
	await using tree = await createWorkTree(remote.url);
	const first = await tree.commit({ 'a.yaml': configMap('1') });
	await tree.push();
	remote.behaviour.token = 'secret-token';
	const url = new URL(remote.url);
	url.username = 'git';
	url.password = 'secret-token';
	const world = await startGitOps(t, { source: url.href });
	await world.status(({ sync }) => sync?.status === 'Synced' && sync.revision === first);
	const name = { name: 'default', namespace: 'default' };
	const { status } = await world.client.get(Application, name);
	t.is(status?.history?.length, 1);
	t.false(JSON.stringify(status).includes('secret-token'), JSON.stringify(status));
	const source = status?.history?.[0]?.source;
	await world.client.patch(Application, name, {
		type: 'merge',
		body: { spec: { syncPolicy: null }, operation: { sync: { revision: first, source } } },
	});
	const { operationState } = await world.status(
		({ operationState: last }) => last?.operation.sync?.source !== undefined && last.phase !== 'Running',
	);
	t.is(operationState?.phase, 'Succeeded', operationState?.message);
});

test('before a sync that is asked for, and for the annotation refresh, the remote is looked at', async (t) => {
	await using remote = await createGitRemote();
	await using tree = await createWorkTree(remote.url);
	const commit = async (value: string) => {
		const id = await tree.commit({ 'a.yaml': configMap(value) });
		await tree.push();
		return id;
	};
	const first = await commit('1');
	const world = await startGitOps(t, { source: remote.url, pollMs: 3_600_000 });
	const name = { name: 'default', namespace: 'default' };
	const value = async () => (await world.client.get(ConfigMap, { ...name, name: 'a' })).data?.value;
	await world.status(({ sync }) => sync?.status === 'Synced' && sync.revision === first);

	const second = await commit('2');
	await world.client.patch(Application, name, { type: 'merge', body: { operation: { sync: {} } } });
	await world.status(({ operationState }) => operationState?.syncResult?.revision === second);
	t.is(await value(), '2');

	const third = await commit('3');
	const key = 'argocd.argoproj.io/refresh';
	const body = { metadata: { annotations: { [key]: 'normal' } } };
	await world.client.patch(Application, name, { type: 'merge', body });
	await world.status(({ sync }) => sync?.status === 'Synced' && sync.revision === third);
	t.is(await value(), '3');
	t.is((await world.client.get(Application, name)).metadata.annotations?.[key], undefined);
});

test('an application does not wait for a remote that never answers', async (t) => {
	const forever = () => new Promise<never>(() => {});
	const reader = { url: 'http://x', look: forever, tree: forever, resolve: forever, commit: forever, blame: forever };
	const source = follow({ ...reader, close: async () => {} }, silentLog);
	const state = createState({
		key: 'default/a' as never,
		renderer: createRenderer(),
		openSource: async () => source,
		tracked: new Map(),
		onChange: () => t.fail(),
		wantedElsewhere: () => false,
		onDesired: () => {},
		onRefused: () => {},
		complete: () => true,
	});
	const application: Application = {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'a', namespace: 'default' },
		spec: { project: 'default', source: { repoURL: 'http://x' }, destination: {} },
	};
	t.false(await state.looked(application));
	t.false(await state.looked({ ...application, operation: { sync: {} } }));
});

test('applications that are asked for what their remote never gives hold up no other, and can be told to stop', async (t) => {
	const w = await world(t);
	const tree = memoryTree({
		'map.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\ndata: {a: b}\n',
	});
	const commit = '0'.repeat(40);
	const forever = () => new Promise<never>(() => {});
	const reader = (url: string) => ({
		url,
		look: async () => commit,
		tree: async () => ({ ...tree, revision: commit }),
		resolve: forever,
		commit: async () => undefined,
		blame: async () => undefined,
		close: async () => {},
	});
	const { controller } = createApplications({
		renderer: createRenderer(),
		outside: outsideOf(),
		openSource: async ({ repoURL }) => follow(reader(repoURL), silentLog),
	});
	run(t, w, [controller]);
	const application = (name: string, rest: Partial<Application>): Application => ({
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name, namespace: 'default' },
		...rest,
		spec: { project: 'default', source: { repoURL: `http://${name}` }, destination: {}, ...rest.spec },
	});
	const told = (name: string, wanted: (application: Application) => boolean) =>
		eventually(
			w,
			[Application],
			async () => {
				const found = await w.client.get(Application, { name, namespace: 'default' });
				return wanted(found) ? found : undefined;
			},
			90_000,
		);
	const asking = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6'];
	for (const name of asking)
		await w.client.create(Application, application(name, { operation: { sync: { revision: 'v2' } } }));
	for (const name of asking)
		await told(name, ({ status }) => /^waiting for the source/.test(status?.operationState?.message ?? ''));
	await w.client.create(
		Application,
		application('other', { spec: { syncPolicy: { automated: {} } } as Application['spec'] }),
	);
	await told('other', ({ status }) => status?.operationState?.phase === 'Succeeded');
	const body = { status: { operationState: { phase: 'Terminating' } } };
	await w.client.patch(
		Application,
		{ name: 'a1', namespace: 'default' },
		{ type: 'merge', body },
		{ subresource: 'status' },
	);
	await told('a1', ({ status }) => status?.operationState?.phase === 'Failed');
	t.is((await told('a2', () => true)).status?.operationState?.phase, 'Running');
});
