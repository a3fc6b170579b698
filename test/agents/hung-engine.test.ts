/** An engine that answers some requests wrongly, late, or not at all. */
import { join } from 'node:path';
import test from 'ava';
import { dockerEngine } from '../../src/agents/engine/docker/index.ts';
import { DEADLINES } from '../../src/agents/engine/docker/requests.ts';
import { Node, Pod } from '../../src/kinds/index.ts';
import { type EngineProxy, startEngineProxy } from '../testbed/engine-proxy.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { eventually, NODE, restarts, running, startNode, type TestNode } from './node.ts';

let node: TestNode;
let proxy: EngineProxy;

test.before(async () => {
	node = await startNode();
	proxy = await startEngineProxy(node.engine.socketPath, join(node.engine.socketPath, '..', 'proxy.sock'));
	await node.runAgent({ dockerHost: proxy.dockerHost, deadlines: { ...DEADLINES, answerMs: 2_000 } });
});
test.afterEach.always(() => {
	proxy.fault = () => undefined;
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
	await proxy?.[Symbol.asyncDispose]();
});

const readiness = async () => {
	const { conditions = [] } = (await node.client.get(Node, { name: NODE })).status ?? {};
	return conditions.find(({ type }) => type === 'Ready');
};
/** The id of a pod's container, without the scheme. */
const idOf = (pod: Pod) => pod.status?.containerStatuses?.[0]?.containerID?.split('//')[1] ?? '';

test.serial('a container whose start fails without a trace waits longer each time, and says why', async (t) => {
	let starts = 0;
	// The first start is that of the sandbox.
	proxy.fault = (request) => (/^POST .*\/start/.test(request) && ++starts > 1 ? 'fail' : undefined);
	await node.pod('traceless', {});
	const waiting = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.waiting;
	const pod = await node.until('traceless', (one) => waiting(one)?.reason === 'RunContainerError');
	t.is(waiting(pod)?.message, 'made to fail');
	await node.untilEvent('traceless', /^Failed: Error: made to fail$/);
	proxy.fault = () => undefined;
	t.is(restarts(await node.until('traceless', running)), 0);
	await node.client.delete(Pod, { namespace: 'default', name: 'traceless' });
	await node.untilGone('traceless');
});

test.serial('a request that is not answered is given up at its deadline, whatever it asks', async (t) => {
	const deadlines = { answerMs: 100, changeMs: 100, progressMs: 100 };
	await using engine = dockerEngine({ address: proxy.dockerHost, log: silentLog, deadlines });
	proxy.fault = () => 'hang';
	const { signal } = new AbortController();
	const network = { node: 'x', name: 'x', bridge: 'x', cidr: '10.0.0.0/24', mtu: 1500 };
	const pod = { node: 'x', uid: 'x', namespace: 'x', name: 'x' };
	const notes = { pod, name: 'x', attempt: 0, sandbox: 'x', hash: 'x', backoff: 0 };
	const namespaces = { network: 'node', ipc: 'node', pid: 'node' } as const;
	const spec = {
		...notes,
		image: 'x',
		namespaces,
		mounts: [],
		terminationMessagePath: '/x',
		maxPids: 1,
		qos: 'BestEffort',
	} as const;
	const { containers, images, parts } = engine;
	const calls = {
		info: () => engine.info(),
		'images.inspect': () => images.inspect('x'),
		'images.list': () => images.list(),
		'images.pull': () => images.pull('x', undefined),
		'images.load': () => images.load('x:1', new Uint8Array(), {}),
		'images.remove': () => images.remove('x'),
		prepare: () => engine.prepare(network),
		release: () => engine.release(network),
		'parts.list': () => parts.list('x'),
		'parts.inspect': () => parts.inspect('x'),
		'parts.start': () => parts.start('x'),
		'parts.kill': () => parts.kill('x', 'SIGTERM'),
		'parts.remove': () => parts.remove('x'),
		'parts.usage': () => parts.usage('x'),
		'containers.create': () => containers.create(spec),
		'containers.limit': () => containers.limit('x', { cpuShares: 2 }),
		'containers.logs': () => containers.logs('x', { follow: true, timestamps: false, tty: false }),
		'containers.exec': () => containers.exec('x', { command: ['x'], stdin: false, tty: false }),
		'containers.attach': () => containers.attach('x', { stdin: false, tty: false }),
		'containers.resize': () => containers.resize('x', 1, 1),
	};
	for (const [name, call] of Object.entries(calls)) {
		const error = await t.throwsAsync(call(), { name: 'EngineError' }, name);
		t.is((error as { fault?: string }).fault, 'late', `${name}: ${error.message}`);
	}
	const events = engine.events(signal)[Symbol.asyncIterator]();
	t.like((await events.next()).value, { type: 'disconnected' });
	await events.return?.();
});

test.serial(
	'an engine that holds its connections and answers nothing makes the node not ready, and is found again',
	async (t) => {
		await node.pod('before', {});
		const before = await node.until('before', running);
		await eventually('the node is ready', async () => (await readiness())?.status === 'True');
		proxy.fault = () => 'hang';
		const down = await eventually('the node is not ready', async () => {
			const condition = await readiness();
			return condition?.status === 'False' && condition;
		});
		t.regex(down.message ?? '', /container runtime is down: the engine at \S+ has not answered within 2 s/);
		proxy.fault = () => undefined;
		await eventually('the node is ready', async () => (await readiness())?.status === 'True');
		const after = await node.get('before');
		t.is(idOf(after), idOf(before));
		t.is(restarts(after), 0);
	},
);

test.serial('a container that cannot be looked at keeps neither the node nor other pods from going on', async (t) => {
	await node.pod('broken', {});
	const broken = idOf(await node.until('broken', running));
	t.regex(broken, /^[0-9a-f]{64}$/);
	await node.pod('other', {});
	await node.until('other', running);
	// Nothing hears of its end: the inspection fails, and so does the first listing after a new connection.
	proxy.fault = (request) => (request.includes(`/containers/${broken}/json`) ? 'fail' : undefined);
	const inspections = () => proxy.seen.filter((request) => request.includes(`/containers/${broken}/json`)).length;
	const first = inspections();
	await node.engine.restart();
	await eventually('its inspection has failed', async () => inspections() > first);
	await eventually('the node is ready', async () => (await readiness())?.status === 'True');
	const other = await node.until('other', (pod) => running(pod) && restarts(pod) === 1);
	t.not(idOf(other), '');
	const all = (await node.containers()).filter(({ name }) => name === 'broken/main');
	t.deepEqual(
		all.map(({ id }) => id),
		[broken],
		'nothing is started beside what cannot be seen',
	);
	proxy.fault = () => undefined;
	const mended = await node.until('broken', (pod) => running(pod) && restarts(pod) === 1);
	t.not(idOf(mended), broken);
});

test.serial('a death that no event told of is found by the next listing', async (t) => {
	await node.pod('quiet', {});
	const quiet = idOf(await node.until('quiet', running));
	let looks = 0;
	// The look that the event asks for fails, and no other event comes.
	proxy.fault = (request) => (request.includes(`/containers/${quiet}/json`) && looks++ === 0 ? 'fail' : undefined);
	await node.engine.docker.getContainer(quiet).kill();
	await node.until('quiet', (pod) => restarts(pod) === 1);
	t.true(looks > 1);
});
