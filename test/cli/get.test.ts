/** driftless get, against a real API over HTTPS. */
import { copyFile } from 'node:fs/promises';
import test from 'ava';
import { type Client, inProcess } from '../../src/client/index.ts';
import { ConfigMap, Deployment, Namespace, Pod } from '../../src/kinds/index.ts';
import { admin, serveTestApi, type TestServer } from '../testbed/api.ts';
import { type Driftless, driftless } from './driftless.ts';

let server: TestServer;
let client: Client;
let run: Driftless;

const pod = (name: string, labels: Record<string, string> = {}, namespace = 'default'): Pod => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name, namespace, labels },
	spec: { containers: [{ name: 'main', image: 'example:1' }] },
});

test.before(async () => {
	server = await serveTestApi();
	client = inProcess(server.api, admin);
	run = driftless(server.kubeconfig);
	for (const name of ['default', 'shop', 'watched', 'empty']) {
		const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} };
		await client.create(Namespace, namespace).catch(() => undefined);
	}
	await client.create(Pod, pod('web-1', { app: 'web', tier: 'front' }));
	await client.create(Pod, pod('db-1', { app: 'db' }));
	await client.create(Pod, pod('till', { app: 'till' }, 'shop'));
	await client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'settings', namespace: 'default' },
		data: { mode: 'yes', text: 'a\nb\n' },
	});
	await client.create(Deployment, {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: { name: 'web', namespace: 'default' },
		spec: {
			selector: { matchLabels: { app: 'web' } },
			template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image: 'example:1' }] } },
		},
	});
});

test.after.always(async () => {
	run[Symbol.dispose]();
	await server[Symbol.asyncDispose]();
});

const rows = (text: string) => text.trimEnd().split('\n');
const cells = (text: string) => rows(text).map((row) => row.split(/ {2,}/));

test('pods are a table with the columns of kubectl, and ages', async (t) => {
	const table = cells(await run.ok('get', 'pods'));
	t.deepEqual(table[0], ['NAME', 'READY', 'STATUS', 'RESTARTS', 'AGE']);
	t.deepEqual(
		table.slice(1).map((row) => row.slice(0, 4)),
		[
			['db-1', '0/1', 'Pending', '0'],
			['web-1', '0/1', 'Pending', '0'],
		],
	);
	t.regex(table[1]?.[4] ?? '', /^\d+s$/);
});

test('columns stand under each other, three spaces apart', async (t) => {
	const [header = '', first = ''] = rows(await run.ok('get', 'pods'));
	t.is(header.indexOf('READY'), first.indexOf('0/1'));
	t.is(header.indexOf('READY'), 'web-1'.length + 3);
});

test('plural, singular, short and qualified names are the same kind', async (t) => {
	for (const word of ['deployments', 'deployment', 'deploy', 'Deployment', 'deployments.apps', 'deploy.v1.apps'])
		t.is(await run.ok('get', word, '-o', 'name'), 'deployment.apps/web\n', word);
});

test('several types are several tables with the kind before each name', async (t) => {
	const [pods = '', maps = ''] = (await run.ok('get', 'po,cm')).split('\n\n');
	t.deepEqual(
		rows(pods).map((row) => row.split(' ')[0]),
		['NAME', 'pod/db-1', 'pod/web-1'],
	);
	t.deepEqual(
		rows(maps).map((row) => row.split(' ')[0]),
		['NAME', 'configmap/settings'],
	);
});

test('all is every kind of that category that has objects', async (t) => {
	const text = await run.ok('get', 'all');
	t.regex(text, /^pod\/web-1 /m);
	t.regex(text, /^deployment\.apps\/web /m);
	t.notRegex(text, /settings/);
});

test('-A shows all namespaces with theirs in the first column', async (t) => {
	const table = cells(await run.ok('get', 'pods', '-A', '-l', 'app'));
	t.is(table[0]?.[0], 'NAMESPACE');
	t.deepEqual(
		table.slice(1).map((row) => `${row[0]}/${row[1]}`),
		['default/db-1', 'default/web-1', 'shop/till'],
	);
});

test('-n chooses a namespace, -l and --field-selector choose objects', async (t) => {
	t.is(await run.ok('get', 'pods', '-n', 'shop', '-o', 'name'), 'pod/till\n');
	t.is(await run.ok('get', 'pods', '-l', 'app=web', '-o', 'name'), 'pod/web-1\n');
	t.is(await run.ok('get', 'pods', '--field-selector=metadata.name=db-1', '-o', 'name'), 'pod/db-1\n');
});

test('-o wide, --show-labels and -L add columns', async (t) => {
	t.deepEqual(cells(await run.ok('get', 'pods', '-o', 'wide'))[0]?.slice(-4), [
		'IP',
		'NODE',
		'NOMINATED NODE',
		'READINESS GATES',
	]);
	t.regex(await run.ok('get', 'pod', 'web-1', '--show-labels'), / {3}app=web,tier=front\n$/);
	t.regex(await run.ok('get', 'pods', '-L', 'tier'), /TIER\n.*\nweb-1 .* front\n$/);
});

test('--no-headers leaves the first line out', async (t) => {
	t.regex(await run.ok('get', 'pods', '--no-headers'), /^db-1 /);
});

test('one object is printed as it is, several as a List; keys are sorted and managedFields left out', async (t) => {
	const one = await run.ok('get', 'cm', 'settings', '-o', 'yaml');
	t.true(
		one.startsWith(
			'apiVersion: v1\ndata:\n  mode: "yes"\n  text: |\n    a\n    b\nkind: ConfigMap\nmetadata:\n  creationTimestamp: "',
		),
		one,
	);
	t.notRegex(one, /managedFields/);
	t.regex(await run.ok('get', 'cm', 'settings', '-o', 'yaml', '--show-managed-fields'), /managedFields/);
	const list = JSON.parse(await run.ok('get', 'pods', '-o', 'json'));
	t.is(list.kind, 'List');
	t.deepEqual(
		list.items.map((item: { metadata: { name: string } }) => item.metadata.name),
		['db-1', 'web-1'],
	);
	t.is(JSON.parse(await run.ok('get', 'pod/web-1', '-o', 'json')).kind, 'Pod');
});

test('what is not there is one line and status 1, and the rest is shown', async (t) => {
	const { code, stdout, stderr } = await run('get', 'pods', 'web-1', 'nobody');
	t.is(code, 1);
	t.regex(stdout, /^web-1 /m);
	t.is(stderr, 'error: pods "nobody" not found\n');
	const quiet = await run('get', 'pods', 'nobody', '--ignore-not-found');
	t.deepEqual([quiet.code, quiet.stdout, quiet.stderr], [0, '', '']);
});

test('an empty list says so, and is no error', async (t) => {
	const inOne = await run('get', 'pods', '-n', 'empty');
	t.deepEqual([inOne.code, inOne.stdout, inOne.stderr], [0, '', 'No resources found in empty namespace.\n']);
	t.is((await run('get', 'services', '-A')).stderr, 'No resources found\n');
	t.is((await run('get', 'nodes')).stderr, 'No resources found\n');
});

test('an unknown type is one line that suggests what was meant', async (t) => {
	const near = await run('get', 'podz');
	t.deepEqual(
		[near.code, near.stderr],
		[1, 'error: the server doesn\'t have a resource type "podz"; did you mean pods?\n'],
	);
	const far = await run('get', 'spaceships');
	t.regex(far.stderr, /^error: the server doesn't have a resource type "spaceships"; it has: .*\bpods\b.*\n$/);
	t.is(far.stderr.match(/\bevents\b/g)?.length, 1, far.stderr);
});

test('words that make no sense together are refused with status 2', async (t) => {
	for (const [args, message] of [
		[['get'], /name a type of resource/],
		[['get', 'pods', 'web-1', '-l', 'a=b'], /names and selectors exclude each other/],
		[['get', 'pods', 'web-1', '-A'], /unique in one namespace only/],
		[['get', 'pod/web-1', 'db-1'], /"db-1" is not TYPE\/NAME/],
		[['get', 'pods', '-o', 'xml'], /wide, yaml, json, name/],
		[['get', 'pods', '--nonsense'], /unknown option '--nonsense'/],
		[['get', 'pods,cm', '-w'], /only objects of one type/],
	] as const) {
		const { code, stderr } = await run(...args);
		t.is(code, 2, args.join(' '));
		t.regex(stderr, message);
	}
});

test('a wrong selector is told in the words of the API', async (t) => {
	const { code, stderr } = await run('get', 'pods', '-l', 'a b c');
	t.is(code, 1);
	t.regex(stderr, /^error: unable to parse requirement: .*\n$/);
});

test('-w shows what is there, each change as a line under the others, and ends by an interrupt', async (t) => {
	const { stdout, signal } = await run('get', 'pods', '-n', 'watched', '--watch', {
		async meanwhile({ child, until }) {
			// The watch has begun when a change comes through: before, the first list may have it.
			await client.create(Pod, pod('early', {}, 'watched'));
			await until(/^early /m);
			await client.create(Pod, pod('a-later-one', {}, 'watched'));
			await until(/^a-later-one /m);
			await client.delete(Pod, { name: 'early', namespace: 'watched' }, { gracePeriodSeconds: 0 });
			await until(/^early [\s\S]*^early /m);
			child.kill('SIGINT');
		},
	});
	t.is(signal, 'SIGINT');
	t.is(stdout.match(/^NAME/gm)?.length, 1);
});

test('a watch prints whole objects where it is asked to', async (t) => {
	const { stdout } = await run('get', 'cm', 'settings', '-w', '-o', 'yaml', {
		async meanwhile({ child, until }) {
			await until(/^---$/m);
			child.kill('SIGTERM');
		},
	});
	t.regex(stdout, /^ {2}mode: "yes"$/m);
});

test('a reader that goes away is no error', async (t) => {
	const { code, stderr } = await run('get', 'pods', '-A', {
		meanwhile: async ({ child }) => void child.stdout?.destroy(),
	});
	t.deepEqual([code, stderr], [0, '']);
});

test('a server that is not there is named in one line', async (t) => {
	const gone = await serveTestApi();
	using lost = driftless(gone.kubeconfig);
	const { kubeconfig } = gone;
	const kept = `${lost.folder}/kubeconfig`;
	await copyFile(kubeconfig, kept);
	await gone[Symbol.asyncDispose]();
	using nobody = driftless(kept);
	const { code, stderr } = await nobody('get', 'pods');
	t.is(code, 1);
	t.regex(stderr, /^error: the API server at https:\/\/127\.0\.0\.1:\d+ cannot be reached: .*\n$/);
	const never = await lost('get', 'pods');
	t.is(never.code, 2);
	t.regex(never.stderr, /^error: cannot read kubeconfig .*; is driftless running\? .*\n$/);
});

test('help has examples', async (t) => {
	for (const command of ['get', 'describe', 'apply', 'create', 'delete', 'logs', 'exec']) {
		const { code, stdout } = await run(command, '--help');
		t.is(code, 0);
		t.regex(stdout, new RegExp(`\\nExamples:\\n {2}driftless ${command} `));
	}
});

test('a command that is mistyped is suggested although no command was loaded by its name', async (t) => {
	const { code, stderr } = await run('gett', 'pods');
	t.is(code, 2);
	t.regex(stderr, /unknown command 'gett'\n\(Did you mean get\?\)/);
});
