/** Set-up on a machine that cannot reach the npm registry. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What set-up says in a fresh clone of which nothing is installed, and its exit code. */
async function setUp(t: ExecutionContext, registry: string): Promise<{ said: string; code: number | null }> {
	const clone = await mkdtemp(join(tmpdir(), 'driftless-setup-'));
	t.teardown(() => rm(clone, { recursive: true, force: true }));
	await mkdir(join(clone, 'scripts'));
	for (const file of ['package.json', 'package-lock.json', 'scripts/setup.mjs', 'scripts/kubectl.mjs'])
		await cp(join(root, file), join(clone, file));
	const env = { ...process.env, npm_config_registry: registry, npm_config_cache: join(clone, 'cache') };
	return new Promise((resolve) => {
		const child = execFile(process.execPath, [join(clone, 'scripts/setup.mjs')], { env }, (_, __, said) =>
			resolve({ said, code: child.exitCode }),
		);
	});
}

test('a registry that cannot be reached is told by its address, with what to do', async (t) => {
	// Nobody listens on the port of a server that has ended.
	const { said, code } = await setUp(t, 'http://127.0.0.1:1/');
	t.is(code, 1, said);
	t.regex(said, /^set-up: asking the npm registry http:\/\/127\.0\.0\.1:1\//m);
	t.regex(said, /the npm registry http:\/\/127\.0\.0\.1:1\/ cannot be reached: ECONNREFUSED$/m);
	t.regex(said, /npm config set https-proxy URL/);
	t.regex(said, /npm config set registry URL\), then run the same command again$/m);
});

test('a registry that takes connections and never answers is waited for no longer than set-up says', async (t) => {
	const sockets = new Set<Socket>();
	const silent = createServer((socket) => void sockets.add(socket.on('error', () => socket.destroy())));
	await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
	t.teardown(() => {
		for (const socket of sockets) socket.destroy();
		silent.close();
	});
	const address = silent.address();
	const { said, code } = await setUp(t, `http://127.0.0.1:${typeof address === 'object' && address?.port}/`);
	t.is(code, 1, said);
	t.regex(said, /cannot be reached: no answer within 15 s$/m);
});
