/** Applications with a list of sources, on real repositories: what they describe together, and what is said of it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Application, type ApplicationSource, type ApplicationStatus, ConfigMap } from '../../src/kinds/index.ts';
import { appendHistory } from '../../src/sync/operation/record.ts';
import {
	labelsOf,
	recordOf,
	revisionAt,
	revisionFrom,
	sameRevision,
	sourcesOf,
	wrongRevisions,
} from '../../src/sync/revision.ts';
import { unsupported, unsupportedOperation } from '../../src/sync/want/unsupported.ts';
import { createGitRemote, createWorkTree, type GitRemote } from '../testbed/git.ts';
import { type GitOpsWorld, startGitOps } from './gitops.ts';
import { served } from './served.ts';

const configMap = (name: string, value: string) =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${name}\n  namespace: default\ndata:\n  value: "${value}"\n`;

const application = (more: Partial<Application['spec']>): Application => ({
	apiVersion: 'argoproj.io/v1alpha1',
	kind: 'Application',
	metadata: { name: 'both', namespace: 'default' },
	spec: { project: 'default', destination: { namespace: 'default' }, ...more },
});

test('a list of sources counts instead of spec.source, and is recorded as a list, be it of one', (t) => {
	const one = { repoURL: 'https://x/one' };
	const two = { repoURL: 'https://x/two', name: 'two' };
	t.deepEqual(sourcesOf(application({ source: one, sources: [two] })), [two]);
	t.deepEqual(sourcesOf(application({ source: one, sources: [] })), [one]);
	const listed = revisionAt(application({ sources: [two] }), ['a']);
	t.like(recordOf(listed), { revision: '', revisions: ['a'], sources: [two] });
	t.deepEqual(revisionFrom(recordOf(listed)), listed);
	const single = revisionAt(application({ source: two }), ['a']);
	t.like(recordOf(single), { revision: 'a', source: two });
	t.true(sameRevision(listed, single), 'they describe the same objects');
	t.false(sameRevision(listed, revisionAt(application({ sources: [two, one] }), ['a', 'b'])));
	t.is(wrongRevisions(['a', 'b'], [one, two]), undefined);
	t.regex(wrongRevisions(['a'], [one, two]) ?? '', /has 2 sources, and one revision is asked for: name one for each/);
});

test('a source is called by its name, or its URL, or what tells it from another of the same URL', (t) => {
	const repoURL = 'https://ada:secret@x/one';
	t.deepEqual(labelsOf([{ repoURL }]), [undefined]);
	t.deepEqual(labelsOf([{ repoURL, name: 'one' }, { repoURL: 'https://x/two' }]), ['one', 'https://x/two']);
	t.deepEqual(
		labelsOf([
			{ repoURL, path: 'a' },
			{ repoURL, path: 'b' },
		]),
		['https://x/one', 'https://x/one'],
	);
	t.deepEqual(labelsOf([{ repoURL }, { repoURL, targetRevision: 'v1' }]), ['https://x/one@HEAD', 'https://x/one@v1']);
});

test('what one of several sources cannot be is refused by its place in the list', (t) => {
	const sources = [{ repoURL: 'x' }, { repoURL: 'x', chart: 'c' }];
	t.regex(unsupported(application({ sources }).spec).join(), /^spec\.sources\[1\]\.chart is not supported/);
	const two = application({ sources: [{ repoURL: 'x' }, { repoURL: 'y' }] });
	t.regex(unsupportedOperation({ sync: { sources } }, two).join(), /operation\.sync\.sources\[1\]\.chart is not/);
	t.regex(unsupportedOperation({ sync: { revision: 'a' } }, two).join(), /2 sources, and one revision is asked for/);
	t.deepEqual(unsupportedOperation({ sync: { revisions: ['a', 'b'] } }, two), []);
	const begun = { sync: { revisions: ['a', 'b', 'c'] }, initiatedBy: { automated: true } };
	t.deepEqual(unsupportedOperation(begun, two), [], 'one that has begun by itself with another list');
});

test('a list of sources, and a history of them, fit into an object', (t) => {
	const sources = Array.from({ length: 100 }, (_, index) => ({ repoURL: `https://x/${index}`, path: 'y'.repeat(90) }));
	t.deepEqual(unsupported(application({ sources }).spec), []);
	const more = [...sources, ...sources];
	t.regex(unsupported(application({ sources: more }).spec).join(), /^spec\.sources is longer than 16384 bytes; use/);
	t.regex(
		unsupportedOperation({ sync: { sources: more } }, application({ sources })).join(),
		/operation\.sync\.sources/,
	);
	let grown = application({ sources, revisionHistoryLimit: 50 });
	const [now, commits] = ['2026-01-01T00:00:00Z', sources.map(() => 'a'.repeat(40))];
	for (let id = 0; id < 30; id++) {
		const history = appendHistory(grown, revisionAt(grown, commits), now, now, {});
		grown = { ...grown, status: { history } };
	}
	const { history = [] } = grown.status ?? {};
	t.true(Buffer.byteLength(JSON.stringify(history)) <= 80_000);
	t.is(history.at(-1)?.id, 29);
	t.is(history[0]?.id, 30 - history.length);
	t.true(history.length > 1);
});

interface Both extends AsyncDisposable {
	readonly world: GitOpsWorld;
	readonly remote: GitRemote;
	/** The embedded repository's URL, as applications name it. */
	readonly repoURL: string;
	/** Commits to the remote; gives the commit. */
	commit(files: Readonly<Record<string, string | undefined>>): Promise<string>;
	/** Pushes to the embedded repository; gives the commit and what was answered. */
	push(
		files: Readonly<Record<string, string | undefined>>,
	): Promise<{ commit: string; code: number | null; output: string }>;
	create(sources: readonly ApplicationSource[], automated?: object | null): Promise<void>;
	status(condition: (status: ApplicationStatus) => boolean): Promise<ApplicationStatus>;
	value(name: string): Promise<string | undefined>;
}

/**
 * The embedded repository with `app/`, and a remote with `deploy/`; the application `default` has a path of its own. A push is
 * answered until all have converged: `pushWaitMs` is for one where they never do.
 */
async function both(t: ExecutionContext, pushWaitMs = 60_000): Promise<Both> {
	const stack = new AsyncDisposableStack();
	const remote = stack.use(await createGitRemote());
	const tree = stack.use(await createWorkTree(remote.url));
	const world = await startGitOps(t, { pushWaitMs });
	const { spec } = await world.client.get(Application, { name: 'default', namespace: 'default' });
	const repoURL = spec.source?.repoURL ?? '';
	await world.client.patch(
		Application,
		{ name: 'default', namespace: 'default' },
		{ type: 'merge', body: { spec: { source: { path: 'other' } } } },
	);
	return {
		world,
		remote,
		repoURL,
		async commit(files) {
			const commit = await tree.commit(files);
			const { code, output } = await tree.push();
			t.is(code, 0, output);
			return commit;
		},
		async push(files) {
			const outcome = await world.push({ 'other/none.txt': 'x', ...files });
			return { ...outcome, commit: (await world.git('rev-parse', 'HEAD')).output.trim() };
		},
		async create(sources, automated = { prune: true }) {
			const syncPolicy = automated ? { automated } : {};
			await world.client.create(Application, application({ sources: [...sources], syncPolicy }));
		},
		status: (condition) => world.status(condition, 'both'),
		value: async (name) => {
			const found = await world.client.get(ConfigMap, { name, namespace: 'default' }).catch(() => undefined);
			return found?.data?.value;
		},
		[Symbol.asyncDispose]: () => stack.disposeAsync(),
	};
}

const isAt =
	(...revisions: string[]) =>
	({ sync, operationState }: ApplicationStatus) =>
		sync?.status === 'Synced' && sync.revisions?.join() === revisions.join() && operationState?.phase !== 'Running';

test('several sources are one application: synced, recorded and followed together; one with a ref alone has no objects', async (t) => {
	await using fixture = await both(t);
	const { world, remote, repoURL } = fixture;
	const common = await fixture.commit({ 'deploy/b.yaml': configMap('b', '1'), 'values.yaml': 'replicas: 3\n' });
	const { commit: first } = await fixture.push({ 'app/a.yaml': configMap('a', '1') });
	const sources = [
		{ repoURL, targetRevision: 'main', path: 'app' },
		{ repoURL: remote.url, path: 'deploy', name: 'common' },
		{ repoURL: remote.url, ref: 'values' },
	];
	await fixture.create(sources, { prune: true });
	const status = await fixture.status(isAt(first, common, common));
	t.deepEqual([await fixture.value('a'), await fixture.value('b')], ['1', '1']);
	t.is(status.sync?.revision, undefined);
	t.deepEqual(status.sync?.comparedTo, { sources, destination: { namespace: 'default' } });
	t.deepEqual(status.sourceTypes, ['Directory', 'Directory', '']);
	t.like(status.operationState?.syncResult, { revisions: [first, common, common], sources });
	t.like(status.history?.[0], { id: 0, revisions: [first, common, common], sources });
	t.is(status.history?.length, 1);

	const { commit: second, output } = await fixture.push({ 'app/a.yaml': configMap('a', '2') });
	t.regex(output, /^remote: .* is valid: 2 objects/m);
	t.regex(output, /^remote: both: configured configmap\/a in default/m);
	t.regex(output, /^remote: both: converged in .* both is in sync and healthy/m);
	await fixture.status(isAt(second, common, common));
	const newer = await fixture.commit({ 'deploy/b.yaml': configMap('b', '2') });
	await fixture.status(isAt(second, newer, newer));
	t.deepEqual([await fixture.value('a'), await fixture.value('b')], ['2', '2']);

	const broken = await fixture.push({
		'app/a.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: 3\n',
	});
	t.not(broken.code, 0);
	t.true(broken.output.includes(`${repoURL}//app/a.yaml:4:1: data: `), broken.output);

	// A changed list is a change.
	await world.client.patch(
		Application,
		{ name: 'both', namespace: 'default' },
		{ type: 'merge', body: { spec: { sources: sources.slice(0, 1) } } },
	);
	await fixture.status(isAt(second));
	t.deepEqual([await fixture.value('a'), await fixture.value('b')], ['2', undefined]);
});

test('of an object that two sources describe the last one counts, which the pusher and a condition are told', async (t) => {
	await using fixture = await both(t);
	const { repoURL, remote } = fixture;
	const common = await fixture.commit({ 'b.yaml': configMap('page', 'of the remote') });
	await fixture.push({ 'app/a.yaml': configMap('a', '1') });
	await fixture.create([
		{ repoURL, targetRevision: 'main', path: 'app', name: 'app' },
		{ repoURL: remote.url, name: 'common' },
	]);
	await fixture.status(({ sync }) => sync?.status === 'Synced');
	const { commit, code, output } = await fixture.push({ 'app/page.yaml': configMap('page', 'of the push') });
	t.is(code, 0, output);
	const told =
		'app//app/page.yaml:1:1: configmap/page in default is also described at common//b.yaml:1:1, which counts';
	t.true(output.includes(`remote: note: ${told}`), output);
	const status = await fixture.status(isAt(commit, common));
	t.deepEqual(
		status.conditions?.map(({ type, message }) => [type, message]),
		[['RepeatedResourceWarning', told]],
	);
	t.is(await fixture.value('page'), 'of the remote');
	const { commit: without } = await fixture.push({ 'app/page.yaml': undefined });
	t.deepEqual((await fixture.status(isAt(without, common))).conditions, []);
	t.is(await fixture.value('page'), 'of the remote');
});

test('drift and blame name the source beside the file', async (t) => {
	await using fixture = await both(t);
	const { world, repoURL, remote } = fixture;
	const common = await fixture.commit({ 'deploy/b.yaml': configMap('b', '1') });
	const { commit } = await fixture.push({ 'app/a.yaml': configMap('a', '1') });
	await fixture.create([
		{ repoURL, targetRevision: 'main', path: 'app' },
		{ repoURL: remote.url, path: 'deploy', name: 'common' },
	]);
	await fixture.status(isAt(commit, common));
	await world.client
		.as('somebody')
		.patch(ConfigMap, { name: 'b', namespace: 'default' }, { type: 'merge', body: { data: { value: 'by hand' } } });
	const { resources = [] } = await fixture.status(({ sync }) => sync?.status === 'OutOfSync');
	const drift = resources.find(({ name }) => name === 'b')?.drift?.[0];
	t.like(drift, { path: '.data.value', origin: { source: 'common', file: 'deploy/b.yaml', line: 7, column: 3 } });

	const object = await world.client.get(Application, { name: 'both', namespace: 'default' });
	const ask = async (name: string) => {
		const query = new URLSearchParams({
			kind: 'ConfigMap',
			namespace: 'default',
			name,
			field: '.metadata.annotations',
		});
		query.delete('field');
		const { signal } = new AbortController();
		const answer = await world.answers({ kind: Application, object, subresource: 'blame', query, signal } as never);
		return answer as { fields: { path: string; origin?: object; commit?: object }[]; revision: string };
	};
	const { fields, revision } = await ask('a');
	t.is(revision, `${commit}, ${common}`);
	t.like(
		fields.find(({ path }) => path === '.data.value'),
		{
			origin: { source: repoURL, file: 'app/a.yaml', line: 7, column: 3 },
		},
	);
});

test('a sync may be asked for with a revision for each source', async (t) => {
	await using fixture = await both(t);
	const { world, repoURL, remote } = fixture;
	const [b1, { commit: a1 }] = [
		await fixture.commit({ 'b.yaml': configMap('b', '1') }),
		await fixture.push({ 'app/a.yaml': configMap('a', '1') }),
	];
	await fixture.create([{ repoURL, targetRevision: 'main', path: 'app' }, { repoURL: remote.url }], null);
	const [b2, { commit: a2 }] = [
		await fixture.commit({ 'b.yaml': configMap('b', '2') }),
		await fixture.push({ 'app/a.yaml': configMap('a', '2') }),
	];
	const sync = async (revisions?: string[]) => {
		const ask = { type: 'merge', body: { operation: { sync: { revisions } } } } as const;
		await world.client.patch(Application, { name: 'both', namespace: 'default' }, ask);
		const { operationState } = await fixture.status(
			({ operationState: state }) =>
				JSON.stringify(state?.operation.sync?.revisions) === JSON.stringify(revisions) && state?.phase !== 'Running',
		);
		return operationState;
	};
	t.like(await sync([a1, b2]), { phase: 'Succeeded', syncResult: { revisions: [a1, b2] } });
	t.deepEqual([await fixture.value('a'), await fixture.value('b')], ['1', '2']);
	t.like(await sync([a2, b1]), { phase: 'Succeeded', syncResult: { revisions: [a2, b1] } });
	t.deepEqual([await fixture.value('a'), await fixture.value('b')], ['2', '1']);
	const failed = await sync([a1]);
	t.is(failed?.phase, 'Failed');
	t.regex(failed?.message ?? '', /the application has 2 sources, and one revision is asked for: name one for each/);
	const { history } = await fixture.status(() => true);
	t.deepEqual(
		history?.map(({ revisions }) => revisions),
		[
			[a1, b2],
			[a2, b1],
		],
	);
});

test('the commands name revisions of single sources, and show those of all', async (t) => {
	await using fixture = await both(t);
	const { world, repoURL, remote } = fixture;
	const [b1, { commit: a1 }] = [
		await fixture.commit({ 'b.yaml': configMap('b', '1') }),
		await fixture.push({ 'app/a.yaml': configMap('a', '1') }),
	];
	await fixture.create([
		{ repoURL, targetRevision: 'main', path: 'app' },
		{ repoURL: remote.url, name: 'common' },
	]);
	await fixture.status(isAt(a1, b1));
	const b2 = await fixture.commit({ 'b.yaml': configMap('b', '2') });
	await fixture.status(isAt(a1, b2));
	const [one, two, three] = [a1, b1, b2].map((commit) => commit.slice(0, 7));
	const { command } = await served(t, world, world.answers);
	t.regex(await command.ok('status', 'both'), new RegExp(`^both +${one}, ${three} +Synced`, 'm'));
	t.regex(
		await command.ok('describe', 'application', 'both'),
		/^Source:\n {2}Repo URL:[\s\S]*^Source 2:\n {2}Name: +common\n {2}Repo URL:/m,
	);
	const diff = await command.ok('diff', 'both', '--revisions', b1, '--source-positions', '2');
	t.regex(diff, /\.data\.value[\s\S]*- "2"[\s\S]*\+ "1" \(common\/\/b\.yaml:7:3\)/);
	t.regex((await command('diff', 'both', '--revision', b1)).stderr, /has a list of sources: say --revisions/);
	t.regex((await command('sync', 'both', '--revisions', b1)).stderr, /belong together/);
	t.regex((await command('sync', 'both', '--revisions', b1, '--source-positions', '3')).stderr, /none at the place 3/);

	const rolled = await command.ok('rollback', 'both');
	t.regex(rolled, new RegExp(`automated sync of both is switched off[\\s\\S]*rolling back to ${one}, ${two}`));
	t.is(await fixture.value('b'), '1');
	await command.ok('sync', 'both', '--revisions', b2, '--source-positions', '2');
	t.is(await fixture.value('b'), '2');
	const history = (await command.ok('history', 'both')).split('\n');
	t.regex(history[1] ?? '', new RegExp(`^3 +${one}, ${three} .*${repoURL}, ${remote.url}$`));
	t.regex(history[2] ?? '', new RegExp(`^2 +${one}, ${two} `));
});

test('a list of one, and another name of a source, are no change of what is wanted', async (t) => {
	await using fixture = await both(t);
	const { world, repoURL } = fixture;
	const { commit } = await fixture.push({ 'app/a.yaml': configMap('a', '1') });
	const source = { repoURL, targetRevision: 'main', path: 'app' };
	const { client } = world;
	await client.create(Application, application({ source, syncPolicy: { automated: {} } }));
	await fixture.status(({ sync }) => sync?.status === 'Synced' && sync.revision === commit);
	const spec = { source: null, sources: [{ ...source, name: 'app' }] };
	await client.patch(Application, { name: 'both', namespace: 'default' }, { type: 'merge', body: { spec } });
	const { history } = await fixture.status(isAt(commit));
	t.is(history?.length, 1);
});

test('while one of the sources cannot be read nothing is pruned, and pushes to the others are checked with what it had', async (t) => {
	await using fixture = await both(t);
	const { repoURL, remote } = fixture;
	const common = await fixture.commit({ 'ns.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n' });
	const { commit } = await fixture.push({ 'app/a.yaml': configMap('a', '1') });
	await fixture.create([{ repoURL, targetRevision: 'main', path: 'app' }, { repoURL: remote.url }]);
	await fixture.status(isAt(commit, common));
	remote.behaviour.mode = 'fail';
	await fixture.status(({ conditions = [] }) => conditions[0]?.type === 'ComparisonError');
	const pushed = await fixture.push({ 'app/a.yaml': configMap('a', '2').replace('default', 'shop') });
	t.is(pushed.code, 0, pushed.output);
	t.regex(pushed.output, /is valid: 2 objects/);
	t.regex(pushed.output, /^remote: both: nothing is applied at present: .* 503 Service Unavailable/m);
	t.notRegex(pushed.output, /not converged/);
	const refused = await fixture.push({ 'app/a.yaml': configMap('a', '2').replace('default', 'nowhere') });
	t.regex(refused.output, /put a Namespace of this name into the source/);
	t.is(await fixture.value('a'), '1', 'nothing is applied or pruned before all can be read again');
	await fixture.push({ 'app/a.yaml': configMap('a', '3') });
	remote.behaviour.mode = 'serve';
	await fixture.status(({ sync, conditions = [] }) => sync?.status === 'Synced' && conditions.length === 0);
	t.is(await fixture.value('a'), '3');
});

test('a push does not wait for another source that never answered, and says that it was not looked at', async (t) => {
	await using fixture = await both(t, 2_000);
	const { repoURL, remote } = fixture;
	await fixture.commit({ 'b.yaml': configMap('b', '1') });
	remote.behaviour.mode = 'hang';
	await fixture.create([
		{ repoURL, targetRevision: 'main', path: 'app' },
		{ repoURL: remote.url, name: 'common' },
	]);
	const { code, output } = await fixture.push({ 'app/a.yaml': configMap('a', '1') });
	t.is(code, 0, output);
	t.regex(output, /^remote: .* is valid: 1 object/m);
	t.regex(output, /^remote: note: common cannot be read at present: what it describes was not looked at/m);
	t.is(await fixture.value('a'), undefined, 'an Application is synced whole');
});

test('two branches that are pushed at once are checked together, where both are sources', async (t) => {
	await using fixture = await both(t);
	const { world, repoURL } = fixture;
	await fixture.push({ 'README.md': 'x' });
	await world.git('push', world.url, 'HEAD:cluster');
	await fixture.create([
		{ repoURL, targetRevision: 'main', path: '.', name: 'main', directory: { include: 'a.yaml' } },
		{ repoURL, targetRevision: 'cluster', path: '.', name: 'cluster', directory: { include: 'b.yaml' } },
	]);
	await fixture.status(({ sync }) => sync?.revisions?.length === 2);
	const branch = async (name: string, file: string, content: string) => {
		await world.git('checkout', '-q', '-B', name, 'main');
		await writeFile(join(world.clone, file), content);
		await world.git('add', '-A');
		await world.git('commit', '-q', '-m', name);
		return (await world.git('rev-parse', 'HEAD')).output.trim();
	};
	const one = await branch('one', 'a.yaml', configMap('a', '1').replace('default', 'later'));
	const two = await branch('two', 'b.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: later}\n');
	const broken = await world.git('push', world.url, 'one:main', 'one:cluster');
	t.is(broken.output.match(/main\/\/a\.yaml:5:3: namespaces "later" not found/g)?.length, 1, broken.output);
	const alone = await world.git('push', world.url, 'one:main');
	t.not(alone.code, 0);
	t.regex(alone.output, /main\/\/a\.yaml:5:3: namespaces "later" not found/);
	const together = await world.git('push', world.url, 'one:main', 'two:cluster');
	t.is(together.code, 0, together.output);
	await fixture.status(isAt(one, two));
	// Of a branch and a tag of one name the branch is meant.
	await world.git('tag', 'cluster', 'one');
	const three = await branch('three', 'b.yaml', 'kind: [');
	const invalid = await world.git('push', '--force', world.url, 'refs/tags/cluster', `${three}:refs/heads/cluster`);
	t.regex(invalid.output, /cluster\/\/b\.yaml:1:/);
	t.is((await world.client.get(ConfigMap, { name: 'a', namespace: 'later' })).data?.value, '1');
});
