/** What the leader answers of an application, over HTTPS, to kubectl and to the command. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { openPki, serveApi, writeKubeconfig } from '../../src/api/index.ts';
import { ConfigMap } from '../../src/kinds/index.ts';
import { driftless } from '../cli/driftless.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { type GitOpsWorld, startGitOps } from './gitops.ts';

const run = promisify(execFile);
const path = '/apis/argoproj.io/v1alpha1/namespaces/default/applications/default';
const configMap = (name: string, value: string) =>
	JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { value } });

async function served(t: ExecutionContext, { api, answers, dataDir }: GitOpsWorld, leads = true) {
	const pki = await openPki({ dataDir });
	const given = leads ? answers : undefined;
	const server = await serveApi({ api, pki, address: '127.0.0.1', port: 0, log: silentLog, answers: given });
	t.teardown(() => server.close());
	const kubeconfig = join(dataDir, `kubeconfig-${server.port}`);
	const url = `https://127.0.0.1:${server.port}`;
	await writeKubeconfig({ path: kubeconfig, server: url, authority: pki.authority.cert, client: pki.admin });
	const command = driftless(kubeconfig);
	t.teardown(() => command[Symbol.dispose]());
	return {
		command,
		raw: async (of: string) => {
			const { stdout } = await run('kubectl', ['--kubeconfig', kubeconfig, 'get', '--raw', `${path}${of}`]);
			return JSON.parse(stdout);
		},
	};
}

test('what an application applies, and what a sync to another revision would change, can be asked for', async (t) => {
	const world = await startGitOps(t);
	const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { password: 'horse' } };
	await world.push({ 'a.json': configMap('a', '1'), 's.json': JSON.stringify(secret) });
	const first = (await world.git('rev-parse', 'HEAD')).output.trim();
	await world.push({ 'a.json': configMap('a', '2'), 'b.json': configMap('b', '1') });
	const second = (await world.git('rev-parse', 'HEAD')).output.trim();
	await world.status(({ sync }) => sync?.status === 'Synced' && sync.revision === second);
	const { raw, command } = await served(t, world);

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
	const missing = await command('diff', '--revision', 'nowhere');
	t.is(missing.code, 2);
	t.regex(missing.stderr, /nowhere/);
});

test('a server that cannot know says so', async (t) => {
	const world = await startGitOps(t);
	const { raw } = await served(t, world, false);
	await t.throwsAsync(raw('/plan'), { message: /this server does not answer applications\/plan/ });
});
