/** What volumes do on the machine itself: mounts, parts of volumes, and their removal. Needs root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
	chmod,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rename,
	rm,
	stat,
	symlink,
	unlink,
	writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as settled } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { within } from '../../src/agents/volumes/deadline.ts';
import { setUpVolumes } from '../../src/agents/volumes/index.ts';
import { bind, mountsBelow, mountTmpfs, unmountBelow } from '../../src/agents/volumes/mount.ts';
import { removePodFolder } from '../../src/agents/volumes/remove.ts';
import { mountSubPath } from '../../src/agents/volumes/subpath.ts';
import { eventually } from './node.ts';

const { signal } = new AbortController();

/** An empty folder; what is mounted in it is undone after the test. */
async function folder(t: ExecutionContext): Promise<string> {
	const path = await mkdtemp(join(tmpdir(), 'driftless-volumes-'));
	t.teardown(async () => {
		await unmountBelow(path, signal);
		await rm(path, { recursive: true, force: true });
	});
	return path;
}

/** Puts a program that never ends in the place of one of the machine's, until it is undone. */
async function hangingProgram(t: ExecutionContext, root: string, name: string) {
	const programs = join(root, 'programs');
	const told = join(root, 'told');
	await mkdir(programs);
	await writeFile(join(programs, name), `#!/bin/sh\necho $$ > ${told}.new; mv ${told}.new ${told}; exec sleep 3600\n`);
	await chmod(join(programs, name), 0o755);
	const { PATH } = process.env;
	process.env.PATH = `${programs}:${PATH}`;
	const undo = () => {
		process.env.PATH = PATH;
	};
	t.teardown(undo);
	return { undo, pid: async () => Number(await readFile(told, 'utf8').catch(() => '')) || undefined };
}

const view = {
	name: 'pod',
	uid: 'uid-pod',
	storage: {
		claim: async () => undefined,
		volume: async () => undefined,
		local: { prepare: async () => undefined, idle: async () => undefined },
	},
	signal,
	configMap: () => undefined,
	secret: () => undefined,
	field: () => undefined,
	resource: () => '',
};

test('a part of a volume is mounted once, however often its container starts, and follows what takes its name', async (t) => {
	const root = await folder(t);
	const volume = join(root, 'volume');
	const place = join(root, 'places/0');
	await mkdir(join(volume, 'part'), { recursive: true });
	await writeFile(join(volume, 'part/file'), 'old');
	for (let start = 0; start < 3; start++) t.is(await mountSubPath(volume, 'part', place, signal), place);
	t.deepEqual(await mountsBelow(root), [place]);

	await rename(join(volume, 'part'), join(volume, 'before'));
	await mkdir(join(volume, 'part'));
	await writeFile(join(volume, 'part/file'), 'new');
	await mountSubPath(volume, 'part', place, signal);
	t.is(await readFile(join(place, 'file'), 'utf8'), 'new');

	await rm(join(volume, 'part'), { recursive: true });
	await writeFile(join(volume, 'part'), 'a file');
	await mountSubPath(volume, 'part', place, signal);
	t.is(await readFile(place, 'utf8'), 'a file');
	t.deepEqual(await mountsBelow(root), [place]);
});

test('a container that swaps folders for links while a part is made reaches nothing outside of its volume', async (t) => {
	const root = await folder(t);
	const volume = join(root, 'volume');
	const outside = join(root, 'outside');
	await mkdir(join(volume, 'a'), { recursive: true });
	await chmod(volume, 0o777);
	await mkdir(join(outside, 'made'), { recursive: true, mode: 0o700 });
	const before = (await stat(join(outside, 'made'))).mode;

	// What is made meanwhile may be in its way.
	const swap = `
		const { renameSync, rmSync, symlinkSync } = require('node:fs');
		const attempt = (run) => { try { run(); } catch {} };
		process.stdout.write('begins');
		for (;;) {
			attempt(() => renameSync('a', 'real'));
			attempt(() => symlinkSync('../outside', 'a'));
			attempt(() => rmSync('a', { recursive: true, force: true }));
			attempt(() => renameSync('real', 'a'));
		}`;
	const swapping = spawn(process.execPath, ['--eval', swap], { cwd: volume, stdio: ['ignore', 'pipe', 'inherit'] });
	t.teardown(() => swapping.kill('SIGKILL'));
	await once(swapping.stdout, 'data');
	const place = join(root, 'places/0');
	for (let turn = 0; turn < 200; turn++) {
		// Whether it succeeds is the container's own affair.
		await mountSubPath(volume, `a/made/${turn}/1/2/3/4/5/6/7/8`, place, signal).catch(() => undefined);
	}
	swapping.kill('SIGKILL');
	await once(swapping, 'exit');
	t.deepEqual(await readdir(outside), ['made']);
	t.deepEqual(await readdir(join(outside, 'made')), []);
	t.is((await stat(join(outside, 'made'))).mode, before);
});

test('a part that would be made through a link is refused, also one that leads nowhere', async (t) => {
	const root = await folder(t);
	await symlink('/nowhere/at/all', join(root, 'dangling'));
	await t.throwsAsync(mountSubPath(root, 'dangling/deep', join(root, 'place'), signal), {
		message: 'subPath "dangling/deep" leads out of the volume by a symbolic link',
	});
});

test('what an agent that died has left half made of a volume is made whole by the next one', async (t) => {
	const root = await folder(t);
	const data = { 'app.conf': 'one' };
	const configMap = () => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data }) as const;
	const volumes = [
		{ name: 'settings', configMap: { name: 'settings' } },
		{ name: 'work', emptyDir: {} },
		{ name: 'memory', emptyDir: { medium: 'Memory' } },
	];
	const pod = { ...view, root, volumes, group: 2000, configMap };
	const place = (folder: string, name: string) => join(root, `volumes/kubernetes.io~${folder}`, name);
	const settings = place('configmap', 'settings');
	// Dead after the directory was made, and before it was opened to the group.
	await mkdir(`${place('empty-dir', 'work')}.new`, { recursive: true, mode: 0o700 });
	await setUpVolumes(pod);
	for (const name of ['work', 'memory']) {
		const { mode, gid } = await stat(place('empty-dir', name));
		t.is(`${(mode & 0o7777).toString(8)} ${gid}`, '2777 2000', name);
	}
	// Dead between the swap and what shows it; and before the next one.
	await unlink(join(settings, 'app.conf'));
	await mkdir(join(settings, '..2024_05_01.unfinished'));
	await setUpVolumes(pod);
	t.is(await readFile(join(settings, 'app.conf'), 'utf8'), 'one');
	t.deepEqual(
		(await readdir(settings)).filter((name) => name.endsWith('.unfinished')),
		[],
	);
});

test('where it cannot be told what is mounted, nothing is deleted', async (t) => {
	const root = await folder(t);
	const table = join(root, 'mountinfo');
	await t.throwsAsync(mountsBelow(root, table), { code: 'ENOENT' });
	await writeFile(table, '');
	await t.throwsAsync(mountsBelow(root, table), { message: /does not say what is mounted/ });
});

test('the removal of a pod takes its own files and leaves what is mounted among them', async (t) => {
	const root = await folder(t);
	const host = join(root, 'host');
	const pod = join(root, 'pod');
	await mkdir(host);
	await writeFile(join(host, 'precious'), 'data');
	const places = [join(pod, 'volume-subpaths/v/main/0'), join(pod, 'volumes/kubernetes.io~secret/s')];
	for (const place of places) await mkdir(place, { recursive: true });
	await writeFile(join(pod, 'etc-hosts'), '');
	await mountSubPath(host, '.', join(pod, 'volume-subpaths/v/main/1'), signal);
	await bind(host, places[0] ?? '', signal);
	await mountTmpfs(places[1] ?? '', { mode: 0o755 }, signal);
	await removePodFolder(pod, signal);
	t.deepEqual(await readdir(root), ['host']);
	t.is(await readFile(join(host, 'precious'), 'utf8'), 'data');
});

test('what is mounted without being told of is not deleted either', async (t) => {
	const root = await folder(t);
	const host = join(root, 'host');
	await mkdir(host);
	await writeFile(join(host, 'precious'), 'data');
	const table = join(root, 'mountinfo');
	await writeFile(table, '1 0 0:1 / / rw - overlay overlay rw\n');

	const place = join(root, 'one/volume-subpaths/v/main/0');
	await mkdir(place, { recursive: true });
	await bind(host, place, signal);
	await t.throwsAsync(removePodFolder(join(root, 'one'), signal, table), { code: 'EBUSY' });

	const memory = join(root, 'two/volumes/kubernetes.io~empty-dir/v');
	await mkdir(memory, { recursive: true });
	await mountTmpfs(memory, { mode: 0o755 }, signal);
	await writeFile(join(memory, 'precious'), 'data');
	await t.throwsAsync(removePodFolder(join(root, 'two'), signal, table), { message: /on another file system/ });

	t.is(await readFile(join(host, 'precious'), 'utf8'), 'data');
	t.is(await readFile(join(memory, 'precious'), 'utf8'), 'data');
});

test('a volume that does not answer holds up neither its pod nor the end of the agent, and is not asked twice', async (t) => {
	const hanging = Promise.withResolvers<void>();
	const stop = new AbortController();
	await t.throwsAsync(
		within('look at a dead server', () => hanging.promise, signal, 1),
		{ message: 'the look at a dead server has not answered within 0.001 seconds' },
	);
	let asked = false;
	const again = async () => {
		asked = true;
	};
	await t.throwsAsync(within('look at a dead server', again, signal), {
		message: 'the look at a dead server has not answered yet',
	});
	t.false(asked);
	const other = within('look at another', () => hanging.promise, stop.signal);
	stop.abort(new Error('the agent ends'));
	await t.throwsAsync(other, { message: 'the agent ends' });
	hanging.resolve();
	await settled();
	const slow = Promise.withResolvers<string>();
	const both = [within('look', () => slow.promise, signal), within('look', again, signal)];
	slow.resolve('one answer');
	t.deepEqual(await Promise.all<unknown>(both), ['one answer', 'one answer']);
	await within('look at a dead server', again, signal);
	t.true(asked);
});

// Alone: it changes what the others would run.
test.serial('a program that mounts and hangs is given up', async (t) => {
	const root = await folder(t);
	const mounted = join(root, 'mounted');
	await mkdir(mounted);
	await mountTmpfs(mounted, { mode: 0o755 }, signal);
	const program = await hangingProgram(t, root, 'umount');
	await t.throwsAsync(unmountBelow(mounted, signal, { timeoutMs: 1_000 }), {
		message: `the umount of ${mounted} has not answered within 1 seconds`,
	});
	await t.throwsAsync(unmountBelow(mounted, signal), { message: `the umount of ${mounted} has not answered yet` });
	t.deepEqual(await mountsBelow(mounted), [mounted]);
	program.undo();
	process.kill((await program.pid()) ?? 0, 'SIGKILL');
	await eventually('it has ended', () =>
		unmountBelow(mounted, signal).then(
			() => true,
			() => false,
		),
	);
});

test.serial('a path of the machine that does not answer is not looked at, and the agent can end', async (t) => {
	const root = await folder(t);
	const program = await hangingProgram(t, root, 'stat');
	const stop = new AbortController();
	const setUp = setUpVolumes({
		...view,
		root,
		volumes: [{ name: 'dead', hostPath: { path: root } }],
		signal: stop.signal,
	});
	const asked = await eventually('it is asked', () => program.pid());
	stop.abort(new Error('the agent ends'));
	await t.throwsAsync(setUp, { message: 'MountVolume.SetUp failed for volume "dead" : the agent ends' });
	process.kill(asked, 'SIGKILL');
});

test('a volume of a type that is not there is refused by its name', async (t) => {
	const pod = {
		...view,
		root: await folder(t),
		volumes: [{ name: 'share', nfs: { server: 'files', path: '/' } }],
	};
	await t.throwsAsync(setUpVolumes(pod), {
		message:
			'MountVolume.SetUp failed for volume "share" : volumes of type nfs are not supported: use emptyDir, hostPath, configMap, secret, downwardAPI, projected, persistentVolumeClaim, ephemeral or csi',
	});
});
