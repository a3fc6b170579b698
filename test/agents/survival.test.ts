/** What survives what: the agent's death, the engine's death, and pods that go while nobody looks. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import { Node, Pod } from '../../src/kinds/index.ts';
import { eventually, giveRange, NODE, ready, restarts, running, startNode, type TestNode } from './node.ts';

const program = fileURLToPath(new URL('agent-process.ts', import.meta.url));

interface AgentProcess extends AsyncDisposable {
	/** Ends it with the signal; settles once it is gone. */
	end(signal: NodeJS.Signals): Promise<void>;
}

/** Starts the agent as a process and waits until it runs pods. Its disposal kills it. */
async function startProcess(node: TestNode): Promise<AgentProcess> {
	const ca = join(node.server.dataDir, 'ca.pem');
	await writeFile(ca, node.server.pki.authority.cert);
	const { dockerHost, dataDir, podCidr } = node.engine;
	const child = spawn(process.execPath, [program, node.server.kubeconfig, dockerHost, dataDir, ca], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	const exit = once(child, 'exit');
	const end = async (signal: NodeJS.Signals) => {
		child.kill(signal);
		await exit;
	};
	await using stack = new AsyncDisposableStack();
	stack.defer(() => end('SIGKILL'));
	let printed = '';
	for await (const text of child.stdout.setEncoding('utf8')) {
		const known = printed.includes('registered');
		printed += text;
		if (!known && printed.includes('registered')) await giveRange(node.client, podCidr);
		if (printed.includes('ready')) break;
	}
	if (!printed.includes('ready')) throw new Error(`the agent has ended before it was ready: ${printed}`);
	const life = stack.move();
	return { end, [Symbol.asyncDispose]: () => life.disposeAsync() };
}

const idOf = (pod: Pod) => pod.status?.containerStatuses?.[0]?.containerID;

test('after kill -9 of the agent its containers run on, are found again, and none is started twice or lost', async (t) => {
	await using node = await startNode();
	await using first = await startProcess(node);
	const names = ['a', 'b', 'c', 'd'];
	await Promise.all(names.map((name) => node.pod(name, {})));
	const before = await Promise.all(names.map((name) => node.until(name, running)));
	// These are being made while the agent dies.
	const torn = ['e', 'f', 'g', 'h', 'i', 'j'];
	await Promise.all(torn.map((name) => node.pod(name, {})));
	await eventually('one of the new pods is half made', async () =>
		(await node.containers()).some(({ name }) => torn.some((pod) => name.startsWith(`${pod}/`))),
	);
	await first.end('SIGKILL');

	const gone = before[3];
	await node.client.delete(Pod, { namespace: 'default', name: 'd' }, { gracePeriodSeconds: 0 });
	t.true(
		(await node.containers()).some(({ name, state }) => name === 'd/main' && state === 'running'),
		'nothing stops a container while the agent is away',
	);
	await using second = await startProcess(node);
	const all = [...names.slice(0, 3), ...torn];
	const after = await Promise.all(all.map((name) => node.until(name, running)));
	t.deepEqual(after.slice(0, 3).map(idOf), before.slice(0, 3).map(idOf), 'the same containers');
	t.deepEqual(
		after.map((pod) => restarts(pod)),
		all.map(() => 0),
	);
	await eventually('the containers of the pod that is gone are gone', async () =>
		(await node.containers()).every(({ labels }) => labels['io.kubernetes.pod.uid'] !== gone?.metadata.uid),
	);
	const wanted = all.flatMap((name) => [`${name}/POD running`, `${name}/main running`]).sort();
	let containers: string[] = [];
	// What was half made when the agent died is cleared away beside its replacement.
	await eventually('nothing else is left', async () => {
		containers = (await node.containers()).map(({ name, state }) => `${name} ${state}`).sort();
		return isDeepStrictEqual(containers, wanted);
	}).catch(() => undefined);
	t.deepEqual(containers, wanted);
	await second.end('SIGTERM');
	t.is((await node.containers()).length, 2 * all.length, 'an agent that stops leaves its containers');
});

test('an agent that died before it had written a pod’s files leaves the pod to the next one', async (t) => {
	await using node = await startNode();
	await using first = await startProcess(node);
	await node.pod('a', {});
	const { metadata } = await node.until('a', running);
	await first.end('SIGKILL');
	// As if it had died between the start of the sandbox and that of the container.
	const main = (await node.containers()).find(({ name }) => name === 'a/main');
	await node.engine.docker.getContainer(main?.id ?? '').remove({ force: true });
	for (const name of ['etc-hosts', 'resolv.conf'])
		await rm(join(node.engine.dataDir, 'pods', String(metadata.uid), name));
	await using _second = await startProcess(node);
	const after = await node.until('a', (pod) => running(pod) && idOf(pod) !== `docker://${main?.id}`);
	t.truthy(after.status?.podIP);
	const hosts = await readFile(join(node.engine.dataDir, 'pods', String(metadata.uid), 'etc-hosts'), 'utf8');
	t.true(hosts.includes(`${after.status?.podIP}\ta\n`), hosts);
});

test('a pod that is being stopped has one period of grace, also when the agent dies in it', async (t) => {
	await using node = await startNode();
	await using first = await startProcess(node);
	const command = ['sh', '-c', 'trap "" TERM; while true; do sleep 1; done'];
	const preStop = { exec: { command: ['sleep', '3600'] } };
	const { metadata } = await node.pod('slow', {
		terminationGracePeriodSeconds: 3600,
		containers: [{ name: 'main', command, lifecycle: { preStop } }],
	});
	await node.until('slow', running);
	await node.client.delete(Pod, { namespace: 'default', name: 'slow' });
	const note = join(node.engine.dataDir, 'pods', String(metadata.uid), 'stopping-since');
	const since = await eventually('the beginning is noted', () => readFile(note, 'utf8').catch(() => undefined));
	await first.end('SIGKILL');
	// As if that were an hour ago.
	await writeFile(note, String(Number(since) - 3_600_000));
	await using _second = await startProcess(node);
	await node.untilGone('slow');
	t.deepEqual(await node.containers(), []);
});

test('an engine that restarts and takes its containers with it has them restarted in place, each by its policy', async (t) => {
	await using node = await startNode();
	await using _ = await node.runAgent();
	await node.pod('always', {});
	// What its end is like is its own: this one calls it a failure.
	const command = ['sh', '-c', 'trap "exit 1" TERM; sleep 3600 & wait'];
	await node.pod('never', { restartPolicy: 'Never', containers: [{ name: 'main', command }] });
	const before = await node.until('always', running);
	await node.until('never', running);
	await node.engine.kill();
	const down = await eventually('the node is not ready', async () => {
		const { conditions = [] } = (await node.client.get(Node, { name: NODE })).status ?? {};
		return conditions.find(({ type, status }) => type === 'Ready' && status === 'False');
	});
	t.regex(down.message ?? '', /container runtime is down/);
	await node.engine.start();

	const after = await node.until('always', (pod) => running(pod) && restarts(pod) === 1);
	t.not(idOf(after), idOf(before));
	t.truthy(after.status?.containerStatuses?.[0]?.lastState?.terminated);
	const never = await node.until('never', (pod) => pod.status?.phase === 'Failed');
	t.is(restarts(never), 0);
	await eventually('the node is ready', async () => {
		const { conditions = [] } = (await node.client.get(Node, { name: NODE })).status ?? {};
		return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
	});
});

test('an engine with live restore may restart: its containers run on, and the agent leaves them alone', async (t) => {
	await using node = await startNode({ liveRestore: true });
	await using _ = await node.runAgent();
	await node.pod('web', {});
	const before = await node.until('web', running);
	await node.engine.restart();
	await node.pod('later', {});
	await node.until('later', running);
	const after = await node.get('web');
	t.is(idOf(after), idOf(before));
	t.is(restarts(after), 0);
	t.true(ready(after));
});

test('a pause container that dies takes its pod through a new sandbox; a container removed by hand comes back', async (t) => {
	await using node = await startNode();
	await using _ = await node.runAgent();
	await node.pod('web', {});
	await node.until('web', running);
	const find = async (name: string) =>
		(await node.containers()).find((one) => one.name === name && one.state === 'running');

	const pause = await find('web/POD');
	await node.engine.docker.getContainer(pause?.id ?? '').kill();
	const second = await node.until('web', (pod) => running(pod) && restarts(pod) === 1);
	t.not((await find('web/POD'))?.id, pause?.id);

	await node.engine.docker.getContainer((await find('web/main'))?.id ?? '').remove({ force: true });
	const third = await node.until('web', (pod) => running(pod) && restarts(pod) === 2);
	t.not(idOf(third), idOf(second));
});
