import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
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
