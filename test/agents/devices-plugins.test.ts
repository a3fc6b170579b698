/** What plugins may do to a node: real processes that register, hang, lie, flood and vanish, and what is made of it. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import test from 'ava';
import { createDevices, type Devices, type DevicesOptions } from '../../src/agents/devices/devices.ts';
import { takeFolder } from '../../src/agents/devices/folder.ts';
import { PLUGIN_DEADLINES } from '../../src/agents/devices/plugin.ts';
import { GRACE_MS } from '../../src/agents/devices/stocks.ts';
import { serviceNamed } from '../../src/agents/plugins/protocol.ts';
import type { Wheel } from '../../src/agents/wheel.ts';
import type { Pod } from '../../src/kinds/index.ts';
import type { Log } from '../../src/log.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { startPlugin } from './device-plugin.ts';
import { eventually, examplePod } from './node.ts';

const RESOURCE = 'example.com/thing';

interface World extends AsyncDisposable {
	readonly devices: Devices;
	readonly folder: string;
	readonly file: string;
	/** Pods that may use what they have. */
	readonly active: Set<string>;
	readonly warnings: string[];
	/** Lets so many milliseconds pass for what waits. */
	pass(ms: number): void;
	/** Until the node offers so many of the resource, of so many that there are. */
	offers(allocatable: string | undefined, capacity?: string, resource?: string): Promise<void>;
	/** Gives the pod its devices. */
	admit(pod: Pod): Promise<string | undefined>;
	/** Ends it, and begins anew on the same folder. */
	again(): Promise<World>;
}

async function world(options: Partial<DevicesOptions> = {}, root?: string): Promise<World> {
	const path = root ?? (await mkdtemp(join(tmpdir(), 'dl-dev-')));
	const folder = join(path, 'plugins');
	const file = join(path, 'allocations.json');
	const stop = new AbortController();
	const warnings: string[] = [];
	const log: Log = {
		...silentLog,
		warn: (fields, message) => void warnings.push(`${message} ${JSON.stringify(fields)}`),
	};
	const waiting = new Set<{ at: number; run: () => void }>();
	let time = 0;
	const wheel: Wheel = {
		now: () => time,
		after(ms, run) {
			const entry = { at: time + ms, run };
			waiting.add(entry);
			return { [Symbol.dispose]: () => void waiting.delete(entry) };
		},
		[Symbol.dispose]: () => waiting.clear(),
	};
	const active = new Set<string>();
	const holds = (uid: string) => active.has(uid);
	const rest = { wheel, log, signal: stop.signal, changed: () => {}, engine: {} };
	const devices = await createDevices({ folder, file, holds, ...rest, ...options });
	const end = async () => {
		stop.abort();
		await devices.idle();
	};
	await eventually('plugins can register', async () => existsSync(join(folder, 'kubelet.sock')) || warnings.length > 0);
	return {
		devices,
		folder,
		file,
		active,
		warnings,
		pass(ms) {
			time += ms;
			for (const entry of [...waiting]) if (entry.at <= time && waiting.delete(entry)) entry.run();
		},
		async offers(allocatable, capacity = allocatable, resource = RESOURCE) {
			let last: unknown;
			await eventually(`${allocatable} of ${capacity} ${resource}`, async () => {
				const amounts = devices.amounts();
				last = amounts;
				return amounts.allocatable[resource] === allocatable && amounts.capacity[resource] === capacity;
			}).catch((error: Error) => {
				throw new Error(`${error.message}: ${JSON.stringify(last)} ${warnings.join('; ')}`);
			});
		},
		admit: (pod) => devices.admit(pod, stop.signal),
		async again() {
			await end();
			return world(options, path);
		},
		async [Symbol.asyncDispose]() {
			await end();
			await rm(path, { recursive: true, force: true });
		},
	};
}

const pod = (count: number, resource = RESOURCE): Pod =>
	examplePod(
		'p',
		{ containers: [{ name: 'main', resources: { limits: { [resource]: String(count) } } }] },
		{ uid: randomUUID() },
	);
const two = { devices: { a: 'Healthy', b: 'Healthy' } };

const refusals: readonly [what: string, resource: string, more: object, why: RegExp][] = [
	['cpu', 'cpu', {}, /^the ResourceName "cpu" is invalid$/],
	['a name of Kubernetes itself', 'kubernetes.io/gpu', {}, /^the ResourceName "kubernetes.io\/gpu" is invalid$/],
	['a name that is none', 'example.com/no name', {}, /^the ResourceName "example.com\/no name" is invalid$/],
	[
		'a name of a page',
		`example.com/${'x'.repeat(2_000)}`,
		{ endpoint: 'x.sock' },
		/^the ResourceName "example.com\/x+ is invalid$|is invalid$/,
	],
	[
		'another version',
		RESOURCE,
		{ version: 'v1alpha' },
		/^requested API version "v1alpha" is not supported by kubelet. Supported version is \["v1beta1"\]$/,
	],
	[
		'a silent plugin',
		RESOURCE,
		{ hang: ['GetDevicePluginOptions'] },
		/^failed to get device plugin options: rpc error: code = DeadlineExceeded desc = the device plugin of example.com\/thing has not answered GetDevicePluginOptions within 2 s$/,
	],
];
for (const [what, resource, more, why] of refusals)
	test(`a plugin is refused: ${what}`, async (t) => {
		await using here = await world({ deadlines: { ...PLUGIN_DEADLINES, answerMs: 2_000 } });
		await using plugin = startPlugin(here.folder, resource, { ...two, ...more });
		t.regex((await plugin.outcome()) ?? '', why);
		t.deepEqual(here.devices.amounts().capacity, {});
		t.regex(here.warnings.join(), /a device plugin was refused/);
	});

test('an endpoint that is no socket of the folder, or a message of megabytes, is refused', async (t) => {
	await using here = await world();
	const register = (request: object) =>
		new Promise<string | undefined>((resolve) => {
			const client = new Client(`unix://${join(here.folder, 'kubelet.sock')}`, credentials.createInsecure());
			const method = serviceNamed('v1beta1.Registration').Register;
			if (!method) throw new Error('no Register');
			client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, (error) => {
				client.close();
				resolve(error?.details);
			});
		});
	const asked = { version: 'v1beta1', resourceName: RESOURCE };
	for (const endpoint of ['', '.', '..', '../x.sock', '/tmp/x.sock', 'kubelet.sock', 'a\0b'])
		t.regex(
			(await register({ ...asked, endpoint })) ?? '',
			/^the endpoint .* is not the name of a socket in /,
			endpoint,
		);
	t.regex((await register({ ...asked, endpoint: 'x'.repeat(200) })) ?? '', /^the path of the endpoint has \d+ bytes/);
	t.regex(
		(await register({ ...asked, endpoint: 'gone.sock' })) ?? '',
		/^failed to get device plugin options: rpc error: code = Unavailable/,
	);
	t.regex((await register({ ...asked, endpoint: 'x'.repeat(3_000_000) })) ?? '', /larger than max/);
	t.deepEqual(here.devices.amounts().capacity, {});
});

test('a plugin that hangs in Allocate is given up, the pod is told, and what it would have got is free', async (t) => {
	await using here = await world({ deadlines: { ...PLUGIN_DEADLINES, allocateMs: 1_000 } });
	await using plugin = startPlugin(here.folder, RESOURCE, { devices: { a: 'Healthy' }, hang: ['Allocate'] });
	await here.offers('1');
	const hung = here.admit(pod(1));
	await eventually('it is asked', async () => plugin.asked('Allocate').length > 0);
	const late = `rpc error: code = DeadlineExceeded desc = the device plugin of ${RESOURCE} has not answered Allocate within 1 s`;
	t.is(await hung, `Allocate failed due to ${late}, which is unexpected`);
	plugin.tell({ hang: [], fail: { Allocate: 'no more of these' } });
	const failed = 'Allocate failed due to rpc error: code = Unknown desc = no more of these, which is unexpected';
	await eventually('it fails in its own words', async () => (await here.admit(pod(1))) === failed);
	plugin.tell({ fail: {}, answer: { devices: [{ container_path: 'x', host_path: '/x', permissions: 'rw' }] } });
	const nonsense =
		'Allocate failed due to the allocation response has a path that is not absolute: "x", which is unexpected';
	await eventually('its nonsense is refused', async () => (await here.admit(pod(1))) === nonsense);
	plugin.tell({ answer: {} });
	await eventually('it is well again', async () => (await here.admit(pod(1))) === undefined);
});

test('nobody waits for a pod that is to end while its plugin hangs', async (t) => {
	await using here = await world();
	await using plugin = startPlugin(here.folder, RESOURCE, { ...two, hang: ['Allocate'] });
	await here.offers('2');
	const leaving = new AbortController();
	const hung = here.devices.admit(pod(2), leaving.signal);
	await eventually('it is asked', async () => plugin.asked('Allocate').length > 0);
	t.regex((await here.admit(pod(1))) ?? '', /Requested: 1, Available: 0/, 'what may become the pod’s is nobody else’s');
	leaving.abort();
	await t.throwsAsync(hung, { name: 'AbortError' });
	plugin.tell({ hang: [] });
	await eventually('its devices are free', async () => (await here.admit(pod(2))) === undefined);
});

test('of two pods that want the last device one gets it', async (t) => {
	await using here = await world();
	await using _plugin = startPlugin(here.folder, RESOURCE, { ...two, preferred: ['b'] });
	await here.offers('2');
	const pods = Array.from({ length: 8 }, () => pod(1));
	for (const { metadata } of pods) here.active.add(metadata.uid ?? '');
	const outcomes = await Promise.all(pods.map(here.admit));
	t.is(outcomes.filter((outcome) => outcome === undefined).length, 2);
	const { allocations } = JSON.parse(await readFile(here.file, 'utf8')) as {
		allocations: { uid: string; ids: string[] }[];
	};
	t.deepEqual(allocations.flatMap(({ ids }) => ids).sort(), ['a', 'b']);
	// Who is over has given its devices back.
	here.active.delete(allocations[0]?.uid ?? '');
	t.is(await here.admit(pod(1)), undefined);
});

test('what was given is known after a restart, and a plugin that does not come back within five minutes has none', async (t) => {
	await using first = await world();
	await using plugin = startPlugin(first.folder, RESOURCE, two);
	await first.offers('2');
	const mine = pod(2);
	first.active.add(mine.metadata.uid ?? '');
	t.is(await first.admit(mine), undefined);
	t.true(first.devices.fresh);
	await plugin.kill();
	await first.offers('0', '2');

	await using here = await first.again();
	here.active.add(mine.metadata.uid ?? '');
	t.false(here.devices.fresh);
	await here.offers('0');
	t.is(await here.admit(mine), undefined, 'it was given before');
	t.is(
		await here.admit(pod(1)),
		`Allocate failed due to no healthy devices present; cannot allocate unhealthy devices ${RESOURCE}, which is unexpected`,
	);
	here.pass(GRACE_MS);
	t.is(
		await here.admit(pod(1)),
		`Allocate failed due to cannot allocate unregistered device ${RESOURCE}, which is unexpected`,
	);
	t.deepEqual(here.devices.amounts(), { capacity: { [RESOURCE]: '0' }, allocatable: { [RESOURCE]: '0' } });
	await eventually('its record says so', async () => !(await readFile(here.file, 'utf8')).includes(`"resources":["`));

	await using _back = startPlugin(here.folder, RESOURCE, two);
	await here.offers('2');
	t.regex((await here.admit(pod(1))) ?? '', /Requested: 1, Available: 0/);
	here.pass(GRACE_MS);
	t.is(here.devices.amounts().capacity[RESOURCE], '2', 'a plugin that is back is not taken for one that is gone');
});

test('the newest plugin of a resource has it, and what the one before says counts no more', async (t) => {
	await using here = await world();
	await using old = startPlugin(here.folder, RESOURCE, two);
	await here.offers('2');
	await using newer = startPlugin(here.folder, RESOURCE, { devices: { a: 'Healthy', b: 'Healthy', c: 'Healthy' } });
	await here.offers('3');
	await old.kill();
	t.is(await here.admit(pod(3)), undefined);
	t.is(newer.asked('Allocate').length, 1);
	t.is(old.asked('Allocate').length, 0);
});

test('a plugin that lists without an end, or more than can be, holds nobody up', async (t) => {
	await using here = await world();
	const many = (count: number) =>
		Object.fromEntries(Array.from({ length: count }, (_, at) => [`device-${at}`, 'Healthy']));
	await using flood = startPlugin(here.folder, 'example.com/flood', { devices: many(2_000), flood: true });
	await here.offers('2000', '2000', 'example.com/flood');
	await using plugin = startPlugin(here.folder, RESOURCE, two);
	await here.offers('2');
	flood.tell({ devices: many(20_000) });
	await here.offers('20000', '20000', 'example.com/flood');
	t.is(await here.admit(pod(2)), undefined);
	t.is(await here.admit(pod(20_000, 'example.com/flood')), undefined);

	// More than a message may have.
	flood.tell({ devices: many(250_000) });
	await here.offers('0', '20000', 'example.com/flood');
	plugin.tell({ devices: { ['x'.repeat(2_000)]: 'Healthy' } });
	await here.offers('0', '2');
	t.regex(here.warnings.join(), /the plugin lists a device whose ID has 2000 bytes, not 1 to 1024/);
	t.regex(here.warnings.join(), /larger than max/);
});

test('a folder has one agent, which leaves what is no socket, and takes over that of one that has died', async (t) => {
	await using here = await world();
	await t.throwsAsync(takeFolder(here.folder), { message: 'another agent serves it' });
	const foreign = await mkdtemp(join(tmpdir(), 'dl-dev-'));
	t.teardown(() => rm(foreign, { recursive: true, force: true }));
	const kubelet = createServer().listen(join(foreign, 'kubelet.sock'));
	t.teardown(() => kubelet.close());
	await eventually('it listens', async () => kubelet.listening);
	await t.throwsAsync(takeFolder(foreign), { message: 'a kubelet serves it' });
	const long = join(foreign, 'x'.repeat(100));
	await t.throwsAsync(takeFolder(long), {
		message: /^the path of its socket has \d+ bytes, and the system takes 107$/,
	});
	t.false(existsSync(long));

	const dead = join(foreign, 'dead');
	await mkdir(dead);
	await writeFile(join(dead, 'notes'), '');
	const plugin = createServer().listen(join(dead, 'plugin.sock'));
	t.teardown(() => plugin.close());
	await eventually('it listens', async () => plugin.listening);
	using taken = await takeFolder(dead);
	t.is(taken.socket, join(dead, 'kubelet.sock'));
	t.false(existsSync(join(dead, 'plugin.sock')));
	t.true(existsSync(join(dead, 'notes')));
});

test('figures tell of registrations and allocations', async (t) => {
	await using here = await world();
	await using plugin = startPlugin(here.folder, RESOURCE, two);
	await plugin.outcome();
	await here.offers('2');
	await here.admit(pod(1));
	const found = here.devices.families().map(({ name, samples }) => [name, [...samples].map(([labels]) => labels)]);
	t.deepEqual(found, [
		['kubelet_device_plugin_registration_total', [`resource_name="${RESOURCE}"`]],
		['kubelet_device_plugin_alloc_duration_seconds', [`resource_name="${RESOURCE}"`]],
	]);
});
