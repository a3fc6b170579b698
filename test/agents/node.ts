/** A node under test: a real engine, a real API, and the agent between them. */
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { dockerEngine } from '../../src/agents/engine/docker/index.ts';
import type { Deadlines } from '../../src/agents/engine/docker/requests.ts';
import { type Agent, type AgentOptions, type Engine, runAgent } from '../../src/agents/index.ts';
import { type Cache, type Client, createCache, inProcess, recordEvents } from '../../src/client/index.ts';
import { Event, type Kind, type KubeObject, Lease, Namespace, Node, Pod } from '../../src/kinds/index.ts';
import type { Log } from '../../src/log.ts';
import { admin, serveTestApi, type TestServer } from '../testbed/api.ts';
import { type EngineOptions, exampleImage, startEngine, type TestEngine } from '../testbed/engine.ts';
import { silentLog } from '../testbed/silent-log.ts';

export const NODE = 'node-1';

export interface RunningAgent extends AsyncDisposable {
	readonly agent: Agent;
	readonly engine: Engine;
	readonly cache: Cache;
}

export interface StartOptions
	extends Partial<
		Pick<
			AgentOptions,
			| 'parallelStarts'
			| 'gpuFolder'
			| 'now'
			| 'nodeName'
			| 'dataDir'
			| 'systemReserved'
			| 'unsafeSysctls'
			| 'maxPids'
			| 'podMaxPids'
			| 'eviction'
			| 'observe'
			| 'manifestPath'
		>
	> {
	/** Default: the test's own. */
	readonly dockerHost?: string;
	readonly deadlines?: Deadlines;
	/** Stands between the agent and the API. */
	readonly between?: (client: Client) => Client;
}

export interface TestNode extends AsyncDisposable {
	readonly engine: TestEngine;
	readonly server: TestServer;
	readonly client: Client;
	/** Starts the agent in this process. The node gets its range at once. */
	runAgent(options?: StartOptions): Promise<RunningAgent>;
	/** Creates a pod of the example image on the node; `spec` and `metadata` are merged over that. */
	pod(name: string, spec: Partial<Pod['spec']>, metadata?: Partial<Pod['metadata']>): Promise<Pod>;
	get(name: string): Promise<Pod>;
	/** Waits until the pod is as wanted; throws with the last one seen. */
	until(name: string, wanted: (pod: Pod) => boolean): Promise<Pod>;
	/**
	 * Waits until the container's program has a handler for SIGTERM: a process with number 1 does not hear it before. What runs before
	 * it, runc, has one as well, and ends with 2 by it.
	 */
	hears(name: string, container?: string): Promise<void>;
	/** Waits until there is no such pod any more. */
	untilGone(name: string): Promise<void>;
	/** The reasons and messages of the events about a pod so far. */
	events(name: string): Promise<string[]>;
	untilEvent(name: string, text: RegExp): Promise<string>;
	/** Containers of the engine by their pod and container, dead ones included: `web/main`, `web/POD`. */
	containers(): Promise<{ name: string; id: string; state: string; labels: Record<string, string> }[]>;
}

/** Long enough for a machine that has ten times as much to do as it can. */
const PATIENCE_MS = Number(process.env.DRIFTLESS_TEST_PATIENCE_MS ?? 90_000);

/** Waits for a condition of the outside world. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
	const deadline = Date.now() + PATIENCE_MS;
	for (;;) {
		const found = await look();
		if (found) return found;
		if (Date.now() > deadline) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
		await delay(25);
	}
}

export async function startNode(options: EngineOptions = {}): Promise<TestNode> {
	await using stack = new AsyncDisposableStack();
	const engine = stack.use(await startEngine(options));
	await exampleImage(engine);
	const server = stack.use(await serveTestApi({ log: silentLog }));
	const client = inProcess(server.api, { ...admin, userAgent: 'test' });
	for (const name of ['default', 'kube-node-lease']) {
		const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, spec: {} };
		await client.create(Namespace, namespace).catch(() => undefined);
	}
	const agents = stack.use(new AsyncDisposableStack());
	const warnings: string[] = [];
	const log: Log = {
		...silentLog,
		warn(fields, message) {
			warnings.push(`${message} ${JSON.stringify(fields)}`);
			silentLog.warn(fields, message);
		},
	};
	const get = (name: string) => client.get(Pod, { namespace: 'default', name });
	const owned = stack.move();

	return {
		engine,
		server,
		client,
		get,
		async runAgent(options = {}) {
			const running = await startAgent(engine, client, server.pki.authority.cert, log, options);
			agents.defer(() => running[Symbol.asyncDispose]());
			return running;
		},
		pod: (name, spec, metadata) => client.create(Pod, examplePod(name, spec, metadata)),
		async until(name, wanted) {
			let last: Pod | undefined;
			try {
				return await eventually(`pod ${name}`, async () => {
					last = await get(name);
					return wanted(last) && last;
				});
			} catch (error) {
				const containers = (await engine.docker.listContainers({ all: true })).map(
					({ Names, Status }) => `${Names} ${Status}`,
				);
				const seen = JSON.stringify(
					{ status: last?.status, events: await eventsAbout(client, name), containers, warnings: warnings.slice(-20) },
					null,
					1,
				);
				throw new Error(`${(error as Error).message}: ${seen}`);
			}
		},
		async hears(name, container = 'main') {
			await eventually(`${name}/${container} hears SIGTERM`, async () => {
				const filters = { label: [`io.kubernetes.pod.name=${name}`, `io.kubernetes.container.name=${container}`] };
				const [found] = await engine.docker.listContainers({ filters });
				if (!found) return undefined;
				const { State } = await engine.docker.getContainer(found.Id).inspect();
				const status = await readFile(`/proc/${State.Pid}/status`, 'utf8').catch(() => '');
				if (/^Name:\trunc/m.test(status)) return undefined;
				const caught = BigInt(`0x${/^SigCgt:\t(\w+)$/m.exec(status)?.[1] ?? '0'}`);
				return (caught & (1n << BigInt(constants.signals.SIGTERM - 1))) !== 0n;
			});
		},
		async untilGone(name) {
			await eventually(`${name} is gone`, async () => (await exists(client, Pod, name)) === false || undefined);
		},
		events: (name) => eventsAbout(client, name),
		untilEvent: (name, text) =>
			eventually(`event ${text} of ${name}`, async () =>
				(await eventsAbout(client, name)).find((one) => text.test(one)),
			),
		async containers() {
			const all = await engine.docker.listContainers({ all: true });
			return all.map(({ Id, State, Labels }) => ({
				name: `${Labels['io.kubernetes.pod.name']}/${Labels['io.kubernetes.container.name']}`,
				id: Id,
				state: State,
				labels: Labels,
			}));
		},
		[Symbol.asyncDispose]: () => owned.disposeAsync(),
	};
}

async function startAgent(
	testEngine: TestEngine,
	client: Client,
	clientCa: string,
	log: Log,
	{ between, dockerHost, deadlines, ...extra }: StartOptions,
): Promise<RunningAgent> {
	await using stack = new AsyncDisposableStack();
	const abort = new AbortController();
	const { signal } = abort;
	const { dataDir } = testEngine;
	const engine = stack.use(dockerEngine({ address: dockerHost ?? testEngine.dockerHost, log, deadlines }));
	const own = client.as('kubelet');
	const kubelet = between ? between(own) : own;
	const cache = stack.use(createCache(kubelet, { signal, log }));
	const options = { component: 'kubelet', host: NODE, now: Date.now, log, signal };
	const events = recordEvents(kubelet, options);
	const agent = stack.use(
		await runAgent({
			client: kubelet,
			cache,
			events,
			engine,
			nodeName: NODE,
			dataDir,
			address: '127.0.0.1',
			port: 0,
			clientCa,
			...extra,
			log,
			signal,
		}),
	);
	await giveRange(client, testEngine.podCidr);
	await agent.ready;
	stack.defer(() => abort.abort());
	const owned = stack.move();
	return { agent, engine, cache, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** What the node life cycle controller does elsewhere. */
export async function giveRange(client: Client, podCIDR: string): Promise<void> {
	await client.patch(Node, { name: NODE }, { type: 'merge', body: { spec: { podCIDR, podCIDRs: [podCIDR] } } });
}

/** A command that runs until it is asked to stop, and stops at once then. */
export const WAIT = ['sh', '-c', 'trap "exit 0" TERM; sleep 3600 & wait'];

export function examplePod(name: string, spec: Partial<Pod['spec']>, metadata: Partial<Pod['metadata']> = {}): Pod {
	const example = <T extends object>(container: T) => ({ image: 'driftless/example:1', ...container });
	const containers = (spec.containers ?? [{ name: 'main', command: WAIT }]).map(example);
	const initContainers = spec.initContainers?.map(example);
	return {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: { name, namespace: 'default', ...metadata },
		spec: { nodeName: NODE, terminationGracePeriodSeconds: 1, ...spec, containers, initContainers },
	};
}

async function exists<T extends KubeObject>(client: Client, kind: Kind<T>, name: string): Promise<boolean> {
	const { items } = await client.list(kind, { namespace: 'default', fieldSelector: `metadata.name=${name}` });
	return items.length > 0;
}

async function eventsAbout(client: Client, name: string): Promise<string[]> {
	const { items } = await client.list(Event, { namespace: 'default' });
	return items.filter((one) => one.involvedObject.name === name).map((one) => `${one.reason}: ${one.message}`);
}

export const running = (pod: Pod) => pod.status?.phase === 'Running' && ready(pod);
export const ready = (pod: Pod) => condition(pod, 'Ready') === 'True';
export const condition = (pod: Pod, type: string) => pod.status?.conditions?.find((one) => one.type === type)?.status;
export const restarts = (pod: Pod, container = 'main') =>
	pod.status?.containerStatuses?.find(({ name }) => name === container)?.restartCount ?? 0;
export { Lease };
