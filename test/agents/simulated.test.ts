/** A node whose engine runs nothing: its pods do what their annotations say. */
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'ava';
import { simulatedEngine } from '../../src/agents/engine/simulated/index.ts';
import { loadAs, usedUntil } from '../../src/agents/engine/simulated/load.ts';
import { runAgent } from '../../src/agents/index.ts';
import type { Summary } from '../../src/agents/server/summary.ts';
import { type Client, createCache, inProcess, recordEvents } from '../../src/client/index.ts';
import { Namespace, Node, Pod, Secret } from '../../src/kinds/index.ts';
import { admin, serveTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { condition, eventually, giveRange, NODE, ready, restarts, running } from './node.ts';

const stack = new AsyncDisposableStack();
let client: Client;
let summary: () => Promise<Summary>;
/** What the agent has asked to be told of: kinds, and by what they were selected. */
const listed = new Set<string>();

test.before(async () => {
	const dataDir = await mkdtemp(join(tmpdir(), 'driftless-simulated-'));
	stack.defer(() => rm(dataDir, { recursive: true, force: true }));
	const server = stack.use(await serveTestApi({ log: silentLog }));
	client = inProcess(server.api, { ...admin, userAgent: 'test' });
	for (const name of ['default', 'kube-node-lease'])
		await client
			.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} })
			.catch(() => undefined);
	const abort = new AbortController();
	const { signal } = abort;
	const log = silentLog;
	const kubelet = client.as('kubelet');
	const own: Client = {
		...kubelet,
		list(kind, options = {}) {
			listed.add(`${kind.plural} ${options.fieldSelector ?? 'all'}`);
			return kubelet.list(kind, options);
		},
	};
	const cache = stack.use(createCache(own, { signal, log }));
	const events = recordEvents(own, { component: 'kubelet', host: NODE, now: Date.now, log, signal });
	const engine = stack.use(simulatedEngine({ cpus: 64, memory: 2 ** 38 }));
	const clientCa = server.pki.authority.cert;
	const where = { nodeName: NODE, dataDir, address: '127.0.0.1', port: 0, clientCa };
	const agent = stack.use(await runAgent({ client: own, cache, events, engine, ...where, log, signal }));
	stack.defer(() => abort.abort());
	await giveRange(client, '10.244.7.0/24');
	await agent.ready;
	summary = async () => {
		const options = { host: '127.0.0.1', port: agent.port, rejectUnauthorized: false, ...server.pki.kubelet };
		const { promise, resolve, reject } = Promise.withResolvers<string>();
		request({ ...options, path: '/stats/summary', agent: false }, (response) => text(response).then(resolve, reject))
			.on('error', reject)
			.end();
		return JSON.parse(await promise) as Summary;
	};
});
test.after.always(() => stack.disposeAsync());

const create = (name: string, behaviour: Record<string, string>, spec: Partial<Pod['spec']> = {}) => {
	const annotations = Object.fromEntries(
		Object.entries(behaviour).map(([key, value]) => [`simulated.driftless.io/${key}`, value]),
	);
	const containers = [{ name: 'main', image: 'shop/web:1' }];
	return client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, namespace: 'default', annotations },
		spec: { nodeName: NODE, containers, terminationGracePeriodSeconds: 30, ...spec },
	});
};

async function until(name: string, wanted: (pod: Pod) => boolean): Promise<Pod> {
	let last: Pod | undefined;
	try {
		return await eventually(`pod ${name}`, async () => {
			last = await client.get(Pod, { namespace: 'default', name });
			return wanted(last) && last;
		});
	} catch (error) {
		throw new Error(`${(error as Error).message}: ${JSON.stringify(last?.status, null, 1)}`);
	}
}

const state = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state;

test('the node says that it is simulated, and has what it was given', async (t) => {
	const { status } = await eventually('the node tells of itself', async () => {
		const node = await client.get(Node, { name: NODE });
		return node.status?.nodeInfo && node;
	});
	t.is(status?.nodeInfo?.containerRuntimeVersion, 'simulated://1');
	t.is(status?.nodeInfo?.osImage, 'simulated: nothing runs here');
	t.is(status?.capacity?.cpu, '64');
});

test('a pod runs with an address, is ready, and goes within its grace', async (t) => {
	await create('plain', {});
	const pod = await until('plain', running);
	t.regex(pod.status?.podIP ?? '', /^10\.244\.7\./);
	t.regex(pod.status?.containerStatuses?.[0]?.containerID ?? '', /^simulated:\/\//);
	await client.delete(Pod, { namespace: 'default', name: 'plain' });
	await eventually('it is gone', async () => {
		const { items } = await client.list(Pod, { namespace: 'default', fieldSelector: 'metadata.name=plain' });
		return items.length === 0;
	});
});

test('the agent asks for the pods of its node and for what these name, however large the cluster is', async (t) => {
	const secret = (name: string) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'default' } });
	for (const name of ['named', 'unnamed']) await client.create(Secret, secret(name) as Secret);
	await create('elsewhere', {}, { nodeName: 'node-2' });
	const envFrom = [{ secretRef: { name: 'named' } }];
	await create('naming', {}, { containers: [{ name: 'main', image: 'shop/web:1', envFrom }] });
	await until('naming', running);
	t.deepEqual(
		[...listed].filter((each) => /^(pods|secrets|configmaps) /.test(each)),
		[`pods spec.nodeName=${NODE}`, 'secrets metadata.name=named'],
	);
});

test('a pod ends as it is told, and one that ends wrongly waits for its restart', async (t) => {
	await create('job', { 'run-seconds': '0.1', 'exit-code': '3' }, { restartPolicy: 'Never' });
	const job = await until('job', ({ status }) => status?.phase === 'Failed');
	t.like(state(job)?.terminated, { exitCode: 3, reason: 'Error' });
	await create('crash', { 'run-seconds': '0.1', 'exit-code': '1' });
	const crash = await until('crash', (pod) => state(pod)?.waiting?.reason === 'CrashLoopBackOff');
	t.true(restarts(crash) >= 1);
});

test('the annotation of one container goes before that of its pod', async (t) => {
	const image = 'shop/web:1';
	await create(
		'two',
		{ 'run-seconds': '0', 'b.exit-code': '7' },
		{
			restartPolicy: 'Never',
			containers: [
				{ name: 'a', image },
				{ name: 'b', image },
			],
		},
	);
	const { status } = await until('two', (pod) => pod.status?.phase === 'Failed');
	t.deepEqual(
		status?.containerStatuses?.map((one) => one.state?.terminated?.exitCode),
		[0, 7],
	);
});

test('probes are answered for the pod, from the moment that it names', async (t) => {
	const readinessProbe = { httpGet: { path: '/', port: 80 }, periodSeconds: 1 };
	const containers = [{ name: 'main', image: 'shop/web:1', readinessProbe }];
	await create('early', { 'ready-seconds': '3' }, { containers });
	await create('never', { 'ready-seconds': '100000' }, { containers });
	t.true(ready(await until('early', running)));
	const never = await until('never', ({ status }) => status?.phase === 'Running');
	t.is(condition(never, 'Ready'), 'False');
});

test('what cannot be started, fetched or understood is said of the pod', async (t) => {
	await create('broken', { 'start-error': 'exec: "none": not found' }, { restartPolicy: 'Never' });
	const broken = await until('broken', ({ status }) => status?.phase === 'Failed');
	t.like(state(broken)?.terminated, { reason: 'StartError', message: 'exec: "none": not found', exitCode: 128 });
	await create('away', {}, { containers: [{ name: 'main', image: 'registry.invalid/web:1' }] });
	const away = await until('away', (pod) =>
		/^(ErrImagePull|ImagePullBackOff)$/.test(state(pod)?.waiting?.reason ?? ''),
	);
	t.regex(state(away)?.waiting?.message ?? '', /lookup registry\.invalid: no such host/);
	await create('odd', { 'exit-code': 'many' });
	const odd = await until('odd', (pod) => state(pod)?.waiting?.reason === 'CreateContainerError');
	t.is(
		state(odd)?.waiting?.message,
		'the annotation simulated.driftless.io/exit-code takes a number from 0 to 255: many',
	);
});

test('a load that is told anew keeps what it has used', (t) => {
	const say = (cpu: string) => ({ 'simulated.driftless.io/cpu': cpu });
	const none = { since: 0, nanoseconds: 0, cpu: 0, memory: 0 };
	const half = loadAs(none, say('500m'), 'main', 1000);
	t.is(usedUntil(half, 3000), 1e9);
	t.is(loadAs(half, say('0.5'), 'main', 2000), half);
	const two = loadAs(half, { ...say('1'), 'simulated.driftless.io/main.cpu': '2' }, 'main', 3000);
	t.is(usedUntil(two, 3000), 1e9);
	t.is(usedUntil(two, 4000), 3e9);
	t.is(usedUntil(two, 0), 1e9, 'also where the clock is set back');
	t.throws(() => loadAs(two, say('much'), 'main', 5000), { message: /takes a quantity: much/ });
});

test('pods use what their annotations say now, and the node what they use together', async (t) => {
	await create(
		'loaded',
		{ cpu: '1500m', memory: '64Mi', 'other.memory': '0' },
		{
			containers: ['main', 'other'].map((name) => ({ name, image: 'shop/web:1' })),
		},
	);
	const used = async (memory: number) => {
		let last: unknown;
		return eventually(`loaded uses ${memory}: ${JSON.stringify(last)}`, async () => {
			const seen = await summary();
			const pod = seen.pods.find(({ podRef }) => podRef.name === 'loaded');
			last = pod;
			if (pod?.containers.length !== 2) return false;
			return pod.memory.workingSetBytes === memory && (pod.cpu.usageNanoCores ?? 0) > 0 && { pod, node: seen.node };
		});
	};
	const { pod, node } = await used(64 * 2 ** 20);
	t.deepEqual(
		pod.containers.map(({ name, memory }) => [name, memory.workingSetBytes]),
		[
			['main', 64 * 2 ** 20],
			['other', 0],
		],
	);
	t.true((pod.cpu.usageCoreNanoSeconds ?? 0) > 0);
	t.true(
		node.memory.workingSetBytes >= 64 * 2 ** 20 && node.memory.workingSetBytes < 2 ** 30,
		'not what the machine uses',
	);
	t.is(node.memory.availableBytes, 2 ** 38 - node.memory.workingSetBytes);
	const annotations = { 'simulated.driftless.io/memory': '128Mi', 'simulated.driftless.io/cpu': '2' };
	await client.patch(
		Pod,
		{ namespace: 'default', name: 'loaded' },
		{ type: 'merge', body: { metadata: { annotations } } },
	);
	const later = await used(128 * 2 ** 20);
	t.true((later.pod.cpu.usageCoreNanoSeconds ?? 0) >= pod.cpu.usageCoreNanoSeconds, 'a counter does not go back');
});
