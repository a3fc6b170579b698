import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import test from 'ava';
import type { Log } from '../../src/log.ts';
import { createQuestionReader } from '../../src/sync/push/hooks.ts';
import { loadToken, openPushServer, type Push, type PushHandler } from '../../src/sync/push/index.ts';
import { createRenderer, formatProblem } from '../../src/sync/render/index.ts';
import {
	createSources,
	type Embedded,
	type EmbeddedOptions,
	HeadMoved,
	openEmbedded,
	planMove,
	type RefChange,
	type Source,
} from '../../src/sync/source/index.ts';
import { serveWeb } from '../../src/web/index.ts';
import { createWorkTree, hermeticEnvironment, temporaryDirectory } from '../testbed/git.ts';

const configMap = (name: string, value = 'one') =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\ndata:\n  key: ${value}\n`;

const quiet: Log = { debug() {}, info() {}, warn() {}, error() {} };

interface Endpoint extends AsyncDisposable {
	readonly url: string;
	readonly port: number;
	readonly token: string;
	readonly embedded: Embedded;
	readonly source: Source;
	readonly dataDir: string;
	readonly checked: Push[];
	readonly accepted: Push[];
	close(): Promise<void>;
}

/** The whole endpoint as `up` wires it, with a handler that renders what is pushed, and what a test puts in its place. */
async function serve(
	handler: Partial<PushHandler> = {},
	{ heads, checkTime }: Pick<EmbeddedOptions, 'heads'> & { readonly checkTime?: number } = {},
): Promise<Endpoint> {
	const directory = await temporaryDirectory();
	const dataDir = directory.path;
	const renderer = createRenderer();
	const checked: Push[] = [];
	const accepted: Push[] = [];
	const full: PushHandler = {
		tracks: handler.tracks,
		async check(push) {
			checked.push(push);
			if (handler.check) return handler.check(push);
			const { problems, manifests } = await renderer.render(await push.tree(), { path: '' }, push.signal);
			const lines = problems.length ? problems.map(formatProblem) : [`valid: ${manifests.length} objects`];
			return { accept: problems.length === 0, lines };
		},
		accepted(push) {
			accepted.push(push);
			return handler.accepted?.(push) ?? lines('stored');
		},
	};
	const token = await loadToken(dataDir);
	const embedded = await openEmbedded(dataDir, { heads });
	const push = await openPushServer({ repositories: [embedded], token, handler: full, log: quiet, checkTime });
	const web = await serveWeb({ port: 0, push, log: quiet });
	const sources = createSources({ dataDir, log: quiet, embedded: () => embedded });
	const source = sources.open({ url: 'embedded' });
	let closed: Promise<void> | undefined;
	const close = () => {
		closed ??= (async () => {
			await push[Symbol.asyncDispose]();
			await web.close();
			await sources[Symbol.asyncDispose]();
			await embedded[Symbol.asyncDispose]();
		})();
		return closed;
	};
	return {
		url: `http://git:${token}@127.0.0.1:${web.port}/git/default.git`,
		port: web.port,
		token,
		embedded,
		source,
		dataDir,
		checked,
		accepted,
		close,
		async [Symbol.asyncDispose]() {
			await close();
			await directory[Symbol.asyncDispose]();
		},
	};
}

async function* lines(...all: string[]): AsyncGenerator<string> {
	yield* all;
}

test('a push is checked, accepted, and answered line by line', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree(endpoint.url);
	const commit = await work.commit({ 'a.yaml': configMap('a'), 'sub/b.yaml': configMap('b') });
	const { code, output } = await work.push();
	t.is(code, 0, output);
	t.regex(output, /^remote: valid: 2 objects/m);
	t.regex(output, /^remote: stored/m);
	t.is(await endpoint.embedded.repository.resolve('main'), commit);
	t.like(endpoint.checked[0], {
		repository: 'default',
		ref: 'refs/heads/main',
		before: undefined,
		after: commit,
		pusher: 'git',
	});
	t.is(endpoint.accepted.length, 1);
	const tree = await endpoint.source.current();
	t.is(tree?.revision, commit, 'the source has been told before the pusher is');
});

test('a broken manifest refuses the push with its file, line and column, and leaves nothing behind', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree(endpoint.url);
	const good = await work.commit({ 'a.yaml': configMap('a') });
	t.is((await work.push()).code, 0);
	const bad = await work.commit({ 'web/b.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n\tx: y\n' });
	const { code, output } = await work.push();
	t.not(code, 0);
	t.regex(output, /^remote: web\/b\.yaml:5:1: /m);
	t.regex(output, /pre-receive hook declined/);
	t.is(await endpoint.embedded.repository.resolve('main'), good);
	t.is(await endpoint.embedded.repository.resolve(bad), undefined, 'the refused commit is not in the repository');
	const objects = await readdir(join(endpoint.embedded.repository.gitdir, 'objects'));
	t.false(
		objects.some((name) => name.includes('incoming')),
		'the quarantine is removed',
	);
	t.is(endpoint.accepted.length, 1);
});

test('lines appear at the pusher while the answer is still being made', async (t) => {
	const gate = Promise.withResolvers<void>();
	await using endpoint = await serve({
		async *accepted() {
			yield 'first';
			await gate.promise;
			yield 'second';
		},
	});
	await using work = await createWorkTree(endpoint.url);
	await work.commit({ 'a.yaml': configMap('a') });
	const push = work.startPush();
	await push.prints('remote: first');
	t.false(push.output().includes('second'));
	gate.resolve();
	const { code, output } = await push.done;
	t.is(code, 0);
	t.regex(output, /^remote: second/m);
});

test('a pusher who presses Ctrl-C while progress is shown changes nothing but the view', async (t) => {
	const ended = Promise.withResolvers<void>();
	await using endpoint = await serve({
		async *accepted({ signal }) {
			yield 'waiting';
			await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
			ended.resolve();
		},
	});
	await using work = await createWorkTree(endpoint.url);
	const commit = await work.commit({ 'a.yaml': configMap('a') });
	const push = work.startPush();
	await push.prints('remote: waiting');
	push.interrupt();
	await push.done;
	await ended.promise;
	t.is(await endpoint.embedded.repository.resolve('main'), commit);
	await work.commit({ 'b.yaml': configMap('b') });
	const next = work.startPush();
	await next.prints('remote: waiting');
	next.interrupt();
	await next.done;
	t.pass('the next push is taken');
});

test('a pusher who presses Ctrl-C during the check pushes nothing', async (t) => {
	const checking = Promise.withResolvers<void>();
	let first = true;
	await using endpoint = await serve({
		async check({ signal }) {
			if (!first) return { accept: true, lines: [] };
			first = false;
			checking.resolve();
			await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
			return { accept: true, lines: [] };
		},
	});
	await using work = await createWorkTree(endpoint.url);
	await work.commit({ 'a.yaml': configMap('a') });
	const push = work.startPush();
	await checking.promise;
	push.interrupt();
	await push.done;
	t.is((await work.push()).code, 0, 'another push gets its turn');
	t.is(endpoint.accepted.length, 1);
});

test('when the server closes during the check, the push is refused, not left hanging', async (t) => {
	const checking = Promise.withResolvers<void>();
	await using endpoint = await serve({
		async check({ signal }) {
			checking.resolve();
			await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
			return { accept: true, lines: [] };
		},
	});
	await using work = await createWorkTree(endpoint.url);
	await work.commit({ 'a.yaml': configMap('a') });
	const push = work.startPush();
	await checking.promise;
	await endpoint.close();
	const { code, output } = await push.done;
	t.not(code, 0);
	t.regex(output, /driftless stopped before it had checked the push/);
});

test('a wrong token, none, or another repository is refused', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree();
	await work.commit({ 'a.yaml': configMap('a') });
	const base = `127.0.0.1:${endpoint.port}/git`;
	const wrong = await work.push(`http://git:${endpoint.token}x@${base}/default.git`, 'main');
	t.not(wrong.code, 0);
	t.regex(wrong.output, /Authentication failed/);
	const none = await work.push(`http://${base}/default.git`, 'main');
	t.regex(none.output, /could not read Username|Authentication failed/);
	for (const path of ['other.git', '../git/default.git/..', 'default.git/../../x.git', '%2e%2e/x.git']) {
		const { code, output } = await work.push(`http://git:${endpoint.token}@${base}/${path}`, 'main');
		t.not(code, 0, path);
		t.regex(output, /not found/, path);
	}
	t.is(endpoint.checked.length, 0);
	const token = join(endpoint.dataDir, 'git', 'token');
	t.is((await stat(token)).mode & 0o777, 0o600);
	t.is((await readFile(token, 'utf8')).trim(), endpoint.token);
	t.is(await loadToken(endpoint.dataDir), endpoint.token, 'the token stays');
});

test('a branch that nothing follows is stored with a note', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree(endpoint.url);
	const commit = await work.commit({ 'a.yaml': 'no: [manifest' });
	const { code, output } = await work.push('origin', 'HEAD:draft');
	t.is(code, 0, output);
	t.regex(output, /^remote: draft is stored, and changes nothing/m);
	t.regex(output, /git push <remote> draft:main *$/m);
	t.is(await endpoint.embedded.repository.resolve('draft'), commit);
	const odd = await work.push('origin', 'HEAD:refs/heads/-x', "HEAD:refs/heads/a'$(id)");
	t.is(odd.code, 0, odd.output);
	t.regex(odd.output, /git push <remote> refs\/heads\/-x:main *$/m);
	t.regex(odd.output, /git push <remote> 'a'\\''\$\(id\):main' *$/m);
	t.is(endpoint.checked.length, 0);
	t.is(endpoint.accepted.length, 0);
});

test('several references in one push are checked together: one refused, none moves', async (t) => {
	await using endpoint = await serve({ tracks: (_, ref) => ref === 'refs/heads/main' || ref === 'refs/heads/stage' });
	await using work = await createWorkTree(endpoint.url);
	await work.commit({ 'a.yaml': configMap('a') });
	await work.git('branch', 'stage');
	await work.git('tag', 'v1');
	t.is((await work.push('origin', 'main', 'stage', 'v1')).code, 0);
	t.deepEqual(
		endpoint.accepted.map(({ ref }) => ref),
		['refs/heads/main', 'refs/heads/stage'],
	);
	t.truthy(await endpoint.embedded.repository.resolve('v1'));
	const before = await endpoint.embedded.repository.resolve('main');
	await work.commit({ 'a.yaml': configMap('a', 'two') });
	await work.git('checkout', '-q', 'stage');
	await work.commit({ 'b.yaml': 'no object\n' });
	await work.git('branch', 'draft');
	const { code, output } = await work.push('origin', 'main', 'stage', 'draft');
	t.not(code, 0);
	t.regex(output, /remote: b\.yaml:1:1: expected a Kubernetes object, got the string/);
	t.notRegex(output, /is stored/, 'what is refused with the others is not stored');
	t.is(await endpoint.embedded.repository.resolve('main'), before);
});

test('a name that git has no room for is refused with all that comes with it, before any head moves', async (t) => {
	const moved: string[] = [];
	const heads: EmbeddedOptions['heads'] = (_, repository) => ({
		read: () => repository.refs(),
		move: async (changes) => void moved.push(...changes.map(({ ref }) => ref)),
	});
	await using endpoint = await serve({}, { heads });
	await using work = await createWorkTree(endpoint.url);
	await work.commit({ 'a.yaml': configMap('a') });
	t.is((await work.push('origin', 'main', 'HEAD:refs/heads/a', 'HEAD:refs/heads/b/c')).code, 0);
	moved.length = 0;
	await work.commit({ 'b.yaml': configMap('b') });
	for (const [refs, line] of [
		[['main', 'HEAD:refs/heads/a/b'], /^remote: a\/b cannot be beside a: /m],
		[['main', 'HEAD:refs/heads/b'], /^remote: b cannot be beside b\/c: /m],
		[['main', 'HEAD:refs/heads/d', 'HEAD:refs/heads/d/e'], /^remote: d cannot be beside d\/e: /m],
		[[':refs/heads/a', 'HEAD:refs/heads/a/b'], /^remote: a\/b cannot be beside a: /m],
	] as const)
		for (const atomic of [[], ['--atomic']]) {
			const { code, output } = await work.push(...atomic, 'origin', ...refs);
			t.not(code, 0);
			t.regex(output, line);
			t.deepEqual(moved, []);
		}
	t.is((await work.push('origin', ':refs/heads/a')).code, 0);
	t.is((await work.push('origin', 'HEAD:refs/heads/a/b')).code, 0);
});

test('push options reach the handler, and none can speak as the hook', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree(endpoint.url);
	await work.commit({ 'a.yaml': configMap('a') });
	const { code, output } = await work.push('-o', 'wait=0', '-o', '$(touch /tmp/owned) `id` "quoted"', 'origin', 'main');
	t.is(code, 0, output);
	t.deepEqual(endpoint.checked[0]?.options, ['wait=0', '$(touch /tmp/owned) `id` "quoted"']);
	t.false(existsSync('/tmp/owned'));
});

test('a shallow clone can be pushed, as CI jobs have them, and what comes after it', async (t) => {
	await using endpoint = await serve();
	await using origin = await createWorkTree();
	await origin.commit({ 'a.yaml': configMap('a') });
	const head = await origin.commit({ 'a.yaml': configMap('a', 'two') });
	await using job = await createWorkTree(endpoint.url);
	await job.git('fetch', '-q', '--depth=1', `file://${origin.directory}`, 'main');
	await job.git('reset', '-q', '--hard', 'FETCH_HEAD');
	const { code, output } = await job.push();
	t.is(code, 0, output);
	t.is(await endpoint.embedded.repository.resolve('main'), head);
	const next = await job.commit({ 'b.yaml': configMap('b') });
	t.is((await job.push()).code, 0);
	t.is(await endpoint.embedded.repository.resolve('main'), next);
	await job.git('clone', '-q', endpoint.url, 'other');
	t.is(await job.git('-C', 'other', 'rev-list', '--count', 'HEAD'), '2');
	// Whoever has the whole history goes on with it.
	await origin.git('remote', 'add', 'embedded', endpoint.url);
	await origin.git('fetch', '-q', 'embedded', 'main');
	await origin.git('merge', '-q', '--ff-only', 'FETCH_HEAD');
	const last = await origin.commit({ 'c.yaml': configMap('c') });
	t.is((await origin.push('embedded', 'main')).code, 0);
	t.is(await endpoint.embedded.repository.resolve('main'), last);
});

test('a force-push is new desired state', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree(endpoint.url);
	await work.commit({ 'a.yaml': configMap('a') });
	const old = await work.commit({ 'b.yaml': configMap('b') });
	t.is((await work.push()).code, 0);
	await work.git('reset', '--quiet', '--hard', 'HEAD~1');
	const commit = await work.commit({ 'c.yaml': configMap('c') });
	t.not((await work.push()).code, 0, 'not without force');
	const { code, output } = await work.push('--force', 'origin', 'main');
	t.is(code, 0, output);
	t.is(endpoint.source.state.revision, commit);
	t.like(endpoint.accepted[1], { before: old, after: commit });
	t.is((await endpoint.source.tree(old)).revision, old, 'the old commit can still be read');
});

test('deleting the followed branch leaves no tree, and says that nothing is pruned', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree(endpoint.url);
	t.is(await endpoint.source.current(), undefined, 'an empty repository');
	const commit = await work.commit({ 'a.yaml': configMap('a') });
	await work.push();
	const { code, output } = await work.push('origin', ':main');
	t.is(code, 0, output);
	t.regex(output, /^remote: main is deleted: what it described stays as it is/m);
	t.is(await endpoint.source.current(), undefined);
	t.is(endpoint.source.state.error, undefined);
	t.is((await work.push()).code, 0);
	t.is(endpoint.source.state.revision, commit);
});

test('two pushes at once are checked one after the other; the later one is told to fetch', async (t) => {
	const arrived = Promise.withResolvers<void>();
	const gate = Promise.withResolvers<void>();
	let running = 0;
	let most = 0;
	await using endpoint = await serve({
		async check() {
			most = Math.max(most, ++running);
			arrived.resolve();
			await gate.promise;
			running--;
			return { accept: true, lines: ['checked'] };
		},
	});
	await using one = await createWorkTree(endpoint.url);
	await using two = await createWorkTree(endpoint.url);
	const commit = await one.commit({ 'a.yaml': configMap('a') });
	await two.commit({ 'b.yaml': configMap('b') });
	const first = one.startPush();
	await arrived.promise;
	const second = two.startPush();
	await second.prints('');
	gate.resolve();
	const [won, lost] = await Promise.all([first.done, second.done]);
	t.is(won.code, 0, won.output);
	t.not(lost.code, 0);
	t.regex(lost.output, /main has moved on since you fetched it|fetch first|\[rejected\]|failed to update ref/);
	t.is(most, 1);
	t.is(await endpoint.embedded.repository.resolve('main'), commit);
});

test('a check that takes too long is given up, and those behind it get their turn', async (t) => {
	let first = true;
	const checking = Promise.withResolvers<void>();
	const handler: Partial<PushHandler> = {
		async check({ signal }) {
			if (!first) return { accept: true, lines: [] };
			first = false;
			checking.resolve();
			return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
		},
	};
	await using endpoint = await serve(handler, { checkTime: 2_000 });
	await using one = await createWorkTree(endpoint.url);
	await using two = await createWorkTree(endpoint.url);
	await one.commit({ 'a.yaml': configMap('a') });
	const commit = await two.commit({ 'b.yaml': configMap('b') });
	const slow = one.startPush();
	await checking.promise;
	const next = await two.push();
	const { code, output } = await slow.done;
	t.not(code, 0);
	t.regex(output, /^remote: the check took longer than 2 s, and was stopped: push less at once/m);
	t.is(next.code, 0, next.output);
	t.is(await endpoint.embedded.repository.resolve('main'), commit);
});

test('git moves nothing where the heads cannot be moved first', async (t) => {
	const asked: (readonly RefChange[])[] = [];
	let refuse = false;
	const heads: EmbeddedOptions['heads'] = (_, repository) => ({
		read: () => repository.refs(),
		async move(changes) {
			asked.push(changes);
			if (refuse) throw new HeadMoved('somebody was faster');
		},
	});
	await using endpoint = await serve({}, { heads });
	await using work = await createWorkTree(endpoint.url);
	const first = await work.commit({ 'a.yaml': configMap('a') });
	t.is((await work.push()).code, 0);
	refuse = true;
	const second = await work.commit({ 'b.yaml': configMap('b') });
	const { code, output } = await work.push();
	t.not(code, 0);
	t.regex(output, /^remote: main has moved on meanwhile: fetch, rebase and push again/m);
	t.regex(output, /! \[remote rejected\] HEAD -> main \(hook declined\)/);
	t.is(await endpoint.embedded.repository.resolve('main'), first);
	t.is(endpoint.accepted.length, 1);
	t.deepEqual(asked, [
		[{ ref: 'refs/heads/main', before: undefined, after: first }],
		[{ ref: 'refs/heads/main', before: first, after: second }],
	]);
});

test('of an atomic push no head moves where one of them has moved meanwhile, and git moves none either', async (t) => {
	let kept: ReadonlyMap<string, string> = new Map();
	let faster: [string, string] | undefined;
	const heads: EmbeddedOptions['heads'] = () => ({
		read: async () => kept,
		async move(changes) {
			// Between the check and the first move another server takes a push.
			if (faster) kept = new Map(kept).set(...faster);
			faster = undefined;
			kept = planMove(kept, changes);
		},
	});
	await using endpoint = await serve({}, { heads });
	await using work = await createWorkTree(endpoint.url);
	const first = await work.commit({ 'a.yaml': configMap('a') });
	t.is((await work.push('origin', 'HEAD:main', 'HEAD:other')).code, 0);
	await work.commit({ 'b.yaml': configMap('b') });
	faster = ['refs/heads/other', 'f'.repeat(40)];
	const { code, output } = await work.push('--atomic', 'origin', 'HEAD:main', 'HEAD:other');
	t.not(code, 0);
	t.regex(output, /^remote: other has moved on meanwhile: fetch, rebase and push again/m);
	t.is(kept.get('refs/heads/main'), first, 'what git has rejected is not taken');
	t.is(await endpoint.embedded.repository.resolve('main'), first);
	t.is(await endpoint.embedded.repository.resolve('other'), first);
});

test('a branch whose name is no text is refused with all that comes with it', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree(endpoint.url);
	const first = await work.commit({ 'a.yaml': configMap('a') });
	t.is((await work.push()).code, 0);
	await work.commit({ 'b.yaml': configMap('b') });
	// A shell, since what is no UTF-8 is no argument of a program that is started from here.
	const push = 'git push origin HEAD:main HEAD:refs/heads/"$(printf "x\\377")" 2>&1';
	const shell = spawn('sh', ['-c', push], { cwd: work.directory, env: hermeticEnvironment(work.directory) });
	let output = '';
	shell.stdout.on('data', (chunk: Buffer) => {
		output += chunk;
	});
	const [code] = await once(shell, 'close');
	t.not(code, 0);
	t.regex(output, /^remote: x.* is no name for a branch or tag: choose another one/m);
	t.deepEqual([...(await endpoint.embedded.repository.refs())], [['refs/heads/main', first]]);
});

test('a question of a hook is the same, wherever it is cut', (t) => {
	const [id, none] = ['a'.repeat(40), '0'.repeat(40)];
	const text = `hook update\nobjects /tmp/größe\noption ☕\nupdate ${none} ${id} refs/heads/naïve-日本\nend \n`;
	const bytes = new TextEncoder().encode(text);
	const whole = createQuestionReader()(bytes);
	t.like(whole[0], { hook: 'update', options: ['☕'], updates: [{ ref: 'refs/heads/naïve-日本', after: id }] });
	for (let cut = 1; cut < bytes.length; cut++) {
		const read = createQuestionReader();
		t.deepEqual([...read(bytes.subarray(0, cut)), ...read(bytes.subarray(cut))], whole, `cut at ${cut}`);
	}
});

test('the progress of one push does not hold up the next', async (t) => {
	const gate = Promise.withResolvers<void>();
	await using endpoint = await serve({
		async *accepted({ before }) {
			yield before ? 'second' : 'first';
			if (!before) await gate.promise;
		},
	});
	await using work = await createWorkTree(endpoint.url);
	await work.commit({ 'a.yaml': configMap('a') });
	const first = work.startPush();
	await first.prints('remote: first');
	await work.commit({ 'b.yaml': configMap('b') });
	t.is((await work.push()).code, 0);
	gate.resolve();
	t.is((await first.done).code, 0);
});

// Alone, since it looks at what the process holds.
test.serial(
	'what cannot be a manifest refuses the push: too large, binary, alias bomb, too deep, a link out',
	async (t) => {
		await using endpoint = await serve();
		await using work = await createWorkTree(endpoint.url);
		let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n';
		for (let i = 1; i < 10; i++)
			bomb += `a${i}: &a${i} [${Array(9)
				.fill(`*a${i - 1}`)
				.join(', ')}]\n`;
		await work.write({
			'large.yaml': Buffer.alloc(100 * 1024 * 1024, 'a: b\n'),
			'binary.yaml': Buffer.from([0x7f, 0x45, 0, 1, 2, 3]),
			'bomb.yaml': `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n${bomb}`,
			'deep.yaml': `x: ${'['.repeat(200_000)}`,
			'latin.yaml': Buffer.from('a: b\nc: \xe4\n', 'latin1'),
		});
		await work.link('link.yaml', '/etc/passwd');
		await work.commit();
		const held = () => process.memoryUsage().arrayBuffers;
		const before = held();
		let most = before;
		const looking = setInterval(() => {
			most = Math.max(most, held());
		}, 5);
		const { code, output } = await work.push();
		clearInterval(looking);
		t.not(code, 0);
		t.regex(output, /^remote: large\.yaml:1:1: 100 MiB is more than the 5 MiB/m);
		t.regex(output, /^remote: binary\.yaml:1:1: binary content/m);
		t.regex(output, /^remote: bomb\.yaml:\d+:\d+: its aliases expand to more/m);
		t.regex(output, /^remote: deep\.yaml:1:\d+: nested deeper than 100 levels/m);
		t.regex(output, /^remote: latin\.yaml:2:4: not valid UTF-8/m);
		t.regex(output, /^remote: link\.yaml:1:1: a symbolic link, which is not followed/m);
		t.true(
			most - before < 64 * 1024 * 1024,
			`the large file was not read into memory: ${most - before} bytes were held`,
		);
		t.is(endpoint.accepted.length, 0);
	},
);

test('a push larger than git sends at once (chunked and compressed) arrives', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree(endpoint.url);
	const files: Record<string, string> = {};
	for (let i = 0; i < 300; i++)
		files[`f${i}.yaml`] = configMap(
			`f${i}`,
			`"${Buffer.from(crypto.getRandomValues(new Uint8Array(6000))).toString('base64')}"`,
		);
	await work.commit(files);
	const { code, output } = await work.push();
	t.is(code, 0, output);
	t.regex(output, /valid: 300 objects/);
	await using clone = await createWorkTree(endpoint.url);
	await clone.git('pull', '--quiet', 'origin', 'main');
	t.is((await readdir(clone.directory)).filter((name) => name.endsWith('.yaml')).length, 300);
});

test('a push by path, past the server, is refused with what to do', async (t) => {
	await using endpoint = await serve();
	await using work = await createWorkTree(endpoint.embedded.repository.gitdir);
	await work.commit({ 'a.yaml': configMap('a') });
	const { code, output } = await work.push();
	t.not(code, 0);
	t.regex(output, /driftless answers pushes over HTTP only/);
});

test('the repository is kept over restarts, and its hooks are made anew', async (t) => {
	await using directory = await temporaryDirectory();
	await mkdir(join(directory.path, 'git'), { recursive: true });
	const first = await openEmbedded(directory.path);
	const { gitdir } = first.repository;
	await first[Symbol.asyncDispose]();
	await using again = await openEmbedded(directory.path);
	t.is(again.repository.gitdir, gitdir);
	t.is(await again.repository.resolve('HEAD'), undefined);
});

/** The pids of git children that work on a repository. */
async function gitProcesses(directory: string): Promise<string[]> {
	const found: string[] = [];
	for (const pid of await readdir('/proc')) {
		if (!/^\d+$/.test(pid)) continue;
		const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
		if (environment.includes(`GIT_PROJECT_ROOT=${directory}`)) found.push(pid);
	}
	return found;
}

for (const stage of ['check', 'progress']) {
	test(`kill -9 during the ${stage}: the pusher is told, no child is left, and the next process takes pushes`, async (t) => {
		await using directory = await temporaryDirectory();
		const program = join(import.meta.dirname, 'push-process.ts');
		const start = () =>
			spawn(process.execPath, [program, directory.path, stage], { stdio: ['ignore', 'pipe', 'inherit'] });
		const process1: ChildProcessByStdio<null, Readable, null> = start();
		const lines = createInterface(process1.stdout)[Symbol.asyncIterator]();
		const line = async () => String((await lines.next()).value);
		const url = await line();
		await using work = await createWorkTree(url);
		const commit = await work.commit({ 'a.yaml': configMap('a') });
		const push = work.startPush();
		t.is(await line(), stage === 'check' ? 'checking' : 'accepted');
		process1.kill('SIGKILL');
		await once(process1, 'exit');
		t.not((await push.done).code, 0);
		const root = join(directory.path, 'git');
		while ((await gitProcesses(root)).length) await new Promise((resolve) => setImmediate(resolve));
		await using embedded = await openEmbedded(directory.path);
		t.is(await embedded.repository.resolve('main'), stage === 'check' ? undefined : commit);
		const objects = await readdir(join(embedded.repository.gitdir, 'objects'));
		t.false(objects.some((name) => name.includes('incoming')));
	});
}
