import { mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import type { Log } from '../../src/log.ts';
import { createRenderer } from '../../src/sync/render/index.ts';
import {
	comparable,
	createSources,
	folderURL,
	grant,
	type Source,
	SourceError,
	type SourceState,
	type Sources,
	type SourcesOptions,
	type Tree,
} from '../../src/sync/source/index.ts';
import { localReader } from '../../src/sync/source/local.ts';
import { createGitRemote, createWorkTree, runGit, temporaryDirectory } from '../testbed/git.ts';

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };
const configMap = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n`;
const hour = 3_600_000;

async function open(options: Partial<SourcesOptions> = {}): Promise<Sources & { readonly dataDir: string }> {
	const directory = await temporaryDirectory();
	await grant(directory.path, '/');
	const sources = createSources({ dataDir: directory.path, log: quiet, poll: hour, ...options });
	return {
		...sources,
		dataDir: directory.path,
		async [Symbol.asyncDispose]() {
			await sources[Symbol.asyncDispose]();
			await directory[Symbol.asyncDispose]();
		},
	};
}

/** The state once it is as wanted. */
async function until(source: Source, wanted: (state: SourceState) => boolean): Promise<SourceState> {
	for await (const state of source.changes(new AbortController().signal)) if (wanted(state)) return state;
	throw new Error('the source was closed');
}

const renderer = createRenderer();
async function names(tree: Tree | undefined): Promise<string[]> {
	if (!tree) return [];
	return (await renderer.render(tree, { path: '' })).manifests.map(({ object }) => object.metadata.name);
}

test('a remote is followed on its default branch, and a refresh brings only what is new', async (t) => {
	await using remote = await createGitRemote();
	await using work = await createWorkTree(remote.url);
	const first = await work.commit({ 'a.yaml': configMap('a') }, 'first\n\nwith a body');
	await work.push();
	await using sources = await open();
	const source = sources.open({ url: remote.url });
	const tree = await source.current();
	t.is(tree?.revision, first);
	t.deepEqual(await names(tree), ['a']);
	t.like(await source.commit(first), {
		id: first,
		author: 'Ada',
		email: 'ada@example.com',
		message: 'first\n\nwith a body',
	});

	const before = remote.requests.length;
	await source.refresh();
	t.false(remote.requests.slice(before).some((line) => line.startsWith('POST') && line.includes('fetch')));
	t.is(remote.requests.length - before, 2, 'an unchanged remote costs its references alone');

	const second = await work.commit({ 'b.yaml': configMap('b') });
	await work.push();
	t.is(sources.refresh([remote.url.replace('.git', '/')]), 1);
	await until(source, ({ revision }) => revision === second);
	t.deepEqual(await names(await source.current()), ['a', 'b']);
	t.deepEqual(await names(await source.tree(first)), ['a'], 'the old commit stays');
	t.is((await source.blame(second, 'a.yaml', 1))?.id, first);
	t.is((await source.blame(second, 'b.yaml', 4))?.id, second);
	t.is(await source.blame(second, 'b.yaml', 400), undefined);
	t.is(await source.resolve(second.slice(0, 10)), second);
});

test('a remote is polled', async (t) => {
	await using remote = await createGitRemote();
	await using work = await createWorkTree(remote.url);
	await work.commit({ 'a.yaml': configMap('a') });
	await work.push();
	await using sources = await open({ poll: 50 });
	const source = sources.open({ url: remote.url });
	await source.current();
	const next = await work.commit({ 'b.yaml': configMap('b') });
	await work.push();
	t.is((await until(source, ({ revision }) => revision === next)).revision, next);
});

test('branches, tags (annotated too) and commits can be followed', async (t) => {
	await using remote = await createGitRemote();
	await using work = await createWorkTree(remote.url);
	const first = await work.commit({ 'a.yaml': configMap('a') });
	await work.git('tag', 'light');
	await work.git('tag', '-a', 'v1', '-m', 'release');
	const second = await work.commit({ 'b.yaml': configMap('b') });
	await work.push('origin', 'main', 'main:stage/one', 'light', 'v1');
	await work.git('checkout', '-q', '-b', 'side', first);
	const side = await work.commit({ 'c.yaml': configMap('c') });
	await work.push('origin', 'side');
	await using sources = await open();
	const at = async (revision: string) => (await sources.open({ url: remote.url, revision }).current())?.revision;
	t.is(await at('HEAD'), second);
	t.is(await at('main'), second);
	t.is(await at('stage/one'), second);
	t.is(await at('refs/heads/side'), side);
	t.is(await at('light'), first);
	t.is(await at('v1'), first);
	t.is(await at(first), first);
	t.is(await at('gone'), undefined);
	await using fresh = await open();
	t.is((await fresh.open({ url: remote.url, revision: first }).current())?.revision, first, 'a commit that is no tip');
});

test('a rewritten branch is new desired state, a deleted one is none, and an empty repository neither', async (t) => {
	await using remote = await createGitRemote();
	await using sources = await open();
	const source = sources.open({ url: remote.url, revision: 'main' });
	t.is(await source.current(), undefined);
	t.is(source.state.error, undefined);
	await using work = await createWorkTree(remote.url);
	const first = await work.commit({ 'a.yaml': configMap('a') });
	await work.commit({ 'b.yaml': configMap('b') });
	await work.push();
	await source.refresh();
	t.deepEqual(await names(await source.current()), ['a', 'b']);
	await work.git('reset', '-q', '--hard', first);
	await work.commit({ 'c.yaml': configMap('c') });
	await work.push('--force', 'origin', 'main');
	await source.refresh();
	t.deepEqual(await names(await source.current()), ['a', 'c']);
	await work.push('--force', 'origin', `${first}:main`);
	await source.refresh();
	t.deepEqual(await names(await source.current()), ['a'], 'back to what the mirror has already');
	await runGit(remote.directory, ['update-ref', '-d', 'refs/heads/main']);
	await source.refresh();
	t.is(await source.current(), undefined);
});

test('credentials come from the URL or from who keeps them; without, the remote is said to want some', async (t) => {
	await using remote = await createGitRemote();
	await using work = await createWorkTree(remote.url);
	const commit = await work.commit({ 'a.yaml': configMap('a') });
	await work.push();
	remote.behaviour.token = 's3cret';
	await using sources = await open();
	const without = sources.open({ url: remote.url });
	const error = await t.throwsAsync(async () => without.current(), { instanceOf: SourceError });
	t.regex(error?.message ?? '', /asks for credentials \(401\)/);
	const wrong = sources.open({ url: remote.url.replace('//', '//ada:wrong@') });
	const refused = await t.throwsAsync(async () => wrong.current(), { instanceOf: SourceError });
	t.regex(refused?.message ?? '', /refuses the credentials \(401\)/);
	t.notRegex(refused?.message ?? '', /wrong/);
	const right = sources.open({ url: remote.url.replace('//', '//ada:s3cret@') });
	t.is((await right.current())?.revision, commit);
	t.is(right.url, remote.url, 'no credentials are shown');
	await using keeping = await open({ credentials: async () => ({ password: 's3cret' }) });
	t.is((await keeping.open({ url: remote.url }).current())?.revision, commit);
});

test('a remote that is down, slow, broken off, missing or no git at all says so; what was read stays; it comes back by itself', async (t) => {
	await using remote = await createGitRemote();
	await using work = await createWorkTree(remote.url);
	const commit = await work.commit({ 'a.yaml': configMap('a') });
	await work.push();
	await using sources = await open({ limits: { idle: 1_000, total: 10_000, bytes: 1024 * 1024 }, poll: 50 });
	const source = sources.open({ url: remote.url });
	await until(source, ({ revision, error }) => revision === commit && !error);
	const fails = async (pattern: RegExp) => {
		const { error, revision } = await until(source, (state) => pattern.test(state.error?.message ?? ''));
		t.regex(error?.message ?? '', pattern);
		t.is(revision, commit);
		await t.throwsAsync(() => source.current(), { instanceOf: SourceError });
		t.deepEqual(await names(await source.tree(commit)), ['a']);
	};
	await remote.stop();
	await fails(/refuses connections: is it up\?/);
	await remote.start();
	await until(source, ({ error }) => !error);
	remote.behaviour.mode = 'hang';
	await fails(/did not answer within 1 s/);
	remote.behaviour.mode = 'serve';
	await until(source, ({ error }) => !error);
	remote.behaviour.mode = 'stall';
	await fails(/did not answer within 1 s|had not sent everything/);
	remote.behaviour.mode = 'serve';
	await until(source, ({ error }) => !error);
	remote.behaviour.mode = 'cut';
	await fails(/broke its answer off/);
	remote.behaviour.mode = 'serve';
	await until(source, ({ error }) => !error);
	remote.behaviour.mode = 'fail';
	await fails(/answers 503/);
	remote.behaviour.mode = 'serve';
	const next = await work.commit({ 'b.yaml': configMap('b') });
	await work.push();
	t.is((await until(source, ({ revision }) => revision === next)).error, undefined);

	const missing = sources.open({ url: remote.url.replace('repository', 'other') });
	await t.throwsAsync(async () => missing.current(), { message: /has no such repository \(404\)/ });
	const unknown = sources.open({ url: 'http://host.invalid/x.git' });
	await t.throwsAsync(async () => unknown.current(), { message: /there is no host host\.invalid|cannot be looked up/ });
	const ssh = sources.open({ url: 'git@github.com:org/repo.git' });
	await t.throwsAsync(async () => ssh.current(), { message: /ssh is not supported: use the https:\/\/ URL/ });
	const other = sources.open({ url: 'ftp://x/y' });
	await t.throwsAsync(async () => other.current(), { message: /not a URL that can be followed/ });
});

test('an answer larger than the limit is not taken into memory', async (t) => {
	await using remote = await createGitRemote();
	await using work = await createWorkTree(remote.url);
	await work.commit({
		'a.bin': crypto.getRandomValues(new Uint8Array(60_000)),
		'b.bin': crypto.getRandomValues(new Uint8Array(60_000)),
	});
	await work.push();
	await using sources = await open({ limits: { idle: 5_000, total: 5_000, bytes: 100_000 } });
	await t.throwsAsync(async () => sources.open({ url: remote.url }).current(), { message: /sent more than 0\.1 MiB/ });
});

test('a mirror is kept over restarts, and reads on while the remote is down', async (t) => {
	await using remote = await createGitRemote();
	await using work = await createWorkTree(remote.url);
	const commit = await work.commit({ 'a.yaml': configMap('a') });
	await work.push();
	await using directory = await temporaryDirectory();
	const options = { dataDir: directory.path, log: quiet, poll: hour };
	const first = createSources(options);
	await first.open({ url: remote.url }).current();
	await first[Symbol.asyncDispose]();
	await remote.stop();
	await using again = createSources(options);
	const source = again.open({ url: remote.url });
	await t.throwsAsync(async () => source.current(), { message: /refuses connections/ });
	t.is(await source.resolve(commit), commit);
	t.deepEqual(await names(await source.tree(commit)), ['a']);
});

test('a repository on this machine is followed by path and by file://, and its moves are seen at once', async (t) => {
	await using work = await createWorkTree();
	await work.commit({ 'a.yaml': configMap('a') });
	await using bare = await temporaryDirectory();
	await runGit(bare.path, ['clone', '--quiet', '--bare', work.directory, bare.path]);
	await work.git('remote', 'add', 'origin', bare.path);
	await using sources = await open();
	for (const url of [bare.path, `file://${bare.path}`]) {
		const source = sources.open({ url, revision: 'main' });
		await source.current();
		const next = await work.commit({ [`${url.length}.yaml`]: configMap(`x${url.length}`) });
		// The watch may still be setting up: what it misses, this push again shows.
		const seen = until(source, ({ revision }) => revision === next);
		await work.push();
		t.is((await Promise.race([seen, source.refresh().then(() => seen)])).revision, next);
	}
	const own = sources.open({ url: work.directory });
	t.is((await own.current())?.revision, await work.git('rev-parse', 'HEAD'), 'a work tree: what is committed');
	const none = sources.open({ url: '/nonexistent' });
	await t.throwsAsync(async () => none.current(), { message: /there is no git repository at \/nonexistent/ });
});

async function put(root: string, path: string, content: string): Promise<void> {
	await mkdir(dirname(join(root, path)), { recursive: true });
	await writeFile(join(root, path), content);
}

test('what a link in a repository on this machine leads to is not watched', async (t) => {
	await using elsewhere = await temporaryDirectory();
	await using work = await createWorkTree();
	const first = await work.commit({ 'a.yaml': configMap('a') });
	const heads = join(work.directory, '.git/refs/heads');
	await symlink(elsewhere.path, join(heads, 'linked'));
	const stop = new AbortController();
	t.teardown(() => stop.abort());
	let changes = 0;
	localReader(work.directory, work.directory, '', () => hour).watch?.(async () => void changes++, stop.signal, quiet);
	for (let count = 0; changes === 0; count++) {
		await writeFile(join(heads, `branch${count}`), `${first}\n`);
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	// Source: proc(5), /proc/PID/fdinfo: the inodes that are watched, in hexadecimal.
	const opened = (await readdir('/proc/self/fdinfo')).map((fd) => readFile(`/proc/self/fdinfo/${fd}`, 'utf8'));
	const watched = (await Promise.allSettled(opened))
		.map((each) => (each.status === 'fulfilled' ? each.value : ''))
		.join('');
	const isWatched = async (path: string) => watched.includes(` ino:${(await stat(path)).ino.toString(16)} `);
	t.true(await isWatched(heads));
	t.false(await isWatched(elsewhere.path));
});

test('a folder is a snapshot, taken anew when its content changes and only then', async (t) => {
	await using directory = await temporaryDirectory();
	const root = join(directory.path, 'manifests');
	await put(root, 'a.yaml', configMap('a'));
	await put(root, 'sub/b.yaml', configMap('b'));
	await put(root, 'notes.txt', 'x');
	await using sources = await open();
	const source = sources.open({ url: folderURL(root) });
	const first = await source.current();
	t.deepEqual(await names(first), ['a', 'b']);
	t.is(await source.resolve('HEAD'), first?.revision);
	t.is(await source.commit(first?.revision ?? ''), undefined);

	await put(root, 'c.yaml', configMap('c'));
	await source.refresh();
	const second = await source.current();
	t.deepEqual((await names(second)).sort(), ['a', 'b', 'c']);
	await utimes(join(root, 'a.yaml'), new Date(), new Date());
	await put(root, '.c.yaml.swp', 'x');
	await put(root, 'c.yaml~', 'x');
	await put(root, '.git/config', 'x');
	await source.refresh();
	t.is(source.state.revision, second?.revision, 'touched, and temporary files: the same content');
	await rm(join(root, 'c.yaml'));
	await source.refresh();
	t.is(source.state.revision, first?.revision, 'the old content is the old revision');
});

test('changes of a folder are seen by themselves, a burst not one by one', async (t) => {
	await using directory = await temporaryDirectory();
	await put(directory.path, 'a.yaml', configMap('a'));
	await using sources = await open();
	const source = sources.open({ url: folderURL(directory.path) });
	await source.current();
	const wanted = Array.from({ length: 30 }, (_, i) => `f${i}`);
	for (const name of wanted) await put(directory.path, `${name}.yaml`, configMap(name));
	let snapshots = 0;
	for await (const _ of source.changes(new AbortController().signal)) {
		snapshots++;
		if ((await names(await source.current())).length === 31) break;
	}
	t.true(snapshots < 30, 'not one for each file');
});

test('a folder that vanishes is an error, not an empty folder; it is read again when it is back', async (t) => {
	await using directory = await temporaryDirectory();
	const root = join(directory.path, 'manifests');
	await put(root, 'a.yaml', configMap('a'));
	await using sources = await open();
	const source = sources.open({ url: folderURL(root) });
	const first = await source.current();
	await rename(root, `${root}.away`);
	const { error, revision } = await until(source, (state) => state.error !== undefined);
	t.regex(error?.message ?? '', /the folder .*manifests is gone: nothing is changed or pruned until it is back/);
	t.is(revision, first?.revision);
	await t.throwsAsync(() => source.current(), { instanceOf: SourceError });
	await rename(`${root}.away`, root);
	await until(source, (state) => state.error === undefined);
	t.deepEqual(await names(await source.current()), ['a']);
});

test('a link in a folder is not followed, the folder itself may be one', async (t) => {
	await using directory = await temporaryDirectory();
	const root = join(directory.path, 'manifests');
	await put(root, 'a.yaml', configMap('a'));
	await put(directory.path, 'secret.yaml', configMap('secret'));
	await symlink('../secret.yaml', join(root, 'out.yaml'));
	await symlink('..', join(root, 'up'));
	await symlink(root, join(directory.path, 'link'));
	await using sources = await open();
	const tree = await sources.open({ url: folderURL(join(directory.path, 'link')) }).current();
	const rendered = tree && (await renderer.render(tree, { path: '' }));
	t.deepEqual(
		rendered?.manifests.map(({ object }) => object.metadata.name),
		['a'],
	);
	t.deepEqual(
		rendered?.problems.map(({ position }) => position.file),
		['out.yaml'],
	);
});

test('a file that changes under the reader is no half-read content but an error that passes', async (t) => {
	await using directory = await temporaryDirectory();
	await put(directory.path, 'a.yaml', configMap('a'));
	await using sources = await open();
	const source = sources.open({ url: folderURL(directory.path) });
	const tree = await source.current();
	await put(directory.path, 'a.yaml', configMap('changed'));
	await t.throwsAsync(async () => names(tree), { instanceOf: SourceError, message: /changed while it was read/ });
	await source.refresh();
	t.deepEqual(await names(await source.current()), ['changed']);
});

test('a folder that is no folder, and one of too many problems, says so', async (t) => {
	await using directory = await temporaryDirectory();
	await put(directory.path, 'file', 'x');
	await using sources = await open();
	await t.throwsAsync(async () => sources.open({ url: folderURL(join(directory.path, 'file')) }).current(), {
		message: /is not a folder/,
	});
	await t.throwsAsync(async () => sources.open({ url: folderURL(join(directory.path, 'none')) }).current(), {
		message: /is gone/,
	});
});

test('a name in a folder that is not UTF-8 is told, and no riddle', async (t) => {
	await using directory = await temporaryDirectory();
	await using sources = await open();
	const at = (name: Uint8Array) => Buffer.concat([Buffer.from(`${directory.path}/caf`), name]);
	await writeFile(at(Buffer.from('\ufffd.txt')), 'a name like any other');
	const source = sources.open({ url: folderURL(directory.path) });
	await source.refresh();
	t.is(source.state.error, undefined);
	await writeFile(at(Buffer.from('e9', 'hex')), 'in Latin-1');
	await source.refresh();
	t.regex(source.state.error?.message ?? '', /: caf\ufffd has a name that is not UTF-8: rename it$/);
});

test('the ways to write a repository URL are one', (t) => {
	const same = [
		'https://github.com/Org/Repo.git',
		'https://github.com/org/repo',
		'https://github.com/org/repo/',
		'https://token@github.com/org/repo.git',
		'http://github.com/org/repo.git',
		'git@github.com:org/repo.git',
		'ssh://git@github.com/org/repo.git',
		'ssh://git@github.com:22/org/repo',
	];
	t.deepEqual([...new Set(same.map(comparable))], ['github.com/org/repo']);
	t.not(comparable('https://github.com/org/other'), comparable('https://github.com/org/repo'));
	t.not(comparable('http://localhost:3000/x'), comparable('http://localhost:3001/x'));
	t.is(comparable('https://github.com/a%zz/b'), 'github.com/a%zz/b', 'one that is written badly is only another one');
});

test('credentials in a URL are shown nowhere, also where the URL cannot be followed', async (t) => {
	const told: unknown[] = [];
	const log: Log = { ...quiet, warn: (...args) => void told.push(args), info: (...args) => void told.push(args) };
	await using sources = await open({ log });
	for (const url of [
		'ftp://ada:s3cret@host/x',
		'ssh://ada:s3cret@host/x',
		'ada:s3cret@host:x',
		'x://ada:s3cret@[bad/y',
	]) {
		await using source = sources.open({ url });
		const { error } = await until(source, (state) => state.known);
		t.truthy(error);
		t.false(`${error?.message} ${source.url}`.includes('s3cret'), error?.message);
	}
	t.true(told.length > 0);
	t.false(JSON.stringify(told).includes('s3cret'));
});
