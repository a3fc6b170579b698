import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { loadToken, openPushServer } from '../../src/sync/push/index.ts';
import { openEmbedded } from '../../src/sync/source/index.ts';
import { serveWeb } from '../../src/web/index.ts';
import { createWorkTree, temporaryDirectory } from '../testbed/git.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { driftless } from './driftless.ts';

test('git asks for the token where the remote was added, and neither its configuration nor its arguments have it', async (t) => {
	await using directory = await temporaryDirectory();
	const dataDir = join(directory.path, "ada's data");
	await mkdir(dataDir);
	const token = await loadToken(dataDir);
	await using embedded = await openEmbedded(dataDir);
	await using push = await openPushServer({
		repositories: [embedded],
		token,
		handler: { check: async () => ({ accept: true, lines: [] }), async *accepted() {} },
		log: silentLog,
	});
	const web = await serveWeb({ port: 0, push, log: silentLog });
	t.teardown(() => web.close());
	const running = { pid: process.pid, api: 'https://127.0.0.1:1', http: `http://127.0.0.1:${web.port}` };
	await writeFile(join(dataDir, 'running.json'), JSON.stringify(running));
	await using work = await createWorkTree();
	const commit = await work.commit({ 'a.txt': 'a' });
	using run = driftless();
	const options = { cwd: work.directory, env: { PATH: process.env.PATH ?? '' } };
	for (const round of ['made', 'made again']) {
		const { code, stdout, stderr } = await run('--data-dir', dataDir, 'remote', '--add', options);
		t.deepEqual([code, stdout], [0, 'git push driftless HEAD:main\n'], `${round}: ${stderr}`);
	}
	const { code, output } = await work.push('driftless', 'HEAD:main');
	t.is(code, 0, output);
	t.is(await embedded.repository.resolve('main'), commit);
	const config = await readFile(join(work.directory, '.git/config'), 'utf8');
	t.false(config.includes(token), config);
	t.regex(config, /url = http:\/\/127\.0\.0\.1:\d+\/git\/default\.git/);
});
