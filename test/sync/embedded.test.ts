import { join } from 'node:path';
import test from 'ava';
import { openPki, serveApi } from '../../src/api/index.ts';
import { ensureDefaultApplication, openGitOps } from '../../src/cli/platform/gitops.ts';
import { type Client, createCache, inProcess } from '../../src/client/index.ts';
import { Application, ConfigMap } from '../../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../../src/reconcile/index.ts';
import { loadToken } from '../../src/sync/push/index.ts';
import { type Peer, planMove } from '../../src/sync/source/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { createWorkTree, runGit } from '../testbed/git.ts';
import { silentLog } from '../testbed/silent-log.ts';

const configMap = (value: string, name = 'a') =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  namespace: default\ndata:\n  value: "${value}"\n`;

/** A cluster of servers: one store, and for each server an API and an embedded repository of its own. They know each other where `linked`. */
async function openCluster({ linked = false } = {}) {
	const stack = new AsyncDisposableStack();
	const { api, dataDir } = stack.use(await openTestApi());
	const client = inProcess(api, admin);
	const pki = await openPki({ dataDir });
	const there = new Map<string, Peer>();
	const file = (name: string) => join(dataDir, 'pki', name);
	const certificates = { ca: file('ca.crt'), cert: file('admin.crt'), key: file('admin.key') };
	let leader: string | undefined;
	let failing = false;
	let asked = 0;

	async function server(name: string) {
		const stop = new AbortController();
		const { signal } = stop;
		const home = join(dataDir, name);
		const gitops = stack.use(
			await openGitOps({
				dataDir: home,
				address: '127.0.0.1',
				httpPort: 0,
				pushWaitMs: 5_000,
				pollMs: undefined,
				webhookSecret: undefined,
				client: () => (failing ? undefined : client),
				peers: {
					async leader() {
						asked++;
						return leader === name ? undefined : there.get(leader ?? '');
					},
					others: async () => [...there].flatMap(([other, peer]) => (other === name ? [] : [peer])),
					certificates,
				},
				log: silentLog,
				signal,
			}),
		);
		const served = await serveApi({ api, pki, address: '127.0.0.1', port: 0, log: silentLog, git: gitops.git });
		const begin = () => linked && there.set(name, { origin: `https://127.0.0.1:${served.port}` });
		begin();
		stack.defer(() => served.close());
		stack.defer(() => stop.abort());
		const { port } = await gitops.serve();
		const repoURL = `http://127.0.0.1:${port}/git/default.git`;
		await ensureDefaultApplication(client, { repoURL, targetRevision: 'main', asked: false });
		let leading: { readonly stop: AbortController; readonly done: Promise<void> } | undefined;
		const follow = async () => {
			const last = leading;
			leading = undefined;
			if (last) leader = undefined;
			last?.stop.abort();
			await last?.done;
		};
		stack.defer(follow);
		return {
			url: `http://git:${await loadToken(home)}@127.0.0.1:${port}/git/default.git`,
			gitdir: join(home, 'git/default.git'),
			api: `https://127.0.0.1:${served.port}/git/default.git`,
			/** As if the machine were off, for the others. */
			vanish: () => void there.delete(name),
			begin,
			lead() {
				leader = name;
				const stopLeading = new AbortController();
				const options = { signal: stopLeading.signal, log: silentLog };
				const cache = createCache(client, options);
				const controllers = [...clusterControllers(), gitops.controller];
				const run = runControllers({ client, cache, controllers, now: Date.now, ...options });
				leading = { stop: stopLeading, done: run.then(() => cache[Symbol.asyncDispose]()) };
			},
			follow,
		};
	}
	const fail = () => {
		failing = true;
	};
	/** The Lease names a server that answers no more. */
	const die = () => {
		leader = 'dead';
		there.set(leader, { origin: 'https://127.0.0.1:1' });
		asked = 0;
	};
	return {
		client,
		server,
		certificates,
		fail,
		die,
		asked: () => asked,
		[Symbol.asyncDispose]: () => stack.disposeAsync(),
	};
}

const value = async (client: Client, name = 'a') =>
	(await client.get(ConfigMap, { name, namespace: 'default' }).catch(() => undefined))?.data?.value;

async function until<T>(what: string, look: () => Promise<T>, wanted: (seen: T) => boolean): Promise<T> {
	const deadline = Date.now() + 60_000;
	for (;;) {
		const seen = await look();
		if (wanted(seen)) return seen;
		if (Date.now() > deadline) throw new Error(`${what}: last seen ${JSON.stringify(seen)}`);
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

const condition = async (client: Client) => {
	const { status } = await client.get(Application, { name: 'default', namespace: 'default' });
	return status?.conditions?.find(({ type }) => type === 'ComparisonError')?.message;
};

test('a new leader with an older repository neither goes back nor prunes, and takes the push that has what it lacks', async (t) => {
	await using cluster = await openCluster();
	const { client } = cluster;
	const [one, two] = [await cluster.server('one'), await cluster.server('two')];
	await using work = await createWorkTree();
	await using stale = await createWorkTree();

	two.lead();
	const first = await work.commit({ 'a.yaml': configMap('1') });
	t.is((await pushed(work, two.url)).code, 0);
	await stale.git('pull', '-q', two.url, 'main');
	await two.follow();

	one.lead();
	const second = await work.commit({ 'a.yaml': configMap('2'), 'b.yaml': configMap('2', 'b') });
	t.is((await pushed(work, one.url)).code, 0);
	t.is(await value(client, 'b'), '2');
	await one.follow();

	two.lead();
	const why = await until(
		'the condition',
		() => condition(client),
		(message) => message !== undefined,
	);
	t.regex(why ?? '', new RegExp(`main is at ${second.slice(0, 12)}, which no server that is there has`));
	t.is(await value(client), '2');
	t.is(await value(client, 'b'), '2', 'nothing is pruned');

	await stale.commit({ 'a.yaml': configMap('stale') });
	const refused = await pushed(stale, two.url, '--force');
	t.not(refused.code, 0, 'not even by force');
	t.regex(refused.output, new RegExp(`main is at ${second.slice(0, 12)}, which no server that is there has`));

	const third = await work.commit({ 'a.yaml': configMap('3') });
	const taken = await pushed(work, two.url);
	t.is(taken.code, 0, taken.output);
	t.regex(taken.output, /converged/);
	t.is(await value(client), '3');
	t.is(await work.git('ls-remote', two.url, 'refs/heads/main').then((line) => line.slice(0, 40)), third);
	t.not(first, third);
});

test('a push to any server is taken by the one that leads, and all servers have it before it is acknowledged', async (t) => {
	await using cluster = await openCluster({ linked: true });
	const { client } = cluster;
	const [one, two, three] = [await cluster.server('one'), await cluster.server('two'), await cluster.server('three')];
	await using work = await createWorkTree();
	one.lead();
	const first = await work.commit({ 'a.yaml': configMap('1') });
	const pushedFirst = await until(
		'the push',
		() => pushed(work, two.url),
		({ code, output }) => code === 0 || !/does not lead/.test(output),
	);
	t.is(pushedFirst.code, 0, pushedFirst.output);
	t.regex(pushedFirst.output, /^remote: .*converged/m, 'the answer comes through');
	t.is(await value(client), '1');
	for (const { gitdir } of [one, two, three])
		t.is(await work.git('--git-dir', gitdir, 'cat-file', '-t', first), 'commit', gitdir);
	const broken = await work.commit({ 'a.yaml': 'kind: [' });
	const refused = await pushed(work, three.url);
	t.not(refused.code, 0);
	t.regex(refused.output, /^remote: a\.yaml:1:/m);
	await t.throwsAsync(work.git('--git-dir', two.gitdir, 'cat-file', '-e', broken));

	// The leader is gone, and the next one goes on where it was.
	await one.follow();
	one.vanish();
	two.lead();
	await work.git('reset', '-q', '--hard', first);
	await work.commit({ 'a.yaml': configMap('2') });
	const pushedSecond = await until(
		'the push',
		() => pushed(work, three.url),
		({ code, output }) => code === 0 || !/does not lead/.test(output),
	);
	t.is(pushedSecond.code, 0, pushedSecond.output);
	t.is(await value(client), '2');

	// One that has died still leads by its Lease: the push waits for the next.
	await two.follow();
	cluster.die();
	const third = await work.commit({ 'a.yaml': configMap('3') });
	const waiting = work.startPush(three.url, 'HEAD:refs/heads/main');
	await until(
		'the question who leads',
		async () => cluster.asked(),
		(count) => count > 0,
	);
	three.lead();
	const waited = await waiting.done;
	t.is(waited.code, 0, waited.output);
	t.regex(waited.output, /^remote: the server at https:\/\/127\.0\.0\.1:1 does not have this push yet/m);
	t.is(await value(client), '3');

	// One that was away fetches what it lacks.
	await three.follow();
	one.begin();
	await t.throwsAsync(work.git('--git-dir', one.gitdir, 'cat-file', '-e', third));
	one.lead();
	await until(
		'the objects',
		() => work.git('--git-dir', one.gitdir, 'cat-file', '-t', third).catch(String),
		(type) => type === 'commit',
	);
	t.is(await condition(client), undefined);
	t.is(await value(client), '3');
});

test('servers that start at the same moment have one application, whoever makes it', async (t) => {
	await using cluster = await openCluster();
	const { client } = cluster;
	const source = (server: string, asked = false) => ({
		repoURL: `http://127.0.0.1:${server}/git/default.git`,
		targetRevision: 'main',
		asked,
	});
	const followed = await Promise.all(
		['7080', '7081', '7082'].map((port) => ensureDefaultApplication(client, source(port))),
	);
	const { items } = await client.list(Application);
	t.is(items.length, 1);
	t.deepEqual(
		followed,
		followed.map(() => items[0]?.spec.source?.repoURL),
	);
});

test('a webhook to any server reaches the one that leads, and each says how it is', async (t) => {
	await using cluster = await openCluster();
	const { client } = cluster;
	const server = await cluster.server('one');
	const { origin } = new URL(server.url);
	const repoURL = 'https://git.example.com/team/shop.git';
	await ensureDefaultApplication(client, { repoURL, targetRevision: 'main', asked: true });
	const hook = (url: string) => fetch(`${origin}/webhook`, { method: 'POST', body: JSON.stringify({ url }) });
	t.is(await (await hook('https://git.example.com/Team/shop')).text(), '1 sources look now\n');
	const { metadata } = await client.get(Application, { name: 'default', namespace: 'default' });
	t.is(metadata.annotations?.['argocd.argoproj.io/refresh'], 'normal');
	t.regex(await (await hook('https://git.example.com/other')).text(), /no application follows/);
	t.is(await (await fetch(`${origin}/healthz`)).text(), 'ok');
	cluster.fail();
	const health = await fetch(`${origin}/healthz`);
	t.deepEqual([health.status, await health.text()], [503, 'the API is not ready yet']);
});

test('the API serves git to administrators alone, and objects are offered by no others', async (t) => {
	await using cluster = await openCluster({ linked: true });
	const server = await cluster.server('one');
	server.lead();
	await using work = await createWorkTree();
	await work.commit({ 'a.yaml': configMap('1') });
	const tls = (extra: readonly string[] = []) => ['-c', `http.sslCAInfo=${cluster.certificates.ca}`, ...extra];
	const anonymous = await runGit(work.directory, [...tls(), 'push', server.api, 'HEAD:refs/heads/main']);
	t.not(anonymous.code, 0);
	const { cert, key } = cluster.certificates;
	const administrator = tls(['-c', `http.sslCert=${cert}`, '-c', `http.sslKey=${key}`]);
	const push = () => runGit(work.directory, [...administrator, 'push', server.api, 'HEAD:refs/heads/main']);
	const done = await until('the push', push, ({ code, output }) => code === 0 || !/does not lead/.test(output));
	t.is(done.code, 0, done.output);
	const url = new URL(server.url);
	const answer = await fetch(`${url.origin}/git/default.git/objects?id=${'1'.repeat(40)}`, {
		method: 'POST',
		headers: { authorization: `Basic ${Buffer.from(`git:${url.password}`).toString('base64')}` },
	});
	t.is(answer.status, 404, 'a token is not enough');
});

test('a server that does not lead takes no push, to whatever branch', async (t) => {
	await using cluster = await openCluster();
	const follower = await cluster.server('one');
	await using work = await createWorkTree();
	await work.commit({ 'a.yaml': 'no: [manifest' });
	for (const branch of ['main', 'draft']) {
		const { code, output } = await work.push(follower.url, `HEAD:${branch}`);
		t.not(code, 0, branch);
		t.regex(output, /does not lead/, branch);
	}
});

test('what is done to the references of a server past a push is no new desired state', async (t) => {
	await using cluster = await openCluster();
	const server = await cluster.server('one');
	server.lead();
	await using work = await createWorkTree();
	const first = await work.commit({ 'a.yaml': configMap('1') });
	t.is((await pushed(work, server.url)).code, 0);
	const second = await work.commit({ 'a.yaml': configMap('2') });
	t.is((await pushed(work, server.url)).code, 0);
	await work.git('--git-dir', server.gitdir, 'update-ref', 'refs/heads/main', first);
	await work.git('--git-dir', server.gitdir, 'update-ref', 'refs/heads/made', first);
	t.is(await work.git('ls-remote', server.url, 'refs/heads/*'), `${second}\trefs/heads/main`);
	await server.follow();
	server.lead();
	const { status } = await until(
		'the status',
		() => cluster.client.get(Application, { name: 'default', namespace: 'default' }),
		(seen) => seen.status?.sync?.status === 'Synced',
	);
	t.is(status?.sync?.revision, second);
	t.is(await value(cluster.client), '2');
});

test('a push that another server was faster than is refused, and moves nothing', async (t) => {
	await using cluster = await openCluster();
	const server = await cluster.server('one');
	server.lead();
	await using work = await createWorkTree();
	const first = await work.commit({ 'a.yaml': configMap('1') });
	t.is((await pushed(work, server.url)).code, 0);
	const name = { name: 'driftless-repository-default', namespace: 'kube-system' };
	const { data } = await cluster.client.get(ConfigMap, name);
	t.is(data?.refs, `${first} refs/heads/main\n`);
	const elsewhere = '5'.repeat(40);
	await cluster.client.patch(ConfigMap, name, {
		type: 'merge',
		body: { data: { refs: `${elsewhere} refs/heads/main\n` } },
	});
	await work.commit({ 'a.yaml': configMap('2') });
	const { code, output } = await pushed(work, server.url);
	t.not(code, 0);
	t.regex(output, /main is at 555555555555, which no server that is there has/);
	t.is((await cluster.client.get(ConfigMap, name)).data?.refs, `${elsewhere} refs/heads/main\n`);
	t.is(await value(cluster.client), '1');
});

test('a tag takes no branch over, and one that is followed is checked like a branch', async (t) => {
	await using cluster = await openCluster();
	const { client } = cluster;
	const server = await cluster.server('one');
	server.lead();
	await using work = await createWorkTree();
	const old = await work.commit({ 'a.yaml': configMap('1') });
	await work.commit({ 'a.yaml': configMap('2') });
	t.is((await pushed(work, server.url)).code, 0);
	await work.git('tag', 'main', old);
	t.is((await work.push(server.url, 'refs/tags/main')).code, 0);
	const third = await work.commit({ 'b.yaml': configMap('3', 'b') });
	t.is((await pushed(work, server.url)).code, 0);
	t.is(await value(client), '2');
	t.is(await value(client, 'b'), '3');

	const { spec } = await client.get(Application, { name: 'default', namespace: 'default' });
	await client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: { name: 'release', namespace: 'default' },
		spec: {
			...spec,
			source: { repoURL: spec.source?.repoURL ?? '', targetRevision: 'v1', path: 'release' },
			syncPolicy: { automated: {} },
		},
	});
	await work.commit({ 'release/c.yaml': configMap('broken', 'c').replace('kind: ConfigMap', 'kind: ConfigMop') });
	await work.git('tag', '-a', 'v1', '-m', 'release');
	const refused = await work.push(server.url, 'v1');
	t.not(refused.code, 0);
	t.regex(refused.output, /release\/c\.yaml:2:1: kind: there is no kind ConfigMop/);
	await work.git('reset', '-q', '--hard', third);
	await work.commit({ 'release/c.yaml': configMap('4', 'c') });
	await work.git('tag', '-f', '-a', 'v1', '-m', 'release');
	const taken = await work.push(server.url, 'v1');
	t.is(taken.code, 0, taken.output);
	t.regex(taken.output, /converged in .*: release is in sync and healthy/);
	t.is(await value(client, 'c'), '4');
});

test('a start without a source leaves the application as it is', async (t) => {
	await using cluster = await openCluster();
	const { client } = cluster;
	await cluster.server('one');
	const repoURL = 'https://git.example.com/shop.git';
	await ensureDefaultApplication(client, { repoURL, targetRevision: 'v1', asked: true });
	await cluster.server('one-again');
	const { spec } = await client.get(Application, { name: 'default', namespace: 'default' });
	t.like(spec.source, { repoURL, targetRevision: 'v1' });
});

test('references move by compare and swap, all or none', (t) => {
	const refs = new Map([['refs/heads/main', 'a']]);
	const move = (before: string | undefined, after: string | undefined, ref = 'refs/heads/main') => [
		...planMove(refs, [{ ref, before, after }]),
	];
	t.deepEqual(move('a', 'b'), [['refs/heads/main', 'b']]);
	t.deepEqual(move('a', undefined), []);
	t.deepEqual(move('x', 'a'), [['refs/heads/main', 'a']], 'what has been moved already');
	t.deepEqual(move(undefined, 'c', 'refs/tags/v1'), [
		['refs/heads/main', 'a'],
		['refs/tags/v1', 'c'],
	]);
	t.throws(() => move('x', 'b'), { message: 'refs/heads/main is at a, not at x' });
	t.throws(() =>
		planMove(refs, [
			{ ref: 'refs/heads/new', after: 'b' },
			{ ref: 'refs/heads/main', after: 'b' },
		]),
	);
});

const pushed = (work: Awaited<ReturnType<typeof createWorkTree>>, url: string, ...args: string[]) =>
	work.push(...args, url, 'HEAD:refs/heads/main');
