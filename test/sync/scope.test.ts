/** Whose Applications count, whose credentials are used, and what of this machine is read. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
	chmod,
	lchown,
	link,
	mkdir,
	readdir,
	readFile,
	readlink,
	rename,
	rm,
	symlink,
	truncate,
	writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { ApiError, Application, ConfigMap, Namespace, Secret } from '../../src/kinds/index.ts';
import { createSources, folderURL, grant, grantsFolder, localPath, type Source } from '../../src/sync/source/index.ts';
import { ownerAlong } from '../../src/sync/source/owner.ts';
import { outsideOf } from '../../src/sync/want/scope.ts';
import { program } from '../cli/driftless.ts';
import { createGitRemote, createWorkTree, temporaryDirectory } from '../testbed/git.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { type GitOpsWorld, startGitOps } from './gitops.ts';

const home = { name: 'default', namespace: 'default' };
const configMap = (name: string, value: string) =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  namespace: default\ndata:\n  value: "${value}"\n`;
const valueIn = ({ client }: GitOpsWorld, name: string) =>
	client.get(ConfigMap, { name, namespace: 'default' }).then(
		({ data }) => data?.value,
		() => undefined,
	);

test('the namespaces of the control plane, and those that match a pattern', (t) => {
	const outside = outsideOf(['team-*', 'shop']);
	for (const namespace of ['default', 'argocd', 'team-a', 'shop']) t.is(outside(namespace), undefined, namespace);
	for (const namespace of ['kube-system', 'team', 'shops', 'a/team-a', undefined])
		t.regex(outside(namespace) ?? '', /do not count: put it into default or argocd, or start driftless with/);
});

const team = (repoURL: string): Application => ({
	apiVersion: 'argoproj.io/v1alpha1',
	kind: 'Application',
	metadata: { name: 'mine', namespace: 'team', finalizers: ['resources-finalizer.argocd.argoproj.io'] },
	spec: {
		project: 'default',
		source: { repoURL, targetRevision: 'team', path: '.' },
		destination: { namespace: 'default' },
		syncPolicy: { automated: { prune: true } },
	},
});

async function withTeam(t: ExecutionContext, applicationNamespaces?: readonly string[]) {
	const world = await startGitOps(t, { applicationNamespaces, pushWaitMs: 30_000 });
	const { client } = world;
	await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' }, spec: {} });
	const { spec } = await client.get(Application, { name: 'default', namespace: 'default' });
	await world.push({ 'a.yaml': configMap('a', '1') });
	return { world, client, mine: team(spec.source?.repoURL ?? '') };
}

test('an Application in a namespace that does not count has nothing read, synced or deleted for it, and says why', async (t) => {
	const { world, client, mine } = await withTeam(t);
	// Whoever may mark an object gains nothing by it.
	await client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: {
			name: 'marked',
			namespace: 'default',
			annotations: { 'argocd.argoproj.io/tracking-id': 'team_mine:/ConfigMap:default/marked' },
		},
	});
	const object = await client.create(Application, mine);
	const { conditions, sync } = await world.status(({ conditions = [] }) => conditions.length > 0, 'mine', 'team');
	t.is(sync?.status, 'Unknown');
	t.like(conditions?.[0], { type: 'InvalidSpecError' });
	t.regex(conditions?.[0]?.message ?? '', /Applications in the namespace team do not count/);

	await world.git('commit', '-q', '--allow-empty', '-m', 'more');
	const { output } = await world.git('push', world.url, 'HEAD:team');
	t.regex(output, /team is stored, and changes nothing: no application follows it/);
	const ask = { type: 'merge', body: { operation: { sync: { revision: 'main' } } } } as const;
	await client.patch(Application, { name: 'mine', namespace: 'team' }, ask);
	const { operationState } = await world.status((status) => status.operationState !== undefined, 'mine', 'team');
	t.like(operationState, { phase: 'Failed', message: conditions?.[0]?.message });
	const query = new URLSearchParams({ revision: 'main' });
	const { signal } = new AbortController();
	const question = { kind: Application, object, subresource: 'plan', query, signal } as never;
	t.is((await t.throwsAsync(async () => world.answers(question), { instanceOf: ApiError }))?.code, 403);

	await client.delete(Application, { name: 'mine', namespace: 'team' });
	// Answered when it was looked at again, as one that is being deleted.
	const again = { type: 'merge', body: { operation: { sync: { revision: 'again' } } } } as const;
	await client.patch(Application, { name: 'mine', namespace: 'team' }, again);
	await world.status((status) => status.operationState?.operation.sync?.revision === 'again', 'mine', 'team');
	t.is((await client.get(ConfigMap, { name: 'marked', namespace: 'default' })).metadata.deletionTimestamp, undefined);
	t.truthy((await client.get(Application, { name: 'mine', namespace: 'team' })).metadata.deletionTimestamp);
});

test('where its namespace is allowed it is one like others', async (t) => {
	const { world, client, mine } = await withTeam(t, ['te*']);
	await client.create(Application, {
		...mine,
		spec: { ...mine.spec, source: { ...mine.spec.source, path: 'mine' } as never },
	});
	await world.git('checkout', '-q', '-b', 'team');
	await mkdir(join(world.clone, 'mine'));
	await writeFile(join(world.clone, 'mine/b.yaml'), configMap('b', '1'));
	await world.git('add', '-A');
	await world.git('commit', '-q', '-m', 'mine');
	const { output } = await world.git('push', world.url, 'HEAD:team');
	t.regex(output, /created {4}configmap\/b in default/);
	t.is(await valueIn(world, 'b'), '1');
});

test('credentials come from the Secrets of the control plane only', async (t) => {
	await using remote = await createGitRemote();
	await using tree = await createWorkTree(remote.url);
	await tree.commit({ 'a.yaml': configMap('a', '1') });
	await tree.push();
	remote.behaviour.token = 'good';
	const world = await startGitOps(t, { source: remote.url });
	const { client } = world;
	const namespaces = ['team', 'argocd'];
	for (const name of namespaces)
		await client.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} });
	const secret = (namespace: string, password: string): Secret => ({
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: { name: 'remote', namespace, labels: { 'argocd.argoproj.io/secret-type': 'repository' } },
		stringData: { url: remote.url, username: 'git', password },
	});
	await client.create(Secret, secret('team', 'good'));
	const asks = await world.status(({ conditions = [] }) => conditions.length > 0);
	t.regex(asks.conditions?.[0]?.message ?? '', /credentials/);
	const refresh = { metadata: { annotations: { 'argocd.argoproj.io/refresh': 'hard' } } };
	await client.patch(Application, home, { type: 'merge', body: refresh });
	const asked = async () => (await client.get(Application, home)).metadata.annotations ?? {};
	// It is taken away when the remote was looked at again.
	for (const end = Date.now() + 90_000; 'argocd.argoproj.io/refresh' in (await asked()); ) {
		if (Date.now() > end) throw new Error(`it was not looked at: ${JSON.stringify(await asked())}`);
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	t.is(await valueIn(world, 'a'), undefined, 'that of another namespace is not sent');
	await client.create(Secret, secret('argocd', 'good'));
	await world.status(({ sync }) => sync?.status === 'Synced');
	t.is(await valueIn(world, 'a'), '1');
});

const lookedAt = async (source: Source): Promise<string> => {
	await source.refresh();
	return source.state.error?.message ?? source.state.revision ?? 'nothing';
};

test('of this machine only that is read which lies, or is linked, in DATA/sources', async (t) => {
	await using directory = await temporaryDirectory();
	const dataDir = join(directory.path, 'data');
	const sources = createSources({ dataDir, log: silentLog, poll: 3_600_000 });
	await using stack = new AsyncDisposableStack();
	stack.use(sources);
	const open = (url: string) => stack.use(sources.open({ url }));
	await using shop = await createWorkTree();
	const commit = await shop.commit({ 'a.yaml': configMap('a', '1'), 'sub/b.yaml': configMap('b', '1') });
	const refused = /: Applications may follow only what is in .*\/data\/sources of this machine: put or link it there/;

	for (const url of [
		shop.directory,
		`file://${shop.directory}`,
		folderURL(shop.directory),
		'/',
		'folder:///',
		'/nowhere',
	]) {
		const source = open(url);
		t.regex(await lookedAt(source), refused, url);
		await t.throwsAsync(source.tree(commit), { message: refused });
		await t.throwsAsync(source.resolve('main'), { message: refused });
		await t.throwsAsync(source.blame(commit, 'a.yaml', 1), { message: refused });
	}
	t.regex(await lookedAt(open('folder://elsewhere/etc')), /not a URL that can be followed/);

	await mkdir(grantsFolder(dataDir), { recursive: true });
	await symlink(shop.directory, join(grantsFolder(dataDir), 'shop'));
	t.is(await lookedAt(open(shop.directory)), commit, 'by its own path');
	t.is(await lookedAt(open(`file://${grantsFolder(dataDir)}/shop`)), commit, 'by that of the link');
	t.regex(await lookedAt(open(folderURL(join(shop.directory, 'sub')))), /^[0-9a-f]{64}$/, 'what is below it');
	t.regex(await lookedAt(open(`${folderURL(shop.directory)}-more`)), refused, 'not what begins alike');
	t.regex(await lookedAt(open(`file://${shop.directory}/../../etc`)), refused);
	// Who may write into what is granted grants no more by it.
	await symlink('/etc', join(shop.directory, 'etc'));
	t.regex(await lookedAt(open(folderURL(join(shop.directory, 'etc')))), refused);

	const source = open(shop.directory);
	t.is(await lookedAt(source), commit);
	await rm(join(grantsFolder(dataDir), 'shop'));
	t.regex(await lookedAt(source), refused, 'what is taken back is read no more');
	await rename(shop.directory, `${shop.directory}-away`);
	t.regex(await lookedAt(source), refused, 'whether it is there is not told');
	await rename(`${shop.directory}-away`, shop.directory);
});

test('a repository that is granted leads to no other one: by no link, borrowed store or common directory', async (t) => {
	await using directory = await temporaryDirectory();
	const dataDir = join(directory.path, 'data');
	await mkdir(grantsFolder(dataDir), { recursive: true });
	await using secret = await createWorkTree();
	const commit = await secret.commit({ 'a.yaml': configMap('a', '1') });
	await using sources = createSources({ dataDir, log: silentLog, poll: 3_600_000 });
	const other = join(secret.directory, '.git');
	const ways: Readonly<Record<string, (gitdir: string) => Promise<unknown>>> = {
		'its directory is a link': async (gitdir) => {
			await rm(gitdir, { recursive: true });
			await symlink(other, gitdir);
		},
		'its folders are links': async (gitdir) => {
			for (const name of ['objects', 'refs']) {
				await rm(join(gitdir, name), { recursive: true });
				await symlink(join(other, name), join(gitdir, name));
			}
		},
		'one of its branches and its objects are links': async (gitdir) => {
			await symlink(join(other, 'refs/heads/main'), join(gitdir, 'refs/heads/main'));
			for (const name of await readdir(join(other, 'objects')))
				if (name.length === 2) await symlink(join(other, 'objects', name), join(gitdir, 'objects', name));
		},
		'it borrows objects': async (gitdir) => {
			await writeFile(join(gitdir, 'refs/heads/main'), `${commit}\n`);
			await writeFile(join(gitdir, 'objects/info/alternates'), `# of another\n${other}/objects\n`);
		},
		'it borrows of one that borrows': async (gitdir) => {
			await mkdir(join(gitdir, 'between/info'), { recursive: true });
			await writeFile(join(gitdir, 'between/info/alternates'), `${other}/objects\n`);
			await writeFile(join(gitdir, 'refs/heads/main'), `${commit}\n`);
			await writeFile(join(gitdir, 'objects/info/alternates'), '../between\n');
		},
		'it is a work tree of the other': (gitdir) => writeFile(join(gitdir, 'commondir'), `${other}\n`),
	};
	for (const [way, lead] of Object.entries(ways)) {
		const place = join(grantsFolder(dataDir), way.replaceAll(' ', '-'));
		await mkdir(place);
		await promisify(execFile)('git', ['init', '--quiet', '--initial-branch=main', place]);
		await lead(join(place, '.git'));
		await using source = sources.open({ url: place, revision: 'main' });
		t.regex(await lookedAt(source), /by .* git would leave what is in .*\/data\/sources/, way);
		await t.throwsAsync(source.tree(commit), { message: /git would leave/ }, way);
		// What the administrator has allowed too may be led to.
		await symlink(secret.directory, join(grantsFolder(dataDir), 'other'));
		t.is(await lookedAt(source), commit, way);
		await rm(join(grantsFolder(dataDir), 'other'));
	}
});

test('a repository whose list of other places is a pipe, or without end, is refused, and nobody waits for it', async (t) => {
	await using directory = await temporaryDirectory();
	const dataDir = join(directory.path, 'data');
	const place = join(grantsFolder(dataDir), 'shop');
	await mkdir(place, { recursive: true });
	await promisify(execFile)('git', ['init', '--quiet', '--initial-branch=main', place]);
	await using sources = createSources({ dataDir, log: silentLog, poll: 3_600_000 });
	for (const name of ['commondir', 'objects/info/alternates']) {
		const file = join(place, '.git', name);
		await mkdir(join(file, '..'), { recursive: true });
		await promisify(execFile)('mkfifo', [file]);
		await using piped = sources.open({ url: place, revision: 'main' });
		t.regex(await lookedAt(piped), new RegExp(`/${name} is not a file`), name);
		await rm(file);
		await writeFile(file, '');
		await truncate(file, 2 ** 40);
		await using endless = sources.open({ url: place, revision: 'main' });
		t.regex(await lookedAt(endless), new RegExp(`/${name} is larger than 1048576 bytes`), name);
		await rm(file);
	}
});

/** Some user without rights of his own on this machine. */
const SOMEBODY = 23_456;
const asRoot = process.getuid?.() === 0 ? test : test.skip;

/** Where the children of this process stand that run as somebody. Source: proc(5). */
async function placesOfChildren(uid: number): Promise<string[]> {
	const places = (await readdir('/proc')).map(async (pid) => {
		const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
		const isOurs = status.includes(`\nPPid:\t${process.pid}\n`) && status.includes(`\nUid:\t${uid}\t`);
		return isOurs ? [await readlink(`/proc/${pid}/cwd`)] : [];
	});
	return (await Promise.all(places)).flat();
}

/** A folder of somebody, with what `fill` puts there, a link in DATA/sources to `shop` in it, and what only root may read. */
async function somebodys(fill: (shop: string, secret: string) => Promise<void>) {
	const stack = new AsyncDisposableStack();
	const { path } = stack.use(await temporaryDirectory());
	const [theirs, secret, dataDir] = ['theirs', 'secret', 'data'].map((name) => join(path, name)) as [
		string,
		string,
		string,
	];
	const shop = join(theirs, 'shop');
	await chmod(path, 0o755);
	await mkdir(theirs);
	await mkdir(secret, { mode: 0o700 });
	await mkdir(grantsFolder(dataDir), { recursive: true });
	await fill(shop, secret);
	await promisify(execFile)('chown', ['-R', `${SOMEBODY}:${SOMEBODY}`, theirs]);
	await symlink(shop, join(grantsFolder(dataDir), 'shop'));
	const sources = stack.use(createSources({ dataDir, log: silentLog, poll: 3_600_000 }));
	const exchange = async () => {
		await rename(shop, `${shop}-away`);
		await symlink(secret, shop);
		await lchown(shop, SOMEBODY, SOMEBODY);
	};
	return { shop, secret, dataDir, exchange, open: (url: string) => stack.use(sources.open({ url })), stack };
}

asRoot(
	'a repository below a folder of somebody is read with his rights, wherever he makes its path lead',
	async (t) => {
		const ids: string[] = [];
		const { shop, exchange, open, stack } = await somebodys(async (...places) => {
			for (const place of places) {
				await using tree = await createWorkTree();
				ids.push(await tree.commit({ 'a.yaml': configMap('a', place) }));
				await promisify(execFile)('cp', ['-r', `${tree.directory}/.`, place]);
			}
		});
		await using _ = stack;
		const source = open(shop);
		t.is(await lookedAt(source), ids[0] ?? '');
		t.is((await source.blame('HEAD', 'a.yaml', 1))?.id, ids[0]);
		t.deepEqual(
			await placesOfChildren(SOMEBODY),
			['/'],
			'who may look into the child sees nothing of where the server stands',
		);
		await exchange();
		const said = await lookedAt(source);
		t.not(said, ids[1] ?? '');
		t.regex(await lookedAt(open(shop)), /[Pp]ermission denied|not a git repository/);
		await t.throwsAsync(source.tree(ids[1] ?? ''));
	},
);

/** A folder of somebody with a manifest, that is granted, and such a folder of root's. */
const withManifests = () =>
	somebodys(async (...places) => {
		for (const place of places) {
			await mkdir(place, { recursive: true });
			await writeFile(join(place, 'a.yaml'), configMap('a', place));
		}
	});

asRoot('a folder below one of somebody is read where he may read, wherever he makes its path lead', async (t) => {
	const { shop, exchange, open, stack } = await withManifests();
	await using _ = stack;
	const source = open(folderURL(shop));
	t.regex(await lookedAt(source), /^[0-9a-f]{64}$/);
	await exchange();
	t.regex(await lookedAt(source), new RegExp(`leads where user ${SOMEBODY}, who may exchange it, may read nothing`));
});

asRoot('what is granted by a link in a folder of root alone is read with the rights of whose it is, too', async (t) => {
	const { dataDir, exchange, open, stack } = await withManifests();
	await using _ = stack;
	await chmod(dataDir, 0o700);
	const source = open(folderURL(join(grantsFolder(dataDir), 'shop')));
	t.regex(await lookedAt(source), /^[0-9a-f]{64}$/);
	await exchange();
	t.regex(await lookedAt(source), new RegExp(`leads where user ${SOMEBODY}, who may exchange it, may read nothing`));
});

asRoot('of a folder below one of somebody no file and no folder is read that he may not read', async (t) => {
	const { secret, exchange, open, shop, stack } = await withManifests();
	await using _ = stack;
	await exchange();
	await chmod(secret, 0o755);
	await chmod(join(secret, 'a.yaml'), 0o600);
	const source = open(folderURL(shop));
	const denied = (name: string) =>
		new RegExp(`user ${SOMEBODY}, with whose rights it is read, may not read .*/secret/${name}$`);
	t.regex(await lookedAt(source), denied('a.yaml'));
	await chmod(join(secret, 'a.yaml'), 0o644);
	t.regex(await lookedAt(source), /^[0-9a-f]{64}$/);
	await mkdir(join(secret, 'b'), { mode: 0o700 });
	t.regex(await lookedAt(source), denied('b'));
	await rm(join(secret, 'b'), { recursive: true });
	// A file that is no manifest is read when a kustomization asks for it.
	await writeFile(join(secret, 'c.txt'), 'c', { mode: 0o600 });
	const tree = await source.tree(await lookedAt(source));
	const named = (await tree.list({ path: '', id: tree.id })).find(({ name }) => name === 'c.txt');
	await t.throwsAsync(tree.read([{ path: 'c.txt', id: named?.id ?? '' }]), { message: denied('c.txt') });
});

asRoot('what is not there at the moment is not taken for what root alone may put there', async (t) => {
	await using directory = await temporaryDirectory();
	await chmod(directory.path, 0o755);
	const shop = join(directory.path, 'shop');
	await t.throwsAsync(ownerAlong(shop), { code: 'ENOENT' });
	await symlink('shop', shop);
	await t.throwsAsync(ownerAlong(shop), { message: /leads through more than 40 links/ });
	await lchown(shop, SOMEBODY, SOMEBODY);
	t.is((await ownerAlong(shop))?.uid, SOMEBODY);
	await rm(shop);
	await mkdir(shop);
	t.is(await ownerAlong(shop), undefined, 'all of it is of root');
});

asRoot('the group of what somebody owns gives no rights that he has not', async (t) => {
	const { secret, exchange, open, shop, stack } = await withManifests();
	await using _ = stack;
	await chmod(secret, 0o750);
	await lchown(join(shop, '..'), SOMEBODY, 0);
	await exchange();
	t.regex(await lookedAt(open(folderURL(shop))), new RegExp(`leads where user ${SOMEBODY}, .*may read nothing`));
});

test('a file of a folder is not read by way of a link that was put in the place of one of its folders', async (t) => {
	await using directory = await temporaryDirectory();
	const [dataDir, shop, other] = ['data', 'shop', 'other'].map((name) => join(directory.path, name)) as [
		string,
		string,
		string,
	];
	await mkdir(join(shop, 'sub'), { recursive: true });
	await mkdir(other);
	await writeFile(join(shop, 'sub/a.yaml'), configMap('a', '1'));
	await link(join(shop, 'sub/a.yaml'), join(other, 'a.yaml'));
	await grant(dataDir, shop);
	await using sources = createSources({ dataDir, log: silentLog, poll: 3_600_000 });
	await using source = sources.open({ url: folderURL(shop) });
	const tree = await source.tree(await lookedAt(source));
	const file = { path: 'sub/a.yaml', id: '' };
	t.is((await tree.read([file])).length, 1);
	await rename(join(shop, 'sub'), join(shop, 'away'));
	await symlink(other, join(shop, 'sub'));
	// The same file, so that only its place tells.
	await t.throwsAsync(tree.read([file]), { message: /changed while it was read/ });
});

test('what the flags of a start name is granted, in place of what those of an earlier one did', async (t) => {
	await using directory = await temporaryDirectory();
	const dataDir = join(directory.path, 'data');
	await using one = await createWorkTree();
	await using two = await createWorkTree();
	const [older, newer] = [await one.commit({ a: '1' }), await two.commit({ a: '2' })];
	await using sources = createSources({ dataDir, log: silentLog, poll: 3_600_000 });
	await using first = sources.open({ url: one.directory });
	await using second = sources.open({ url: `file://${two.directory}` });
	await grant(dataDir, localPath(one.directory));
	t.is(await lookedAt(first), older);
	await grant(dataDir, localPath(`file://${two.directory}`));
	t.regex(await lookedAt(first), /Applications may follow only/);
	t.is(await lookedAt(second), newer);
	await grant(dataDir, localPath('https://git.example.com/shop.git'));
	t.regex(await lookedAt(second), /Applications may follow only/);
});

test('a folder that --watch has named is followed by a later start without it, for as long as its link is there', async (t) => {
	t.timeout(300_000);
	await using directory = await temporaryDirectory();
	const [dataDir, folder] = [join(directory.path, 'data'), join(directory.path, 'manifests')];
	await mkdir(folder);
	await writeFile(join(folder, 'a.yaml'), configMap('a', '1'));
	/** Starts a server, waits until its status matches, and stops it. */
	const run = async (wanted: RegExp, ...flags: string[]) => {
		const ports = ['--api-port', '0', '--api-address', '127.0.0.1', '--http-port', '0'];
		const server = spawn(program, ['server', '--data-dir', dataDir, ...ports, ...flags]);
		const ended = once(server, 'close');
		let printed = '';
		for (const stream of [server.stdout, server.stderr])
			stream.on('data', (chunk: Buffer) => {
				printed += chunk;
			});
		let seen = '';
		for (const end = Date.now() + 90_000; !wanted.test(seen) && Date.now() < end && server.exitCode === null; ) {
			await new Promise((resolve) => setTimeout(resolve, 250));
			const status = promisify(execFile)(program, ['--data-dir', dataDir, 'status']);
			seen = await status
				.catch((failed: { stdout?: string; stderr?: string }) => failed)
				.then(({ stdout = '' }) => stdout);
		}
		server.kill();
		await ended;
		t.regex(seen, wanted, printed);
	};
	await run(/^default .* Synced /m, '--watch', folder);
	await writeFile(join(folder, 'b.yaml'), configMap('b', '1'));
	await run(/^default .* Synced +Healthy +2 /m);
	await rm(join(grantsFolder(dataDir), 'default'));
	await run(/Applications may follow only what is in .*put or link it there \(ln -s .*\/manifests /);
});
