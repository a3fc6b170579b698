/** Which devices a container gets, what comes with them, and what a plugin may not say: as tables. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { resolveCdi } from '../../src/agents/devices/cdi.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/agents/devices/checkpoint.ts';
import { beginChoice, completeChoice, wishesOf } from '../../src/agents/devices/choose.ts';
import { MAX_GRANT_BYTES, NOTHING, readAnswer, together } from '../../src/agents/devices/grant.ts';
import { createLedger } from '../../src/agents/devices/ledger.ts';
import { listGpus } from '../../src/agents/devices/nvidia.ts';
import { MAX_DEVICE_ID_BYTES, MAX_DEVICES, readList } from '../../src/agents/devices/plugin.ts';
import { advertised, changing, published } from '../../src/agents/node/extended.ts';
import { examplePod } from './node.ts';

const RESOURCE = 'example.com/gpu';
const wish = (count: number) => ({ container: 'main', resource: RESOURCE, count, lends: false });

const choices: readonly [
	what: string,
	count: number,
	stock: { healthy: string[]; taken?: string[]; reusable?: string[] },
	preferred: string[],
	chosen: string[] | string,
][] = [
	['the first of those that nobody has', 2, { healthy: ['a', 'b', 'c'], taken: ['a'] }, [], ['b', 'c']],
	['what the plugin prefers', 2, { healthy: ['a', 'b', 'c', 'd'] }, ['d', 'b'], ['d', 'b']],
	['no more than is asked of what it prefers', 1, { healthy: ['a', 'b', 'c'] }, ['c', 'b'], ['c']],
	['the first where it prefers too few', 2, { healthy: ['a', 'b', 'c'] }, ['c'], ['c', 'a']],
	['nothing that is not to be had though it prefers it', 1, { healthy: ['a', 'b'], taken: ['b'] }, ['b', 'x'], ['a']],
	['what the pod has had before', 1, { healthy: ['a', 'b'], taken: ['b'], reusable: ['b'] }, ['a'], ['b']],
	['that and more', 2, { healthy: ['a', 'b', 'c'], taken: ['b'], reusable: ['b'] }, ['c'], ['b', 'c']],
	['nothing twice', 3, { healthy: ['a', 'b', 'c'] }, ['b', 'b', 'a'], ['b', 'a', 'c']],
	[
		'nothing where there are too few',
		2,
		{ healthy: ['a', 'b'], taken: ['a'] },
		[],
		'requested number of devices unavailable for example.com/gpu. Requested: 2, Available: 1',
	],
	[
		'nothing where there are too few beside what the pod has had',
		3,
		{ healthy: ['a', 'b'], taken: ['a'], reusable: ['a'] },
		[],
		'requested number of devices unavailable for example.com/gpu. Requested: 2, Available: 1',
	],
	[
		'nothing where none is well',
		1,
		{ healthy: [] },
		[],
		'no healthy devices present; cannot allocate unhealthy devices example.com/gpu',
	],
];
for (const [what, count, { healthy, taken = [], reusable = [] }, preferred, chosen] of choices)
	test(`a container gets ${what}`, (t) => {
		const stock = { healthy, taken: new Set(taken), reusable: new Set(reusable) };
		const choose = () => completeChoice(beginChoice(wish(count), stock), preferred);
		if (typeof chosen === 'string') t.is(t.throws(choose)?.message, chosen);
		else t.deepEqual(choose(), chosen);
	});

test('containers ask in the order in which they start, and init containers lend what they have', (t) => {
	const asks = (limits: Record<string, string>) => ({ resources: { limits } });
	const pod = examplePod('p', {
		initContainers: [
			{ name: 'first', ...asks({ [RESOURCE]: '2', cpu: '1' }) },
			{ name: 'beside', restartPolicy: 'Always', ...asks({ [RESOURCE]: '1' }) },
		],
		containers: [{ name: 'main', ...asks({ [RESOURCE]: '1', 'example.com/other': '0', 'hugepages-2Mi': '4Mi' }) }],
	});
	t.deepEqual(wishesOf(pod), [
		{ container: 'first', resource: RESOURCE, count: 2, lends: true },
		{ container: 'beside', resource: RESOURCE, count: 1, lends: false },
		{ container: 'main', resource: RESOURCE, count: 1, lends: false },
	]);
});

test('a device is taken until the last container that has it is gone', (t) => {
	const ledger = createLedger();
	const has = (uid: string, container: string, ids: string[]) =>
		ledger.put({ uid, container, resource: RESOURCE, ids });
	has('1', 'init', ['a', 'b']);
	has('1', 'main', ['a']);
	has('2', 'main', ['c']);
	{
		using _reserved = ledger.reserve(RESOURCE, ['d']);
		t.deepEqual([...ledger.taken(RESOURCE)].sort(), ['a', 'b', 'c', 'd']);
	}
	t.deepEqual([...ledger.taken(RESOURCE)].sort(), ['a', 'b', 'c']);
	has('1', 'init', ['b']);
	t.deepEqual([...ledger.taken(RESOURCE)].sort(), ['a', 'b', 'c']);
	t.true(ledger.drop('1'));
	t.false(ledger.drop('1'));
	t.deepEqual([...ledger.taken(RESOURCE)], ['c']);
});

const device = (containerPath: string, hostPath = '/dev/null', permissions = 'rw') => ({
	devices: [{ containerPath, hostPath, permissions }],
});
const nonsense: readonly [what: string, response: object, message: RegExp][] = [
	['nothing', { containerResponses: [] }, /^no containers return in allocation response$/],
	['a relative path', { containerResponses: [device('dev/null')] }, /a path that is not absolute: "dev\/null"/],
	['a relative path of the machine', { containerResponses: [device('/dev/x', '../x')] }, /not absolute: "\.\.\/x"/],
	[
		'other permissions',
		{ containerResponses: [device('/dev/x', '/dev/x', 'all')] },
		/permissions other than r, w and m: "all"/,
	],
	['a variable without a name', { containerResponses: [{ envs: { '': 'x' } }] }, /names a variable ""/],
	['a variable with a sign in its name', { containerResponses: [{ envs: { 'a=b': 'x' } }] }, /names a variable "a=b"/],
	['more than is kept', { containerResponses: [{ envs: { A: 'x'.repeat(MAX_GRANT_BYTES) } }] }, /more than 262144$/],
];
for (const [what, response, message] of nonsense)
	test(`an answer with ${what} is refused`, (t) => {
		t.throws(() => readAnswer(response), { name: 'DeviceError', message });
	});

test('what comes with the devices of several plugins is there once, the first as it was', (t) => {
	const one = readAnswer({
		containerResponses: [
			{
				envs: { A: '1', B: '1' },
				mounts: [{ containerPath: '/lib', hostPath: '/one', readOnly: true }],
				devices: [{ containerPath: '/dev/a', hostPath: '/dev/null', permissions: 'r' }],
				annotations: { 'cdi.k8s.io/one': 'example.com/a=1,example.com/a=2' },
				cdiDevices: [{ name: 'example.com/a=1' }],
			},
		],
	});
	const other = readAnswer({
		containerResponses: [
			{
				envs: { B: '2', C: '2' },
				mounts: [{ containerPath: '/lib', hostPath: '/two', readOnly: false }],
				devices: [{ containerPath: '/dev/b', hostPath: '/dev/zero', permissions: 'rwm' }],
			},
		],
	});
	t.deepEqual(together([one, other]), {
		env: { A: '1', B: '1', C: '2' },
		mounts: [{ source: '/one', target: '/lib', readOnly: true, propagation: 'rprivate' }],
		devices: [
			{ source: '/dev/null', target: '/dev/a', permissions: 'r' },
			{ source: '/dev/zero', target: '/dev/b', permissions: 'rwm' },
		],
		annotations: { 'cdi.k8s.io/one': 'example.com/a=1,example.com/a=2' },
		cdi: ['example.com/a=1', 'example.com/a=2'],
		gpus: [],
	});
	t.deepEqual(together([]), NOTHING);
});

test('a list of too many devices, or of ids that are none, is refused', (t) => {
	const many = Array.from({ length: MAX_DEVICES + 1 }, (_, at) => ({ ID: String(at), health: 'Healthy' }));
	t.throws(() => readList(many), { message: 'the plugin lists 100001 devices, more than 100000' });
	t.is(readList(many.slice(1)).healthy.length, MAX_DEVICES);
	t.throws(() => readList([{ ID: '', health: 'Healthy' }]), { message: /ID has 0 bytes/ });
	t.throws(() => readList([{ ID: 'é'.repeat(MAX_DEVICE_ID_BYTES / 2 + 1), health: '' }]), {
		message: /ID has 1026 bytes/,
	});
	t.deepEqual(
		readList([
			{ ID: 'a', health: 'Healthy' },
			{ ID: 'b', health: 'Unhealthy' },
			{ ID: 'a', health: 'gone' },
		]),
		{ healthy: [], unhealthy: ['a', 'b'] },
	);
});

const own = { capacity: { cpu: '2', [RESOURCE]: '3' }, allocatable: { cpu: '1', [RESOURCE]: '2' } };
test('a node publishes its own, and what an administrator has added to its capacity', (t) => {
	const before = { capacity: { cpu: '9', 'example.com/dongle': '4' }, allocatable: { 'example.com/gone': '1' } };
	t.deepEqual(published(own, before), {
		capacity: { 'example.com/dongle': '4', cpu: '2', [RESOURCE]: '3' },
		allocatable: { 'example.com/dongle': '4', cpu: '1', [RESOURCE]: '2' },
	});
	t.deepEqual(published(own, {}), own);
	const fresh = published(
		{ capacity: { cpu: '2' }, allocatable: { cpu: '1' } },
		{ capacity: { [RESOURCE]: '3', 'hugepages-2Mi': '4Mi' } },
		true,
	);
	t.deepEqual(fresh.allocatable, { [RESOURCE]: '0', 'hugepages-2Mi': '4Mi', cpu: '1' });
	t.deepEqual(changing({ cpu: '1' }, { cpu: '2', 'example.com/gone': '1' }), { 'example.com/gone': null, cpu: '1' });
	// An administrator may take it back between the look and the write.
	const same = { memory: '1Gi', 'example.com/dongle': '1' };
	t.deepEqual(changing({ ...same, cpu: '2' }, { ...same, cpu: '1' }), { cpu: '2' });
	const status = { allocatable: { cpu: '2', [RESOURCE]: '2', 'example.com/dongle': '4' } };
	t.deepEqual(advertised(status, own), { 'example.com/dongle': '4' });
	t.deepEqual(advertised(undefined, own), {});
});

async function folder(
	files: Readonly<Record<string, string>> = {},
): Promise<AsyncDisposable & { readonly path: string }> {
	const path = await mkdtemp(join(tmpdir(), 'driftless-devices-'));
	for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
	return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test('a checkpoint is read as it was written, and one that is none is told apart', async (t) => {
	await using files = await folder();
	const file = join(files.path, 'checkpoint.json');
	t.is(await readCheckpoint(file), undefined);
	const allocation = {
		uid: '1',
		container: 'main',
		resource: RESOURCE,
		ids: ['a'],
		grant: { ...NOTHING, env: { A: 'x' } },
	};
	const checkpoint = { resources: [RESOURCE], allocations: [allocation] };
	await writeCheckpoint(file, checkpoint);
	t.deepEqual(await readCheckpoint(file), checkpoint);
	for (const text of [
		'',
		'{"version":1',
		'null',
		'[]',
		'{"version":2}',
		'{"version":1,"resources":[1],"allocations":[]}',
	]) {
		await writeFile(file, text);
		await t.throwsAsync(readCheckpoint(file), undefined, text);
	}
	for (const grant of [{}, null, { ...NOTHING, env: { A: 1 } }, { ...NOTHING, mounts: 1 }]) {
		await writeFile(file, JSON.stringify({ version: 1, ...checkpoint, allocations: [{ ...allocation, grant }] }));
		await t.throwsAsync(readCheckpoint(file), { message: 'it has not the form of a checkpoint' });
	}
});

const spec = (device: object, more: object = {}) =>
	JSON.stringify({ cdiVersion: '0.6.0', kind: 'example.com/net', devices: [device], ...more });

test('a CDI device adds what its specification says, and what all of its kind add', async (t) => {
	await using old = await folder({
		'a.json': spec({ name: 'one', containerEdits: { env: ['WHO=old'] } }),
		'broken.yaml': '{',
	});
	await using newer = await folder({
		'a.yaml': `
cdiVersion: "0.6.0"
kind: example.com/net
devices:
  - name: one
    containerEdits:
      env: ["WHO=one=1"]
      deviceNodes: [{ path: /dev/one, hostPath: /dev/null, permissions: rwm }, { path: /dev/zero }]
containerEdits:
  mounts: [{ hostPath: /usr/lib/net, containerPath: /lib/net, options: [ro, nosuid, bind] }]
`,
	});
	t.deepEqual(await resolveCdi(['example.com/net=one'], [old.path, newer.path]), {
		...NOTHING,
		env: { WHO: 'one=1' },
		devices: [
			{ source: '/dev/null', target: '/dev/one', permissions: 'rwm' },
			{ source: '/dev/zero', target: '/dev/zero', permissions: 'rw' },
		],
		mounts: [{ source: '/usr/lib/net', target: '/lib/net', readOnly: true, propagation: 'rprivate' }],
	});
	t.deepEqual((await resolveCdi(['example.com/net=one'], [newer.path, old.path])).env, { WHO: 'old' });
});

const beyond: readonly [what: string, files: Record<string, string>, message: string][] = [
	['that nobody describes', {}, 'unresolvable CDI devices example.com/net=one'],
	[
		'that two describe',
		{ 'a.json': spec({ name: 'one' }), 'b.json': spec({ name: 'one' }) },
		'conflicting device example.com/net=one: two specifications describe it',
	],
	[
		'with hooks',
		{ 'a.json': spec({ name: 'one', containerEdits: { hooks: [{ hookName: 'prestart', path: '/x' }] } }) },
		'the CDI device example.com/net=one asks for hooks, which only an engine that knows CDI itself can give (Docker 25 or newer)',
	],
	[
		'with hooks for all of its kind',
		{ 'a.json': spec({ name: 'one' }, { containerEdits: { hooks: [] } }) },
		'the CDI device example.com/net=one asks for hooks, which only an engine that knows CDI itself can give (Docker 25 or newer)',
	],
	[
		'without a path',
		{ 'a.json': spec({ name: 'one', containerEdits: { deviceNodes: [{}] } }) },
		'the specification of the CDI device example.com/net=one has no absolute path where it needs one',
	],
];
for (const [what, files, message] of beyond)
	test(`a CDI device ${what} is not to be had`, async (t) => {
		await using specs = await folder(files);
		await t.throwsAsync(resolveCdi(['example.com/net=one'], [specs.path]), { name: 'DeviceError', message });
	});

test('the GPUs of the machine are those that its driver lists', async (t) => {
	t.deepEqual(await listGpus('/no/such/folder'), []);
	await using driver = await folder();
	for (const [bus, text] of [
		['0000:0b:00.0', 'Model: \t\t Tesla T4\nGPU UUID: \t GPU-b\n'],
		['0000:0a:00.0', 'GPU UUID: \t GPU-0a-1\nBus Type: \t PCIe\n'],
		['0000:0c:00.0', 'GPU UUID: \t GPU-????????-????\n'],
	] as const) {
		await mkdir(join(driver.path, bus));
		await writeFile(join(driver.path, bus, 'information'), text);
	}
	t.deepEqual(await listGpus(driver.path), ['GPU-0a-1', 'GPU-b']);
});
