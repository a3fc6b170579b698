/** driftless delete, against a real API over HTTPS. */
import test from 'ava';
import { type Client, inProcess } from '../../src/client/index.ts';
import { ConfigMap, Namespace, Pod } from '../../src/kinds/index.ts';
import { admin, serveTestApi, type TestServer } from '../testbed/api.ts';
import { type Driftless, driftless, program } from './driftless.ts';
import { onTerminal } from './terminal.ts';

let server: TestServer;
let client: Client;
let run: Driftless;

test.before(async () => {
	server = await serveTestApi();
	client = inProcess(server.api, admin);
	run = driftless(server.kubeconfig);
	for (const name of ['default', 'crowd']) {
		const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} };
		await client.create(Namespace, namespace).catch(() => undefined);
	}
});

test.after.always(async () => {
	run[Symbol.dispose]();
	await server[Symbol.asyncDispose]();
});

const map = (name: string, metadata: Partial<ConfigMap['metadata']> = {}) =>
	client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name, namespace: 'default', ...metadata },
	});
/** With a node, so that its deletion waits for the agent there. */
const pod = (name: string) =>
	client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, namespace: 'default' },
		spec: { nodeName: 'far', containers: [{ name: 'main', image: 'example:1' }] },
	});
const mapNames = async (labelSelector?: string, namespace = 'default') =>
	(await client.list(ConfigMap, { namespace, labelSelector })).items.map(({ metadata }) => metadata.name);

test('objects are deleted by name, a line each, and what is not there is told', async (t) => {
	await map('one');
	await map('two');
	const { code, stdout, stderr } = await run('delete', 'configmap', 'one', 'nobody', 'two');
	t.is(stdout, 'configmap "one" deleted\nconfigmap "two" deleted\n');
	t.deepEqual([code, stderr], [1, 'error: configmaps "nobody" not found\n']);
	const again = await run('delete', 'cm/one', '--ignore-not-found');
	t.deepEqual([again.code, again.stdout, again.stderr], [0, '', '']);
});

test('objects are deleted by label, and all of a namespace with --all', async (t) => {
	for (const name of ['a', 'b']) await map(name, { namespace: 'crowd', labels: { app: name } });
	t.is(await run.ok('delete', 'cm', '-n', 'crowd', '-l', 'app=a'), 'configmap "a" deleted\n');
	t.deepEqual(await mapNames(undefined, 'crowd'), ['b']);
	t.is(await run.ok('delete', 'cm', '-n', 'crowd', '--all'), 'configmap "b" deleted\n');
	const nothing = await run('delete', 'cm', '-n', 'crowd', '--all');
	t.deepEqual([nothing.code, nothing.stderr], [0, 'No resources found\n']);
});

test('what a file says is deleted, also where its fields are wrong by now', async (t) => {
	await map('filed');
	const input = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: filed }\nnonsense: true\n';
	t.is(await run.ok('delete', '-f', '-', { input }), 'configmap "filed" deleted\n');
	t.is((await run('delete', '-f', '-', { input })).code, 1);
	t.is((await run('delete', '-f', '-', '--ignore-not-found', { input })).code, 0);
});

test('it waits until the object is gone', async (t) => {
	await pod('slow');
	const { code, stdout } = await run('delete', 'pod', 'slow', {
		async meanwhile({ child, until }) {
			await until(/pod "slow" deleted/);
			t.is(child.exitCode, null);
			t.truthy((await client.get(Pod, { name: 'slow', namespace: 'default' })).metadata.deletionTimestamp);
			await client.delete(Pod, { name: 'slow', namespace: 'default' }, { gracePeriodSeconds: 0 });
		},
	});
	t.deepEqual([code, stdout], [0, 'pod "slow" deleted\n']);
});

test('on a terminal the wait is shown, and an interrupt ends it with the line wiped', async (t) => {
	await pod('shown');
	const command = `${program} --kubeconfig ${server.kubeconfig} delete pod shown`;
	await onTerminal(command, async ({ ended, stdout, type, until }) => {
		await until(/waiting until pod\/shown is gone \(\d+s\)/);
		type('\u0003');
		t.is(await ended, 130);
		t.true(stdout().endsWith('\r\u001b[K'), JSON.stringify(stdout()));
	});
});

test('another object of the same name is not waited for', async (t) => {
	await pod('again');
	const { code } = await run('delete', 'pod', 'again', {
		async meanwhile({ until }) {
			await until(/deleted/);
			await client.delete(Pod, { name: 'again', namespace: 'default' }, { gracePeriodSeconds: 0 });
			await pod('again');
		},
	});
	t.is(code, 0);
	t.is((await client.get(Pod, { name: 'again', namespace: 'default' })).metadata.deletionTimestamp, undefined);
});

test('--wait=false does not wait', async (t) => {
	await pod('patient');
	t.is(await run.ok('delete', 'pod', 'patient', '--wait=false'), 'pod "patient" deleted\n');
	t.is((await client.get(Pod, { name: 'patient', namespace: 'default' })).metadata.deletionGracePeriodSeconds, 30);
});

test('--timeout ends the wait with what still holds the object', async (t) => {
	await map('held', { finalizers: ['example.com/hold'] });
	const { code, stderr } = await run('delete', 'cm', 'held', '--timeout=1s');
	t.is(code, 1);
	t.is(stderr, 'error: configmap/held is not gone in time: it waits for the finalizers example.com/hold\n');
});

test('--grace-period, --now and --force say how long pods have to end', async (t) => {
	const grace = async (name: string) =>
		(await client.get(Pod, { name, namespace: 'default' })).metadata.deletionGracePeriodSeconds;
	await pod('seven');
	await run.ok('delete', 'pod', 'seven', '--grace-period=7', '--wait=false');
	t.is(await grace('seven'), 7);
	await pod('now');
	await run.ok('delete', 'pod', 'now', '--now', '--wait=false');
	t.is(await grace('now'), 1);
	await pod('forced');
	const { code, stdout, stderr } = await run('delete', 'pod', 'forced', '--force');
	t.deepEqual([code, stdout], [0, 'pod "forced" force deleted\n']);
	t.regex(stderr, /^warning: nobody waits for forced pods/);
	await t.throwsAsync(grace('forced'), { message: /not found/ });
});

test('--cascade says what becomes of dependents', async (t) => {
	await map('owner');
	await run.ok('delete', 'cm', 'owner', '--cascade=foreground', '--wait=false');
	t.deepEqual((await client.get(ConfigMap, { name: 'owner', namespace: 'default' })).metadata.finalizers, [
		'foregroundDeletion',
	]);
	await map('orphaned');
	await run.ok('delete', 'cm', 'orphaned', '--cascade=orphan', '--wait=false');
	t.deepEqual((await client.get(ConfigMap, { name: 'orphaned', namespace: 'default' })).metadata.finalizers, [
		'orphan',
	]);
});

test('a dry run deletes nothing', async (t) => {
	await map('kept');
	t.is(await run.ok('delete', 'cm', 'kept', '--dry-run'), 'configmap "kept" deleted (server dry run)\n');
	t.true((await mapNames()).includes('kept'));
});

test('options that contradict each other delete nothing', async (t) => {
	await map('safe', { labels: { safe: 'yes' } });
	for (const [args, message] of [
		[['delete'], /name a type/],
		[['delete', 'cm'], /which configmaps\? Give names, -l SELECTOR, or --all/],
		[['delete', 'cm', 'safe', '--all'], /--all and names exclude each other/],
		[['delete', 'cm', 'safe', '-l', 'safe=yes'], /names and selectors exclude each other/],
		[['delete', 'cm', 'safe', '--grace-period=0'], /say so with --force/],
		[['delete', 'cm', 'safe', '--now', '--grace-period=5'], /leave out --grace-period/],
		[['delete', 'cm', 'safe', '-f', 'x.yaml'], /either files or objects/],
	] as const) {
		const { code, stderr } = await run(...args);
		t.is(code, 2, args.join(' '));
		t.regex(stderr, message);
	}
	t.deepEqual(await mapNames('safe=yes'), ['safe']);
});
