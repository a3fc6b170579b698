/** Devices of plugins on a real engine: a plugin is a process of its own, and so is the agent where it is killed. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { Node, Pod } from '../../src/kinds/index.ts';
import { startPlugin } from './device-plugin.ts';
import type { PluginState } from './device-plugin-process.ts';
import { eventually, giveRange, NODE, restarts, running, startNode, type TestNode, WAIT } from './node.ts';

const RESOURCE = 'example.com/null';
const program = fileURLToPath(new URL('agent-process.ts', import.meta.url));
const folderOf = (node: TestNode) => join(node.engine.dataDir, 'kubelet/device-plugins');
const checkpointOf = (node: TestNode) => join(node.engine.dataDir, 'device-allocations.json');

/** Two devices; a container with one finds it at /dev/mine and knows which it is. */
const state = (node: TestNode): PluginState => ({
	devices: { d0: 'Healthy', d1: 'Healthy' },
	answer: {
		envs: { DEVICE: '$ID', OVERRIDDEN: 'plugin' },
		devices: [{ container_path: '/dev/mine', host_path: '/dev/null', permissions: 'rw' }],
		mounts: [{ container_path: '/given', host_path: join(node.engine.dataDir, 'given'), read_only: true }],
		annotations: { 'example.com/device': '$ID' },
	},
});
const given = async (node: TestNode) => {
	await mkdir(join(node.engine.dataDir, 'given'), { recursive: true });
	await writeFile(join(node.engine.dataDir, 'given/file'), 'from the plugin\n');
};
const SHOW = 'test -c /dev/mine && echo "device=$DEVICE own=$OVERRIDDEN $(cat /given/file)"';
const container = (name: string, count: number, more: object = {}) => ({
	name,
	command: ['sh', '-c', `${SHOW}; trap "exit 0" TERM; sleep 3600 & wait`],
	env: [{ name: 'OVERRIDDEN', value: 'pod' }],
	resources: { limits: { [RESOURCE]: String(count) } },
	...more,
});
const wanting = (node: TestNode, name: string, count = 1, spec: Partial<Pod['spec']> = {}) =>
	node.pod(name, { containers: [container('main', count)], ...spec });

async function untilNode(node: TestNode, what: string, wanted: (node: Node) => boolean): Promise<Node> {
	let last: Node | undefined;
	try {
		return await eventually(`the node ${what}`, async () => {
			last = await node.client.get(Node, { name: NODE });
			return wanted(last) && last;
		});
	} catch (error) {
		throw new Error(
			`${(error as Error).message}: ${JSON.stringify(last?.status?.capacity)} ${JSON.stringify(last?.status?.allocatable)}`,
		);
	}
}
const offers = (node: TestNode, allocatable: string, capacity = allocatable) =>
	untilNode(
		node,
		`has ${allocatable} of ${capacity}`,
		({ status }) => status?.allocatable?.[RESOURCE] === allocatable && status.capacity?.[RESOURCE] === capacity,
	);
const failed = (pod: Pod) => pod.status?.phase === 'Failed';

/** What the container says of its device, once it does. */
async function logOf(node: TestNode, pod: string, container = 'main'): Promise<string> {
	return eventually(`${pod}/${container} tells of its device`, async () => {
		const found = (await node.containers()).find(
			({ name, state }) => name === `${pod}/${container}` && state !== 'created',
		);
		const log = await node.engine.docker.getContainer(found?.id ?? '').logs({ stdout: true, stderr: true });
		return log.toString('utf8').includes('device=') && log.toString('utf8');
	});
}
const devicesOf = (log: string) => /device=(\S*)/.exec(log)?.[1];

async function startAgent(node: TestNode) {
	const ca = join(node.server.dataDir, 'ca.pem');
	await writeFile(ca, node.server.pki.authority.cert);
	const { dockerHost, dataDir, podCidr } = node.engine;
	const child = spawn(process.execPath, [program, node.server.kubeconfig, dockerHost, dataDir, ca], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const exit = once(child, 'exit');
	let printed = '';
	for await (const text of child.stdout.setEncoding('utf8')) {
		const known = printed.includes('registered');
		printed += text;
		if (!known && printed.includes('registered')) await giveRange(node.client, podCidr);
		if (printed.includes('ready')) break;
	}
	const kill = async () => {
		child.kill('SIGKILL');
		await exit;
	};
	return { kill, [Symbol.asyncDispose]: kill };
}

test('a container has the devices, variables and mounts that the plugin gives, and nobody else has its device', async (t) => {
	await using node = await startNode();
	await given(node);
	await using _agent = await node.runAgent();
	await using plugin = startPlugin(folderOf(node), RESOURCE, state(node));
	t.is(await plugin.outcome(), undefined);
	await offers(node, '2');

	await wanting(node, 'one');
	await node.until('one', running);
	await wanting(node, 'two');
	await node.until('two', running);
	const logs = await Promise.all(['one', 'two'].map((name) => logOf(node, name)));
	t.deepEqual(logs.map(devicesOf).sort(), ['d0', 'd1']);
	for (const log of logs) t.regex(log, /own=pod from the plugin\n/);

	await wanting(node, 'three');
	const { status } = await node.until('three', failed);
	const why = `Allocate failed due to requested number of devices unavailable for ${RESOURCE}. Requested: 1, Available: 0, which is unexpected`;
	t.like(status, { reason: 'UnexpectedAdmissionError', message: `Pod was rejected: ${why}` });
	t.is(await node.untilEvent('three', /^UnexpectedAdmissionError/), `UnexpectedAdmissionError: ${why}`);

	// What one had is another's once it is over.
	await node.client.delete(Pod, { namespace: 'default', name: 'one' });
	await node.untilGone('one');
	await wanting(node, 'four');
	await node.until('four', running);
	t.is(devicesOf(await logOf(node, 'four')), devicesOf(logs[0] ?? ''));
	t.deepEqual(
		plugin.asked('Allocate').map((request) => (request as { container_requests: object[] }).container_requests),
		['d0', 'd1', 'd0'].map((id) => [{ devices_ids: [id] }]),
	);
	const labels = (await node.containers()).find(({ name }) => name === 'four/main')?.labels;
	t.is(labels?.['driftless.io/devices'], `{"${RESOURCE}":["d0"]}`);
});

test('init containers lend their devices to those after them, and sidecars keep theirs', async (t) => {
	await using node = await startNode();
	await given(node);
	await using _agent = await node.runAgent();
	await using plugin = startPlugin(folderOf(node), RESOURCE, { ...state(node), preferred: ['d1'], preStart: true });
	await plugin.outcome();
	await offers(node, '2');
	await node.pod('p', {
		initContainers: [
			container('first', 1, { command: ['sh', '-c', SHOW] }),
			container('beside', 1, { restartPolicy: 'Always' }),
		],
		containers: [container('main', 1)],
	});
	const { status } = await node.until('p', (pod) => failed(pod) || running(pod));
	// The sidecar has taken what the first has lent, and keeps it: the other one is the last container's.
	t.is(status?.phase, 'Running');
	t.is(devicesOf(await logOf(node, 'p', 'first')), 'd1');
	t.is(devicesOf(await logOf(node, 'p', 'beside')), 'd1');
	t.is(devicesOf(await logOf(node, 'p', 'main')), 'd0');
	t.deepEqual(plugin.asked('PreStartContainer'), [
		{ devices_ids: ['d1'] },
		{ devices_ids: ['d1'] },
		{ devices_ids: ['d0'] },
	]);
	t.deepEqual(plugin.asked('GetPreferredAllocation')[0], {
		container_requests: [{ available_deviceIDs: ['d0', 'd1'], must_include_deviceIDs: [], allocation_size: 1 }],
	});
});

test('a plugin that vanishes leaves its devices unhealthy: who has them runs on, and nobody gets one until it is back', async (t) => {
	await using node = await startNode();
	await given(node);
	await using _agent = await node.runAgent();
	await using plugin = startPlugin(folderOf(node), RESOURCE, state(node));
	await offers(node, '2');
	await wanting(node, 'before');
	const { metadata } = await node.until('before', running);
	plugin.tell({ devices: { d0: 'Unhealthy', d1: 'Healthy' } });
	await offers(node, '1', '2');
	await plugin.kill();
	await offers(node, '0', '2');

	await wanting(node, 'after');
	const { status } = await node.until('after', failed);
	t.is(
		status?.message,
		`Pod was rejected: Allocate failed due to no healthy devices present; cannot allocate unhealthy devices ${RESOURCE}, which is unexpected`,
	);
	// Its container starts anew with what it was given.
	const main = (await node.containers()).find(({ name }) => name === 'before/main');
	await node.engine.docker.getContainer(main?.id ?? '').kill();
	const again = await node.until('before', (pod) => running(pod) && restarts(pod) === 1);
	t.is(again.metadata.uid, metadata.uid);
	t.is(devicesOf(await logOf(node, 'before')), 'd0');

	await using _back = startPlugin(folderOf(node), RESOURCE, state(node));
	await offers(node, '2');
	await wanting(node, 'later');
	await node.until('later', running);
	t.is(devicesOf(await logOf(node, 'later')), 'd1');
});

test('a pod keeps its devices while the agent is killed and started, and plugins register with the new one', async (t) => {
	await using node = await startNode();
	await given(node);
	await using first = await startAgent(node);
	await using plugin = startPlugin(folderOf(node), RESOURCE, state(node));
	await offers(node, '2');
	await wanting(node, 'kept');
	await node.until('kept', running);
	const held = devicesOf(await logOf(node, 'kept'));
	await first.kill();

	await using second = await startAgent(node);
	t.is(await plugin.outcome(1), undefined, 'it has seen that the socket is new');
	await offers(node, '2');
	await wanting(node, 'second');
	await node.until('second', running);
	t.not(devicesOf(await logOf(node, 'second')), held);
	t.is(plugin.asked('Allocate').length, 2, 'nobody asks again for what is given');

	// Without its record the agent learns from containers what they have.
	await second.kill();
	await writeFile(checkpointOf(node), '{"version":1,"resour');
	await using _third = await startAgent(node);
	t.is(await plugin.outcome(2), undefined);
	await offers(node, '2');
	await wanting(node, 'third');
	const { status } = await node.until('third', failed);
	t.regex(status?.message ?? '', /Requested: 1, Available: 0/);
	const main = (await node.containers()).find(({ name }) => name === 'kept/main');
	await node.engine.docker.getContainer(main?.id ?? '').kill();
	await node.until('kept', (pod) => running(pod) && restarts(pod) === 1);
	t.is(devicesOf(await logOf(node, 'kept')), held);
	t.deepEqual(plugin.asked('Allocate').at(-1), { container_requests: [{ devices_ids: [held] }] });
	const checkpoint = JSON.parse(await readFile(checkpointOf(node), 'utf8')) as { allocations: { grant?: object }[] };
	t.truthy(checkpoint.allocations.find(({ grant }) => grant));
});

test('a device of the Container Device Interface is given by its name, by an engine that does not know them', async (t) => {
	await using node = await startNode();
	const name = `driftless-test-${process.pid}`;
	const file = `/var/run/cdi/${name}.json`;
	await mkdir('/var/run/cdi', { recursive: true });
	const containerEdits = { env: ['DEVICE=cdi'], deviceNodes: [{ path: '/dev/mine', hostPath: '/dev/zero' }] };
	const spec = { cdiVersion: '0.6.0', kind: `example.com/${name}`, devices: [{ name: 'one', containerEdits }] };
	await writeFile(file, JSON.stringify(spec));
	t.teardown(() => rm(file, { force: true }));
	await using _agent = await node.runAgent();
	const answer = { annotations: { 'cdi.k8s.io/one': `example.com/${name}=one` } };
	await using plugin = startPlugin(folderOf(node), RESOURCE, { devices: { a: 'Healthy' }, answer });
	await offers(node, '1');
	const command = ['sh', '-c', `test -c /dev/mine && echo "device=$DEVICE"; trap "exit 0" TERM; sleep 3600 & wait`];
	await node.pod('named', { containers: [container('main', 1, { command })] });
	await node.until('named', running);
	t.is(devicesOf(await logOf(node, 'named')), 'cdi');
	await node.client.delete(Pod, { namespace: 'default', name: 'named' });
	await node.untilGone('named');

	plugin.tell({ answer: { cdi_devices: [{ name: `example.com/${name}=two` }] } });
	await node.pod('unknown', { containers: [container('main', 1, { command: WAIT })] });
	const message = `unresolvable CDI devices example.com/${name}=two`;
	const waiting = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.waiting;
	const { status } = await node.until('unknown', (pod) => waiting(pod)?.message === message);
	t.is(status?.containerStatuses?.[0]?.state?.waiting?.reason, 'CreateContainerConfigError');
});

test('a container has the GPUs of an engine that has a runtime for them, without a plugin', async (t) => {
	const stack = new AsyncDisposableStack();
	t.teardown(() => stack.disposeAsync());
	const files = await mkdtemp(join(tmpdir(), 'driftless-gpus-'));
	stack.defer(() => rm(files, { recursive: true, force: true }));
	// What the toolkit installs: a runtime of that name, and the hook that Docker's own driver starts for a container with GPUs.
	const programs = join(files, 'bin');
	await mkdir(programs);
	await writeFile(
		join(programs, 'nvidia-container-runtime-hook'),
		`#!/bin/sh\necho "$@" >> ${files}/hook\ncat > /dev/null\n`,
		{
			mode: 0o755,
		},
	);
	const gpuFolder = join(files, 'gpus');
	for (const [bus, id] of [
		['0000:0a:00.0', 'GPU-a'],
		['0000:0b:00.0', 'GPU-b'],
	] as const) {
		await mkdir(join(gpuFolder, bus), { recursive: true });
		await writeFile(join(gpuFolder, bus, 'information'), `Model: \t Some GPU\nGPU UUID: \t ${id}\n`);
	}
	const runc = (await promisify(execFile)('sh', ['-c', 'command -v runc'])).stdout.trim();
	const node = stack.use(await startNode({ programs, args: ['--add-runtime', `nvidia=${runc}`] }));
	await node.runAgent({ gpuFolder });
	await untilNode(node, 'has two GPUs', ({ status }) => status?.allocatable?.['nvidia.com/gpu'] === '2');
	const gpus = (count: number) => ({
		name: 'main',
		command: ['sh', '-c', 'echo "device=$NVIDIA_VISIBLE_DEVICES"; trap "exit 0" TERM; sleep 3600 & wait'],
		resources: { limits: { 'nvidia.com/gpu': String(count) } },
	});
	await node.pod('first', { containers: [gpus(1)] });
	await node.until('first', running);
	t.is(devicesOf(await logOf(node, 'first')), 'GPU-a');
	t.is(await readFile(join(files, 'hook'), 'utf8'), 'prestart\n');
	const main = (await node.containers()).find(({ name }) => name === 'first/main');
	const { HostConfig } = await node.engine.docker.getContainer(main?.id ?? '').inspect();
	t.like(HostConfig.DeviceRequests?.[0], { Driver: 'nvidia', DeviceIDs: ['GPU-a'], Capabilities: [['gpu']] });
	await node.pod('second', { containers: [gpus(2)] });
	const { status } = await node.until('second', failed);
	t.regex(status?.message ?? '', /devices unavailable for nvidia.com\/gpu. Requested: 2, Available: 1/);
});

test('what an administrator says that the node has is there for pods, is counted, and outlives the agent', async (t) => {
	await using node = await startNode();
	const first = await node.runAgent();
	const say = (amount: string | null) =>
		node.client.patch(
			Node,
			{ name: NODE },
			{ type: 'merge', body: { status: { capacity: { 'example.com/dongle': amount } } } },
			{ subresource: 'status' },
		);
	const dongles = (amount: string | undefined) =>
		untilNode(node, `offers ${amount} dongles`, ({ status }) => status?.allocatable?.['example.com/dongle'] === amount);
	await untilNode(node, 'tells of itself', ({ status }) => status?.capacity?.cpu !== undefined);
	await say('1');
	await dongles('1');
	const asking = (name: string) =>
		node.pod(name, {
			containers: [{ name: 'main', command: WAIT, resources: { limits: { 'example.com/dongle': '1' } } }],
		});
	await asking('has');
	await node.until('has', running);
	await asking('lacks');
	const { status } = await node.until('lacks', failed);
	t.is(status?.reason, 'OutOfexample.com/dongle');

	await first[Symbol.asyncDispose]();
	await using _second = await node.runAgent({ systemReserved: { cpu: '10m' } });
	const { status: after } = await untilNode(node, 'is the second’s', (seen) =>
		/m$/.test(seen.status?.allocatable?.cpu ?? ''),
	);
	t.is(after?.capacity?.['example.com/dongle'], '1');
	t.is(after?.allocatable?.['example.com/dongle'], '1');
	await say(null);
	await dongles(undefined);
});

test('a plugin that hangs holds up the pods that want its devices, and no others; and those may go', async (t) => {
	await using node = await startNode();
	await given(node);
	await using _agent = await node.runAgent();
	await using plugin = startPlugin(folderOf(node), RESOURCE, { ...state(node), hang: ['Allocate'] });
	await offers(node, '2');
	await wanting(node, 'waits');
	await eventually('the plugin is asked', async () => plugin.asked('Allocate').length > 0);
	await node.pod('plain', {});
	await node.until('plain', running);
	t.is((await node.get('waits')).status?.phase, 'Pending');
	await node.client.delete(Pod, { namespace: 'default', name: 'waits' });
	await node.untilGone('waits');
	t.deepEqual(await node.events('waits'), []);
});

test('an agent that is killed while pods get their devices gives no device to two of them', async (t) => {
	await using node = await startNode();
	await given(node);
	const ids = ['d0', 'd1', 'd2', 'd3'];
	const devices = Object.fromEntries(ids.map((id) => [id, 'Healthy']));
	let agent = await startAgent(node);
	t.teardown(() => agent.kill());
	await using plugin = startPlugin(folderOf(node), RESOURCE, { ...state(node), devices });
	await offers(node, '4');
	const names = ids.map((_, at) => `pod-${at}`);
	for (const [round, name] of names.entries()) {
		await wanting(node, name);
		// At another moment each time: asked, recorded, made, or started.
		await eventually(`${name} is begun`, async () =>
			round === 0
				? plugin.asked('Allocate').length > 0
				: (await node.containers()).some(
						(one) => one.name.startsWith(`${name}/`) && (round < 3 || one.state === 'running'),
					),
		);
		await agent.kill();
		agent = await startAgent(node);
		await plugin.outcome(round + 1);
		await offers(node, '4');
	}
	const ends = await Promise.all(names.map((name) => node.until(name, (pod) => running(pod) || failed(pod))));
	// What was recorded is the pod's; one whose plugin was asked and had not answered may meet an agent whose plugin is not back yet.
	t.true(ends.slice(1).every(running), JSON.stringify(ends.map(({ status }) => status?.message)));
	const first = ends[0]?.status?.message ?? 'no healthy devices present';
	t.regex(first, /no healthy devices present/);
	const held = (await node.containers())
		.filter(({ name, state }) => name.endsWith('/main') && state === 'running')
		.map(
			({ labels }) => (JSON.parse(labels['driftless.io/devices'] ?? '{}') as Record<string, string[]>)[RESOURCE]?.[0],
		);
	t.is(new Set(held).size, held.length, JSON.stringify(held));
	t.is(held.length, ends.filter(running).length);
});
