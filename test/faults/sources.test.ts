import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type ApplicationStatus, ConfigMap } from '../../src/kinds/index.ts';
import { folderURL } from '../../src/sync/source/index.ts';
import { type GitOpsWorld, startGitOps } from '../sync/gitops.ts';
import {
	createGitRemote,
	createWorkTree,
	type GitRemote,
	runGit,
	temporaryDirectory,
	type WorkTree,
} from '../testbed/git.ts';
import { configMap, succeeds } from './world.ts';

interface Followed {
	readonly world: GitOpsWorld;
	readonly remote: GitRemote;
	readonly tree: WorkTree;
	/** Commits and pushes to the remote. */
	publish(files: Readonly<Record<string, string | undefined>>): Promise<string>;
}

/** An application that follows a repository on another server, looked at every second. */
async function followRemote(t: ExecutionContext, prepare?: (remote: GitRemote) => unknown): Promise<Followed> {
	const remote = await createGitRemote();
	t.teardown(() => remote[Symbol.asyncDispose]());
	const tree = await createWorkTree(remote.url);
	t.teardown(() => tree[Symbol.asyncDispose]());
	const publish = async (files: Readonly<Record<string, string | undefined>>) => {
		const commit = await tree.commit(files);
		const pushed = await tree.push();
		succeeds(t, pushed);
		return commit;
	};
	await publish({ 'a.yaml': configMap('a') });
	await prepare?.(remote);
	return { world: await startGitOps(t, { source: remote.url }), remote, tree, publish };
}

const at = (revision: string) => (status: ApplicationStatus) =>
	status.sync?.status === 'Synced' && status.sync.revision === revision && (status.conditions ?? []).length === 0;
const synced = (status: ApplicationStatus) =>
	status.sync?.status === 'Synced' && (status.conditions ?? []).length === 0;
const says = (message: RegExp) => (status: ApplicationStatus) =>
	status.sync?.status === 'Unknown' && (status.conditions ?? []).some((condition) => message.test(condition.message));
const value = async ({ client }: GitOpsWorld, name = 'a') =>
	(await client.get(ConfigMap, { name, namespace: 'default' })).data?.key;

/** Waits until the config map `a` has this value. */
async function becomes({ client }: GitOpsWorld, wanted: string): Promise<void> {
	const signal = AbortSignal.timeout(30_000);
	for await (const events of client.watch(ConfigMap, { namespace: 'default', signal }))
		for (const event of events) {
			if (event.type === 'BOOKMARK' || event.type === 'DELETED') continue;
			const { metadata, data } = event.object;
			if (metadata.name === 'a' && data?.key === wanted) return;
		}
	throw new Error(`the config map a never came to be ${wanted}`);
}

test('a remote that is down at the start is named, and followed as soon as it is up', async (t) => {
	const { world, remote } = await followRemote(t, (remote) => remote.stop());
	await world.status(says(/repository\.git: 127\.0\.0\.1:\d+ refuses connections: is it up\? \(ECONNREFUSED\)$/));
	await remote.start();
	await world.status(synced);
	t.is(await value(world), '1');
});

test('while a remote is down what it described is kept up, and nothing is pruned', async (t) => {
	const { world, remote, publish } = await followRemote(t);
	await world.status(synced);
	remote.behaviour.mode = 'fail';
	await world.status(says(/127\.0\.0\.1:\d+ answers 503/));
	await world.client.delete(ConfigMap, { name: 'a', namespace: 'default' });
	await becomes(world, '1');
	remote.behaviour.mode = 'serve';
	await world.status(at(await publish({ 'a.yaml': configMap('a', '2') })));
	t.is(await value(world), '2');
});

test('a remote that breaks its answers off is no remote without branches', async (t) => {
	const { world, remote, publish } = await followRemote(t);
	await world.status(synced);
	remote.behaviour.mode = 'cut';
	await world.status(says(/127\.0\.0\.1:\d+ broke its answer off|no git repository over HTTP/));
	t.is(await value(world), '1');
	remote.behaviour.mode = 'serve';
	await world.status(at(await publish({ 'a.yaml': configMap('a', '2') })));
});

test('a remote that asks for credentials says what is wanted; what is applied stays', async (t) => {
	const { world, remote } = await followRemote(t);
	await world.status(synced);
	remote.behaviour.token = 'secret';
	await world.status(
		says(/127\.0\.0\.1:\d+ asks for credentials \(401\): keep a user name and token for it in a Secret/),
	);
	t.is(await value(world), '1');
	remote.behaviour.token = undefined;
	await world.status(synced);
});

test('a broken commit of a remote is refused with its place; the next good one is applied', async (t) => {
	const { world, publish } = await followRemote(t);
	await world.status(synced);
	await publish({ 'a.yaml': configMap('a', '2'), 'b.yaml': 'kind: [', 'c.yaml': configMap('c') });
	await world.status(says(/^revision [0-9a-f]{7} is refused, nothing of it is applied: b\.yaml:\d+:\d+: [^\n]*$/));
	t.is(await value(world), '1', 'not even the good half of it');
	await t.throwsAsync(value(world, 'c'));
	await world.status(at(await publish({ 'b.yaml': undefined })));
	t.deepEqual([await value(world), await value(world, 'c')], ['2', '1']);
});

test('a rewritten branch is followed; a deleted one changes nothing until it is there again', async (t) => {
	const { world, remote, tree, publish } = await followRemote(t);
	await world.status(synced);
	await publish({ 'a.yaml': configMap('a', '2'), 'b.yaml': configMap('b') });
	await world.status((status) => synced(status) && status.resources?.length === 2);
	await tree.git('reset', '--quiet', '--hard', 'HEAD~1');
	const rewritten = await tree.commit({ 'a.yaml': configMap('a', 'rewritten') });
	succeeds(t, await tree.push('--force', 'origin', 'HEAD:main'));
	await world.status(at(rewritten));
	t.is(await value(world), 'rewritten');
	await t.throwsAsync(value(world, 'b'), undefined, 'what the rewritten branch has no more is pruned');
	await runGit(remote.directory, ['update-ref', '-d', 'refs/heads/main']);
	await world.status(says(/has no revision HEAD: what [0-9a-f]{7} described stays as it is/));
	t.is(await value(world), 'rewritten');
	succeeds(t, await tree.push('origin', 'HEAD:main'));
	await world.status(at(rewritten));
});

test('a folder that vanishes, breaks or leads elsewhere changes nothing, and is followed again when it is good', async (t) => {
	await using place = await temporaryDirectory();
	const folder = join(place.path, 'manifests');
	await mkdir(folder);
	await writeFile(join(folder, 'a.yaml'), configMap('a'));
	const world = await startGitOps(t, { source: folderURL(folder) });
	await world.status(synced);

	await rename(folder, `${folder}-away`);
	await world.status(says(/the folder \S+manifests is gone: nothing is changed or pruned until it is back/));
	await rename(`${folder}-away`, folder);
	await world.status(synced);

	const faults: readonly (readonly [string, () => Promise<unknown>, RegExp])[] = [
		['broken.yaml', () => writeFile(join(folder, 'broken.yaml'), 'kind: ['), /broken\.yaml:1:\d+: /],
		[
			'binary.yaml',
			() => writeFile(join(folder, 'binary.yaml'), Buffer.from([0xff, 0, 1])),
			/binary\.yaml:1:1: binary content/,
		],
		[
			'large.yaml',
			() => writeFile(join(folder, 'large.yaml'), Buffer.alloc(100_000_000, 'a')),
			/large\.yaml:1:1: 95\.4 MiB is more than/,
		],
		[
			'link.yaml',
			() => symlink('/etc/passwd', join(folder, 'link.yaml')),
			/link\.yaml:1:1: a symbolic link, which is not followed/,
		],
		[
			'twice.yaml',
			() => writeFile(join(folder, 'twice.yaml'), configMap('a')),
			/twice\.yaml:1:1: ConfigMap a is already defined at a\.yaml:1:1/,
		],
	];
	for (const [name, make, message] of faults) {
		await make();
		await world.status(says(message));
		t.is(await value(world), '1');
		await rm(join(folder, name));
		await world.status(synced);
	}
	await writeFile(join(folder, 'a.yaml'), configMap('a', '2'));
	await world.status((status) => synced(status) && status.operationState?.phase === 'Succeeded');
	await becomes(world, '2');
	t.pass();
});
