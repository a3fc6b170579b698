/** What the leader answers of an application, over HTTPS, to kubectl and to the command. */
import { join } from 'node:path';
import test from 'ava';
import { ConfigMap } from '../../src/kinds/index.ts';
import { createAnswers, createApplications, outsideOf } from '../../src/sync/index.ts';
import { createRenderer } from '../../src/sync/render/index.ts';
import { startGitOps } from './gitops.ts';
import { served } from './served.ts';

const configMap = (name: string, value: string) =>
	JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } });

test('what an application applies, and what a sync to another revision would change, can be asked for', async (t) => {
	const world = await startGitOps(t);
	const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { password: 'horse' } };
	await world.push({ 'a.json': configMap('a', '1'), 's.json': JSON.stringify(secret) });
	const first = (await world.git('rev-parse', 'HEAD')).output.trim();
	await world.push({ 'a.json': configMap('a', '2'), 'b.json': configMap('b', '1') });
	const second = (await world.git('rev-parse', 'HEAD')).output.trim();
	await world.status(({ sync }) => sync?.status === 'Synced' && sync.revision === second);
	const { raw, command } = await served(t, world, world.answers);

	const now = await raw('/manifests');
	t.deepEqual(now.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name).sort(), ['a', 'b', 's']);
	t.notRegex(JSON.stringify(now), /horse|aG9yc2U/, 'values of Secrets are hidden');
	const before = await raw(`/manifests?revision=${first}`);
	t.is(before.items.length, 2);

	const plan = await raw(`/plan?revision=${first}`);
	t.like(plan.status.sync, { status: 'OutOfSync', revision: first });
	const told = plan.status.resources.map(({ name, status, requiresPruning = false }: Record<string, unknown>) => [
		name,
		status,
		requiresPruning,
	]);
	t.deepEqual(told.sort(), [
		['a', 'OutOfSync', false],
		['b', 'OutOfSync', true],
		['s', 'Synced', false],
	]);
	t.is((await raw('/plan')).status.sync.status, 'Synced');

	const { stdout, code } = await command('diff', '--revision', first, '--exit-code');
	t.is(code, 1);
	t.regex(stdout, /\.data\.value[\s\S]*- "2"\n {2}\+ "1" \(a\.json:1:\d+\)/);
	t.regex(stdout, /ConfigMap default\/b\n- no longer in the source/);
	t.is(
		(await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value,
		'2',
		'nothing was changed',
	);
	// b.json came with the second commit; the first wrote the line of a.json that the second changed.
	await world.client.patch(
		ConfigMap,
		{ name: 'b', namespace: 'default' },
		{ type: 'merge', body: { data: { more: 'by hand' } } },
		{ fieldManager: 'kubectl-edit' },
	);
	const of = (more: string) => raw(`/blame?kind=ConfigMap&namespace=default&name=b${more}`);
	const value = await of('&field=.data.value');
	t.like(value, { kind: 'Blame', revision: second, object: { kind: 'ConfigMap', name: 'b' } });
	t.is(value.fields.length, 1);
	t.like(value.fields[0], {
		path: '.data.value',
		owners: [{ manager: 'driftless', operation: 'Apply' }],
		origin: { file: 'b.json', line: 1 },
		commit: { id: second },
	});
	const more = (await of('')).fields.find(({ path }: { path: string }) => path === '.data.more');
	t.like(more, { owners: [{ manager: 'kubectl-edit', operation: 'Update' }] });
	t.is(more.origin, undefined);
	await t.throwsAsync(of('&field=.data.none'), { message: /nobody owns a field \.data\.none/ });
	await t.throwsAsync(raw('/blame?kind=ConfigMap&name=nobody'), { message: /is no object of the application/ });
	await t.throwsAsync(raw('/blame'), { message: /which object\?/ });

	const missing = await command('diff', '--revision', 'nowhere');
	t.is(missing.code, 2);
	t.regex(missing.stderr, /nowhere/);
});

test('a server that does not lead asks the one that does; where none leads it says so', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.json': configMap('a', '1') });
	await world.status(({ sync }) => sync?.status === 'Synced');
	const pki = (file: string) => join(world.dataDir, 'pki', file);
	const certificates = { ca: pki('ca.crt'), cert: pki('admin.crt'), key: pki('admin.key') };
	const { applications } = createApplications({
		renderer: createRenderer(),
		openSource: () => Promise.reject(new Error('it does not lead, and opens nothing')),
		outside: outsideOf(),
	});
	const leader = await served(t, world, world.answers);
	const of = (origin: string | undefined) =>
		createAnswers(applications, {
			leader: async () => (origin === undefined ? undefined : { origin }),
			others: async () => [],
			certificates,
		});
	const follower = await served(t, world, of(leader.url));
	t.is((await follower.raw('/plan')).status.sync.status, 'Synced');
	await t.throwsAsync(follower.raw('/plan?revision=nowhere'), { message: /nowhere/ });
	const lost = /no server leads the control plane at the moment/;
	await t.throwsAsync((await served(t, world, of(undefined))).raw('/plan'), { message: lost });
	await t.throwsAsync(
		(await served(t, world, of(follower.url))).raw('/plan'),
		{ message: lost },
		'it is passed on once',
	);
	await t.throwsAsync((await served(t, world)).raw('/plan'), { message: /does not answer applications\/plan/ });
});

test('driftless sync prunes only with --prune, whatever automated sync does', async (t) => {
	const world = await startGitOps(t);
	await world.push({ 'a.json': configMap('a', '1') });
	await world.status(({ sync }) => sync?.status === 'Synced');
	await world.push({ 'a.json': undefined, 'README.md': 'nothing' });
	await world.status(({ conditions }) => /allowEmpty/.test(conditions?.[0]?.message ?? ''));
	const { command } = await served(t, world, world.answers);
	const kept = await command('sync');
	t.regex(kept.stdout, /configmap\/a in default is no longer in the source but kept: pruning is not enabled/);
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'default' })).data?.value, '1');
	const pruned = await command('sync', '--prune');
	t.is(pruned.code, 0, pruned.stderr);
	await t.throwsAsync(world.client.get(ConfigMap, { name: 'a', namespace: 'default' }), { message: /not found/ });
});
