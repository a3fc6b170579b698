import { join } from 'node:path';
import test from 'ava';
import { ensureDefaultApplication, openGitOps } from '../../src/cli/platform/gitops.ts';
import { type Client, createCache, inProcess } from '../../src/client/index.ts';
import { Application, ConfigMap } from '../../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../../src/reconcile/index.ts';
import { loadToken } from '../../src/sync/push/index.ts';
import { planMove } from '../../src/sync/source/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { createWorkTree } from '../testbed/git.ts';
import { silentLog } from '../testbed/silent-log.ts';

const configMap = (value: string, name = 'a') =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  namespace: default\ndata:\n  value: "${value}"\n`;

/** A cluster of servers: one API, and for each server an embedded repository of its own. */
async function openCluster() {
	const stack = new AsyncDisposableStack();
	const { api, dataDir } = stack.use(await openTestApi());
	const client = inProcess(api, admin);

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
				client: () => client,
				log: silentLog,
				signal,
			}),
		);
		stack.defer(() => stop.abort());
		const { port } = await gitops.serve();
		const repoURL = `http://127.0.0.1:${port}/git/default.git`;
		await ensureDefaultApplication(client, { repoURL, targetRevision: 'main', asked: false });
		let leading: { readonly stop: AbortController; readonly done: Promise<void> } | undefined;
		const follow = async () => {
			const last = leading;
			leading = undefined;
			last?.stop.abort();
			await last?.done;
		};
		stack.defer(follow);
		return {
			url: `http://git:${await loadToken(home)}@127.0.0.1:${port}/git/default.git`,
			gitdir: join(home, 'git/default.git'),
			lead() {
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
	return { client, server, [Symbol.asyncDispose]: () => stack.disposeAsync() };
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
	t.regex(
		why ?? '',
		new RegExp(`main is at ${second.slice(0, 12)}, which the embedded repository of this server does not`),
	);
	t.is(await value(client), '2');
	t.is(await value(client, 'b'), '2', 'nothing is pruned');

	await stale.commit({ 'a.yaml': configMap('stale') });
	const refused = await pushed(stale, two.url, '--force');
	t.not(refused.code, 0, 'not even by force');
	t.regex(refused.output, new RegExp(`main is at ${second.slice(0, 12)}, which this server does not have`));

	const third = await work.commit({ 'a.yaml': configMap('3') });
	const taken = await pushed(work, two.url);
	t.is(taken.code, 0, taken.output);
	t.regex(taken.output, /converged/);
	t.is(await value(client), '3');
	t.is(await work.git('ls-remote', two.url, 'refs/heads/main').then((line) => line.slice(0, 40)), third);
	t.not(first, third);
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
	t.regex(output, /main is at 555555555555, which this server does not have/);
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
