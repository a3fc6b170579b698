/** The data directory: found, taken by one process only, and not taken where it is not ours to take. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import {
	dataDirectory,
	kubeletDirectory,
	readRunning,
	takeDataDirectory,
	writeRunning,
} from '../../src/cli/data-dir.ts';
import { UserError } from '../../src/cli/user-error.ts';
import { driftless, follow } from './driftless.ts';

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const holder = fileURLToPath(new URL('./holding-process.ts', import.meta.url));

async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
	const folder = await mkdtemp(join(tmpdir(), 'driftless-data-'));
	try {
		await use(folder);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

test('--data-dir comes before DRIFTLESS_DATA_DIR, and that before the default', (t) => {
	t.is(dataDirectory('/srv/a', { DRIFTLESS_DATA_DIR: '/srv/b' }), '/srv/a');
	t.is(dataDirectory(undefined, { DRIFTLESS_DATA_DIR: '/srv/b' }), '/srv/b');
	t.is(dataDirectory('here', {}), join(process.cwd(), 'here'));
	const root = process.getuid?.() === 0;
	t.is(dataDirectory(undefined, {}), root ? '/var/lib/driftless' : join(homedir(), '.local/share/driftless'));
	t.is(dataDirectory('', { DRIFTLESS_DATA_DIR: '' }), dataDirectory(undefined, {}));
});

test('plugins have the place that they expect where the node is that of the machine, and one in its data directory else', (t) => {
	t.is(kubeletDirectory(undefined, '/var/lib/driftless'), '/var/lib/kubelet');
	t.is(kubeletDirectory(undefined, '/var/lib/driftless/agent'), '/var/lib/kubelet');
	t.is(kubeletDirectory(undefined, '/var/lib/driftless-2'), '/var/lib/driftless-2/kubelet');
	t.is(kubeletDirectory('/srv/kubelet', '/var/lib/driftless'), '/srv/kubelet');
	t.is(kubeletDirectory('here', '/srv/a'), join(process.cwd(), 'here'));
});

test('a new directory is made for its owner only, and says its format', (t) =>
	withFolder(async (folder) => {
		const made = join(folder, 'a', 'b');
		using _ = takeDataDirectory(made);
		t.is(await readFile(join(made, 'format'), 'utf8'), '1\n');
		const { stat } = await import('node:fs/promises');
		t.is((await stat(made)).mode & 0o777, 0o700);
	}));

test('a second process is refused with the number of the first, and taken when that has ended, however it ended', (t) =>
	withFolder(async (folder) => {
		const first = spawn(process.execPath, [holder, folder], { stdio: ['ignore', 'pipe', 'pipe'] });
		const ended = once(first, 'close');
		try {
			await follow(first).until(/taken/);
			const error = t.throws(() => takeDataDirectory(folder), { instanceOf: UserError });
			t.is(
				error?.message,
				`another driftless serves the data directory ${folder} (process ${first.pid}); stop it first, or name another directory with --data-dir`,
			);
		} finally {
			first.kill('SIGKILL');
			await ended;
		}
		takeDataDirectory(folder)[Symbol.dispose]();
	}));

test('down takes nothing away while an agent serves its part of the data directory', (t) =>
	withFolder(async (folder) => {
		const agents = join(folder, 'agent');
		const agent = spawn(process.execPath, [holder, agents], { stdio: ['ignore', 'pipe', 'pipe'] });
		const ended = once(agent, 'close');
		// Where it is not refused it finds no engine, and so leaves this machine alone.
		using run = driftless(undefined);
		try {
			await follow(agent).until(/taken/);
			await writeFile(join(agents, 'node-name'), 'worker\n');
			const env = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
			const { code, stdout, stderr } = await run('--data-dir', folder, 'down', { env });
			t.deepEqual([code, stdout], [2, '']);
			t.regex(stderr, /another driftless serves the data directory \S+\/agent /);
		} finally {
			agent.kill('SIGKILL');
			await ended;
		}
	}));

test('down names the command that starts again what it took down, and no engine where there was none', (t) =>
	withFolder(async (folder) => {
		const text = async () => {
			// In a network of its own: it clears away the rules of services.
			const args = ['--net', process.execPath, main, '--data-dir', folder, 'down'];
			const { stdout } = await promisify(execFile)('/usr/bin/unshare', args, { env: { PATH: '', DOCKER_HOST: '' } });
			return stdout.trim().split('\n').slice(1);
		};
		const again = (command: string) => [`what is stored in ${folder} stays; ${command} starts everything again`];
		t.deepEqual(await text(), again('`driftless up`'));
		await mkdir(join(folder, 'agent'));
		takeDataDirectory(join(folder, 'agent'))[Symbol.dispose]();
		t.deepEqual(await text(), again('`driftless agent`'));
		await mkdir(join(folder, 'pki'));
		t.deepEqual(await text(), again('`driftless server` and `driftless agent`'));
	}));

test('it can be taken again when it was given back', (t) =>
	withFolder(async (folder) => {
		takeDataDirectory(folder)[Symbol.dispose]();
		using _ = takeDataDirectory(folder);
		t.pass();
	}));

test('a directory of a newer version is refused with what to do, and is not kept taken', (t) =>
	withFolder(async (folder) => {
		await writeFile(join(folder, 'format'), '2\n');
		const newer = t.throws(() => takeDataDirectory(folder), { instanceOf: UserError });
		t.is(
			newer?.message,
			`the data directory ${folder} has format 2, written by a newer driftless; this version reads formats up to 1. Install the newer version, or name another directory with --data-dir`,
		);
		t.is(await readFile(join(folder, 'format'), 'utf8'), '2\n');
		await writeFile(join(folder, 'format'), '1\n');
		takeDataDirectory(folder)[Symbol.dispose]();
	}));

for (const content of ['', 'latest', '0', '1.5', '-1']) {
	test(`a format file that holds ${JSON.stringify(content)} is no data directory`, (t) =>
		withFolder(async (folder) => {
			await writeFile(join(folder, 'format'), content);
			const error = t.throws(() => takeDataDirectory(folder), { instanceOf: UserError });
			t.true(error?.message.includes(`${join(folder, 'format')} does not say a format`), error?.message);
		}));
}

test('a place that cannot hold a directory is refused in one line', (t) =>
	withFolder(async (folder) => {
		await writeFile(join(folder, 'file'), '');
		const error = t.throws(() => takeDataDirectory(join(folder, 'file')), { instanceOf: UserError });
		t.regex(
			error?.message ?? '',
			/^the data directory .*file cannot be (made|written): .*; name another with --data-dir$/,
		);
		const below = t.throws(() => takeDataDirectory(join(folder, 'file', 'below')), { instanceOf: UserError });
		t.regex(below?.message ?? '', /cannot be made: .*ENOTDIR/);
	}));

test('a directory of somebody else is refused in one line', async (t) => {
	if (process.getuid?.() !== 0) return t.pass('needs root, to become somebody else');
	await withFolder(async (folder) => {
		takeDataDirectory(join(folder, 'theirs'))[Symbol.dispose]();
		await chmod(folder, 0o755);
		const child = spawn(process.execPath, [holder, join(folder, 'theirs')], { uid: 65_534, gid: 65_534, cwd: '/' });
		const said = follow(child);
		await once(child, 'close');
		t.regex(
			said.stdout(),
			/^refused: the data directory .*theirs cannot be written: .*; name another with --data-dir\n$/,
		);
	});
});

test('what the running process wrote is read; what is missing or broken is nothing', (t) =>
	withFolder(async (folder) => {
		t.is(readRunning(folder), undefined);
		const running = { pid: 7, api: 'https://127.0.0.1:6443', http: 'http://127.0.0.1:7080' };
		writeRunning(folder, running);
		t.deepEqual(readRunning(folder), running);
		await writeFile(join(folder, 'running.json'), '{"pid":');
		t.is(readRunning(folder), undefined);
	}));
