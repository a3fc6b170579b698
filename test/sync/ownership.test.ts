/** What leaves the source goes, whoever else applied it or changed it by hand. */
import test from 'ava';
import { Application, type ApplicationStatus, ConfigMap, Secret } from '../../src/kinds/index.ts';
import { type GitOpsWorld, startGitOps } from './gitops.ts';

const page = { name: 'page', namespace: 'default' };
const configMap = (data: Readonly<Record<string, string>>, more: object = {}) => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: { name: 'page', namespace: 'default', ...more },
	data,
});
const file = (object: object) => ({ 'page.json': JSON.stringify(object) });
const synced = (status: ApplicationStatus) =>
	status.sync?.status === 'Synced' && status.operationState?.phase === 'Succeeded';
const at = (revision: string) => (status: ApplicationStatus) => synced(status) && status.sync?.revision === revision;
const head = async ({ git }: GitOpsWorld) => (await git('rev-parse', 'HEAD')).output.trim();
const pushed = async (world: GitOpsWorld, object: object) => {
	await world.push(file(object));
	return world.status(at(await head(world)));
};
const apply = ({ client }: GitOpsWorld, manager: string, object: object) =>
	client.patch(ConfigMap, page, { type: 'apply', body: object, force: true }, { fieldManager: manager });
const patch = ({ client }: GitOpsWorld, manager: string, body: object) =>
	client.as(manager).patch(ConfigMap, page, { type: 'merge', body });
const dataOf = async ({ client }: GitOpsWorld) => (await client.get(ConfigMap, page)).data;
const managersOf = async ({ client }: GitOpsWorld) =>
	((await client.get(ConfigMap, page)).metadata.managedFields ?? []).map(({ manager }) => manager);
/** Settles when nobody but sync holds what it applies. */
const alone = async (world: GitOpsWorld) => {
	let last: unknown;
	for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
		last = await managersOf(world);
		if (JSON.stringify(last) === '["driftless"]') return;
	}
	throw new Error(`the fields never came to be held by sync alone; they are held by ${JSON.stringify(last)}`);
};

for (const manager of ['driftless-cli', 'kubectl', 'driftless:former']) {
	test(`what ${manager} applied before and the source does not have goes when the object is taken over`, async (t) => {
		const world = await startGitOps(t);
		await apply(world, manager, configMap({ a: '1', old: 'x' }));
		await pushed(world, configMap({ a: '1' }));
		t.deepEqual(await dataOf(world), { a: '1' });
		await pushed(world, configMap({ b: '1' }));
		t.deepEqual(await dataOf(world), { b: '1' });
	});
}

test('an object that kubectl made client-side is the source’s from the first sync on', async (t) => {
	const world = await startGitOps(t);
	await world.client
		.as('kubectl-client-side-apply')
		.create(ConfigMap, configMap({ a: '1', old: 'x' }) as unknown as ConfigMap);
	await pushed(world, configMap({ a: '1' }));
	t.deepEqual(await dataOf(world), { a: '1' });
});

test('with ClientSideApplyMigration=false what kubectl made client-side stays', async (t) => {
	const world = await startGitOps(t);
	await world.client
		.as('kubectl-client-side-apply')
		.create(ConfigMap, configMap({ a: '1', old: 'x' }) as unknown as ConfigMap);
	const annotations = { 'argocd.argoproj.io/sync-options': 'ClientSideApplyMigration=false' };
	await pushed(world, configMap({ a: '1' }, { annotations }));
	t.deepEqual(await dataOf(world), { a: '1', old: 'x' });
});

test('the same manifest applied by hand after a sync does not keep alive what leaves the source', async (t) => {
	const world = await startGitOps(t);
	await pushed(world, configMap({ a: '1', b: '1' }));
	await apply(world, 'driftless-cli', configMap({ a: '1', b: '1' }));
	await alone(world);
	await pushed(world, configMap({ a: '1' }));
	t.deepEqual(await dataOf(world), { a: '1' });
});

test('a value that was changed by hand and back is still the source’s', async (t) => {
	const world = await startGitOps(t);
	await pushed(world, configMap({ a: '1', b: '1' }));
	await patch(world, 'kubectl-edit', { data: { b: '2' } });
	await patch(world, 'kubectl-edit', { data: { b: '1' } });
	await alone(world);
	await pushed(world, configMap({ a: '1' }));
	t.deepEqual(await dataOf(world), { a: '1' });
});

test('what others hold is theirs: a field of a controller stays when the source lets go of it', async (t) => {
	const world = await startGitOps(t);
	await pushed(world, configMap({ a: '1', scaled: '3' }));
	await apply(world, 'scaler', { ...configMap({ scaled: '3' }) });
	await patch(world, 'kubectl-edit', { data: { own: 'x' } });
	await pushed(world, configMap({ a: '1' }));
	t.deepEqual(await dataOf(world), { a: '1', scaled: '3', own: 'x' });
});

test('a key that leaves the stringData of a Secret goes', async (t) => {
	const world = await startGitOps(t);
	const secret = (stringData: object) => ({
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: { name: 'page', namespace: 'default' },
		data: { c: 'Mw==' },
		stringData,
	});
	await pushed(world, secret({ a: '1', b: '2' }));
	await pushed(world, secret({ a: '1' }));
	const { data } = await world.client.get(Secret, page);
	t.deepEqual(data, { a: 'MQ==', c: 'Mw==' });
});

const secretOf = (stringData: object) => ({
	apiVersion: 'v1',
	kind: 'Secret',
	metadata: { name: 'page', namespace: 'default' },
	stringData,
});
const applySecret = ({ client }: GitOpsWorld, manager: string, object: object) =>
	client.patch(Secret, page, { type: 'apply', body: object, force: true }, { fieldManager: manager });

test('who applied the text of a Secret is known by the data that it became', async (t) => {
	const world = await startGitOps(t);
	const home = { name: 'default', namespace: 'default' };
	const automated = { spec: { syncPolicy: { automated: { selfHeal: false } } } };
	await world.client.patch(Application, home, { type: 'merge', body: automated });
	await pushed(world, secretOf({ a: '1', b: '2' }));
	await applySecret(world, 'ada', secretOf({ a: '3' }));
	const { resources } = await world.status(({ sync }) => sync?.status === 'OutOfSync');
	t.like(resources?.[0]?.drift?.[0], { path: '.data.a', manager: 'ada', origin: { file: 'page.json' } });
	const application = await world.client.get(Application, home);
	const query = new URLSearchParams({ kind: 'Secret', namespace: 'default', name: 'page' });
	const { signal } = new AbortController();
	const question = { kind: Application, object: application, subresource: 'blame', query, signal } as never;
	const { fields } = (await world.answers(question)) as { fields: { path: string; owners: { manager: string }[] }[] };
	t.deepEqual(
		fields
			.filter(({ path }) => /^\.(?:data|stringData)\./.test(path))
			.map(({ path, owners }) => [path, owners.map((each) => each.manager).sort()]),
		[
			['.data.a', ['ada', 'driftless']],
			['.data.b', ['driftless']],
		],
	);
});

test('what was applied as text of a Secret before and the source does not have goes when it is taken over', async (t) => {
	const world = await startGitOps(t);
	await applySecret(world, 'kubectl', secretOf({ a: '1', old: 'x' }));
	await pushed(world, secretOf({ a: '1' }));
	t.deepEqual((await world.client.get(Secret, page)).data, { a: 'MQ==' });
	await applySecret(world, 'kubectl', secretOf({ a: '1' }));
	await pushed(world, secretOf({ b: '1' }));
	t.deepEqual((await world.client.get(Secret, page)).data, { b: 'MQ==' });
});

test('an exported manifest is in sync, whatever the server wrote into its metadata', async (t) => {
	const world = await startGitOps(t);
	const status = await pushed(
		world,
		configMap(
			{ a: '1' },
			{
				resourceVersion: '1',
				uid: 'c0ffee',
				creationTimestamp: '2020-01-01T00:00:00Z',
				generation: 4,
				managedFields: [{}],
			},
		),
	);
	t.is(status.resources?.[0]?.status, 'Synced');
	t.deepEqual(await dataOf(world), { a: '1' });
});
