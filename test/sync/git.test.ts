import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import type { ServerRef } from 'isomorphic-git';
import { initRepository, openRepository } from '../../src/sync/git/index.ts';
import { openObjects } from '../../src/sync/git/objects.ts';
import { meant } from '../../src/sync/git/remote.ts';
import { createWorkTree, runGit, temporaryDirectory } from '../testbed/git.ts';

test('objects are read in the order asked for, large ones, small ones and missing ones mixed', async (t) => {
	await using work = await createWorkTree();
	const large = Buffer.alloc(3_000_000, 'x');
	const commit = await work.commit({ 'large.bin': large, 'empty.txt': '', 'new\nline.txt': 'odd', 'ünï.txt': 'ü' });
	await using repository = openRepository(join(work.directory, '.git'));
	const tree = await repository.tree('HEAD');
	t.is(tree.revision, commit);
	const entries = await tree.list({ path: '', id: tree.id });
	t.deepEqual(
		entries.map(({ name }) => name),
		['empty.txt', 'large.bin', 'new\nline.txt', 'ünï.txt'],
	);
	const located = entries.map(({ name, id }) => ({ path: name, id }));
	const [sizes, contents, missing, again] = await Promise.all([
		tree.sizes(located),
		tree.read(located),
		repository.resolve('nothing'),
		repository.resolve('main'),
	]);
	t.deepEqual(sizes, [0, 3_000_000, 3, 2]);
	t.deepEqual(
		contents.map((content) => content.length),
		sizes,
	);
	t.true(large.equals(contents[1] ?? new Uint8Array()));
	t.is(missing, undefined);
	t.is(again, commit);
	await t.throwsAsync(tree.read([{ path: 'x.yaml', id: '1'.repeat(40) }]), { message: /x\.yaml .* is missing/ });
});

test('what a commit names is read, whatever a reference below refs/replace puts in its place', async (t) => {
	await using work = await createWorkTree();
	const other = await work.commit({ 'a.txt': 'unchecked' });
	const commit = await work.commit({ 'a.txt': 'checked' });
	const [mine = '', theirs = ''] = await Promise.all([commit, other].map((id) => work.git('rev-parse', `${id}:a.txt`)));
	await work.git('replace', mine.trim(), theirs.trim());
	await work.git('replace', commit, other);
	await using repository = openRepository(join(work.directory, '.git'));
	const tree = await repository.tree(commit);
	t.is(tree.revision, commit);
	const located = (await tree.list({ path: '', id: tree.id })).map(({ name, id }) => ({ path: name, id }));
	t.deepEqual(
		(await tree.read(located)).map((content) => Buffer.from(content).toString()),
		['checked'],
	);
	t.is((await repository.blame(commit, 'a.txt', 1))?.id, commit);
});

test('a line that is older than the history at hand is said to be of no commit, and not of the oldest that is there', async (t) => {
	await using work = await createWorkTree();
	const root = await work.commit({ 'a.txt': 'first\nsecond\n' });
	await work.commit({ 'b.txt': 'other\n' });
	const newest = await work.commit({ 'a.txt': 'first\nchanged\n' });
	await using clones = await temporaryDirectory();
	const url = `file://${work.directory}`;
	await runGit(clones.path, ['clone', '-q', '--bare', '--depth', '2', url, 'cut.git']);
	await using cut = openRepository(`${clones.path}/cut.git`);
	t.is(await cut.blame(newest, 'a.txt', 1), undefined);
	t.is((await cut.blame(newest, 'a.txt', 2))?.id, newest);
	await using whole = openRepository(join(work.directory, '.git'));
	t.is((await whole.blame(newest, 'a.txt', 1))?.id, root);
});

test('a file that the configuration of a repository names as revisions to ignore is not quoted from', async (t) => {
	await using work = await createWorkTree();
	const commit = await work.commit({ 'a.txt': 'one\n' });
	await work.write({ secret: 'the-secret-of-another\n' });
	await work.git('config', 'blame.ignoreRevsFile', join(work.directory, 'secret'));
	await using repository = openRepository(join(work.directory, '.git'));
	t.is(await repository.blame('HEAD', 'a.txt', 1), undefined);
	await work.write({ secret: `${commit}\n` });
	t.is((await repository.blame('HEAD', 'a.txt', 1))?.id, commit);
});

test('branches and tags are those that git lists: packed, in files of their own, both, nested, gone, by another name, many', async (t) => {
	await using work = await createWorkTree();
	const gitdir = join(work.directory, '.git');
	await using repository = openRepository(gitdir);
	const same = async (step: string) => {
		const listed = await work.git('for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/tags');
		const read = [...(await repository.refs())].map(([ref, id]) => `${ref} ${id}`);
		// It warns of what it passes over.
		const lines = listed.split('\n').filter((line) => line.startsWith('refs/'));
		t.deepEqual(read.sort(), lines.sort(), step);
		return read.length;
	};
	t.is(await same('none'), 0);
	const first = await work.commit({ 'a.txt': 'a' });
	await work.git('branch', 'team/a/b');
	await work.git('tag', 'v1');
	await work.git('tag', '-a', 'v2', '-m', 'annotated');
	await work.git('update-ref', 'refs/notes/x', first);
	t.is(await same('in files'), 4);
	await work.git('pack-refs', '--all');
	t.is(await same('packed'), 4);
	await work.commit({ 'a.txt': 'b' });
	await work.git('branch', '-D', 'team/a/b');
	await work.git('branch', 'team');
	t.is(await same('packed and moved, a folder that became a branch'), 4);
	await work.git('symbolic-ref', 'refs/heads/latest', 'refs/heads/main');
	t.is(await same('one that names another'), 5);
	await work.git('symbolic-ref', '--delete', 'refs/heads/latest');
	for (const [name, content] of Object.entries({
		'.nfs0001': first,
		'no~name': first,
		'main.lock': first,
		'x.lock.d/y': first,
		nothing: '',
		zeros: '0'.repeat(40),
	})) {
		await work.write({ [`.git/refs/heads/${name}`]: `${content}\n` });
		t.is(await same(name), name.endsWith('/y') ? 5 : 4);
		await rm(join(gitdir, 'refs/heads', name));
	}
	await work.write({ '.git/elsewhere/b': `${first}\n` });
	await symlink(join(gitdir, 'elsewhere'), join(gitdir, 'refs/heads/linked'));
	t.is(await same('a folder by a link'), 5);
	await rm(join(gitdir, 'refs/heads/linked'));
	for (let i = 0; i < 210; i++) await work.write({ [`.git/refs/heads/many/${i}`]: `${first}\n` });
	t.is(await same('many'), 214);
});

test('links, submodules and executables are told apart', async (t) => {
	await using work = await createWorkTree();
	await work.link('link', 'target');
	await work.write({ 'run.sh': '#!/bin/sh\n', 'folder/x': 'x' });
	await work.git('add', '-A');
	await work.git('update-index', '--chmod=+x', 'run.sh');
	await work.git('update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(40)},module`);
	await work.git('commit', '-q', '-m', 'all kinds');
	await using repository = openRepository(join(work.directory, '.git'));
	const tree = await repository.tree('HEAD');
	const entries = await tree.list({ path: '', id: tree.id });
	t.deepEqual(Object.fromEntries(entries.map(({ name, kind }) => [name, kind])), {
		folder: 'directory',
		link: 'symlink',
		module: 'submodule',
		'run.sh': 'file',
	});
});

test('a revision is a name, never an option, a path or a second command', async (t) => {
	await using directory = await temporaryDirectory();
	await using repository = await initRepository(join(directory.path, 'x.git'));
	for (const revision of ['--help', 'main\ncontents main', 'main:secret', '', ' ', 'a b', '\0', 'x'.repeat(5000)]) {
		t.is(await repository.resolve(revision), undefined, JSON.stringify(revision));
	}
	t.is(await repository.commit('main'), undefined);
	await t.throwsAsync(repository.tree('main'), { message: /there is no commit main here/ });
});

test('a repository that is gone, or closed while it is asked, is an error and not a wait', async (t) => {
	await using repository = openRepository('/nonexistent/repository.git');
	await t.throwsAsync(repository.resolve('main'), { message: /not a git repository/ });
	await using work = await createWorkTree();
	await work.commit();
	const closing = openRepository(join(work.directory, '.git'));
	const pending = t.throwsAsync(closing.resolve('main'), { message: /closed/ });
	await closing[Symbol.asyncDispose]();
	await pending;
});

test('an object that never comes fails who waits for it, and the next one is read', async (t) => {
	await using work = await createWorkTree();
	const commit = await work.commit({ 'a.txt': 'a' });
	const gitdir = join(work.directory, '.git');
	const pipe = 'ab'.repeat(20);
	await mkdir(join(gitdir, 'objects/ab'), { recursive: true });
	await promisify(execFile)('mkfifo', [join(gitdir, 'objects/ab', pipe.slice(2))]);
	await using objects = openObjects(gitdir, {}, undefined, 5_000);
	t.is((await objects.info(commit))?.type, 'commit');
	const answers = await Promise.allSettled([objects.read(pipe), objects.info(commit)]);
	for (const answer of answers)
		t.regex(String(answer.status === 'rejected' && answer.reason), /git cat-file ended in .*: no answer in 5 s/);
	t.is((await objects.info(commit))?.type, 'commit');
	// Nor is its end waited for.
	const again = t.throwsAsync(objects.read(pipe), { message: /was closed/ });
	await objects[Symbol.asyncDispose]();
	await again;
});

test('an object that is larger than any that is needed is not read, and others are', async (t) => {
	await using work = await createWorkTree();
	const commit = await work.commit({ 'a.txt': 'a' });
	await work.write({ '.git/message': `tree ${'0'.repeat(40)}\n\n${'x'.repeat(33 * 1024 * 1024)}` });
	const large = await work.git('hash-object', '-t', 'commit', '-w', '--literally', '.git/message');
	await using objects = openObjects(join(work.directory, '.git'));
	t.is((await objects.info(large))?.type, 'commit');
	await t.throwsAsync(objects.read(large), {
		message: /^the commit .* bytes, more than the 33554432 that are read of one$/,
	});
	t.is((await objects.read(commit))?.type, 'commit');
});

test('what is pushed after a read is seen by the next, packed or not', async (t) => {
	await using work = await createWorkTree();
	const first = await work.commit({ a: '1' });
	await using repository = openRepository(join(work.directory, '.git'));
	t.is(await repository.resolve('main'), first);
	const second = await work.commit({ a: '2' });
	t.is(await repository.resolve('main'), second);
	await work.git('gc', '-q', '--prune=now');
	const third = await work.commit({ a: '3' });
	await work.git('pack-refs', '--all');
	t.is(await repository.resolve('main'), third);
	t.is((await repository.tree(second)).revision, second);
});

test('a revision means on a server what Argo CD means by it: a branch before a tag of the same name', (t) => {
	const refs: ServerRef[] = [
		{ ref: 'HEAD', oid: 'b', target: 'refs/heads/main' },
		{ ref: 'refs/heads/main', oid: 'b' },
		{ ref: 'refs/heads/v1', oid: 'c' },
		{ ref: 'refs/tags/v1', oid: 't', peeled: 'a' },
		{ ref: 'refs/tags/v2', oid: 'u', peeled: 'd' },
	];
	const commit = 'f'.repeat(40);
	const table: [string, unknown][] = [
		['HEAD', { ref: 'refs/heads/main', commit: 'b' }],
		['main', { ref: 'refs/heads/main', object: 'b', commit: 'b' }],
		['v1', { ref: 'refs/heads/v1', object: 'c', commit: 'c' }],
		['refs/tags/v1', { ref: 'refs/tags/v1', object: 't', commit: 'a' }],
		['v2', { ref: 'refs/tags/v2', object: 'u', commit: 'd' }],
		['refs/heads/v1', { ref: 'refs/heads/v1', object: 'c', commit: 'c' }],
		[commit, { commit }],
		['gone', undefined],
	];
	for (const [revision, expected] of table) t.deepEqual(meant(refs, revision), expected as never, revision);
	t.is(meant([], 'HEAD'), undefined);
	t.deepEqual(
		meant(
			[
				{ ref: 'HEAD', oid: 'b' },
				{ ref: 'refs/heads/x', oid: 'b' },
			],
			'HEAD',
		),
		{ ref: 'refs/heads/x', commit: 'b' },
	);
});

test('a repository of somebody else runs nothing of theirs: neither what fetches what it lacks nor what shows its files', async (t) => {
	await using origin = await createWorkTree();
	const commit = await origin.commit({ 'a.txt': 'one\n', '.gitattributes': '*.txt diff=theirs\n' });
	await origin.git('config', 'uploadpack.allowFilter', 'true');
	await using clones = await temporaryDirectory();
	const run = (...args: string[]) => runGit(clones.path, args);
	await run('clone', '-q', '--bare', '--filter=blob:none', `file://${origin.directory}`, 'partial.git');
	await run('clone', '-q', '--bare', `file://${origin.directory}`, 'whole.git');
	const ran = `${clones.path}/ran`;
	await run('-C', 'partial.git', 'config', 'remote.origin.uploadpack', `touch ${ran}; git-upload-pack`);
	await run('-C', 'whole.git', 'config', 'diff.theirs.textconv', `touch ${ran}; cat`);
	await using partial = openRepository(`${clones.path}/partial.git`);
	const tree = await partial.tree(commit);
	const entry = (await tree.list({ path: '', id: tree.id })).find(({ name }) => name === 'a.txt');
	await t.throwsAsync(tree.read([{ path: 'a.txt', id: entry?.id ?? '' }]));
	await using whole = openRepository(`${clones.path}/whole.git`);
	t.is((await whole.blame(commit, 'a.txt', 1))?.id, commit);
	t.false(existsSync(ran));
});
