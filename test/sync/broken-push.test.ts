import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { Application, ConfigMap } from '../../src/kinds/index.ts';
import { createWorkTree } from '../testbed/git.ts';
import { startGitOps } from './gitops.ts';

/** The git processes that serve the repositories below a folder. */
function serving(folder: string): number[] {
	return readdirSync('/proc')
		.map(Number)
		.filter((pid) => {
			try {
				return pid > 0 && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`GIT_PROJECT_ROOT=${folder}`);
			} catch {
				return false;
			}
		});
}

test('a push whose body breaks off leaves no git process behind', async (t) => {
	const world = await startGitOps(t);
	const url = new URL(world.url);
	const push = request(new URL('/git/default.git/git-receive-pack', url), {
		method: 'POST',
		auth: `${url.username}:${url.password}`,
		headers: { 'content-type': 'application/x-git-receive-pack-request', 'content-length': 100_000 },
	});
	push.on('error', () => {});
	push.write('0098');
	while (serving(`${world.dataDir}/git`).length === 0) await delay(10);
	push.destroy();
	const deadline = Date.now() + 20_000;
	while (serving(`${world.dataDir}/git`).length > 0 && Date.now() < deadline) await delay(20);
	t.deepEqual(serving(`${world.dataDir}/git`), []);
	t.is((await world.push({ 'README.md': 'still there' })).code, 0);
});

test('a folder that comes to hold what cannot be rendered is an error: nothing of it is pruned, and no sync calls it in sync', async (t) => {
	await using tree = await createWorkTree();
	const configMap = (name: string) =>
		`apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: default}\n`;
	await tree.commit({ 'a/a.yaml': configMap('a'), 'b/b.yaml': configMap('b') });
	const world = await startGitOps(t, { source: tree.directory });
	await world.status(({ sync }) => sync?.status === 'Synced');
	await tree.commit({ 'b/Chart.yaml': 'apiVersion: v2\nname: b\nversion: 1.0.0\n' });
	const { conditions } = await world.status((status) => (status.conditions ?? []).length > 0);
	t.regex(conditions?.[0]?.message ?? '', /b\/Chart\.yaml:1:1: a Helm chart, which is not rendered/);
	const name = { name: 'default', namespace: 'default' };
	await world.client.patch(Application, name, { type: 'merge', body: { operation: { sync: { prune: true } } } });
	const { operationState } = await world.status(
		({ operationState: last }) => last?.phase !== 'Succeeded' && last?.phase !== 'Running',
	);
	t.is(operationState?.phase, 'Failed');
	t.regex(operationState?.message ?? '', /a Helm chart, which is not rendered/);
	t.truthy(await world.client.get(ConfigMap, { ...name, name: 'b' }));
});
