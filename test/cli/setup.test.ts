/** What set-up installs of npm, and on a machine that cannot reach the registry. */
import { execFile } from 'node:child_process';
import { access, chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What set-up says in a fresh clone of which nothing is installed, and its exit code. */
async function setUp(
	t: ExecutionContext,
	registry: string,
	options: { prepare?(packages: string): Promise<unknown>; path?: string } = {},
): Promise<{ said: string; code: number | null; packages: string }> {
	const clone = await mkdtemp(join(tmpdir(), 'driftless-setup-'));
	t.teardown(() => rm(clone, { recursive: true, force: true }));
	await mkdir(join(clone, 'scripts'));
	for (const file of ['package.json', 'package-lock.json', 'scripts/setup.mjs', 'scripts/kubectl.mjs'])
		await cp(join(root, file), join(clone, file));
	await options.prepare?.(join(clone, 'node_modules'));
	const { path = process.env.PATH } = options;
	const env = { ...process.env, PATH: path, npm_config_registry: registry, npm_config_cache: join(clone, 'cache') };
	return new Promise((resolve) => {
		const child = execFile(process.execPath, [join(clone, 'scripts/setup.mjs')], { env }, (_, __, said) =>
			resolve({ said, code: child.exitCode, packages: join(clone, 'node_modules') }),
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

const built = ['ssh2/lib/protocol/crypto/build', 'cpu-features/build'];

test('of all packages the script of node alone is run, and what the npm of the system has built before is removed', async (t) => {
	const bin = await mkdtemp(join(tmpdir(), 'driftless-npm-'));
	t.teardown(() => rm(bin, { recursive: true, force: true }));
	// An npm that says what it was asked for, and does the last of it in vain.
	await writeFile(join(bin, 'npm'), `#!/bin/sh\necho "$*" >> ${bin}/asked\n[ "$1" != rebuild ]\n`);
	await chmod(join(bin, 'npm'), 0o755);
	const prepare = async (folder: string) => {
		for (const each of built) await mkdir(join(folder, each), { recursive: true });
	};
	const { said, code, packages } = await setUp(t, 'http://127.0.0.1:1/', {
		prepare,
		path: `${bin}:${process.env.PATH}`,
	});
	const asked = await readFile(join(bin, 'asked'), 'utf8');
	t.regex(asked, /^install .*--ignore-scripts/m, said);
	t.regex(asked, /^rebuild node .*--ignore-scripts=false/m, said);
	t.is(code, 1, said);
	for (const each of built) await t.throwsAsync(access(join(packages, each)), { code: 'ENOENT' });
});

test('no addon of a package is loaded, since the npm of the system builds them for another Node.js', async (t) => {
	const script = `await import('dockerode');
		process.report.excludeNetwork = true;
		console.log(process.report.getReport().sharedObjects.filter((file) => file.endsWith('.node')).join());`;
	const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { cwd: root });
	t.is(stdout.trim(), '');
});
