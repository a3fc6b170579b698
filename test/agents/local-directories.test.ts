/** Directories that are volumes: made whole, removed only where nothing else is lost by it. Needs root and XFS tools for the part on sizes. */
import { execFile } from 'node:child_process';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { link, linked, podsWith } from '../../src/agents/volumes/links.ts';
import { findDirectory, makeDirectory, removeDirectory } from '../../src/agents/volumes/local/directory.ts';
import { mountOf, quotasOf } from '../../src/agents/volumes/local/quota.ts';
import { takeOver } from '../../src/agents/volumes/ownership.ts';

const run = promisify(execFile);
const signal = new AbortController().signal;
const root = async (t: ExecutionContext): Promise<string> => {
	const path = await mkdtemp(join(tmpdir(), 'driftless-volumes-'));
	t.teardown(() => rm(path, { recursive: true, force: true }));
	return path;
};
const make = (at: string, name: string, copyOf?: string) => makeDirectory(at, name, { size: 1 << 20, copyOf }, signal);
const remove = (at: string, name: string) => removeDirectory(at, name, `uid-${name}`, undefined, signal);

test('a directory is made for everybody to write to, and removed with all that is in it', async (t) => {
	const at = await root(t);
	const path = await make(at, 'v');
	t.is((await stat(path)).mode & 0o7777, 0o777);
	await mkdir(join(path, 'a/b'), { recursive: true });
	await writeFile(join(path, 'a/b/c'), 'data');
	await remove(at, 'v');
	t.deepEqual(await readdir(at), []);
	await remove(at, 'v');
});

test('what an agent that died has left half made or half removed is made and removed by the next one', async (t) => {
	const at = await root(t);
	await mkdir(join(at, '.making-v'));
	await writeFile(join(at, '.making-v/half'), 'of a copy');
	const path = await make(at, 'v');
	t.deepEqual(await readdir(path), []);
	await mkdir(join(at, '.removing-uid-w'));
	await writeFile(join(at, '.removing-uid-w/rest'), 'data');
	await remove(at, 'w');
	t.deepEqual(await readdir(at), ['v']);
});

test('a volume that is made again under its name while the old one is removed keeps what it has', async (t) => {
	const at = await root(t);
	await mkdir(join(at, '.removing-uid-v'));
	const path = await make(at, 'v');
	await writeFile(join(path, 'new'), 'data');
	await removeDirectory(at, 'v', 'uid-v', undefined, signal);
	t.is(await readFile(join(path, 'new'), 'utf8'), 'data');
	t.deepEqual(await readdir(at), ['v']);
});

test('links in the place of directories, and names that lead elsewhere, are refused and nothing is lost', async (t) => {
	const at = await root(t);
	const elsewhere = await root(t);
	await writeFile(join(elsewhere, 'data'), 'of somebody');
	await symlink(elsewhere, join(at, 'v'));
	await t.throwsAsync(findDirectory(at, 'v'), { message: `${join(at, 'v')} is not a directory` });
	await t.throwsAsync(remove(at, 'v'), { message: /is not a directory/ });
	await symlink(elsewhere, join(at, '.removing-uid-w'));
	await remove(at, 'w');
	t.deepEqual(await readdir(at), ['v']);
	for (const name of ['..', '.', '', 'a/b', '../x', '.hidden']) {
		await t.throwsAsync(remove(at, name), { message: /is no name of a volume/ }, name);
		await t.throwsAsync(make(at, name), { message: /is no name of a volume/ }, name);
	}
	const path = await make(at, 'x');
	await symlink(elsewhere, join(path, 'way-out'));
	await remove(at, 'x');
	t.is(await readFile(join(elsewhere, 'data'), 'utf8'), 'of somebody');
});

test('a directory in which something is mounted stays, with what is mounted', async (t) => {
	const at = await root(t);
	const elsewhere = await root(t);
	await writeFile(join(elsewhere, 'data'), 'of somebody');
	const path = await make(at, 'v');
	const inner = join(path, 'inner');
	await mkdir(inner);
	await run('mount', ['--bind', elsewhere, inner]);
	try {
		await t.throwsAsync(remove(at, 'v'), { message: `still mounted in it: ${inner}` });
		t.is(await readFile(join(inner, 'data'), 'utf8'), 'of somebody');
	} finally {
		await run('umount', [inner]);
	}
	await remove(at, 'v');
	t.deepEqual(await readdir(at), []);
	t.is(await readFile(join(elsewhere, 'data'), 'utf8'), 'of somebody');
});

test('a copy has the files of its source with their owners and rights, and is none of its source', async (t) => {
	const at = await root(t);
	const source = await make(at, 'source');
	await writeFile(join(source, '.hidden'), 'one');
	await chmod(join(source, '.hidden'), 0o640);
	await run('chown', ['1000:2000', join(source, '.hidden')]);
	const copy = await make(at, 'copy', 'source');
	await writeFile(join(source, '.hidden'), 'two');
	t.is(await readFile(join(copy, '.hidden'), 'utf8'), 'one');
	const { uid, gid, mode } = await stat(join(copy, '.hidden'));
	t.deepEqual([uid, gid, mode & 0o7777], [1000, 2000, 0o640]);
	t.is((await stat(copy)).mode & 0o7777, 0o777);
	await t.throwsAsync(make(at, 'other', 'none'), { message: /there is no directory of the volume none/ });
	t.deepEqual(
		(await readdir(at)).filter((name) => !name.startsWith('.')),
		['copy', 'source'],
	);
});

test('which pods have a directory stands in their folders', async (t) => {
	const at = await root(t);
	for (const pod of ['one', 'two', 'three']) await link(join(at, pod), 'data', pod === 'three' ? '/other' : '/volume');
	await mkdir(join(at, 'four'));
	t.is(linked(join(at, 'one'), 'data'), '/volume');
	t.is(linked(join(at, 'four'), 'data'), undefined);
	t.deepEqual((await podsWith(at, '/volume')).toSorted(), ['one', 'two']);
	t.deepEqual(await podsWith(join(at, 'nowhere'), '/volume'), []);
});

test('a volume is given to a group, and nothing outside of it by the links in it', async (t) => {
	const at = await root(t);
	const elsewhere = join(at, 'elsewhere');
	await writeFile(elsewhere, 'data', { mode: 0o600 });
	const path = join(at, 'v');
	await mkdir(join(path, 'inner'), { recursive: true, mode: 0o700 });
	await writeFile(join(path, 'inner/file'), 'data', { mode: 0o600 });
	await symlink(elsewhere, join(path, 'inner/link'));
	await takeOver(path, 3000);
	const of = async (name: string) => {
		const { gid, mode } = await lstat(join(at, name));
		return `${gid} ${(mode & 0o7777).toString(8)}`;
	};
	t.is(await of('v/inner'), '3000 2770');
	t.is(await of('v/inner/file'), '3000 660');
	t.is((await lstat(join(path, 'inner/link'))).gid, 3000);
	t.is(await of('elsewhere'), '0 600');

	await writeFile(join(path, 'later'), 'data', { mode: 0o600 });
	await run('chown', [':0', join(path, 'later')]);
	await takeOver(path, 3000, 'OnRootMismatch');
	t.is(await of('v/later'), '0 600', 'its folder has the group already');
	await takeOver(path, 3000);
	t.is(await of('v/later'), '3000 660');
});

const table = `20 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
21 20 8:2 / /var rw - xfs /dev/sdb1 rw,attr2,prjquota
22 21 8:3 / /var/lib rw - ext4 /dev/sdc1 rw
23 21 8:4 / /variable rw - tmpfs tmpfs rw`;
for (const [folder, point, type] of [
	['/', '/', 'ext4'],
	['/var/volumes', '/var', 'xfs'],
	['/var/lib/x', '/var/lib', 'ext4'],
	['/various', '/', 'ext4'],
])
	test(`${folder} lies on the file system of ${point}`, (t) => t.like(mountOf(table, folder ?? ''), { point, type }));

test('a file system without quotas is said to have none', async (t) => {
	const at = await root(t);
	t.regex(String(await quotasOf(at, signal)), /mounted without project quotas \(prjquota\)$/);
});

/** A program that stands in for setquota, since not every kernel has quotas: it writes down what it is asked for. */
async function standIn(t: ExecutionContext, at: string): Promise<string> {
	const [bin, said] = [join(at, 'bin'), join(at, 'said')];
	await mkdir(bin);
	await writeFile(join(bin, 'setquota'), `#!/bin/sh\necho "$@" >> ${said}\n`, { mode: 0o755 });
	const path = process.env.PATH;
	process.env.PATH = `${bin}:${path}`;
	t.teardown(() => {
		process.env.PATH = path;
	});
	return said;
}

test.serial(
	'each directory of a file system with quotas is a project of its own, which is handed on inside (setquota is a stand-in)',
	async (t) => {
		const at = await root(t);
		const [image, point] = [join(at, 'image'), join(at, 'mounted')];
		await run('truncate', ['-s', '400M', image]);
		try {
			await run('mkfs.xfs', ['-q', image]);
			await mkdir(point);
			await run('mount', ['-o', 'loop', image, point]);
		} catch (error) {
			t.log(`this machine makes no XFS: ${(error as Error).message}`);
			return t.pass();
		}
		t.teardown(() => run('umount', [point]));
		const said = await standIn(t, at);
		await writeFile(join(at, 'table'), `1 0 8:1 / ${point} rw - xfs /dev/loop0 rw,prjquota\n`);
		const volumes = join(point, 'volumes');
		const quotas = await quotasOf(volumes, signal, join(at, 'table'));
		if (typeof quotas === 'string') return t.fail(quotas);
		const path = await makeDirectory(volumes, 'v', { size: 3000, quotas }, signal);
		await mkdir(join(path, 'inner'));
		const project = 0x40000000 + (await stat(path)).ino;
		for (const each of [path, join(path, 'inner')]) {
			const { stdout } = await run('lsattr', ['-p', '-d', each]);
			t.regex(stdout, new RegExp(`^\\s*${project} \\S*P`), each);
		}
		await quotas.change(path, 1 << 20, signal);
		await removeDirectory(volumes, 'v', 'uid-v', quotas, signal);
		t.is(
			(await readFile(said, 'utf8')).replace('-V\n', ''),
			['3', '1024', '0'].map((blocks) => `-P ${project} 0 ${blocks} 0 0 ${point}\n`).join(''),
		);
		return undefined;
	},
);

/** A file system of its own in a file; undefined where this machine cannot make one. */
async function filesystem(t: ExecutionContext, type: 'xfs' | 'ext4'): Promise<string | undefined> {
	const at = await root(t);
	const [image, point] = [join(at, 'image'), join(at, 'mounted')];
	await run('truncate', ['-s', '400M', image]);
	const features = type === 'ext4' ? ['-q', '-O', 'quota,project', '-E', 'quotatype=prjquota'] : ['-q'];
	try {
		await run(`mkfs.${type}`, [...features, image]);
		await mkdir(point);
		await run('mount', ['-o', 'loop,prjquota', image, point]);
	} catch (error) {
		t.log(`this machine has no ${type} with quotas: ${(error as Error).message}`);
		return undefined;
	}
	t.teardown(() => run('umount', [point]));
	return join(point, 'volumes');
}

for (const type of ['xfs', 'ext4'] as const)
	test(`${type} holds a volume to its size, and to another one, and copies to theirs`, async (t) => {
		const at = await filesystem(t, type);
		if (!at) return t.pass();
		await mkdir(at);
		const quotas = await quotasOf(at, signal);
		if (typeof quotas === 'string') return t.fail(quotas);
		const MiB = 1 << 20;
		const path = await makeDirectory(at, 'v', { size: 8 * MiB, quotas }, signal);
		const write = (name: string, size: number) =>
			run('dd', ['if=/dev/zero', `of=${join(path, name)}`, 'bs=1M', `count=${size}`, 'conv=fsync']);
		await write('fits', 6);
		await t.throwsAsync(write('too-much', 6), { message: /No space left|quota exceeded/i });
		await rm(join(path, 'too-much'));
		await quotas.change(path, 16 * MiB, signal);
		await write('fits-now', 6);
		await t.throwsAsync(makeDirectory(at, 'small', { size: 4 * MiB, copyOf: 'v', quotas }, signal), {
			message: /cannot copy the volume v: .*(No space left|quota exceeded)/i,
		});
		const copy = await makeDirectory(at, 'copy', { size: 16 * MiB, copyOf: 'v', quotas }, signal);
		t.is((await stat(join(copy, 'fits'))).size, 6 * MiB);
		await removeDirectory(at, 'v', 'uid-v', quotas, signal);
		t.deepEqual(
			(await readdir(at)).filter((name) => !name.startsWith('.')),
			['copy'],
		);
		return undefined;
	});
