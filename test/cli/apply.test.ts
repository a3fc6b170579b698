/** driftless apply and create, against a real API over HTTPS. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import test from 'ava';
import { type Client, inProcess } from '../../src/client/index.ts';
import { ConfigMap, Deployment, Namespace, Secret } from '../../src/kinds/index.ts';
import { admin, serveTestApi, type TestServer } from '../testbed/api.ts';
import { type Driftless, driftless } from './driftless.ts';

let server: TestServer;
let client: Client;
let run: Driftless;

test.before(async () => {
	server = await serveTestApi();
	client = inProcess(server.api, admin);
	run = driftless(server.kubeconfig);
	const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' }, spec: {} };
	await client.create(Namespace, namespace).catch(() => undefined);
});

test.after.always(async () => {
	run[Symbol.dispose]();
	await server[Symbol.asyncDispose]();
});

const deployment = (name: string, replicas = 1) => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec: { containers: [{ name: main, image: example:1 }] }
`;
const map = (name: string, value = 'x') =>
	`apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ${name} }\ndata: { value: ${value} }\n`;

/** Writes files into a folder of the test's own; returns it. */
async function folder(name: string, files: Readonly<Record<string, string>>): Promise<string> {
	const root = join(run.folder, name);
	for (const [path, content] of Object.entries(files)) {
		await mkdir(dirname(join(root, path)), { recursive: true });
		await writeFile(join(root, path), content);
	}
	return root;
}

test('an object is created, then unchanged, then configured', async (t) => {
	const cwd = await folder('states', { 'web.yaml': deployment('states') });
	t.is(await run.ok('apply', '-f', 'web.yaml', { cwd }), 'deployment.apps/states created\n');
	t.is(await run.ok('apply', '-f', 'web.yaml', { cwd }), 'deployment.apps/states unchanged\n');
	await folder('states', { 'web.yaml': deployment('states', 3) });
	t.is(await run.ok('apply', '-f', 'web.yaml', { cwd }), 'deployment.apps/states configured\n');
	const live = await client.get(Deployment, { name: 'states', namespace: 'default' });
	t.is(live.spec.replicas, 3);
	t.deepEqual(
		live.metadata.managedFields?.map(({ manager, operation }) => [manager, operation]),
		[['driftless-cli', 'Apply']],
	);
});

test('a dry run tells the same and changes nothing', async (t) => {
	const dry = (replicas: number) => run.ok('apply', '-f', '-', '--dry-run', { input: deployment('dry', replicas) });
	t.is(await dry(1), 'deployment.apps/dry created (server dry run)\n');
	await t.throwsAsync(client.get(Deployment, { name: 'dry', namespace: 'default' }), { message: /not found/ });
	await run.ok('apply', '-f', '-', { input: deployment('dry', 1) });
	t.is(await dry(1), 'deployment.apps/dry unchanged (server dry run)\n');
	t.is(await dry(2), 'deployment.apps/dry configured (server dry run)\n');
	t.is((await client.get(Deployment, { name: 'dry', namespace: 'default' })).spec.replicas, 1);
});

test('fields of others are a conflict that names them and what to do, and --force-conflicts takes them over', async (t) => {
	await run.ok('apply', '-f', '-', { input: deployment('contested', 1) });
	await client
		.as('somebody')
		.patch(Deployment, { name: 'contested', namespace: 'default' }, { type: 'merge', body: { spec: { replicas: 5 } } });
	const cwd = await folder('contested', { 'a.yaml': map('not-applied'), 'b.yaml': deployment('contested', 2) });
	const { code, stdout, stderr } = await run('apply', '-f', '.', { cwd });
	t.is(code, 1);
	t.is(
		stderr,
		'error: b.yaml:1:1: deployment.apps/contested: a field is managed by others: .spec.replicas ("somebody" using apps/v1); leave what others manage out of the file, or take it over with --force-conflicts\n',
	);
	t.is(stdout, '');
	await t.throwsAsync(client.get(ConfigMap, { name: 'not-applied', namespace: 'default' }), { message: /not found/ });
	t.is(await run.ok('apply', '-f', 'b.yaml', '--force-conflicts', { cwd }), 'deployment.apps/contested configured\n');
	t.is((await client.get(Deployment, { name: 'contested', namespace: 'default' })).spec.replicas, 2);
});

test('every fault is told at its line before anything is applied', async (t) => {
	const cwd = await folder('faulty', {
		'a.yaml': map('faulty-first'),
		'b.yaml': `${map('ok')}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: bad }\nspec:\n  replicas: three\n  selectr: {}\n`,
		'c.yaml': 'apiVersion: v1\nkind: Sevice\nmetadata: { name: s }\n',
	});
	const { code, stdout, stderr } = await run('apply', '-f', '.', { cwd });
	t.is(code, 1);
	t.is(stdout, '');
	t.regex(stderr, /^error: \d faults; nothing was changed\n/);
	t.regex(stderr, /^ {2}b\.yaml:10:3: spec\.replicas: expected an integer, got the string "three"$/m);
	t.regex(stderr, /^ {2}b\.yaml:11:3: spec\.selectr: unknown field: did you mean selector\?$/m);
	t.regex(stderr, /^ {2}c\.yaml:2:1: kind: there is no kind Sevice in v1: did you mean Service \(v1\)\?$/m);
	await t.throwsAsync(client.get(ConfigMap, { name: 'faulty-first', namespace: 'default' }), { message: /not found/ });
});

test('what only the server knows to be wrong is told at its line, too, before anything is applied', async (t) => {
	const bad =
		'apiVersion: v1\nkind: Service\nmetadata: { name: bad }\nspec:\n  ports:\n  - port: 99999\n    targetPort: 80\n';
	const { code, stderr } = await run('apply', '-f', '-', { input: `${map('before-bad')}---\n${bad}` });
	t.is(code, 1);
	t.regex(stderr, /^error: <stdin>:11:5: spec\.ports\[0\]\.port: Invalid value: 99999: .*\n$/);
	await t.throwsAsync(client.get(ConfigMap, { name: 'before-bad', namespace: 'default' }), { message: /not found/ });
});

test('a namespace may come with what lies in it, in any order', async (t) => {
	const input = `${deployment('web').replace('name: web\nspec', 'name: web\n  namespace: together\nspec')}---\napiVersion: v1\nkind: Namespace\nmetadata: { name: together }\n`;
	t.is(await run.ok('apply', '-f', '-', { input }), 'namespace/together created\ndeployment.apps/web created\n');
});

test('-n is for objects that name no namespace, and contradicts those that name another', async (t) => {
	await run.ok('create', 'namespace', 'other');
	await run.ok('apply', '-n', 'other', '-f', '-', { input: map('placed') });
	t.is((await client.get(ConfigMap, { name: 'placed', namespace: 'other' })).metadata.namespace, 'other');
	const named = map('placed').replace('{ name: placed }', '{ name: placed, namespace: elsewhere }');
	const { code, stderr } = await run('apply', '-n', 'other', '-f', '-', { input: named });
	t.is(code, 1);
	t.regex(
		stderr,
		/^error: <stdin>:3:27: metadata\.namespace: the object is of the namespace elsewhere, and -n says other/,
	);
});

test('a folder is read without its sub-folders, and with them with -R; all else in it is left alone', async (t) => {
	const cwd = await folder('tree', {
		'a.yaml': map('tree-a'),
		'b.json': JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'tree-b' } }),
		'notes.txt': 'no manifest',
		'sub/c.yml': map('tree-c'),
	});
	t.is(await run.ok('apply', '-f', cwd), 'configmap/tree-a created\nconfigmap/tree-b created\n');
	t.is(
		await run.ok('apply', '-R', '-f', '.', { cwd }),
		'configmap/tree-a unchanged\nconfigmap/tree-b unchanged\nconfigmap/tree-c created\n',
	);
});

test('a link to a file is read, and a kustomization is built with what lies beside it', async (t) => {
	const cwd = await folder('links', {
		'all/one/a.yaml': map('linked'),
		'kustomize/base/kustomization.yaml': 'resources: [map.yaml]\n',
		'kustomize/base/map.yaml': map('built'),
		'kustomize/over/kustomization.yaml': 'resources: [../base]\nnamePrefix: very-\n',
	});
	await mkdir(join(cwd, 'all/two'));
	await symlink('../one/a.yaml', join(cwd, 'all/two/b.yaml'));
	t.is(await run.ok('apply', '-f', 'all/two', { cwd }), 'configmap/linked created\n');
	// kustomize is a program of its own, which may be the one inside kubectl.
	const env = { PATH: process.env.PATH ?? '' };
	t.is(await run.ok('apply', '-k', 'kustomize/over', { cwd, env }), 'configmap/very-built created\n');
	const over = join(cwd, 'kustomize/over');
	t.is(await run.ok('apply', '-k', '.', { cwd: over, env }), 'configmap/very-built unchanged\n');
	const missing = await run('apply', '-k', '.', { cwd: over });
	t.deepEqual(
		[missing.code, missing.stderr],
		[
			1,
			'error: kustomization.yaml:1:1: kustomize (or kubectl, which has it inside) is needed to build this, and is not installed\n',
		],
	);
	t.regex(
		(await run('apply', '-k', 'all', { cwd })).stderr,
		/all has no kustomization\.yaml; for plain manifests use -f/,
	);
});

test('several files, with commas or several times, are one set, in which an object stands once', async (t) => {
	const cwd = await folder('several', {
		'a.yaml': map('several-a'),
		'b.yaml': map('several-b'),
		'c.yaml': map('several-c'),
		'twin.yaml': map('several-a'),
	});
	t.is(
		await run.ok('apply', '-f', 'c.yaml,b.yaml', '-f', 'a.yaml', { cwd }),
		'configmap/several-c created\nconfigmap/several-b created\nconfigmap/several-a created\n',
	);
	const { code, stderr } = await run('apply', '-f', 'a.yaml', '-f', 'twin.yaml', { cwd });
	t.is(code, 1);
	t.is(stderr, 'error: twin.yaml:1:1: ConfigMap several-a is already defined at a.yaml:1:1\n');
});

test('a manifest may come from the web', async (t) => {
	const web = createServer((request, response) => {
		response.statusCode = request.url === '/web.yaml' ? 200 : 404;
		response.end(map('from-the-web'));
	});
	await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
	const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
	try {
		t.is(await run.ok('apply', '-f', `${url}/web.yaml`), 'configmap/from-the-web created\n');
		const { code, stderr } = await run('apply', '-f', `${url}/none.yaml`);
		t.deepEqual([code, stderr], [1, `error: ${url}/none.yaml cannot be read: the server answers 404\n`]);
	} finally {
		web.closeAllConnections();
		await new Promise((resolve) => web.close(resolve));
	}
});

test('what cannot be read, and options that are not there, are one line', async (t) => {
	for (const [args, status, message] of [
		[['apply'], 2, /name what to read/],
		[['apply', '-f', 'nowhere.yaml'], 1, /nowhere\.yaml: no such file or folder/],
		[['apply', '-f', '-', '--prune'], 2, /apply does not prune: .*Application/],
		[['apply', '-f', '-', '--dry-run=client'], 2, /--dry-run=server/],
		[['apply', '-f', '-'], 1, /there are no objects/],
	] as const) {
		const { code, stderr } = await run(...args);
		t.is(code, status, args.join(' '));
		t.regex(stderr, message);
		t.is(stderr.split('\n').length, 2);
	}
});

test('-o prints what was applied', async (t) => {
	t.is(await run.ok('apply', '-f', '-', '-o', 'name', { input: map('printed') }), 'configmap/printed\n');
	const yaml = await run.ok('apply', '-f', '-', '-o', 'yaml', { input: map('printed') });
	t.regex(yaml, /^apiVersion: v1\ndata:\n {2}value: x\nkind: ConfigMap\n/);
});

test('create -f makes new objects, and refuses all of them where one is there already', async (t) => {
	t.is(await run.ok('create', '-f', '-', { input: map('made') }), 'configmap/made created\n');
	const { code, stderr } = await run('create', '-f', '-', { input: `${map('made-too')}---\n${map('made')}` });
	t.is(code, 1);
	t.is(stderr, 'error: <stdin>:6:1: configmaps "made" already exists\n');
	await t.throwsAsync(client.get(ConfigMap, { name: 'made-too', namespace: 'default' }), { message: /not found/ });
});

test('create configmap takes literals, files, folders and files of variables', async (t) => {
	const cwd = await folder('entries', {
		'app.conf': 'a = b\n',
		'conf.d/one': '1',
		'conf.d/two': '2',
		vars: '# mine\nX=1\n\nY=a=b\n',
	});
	await writeFile(join(cwd, 'logo.bin'), Uint8Array.of(0, 255, 254));
	const line = await run.ok(
		...['create', 'configmap', 'entries', '--from-literal=k=v=w', '--from-literal', 'empty='],
		...[
			'--from-file=app.conf',
			'--from-file=named=app.conf',
			'--from-file=conf.d',
			'--from-file=logo.bin',
			'--from-env-file=vars',
		],
		{ cwd },
	);
	t.is(line, 'configmap/entries created\n');
	const { data, binaryData } = await client.get(ConfigMap, { name: 'entries', namespace: 'default' });
	t.deepEqual(data, {
		k: 'v=w',
		empty: '',
		'app.conf': 'a = b\n',
		named: 'a = b\n',
		one: '1',
		two: '2',
		X: '1',
		Y: 'a=b',
	});
	t.deepEqual(binaryData, { 'logo.bin': Buffer.from([0, 255, 254]).toString('base64') });
});

test('create secret generic keeps values in base64, and a client dry run is a manifest that asks nobody', async (t) => {
	await run.ok('create', 'secret', 'generic', 'login', '--from-literal=password=hunter2', '--type=example.com/login');
	const { data, type } = await client.get(Secret, { name: 'login', namespace: 'default' });
	t.deepEqual([data, type], [{ password: Buffer.from('hunter2').toString('base64') }, 'example.com/login']);
	const yaml = await run.ok('create', 'cm', 'paper', '--from-literal=a=yes', '--dry-run=client', '-o', 'yaml');
	t.is(yaml, 'apiVersion: v1\ndata:\n  a: "yes"\nkind: ConfigMap\nmetadata:\n  name: paper\n  namespace: default\n');
	await t.throwsAsync(client.get(ConfigMap, { name: 'paper', namespace: 'default' }), { message: /not found/ });
});

test('create says what is wrong in one line', async (t) => {
	await run.ok('create', 'ns', 'once');
	for (const [args, status, message] of [
		[['create', 'ns', 'once'], 1, /namespaces "once" already exists/],
		[['create', 'ns', 'Not_A_Name'], 1, /Namespace "Not_A_Name" is invalid: metadata\.name: Invalid value/],
		[['create', 'cm', 'x', '--from-literal=nothing'], 2, /--from-literal takes KEY=VALUE/],
		[['create', 'cm', 'x', '--from-file=nowhere'], 1, /a file cannot be read: .*nowhere/],
		[['create', 'cm', 'x', '--from-literal=a=b', '--from-literal=a=c'], 2, /the key "a" is given twice/],
		[['create'], 2, /name what to create/],
	] as const) {
		const { code, stderr } = await run(...args);
		t.is(code, status, args.join(' '));
		t.regex(stderr, message);
	}
});
