/** Devices of plugins on a real engine: a plugin is a process of its own, and so is the agent where it is killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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
	t.teardown(() => import('node:fs/promises').then(({ rm }) => rm(file, { force: true })));
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
