/** The node: container engine, agent, services and DNS. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Taint } from 'kubernetes-types/core/v1.js';
import {
	connectEngine,
	type Engine,
	type EngineKind,
	ensureExampleImage,
	NETWORK,
	reportAbsence,
	runAgent,
} from '../../agents/index.ts';
import { type Cache, type Client, describe, recordEvents } from '../../client/index.ts';
import { addressIn } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { createProxyMetrics, type ProxyMetrics, runProxy } from '../../proxy/index.ts';
import { evictionOf, type NodeFlags } from '../node-options.ts';

export interface NodeOptions {
	readonly client: Client;
	readonly cache: Cache;
	/** For the parts of the node that are processes of their own. */
	readonly kubeconfig: string;
	readonly dataDir: string;
	/** Of the node's plugins. */
	readonly kubeletDir: string;
	readonly nodeName: string;
	/** The node's address for others. */
	readonly address: string;
	/** Of the agent's server; 0 takes a free one. */
	readonly agentPort: number;
	/** PEM of the authority whose clients the agent's server trusts. */
	readonly clientCa: string;
	readonly podNetwork: string;
	readonly serviceNetwork: string;
	readonly labels: Readonly<Record<string, string>>;
	/** Of the Node when it is made. Default none. */
	readonly taints?: readonly Taint[];
	/** What pods may have of the node. */
	readonly limits: Partial<NodeFlags>;
	readonly engine: EngineKind;
	readonly dockerHost: string | undefined;
	readonly say: (line: string) => void;
	readonly log: Log;
	readonly signal: AbortSignal;
}

const SIMULATED =
	'the engine of this node is simulated: nothing runs, addresses of pods lead nowhere, there are no services and no DNS';
/** How soon a node that could not start is tried again, in ms: at first, and at most. */
const RETRY_FIRST_MS = 5_000;
const RETRY_MAX_MS = 30_000;
/** What ran so long before it ended had started: its next trouble is a new one, in ms. */
const STEADY_MS = 120_000;

/** Runs the node until the signal aborts. What cannot start (no engine, no nftables) is said once and tried again. */
export async function runNode(options: NodeOptions): Promise<void> {
	const { client, nodeName, log, signal } = options;
	const absent = (why: string) =>
		reportAbsence(client.as('kubelet'), nodeName, why, Date.now()).catch((error: unknown) => {
			if (!signal.aborted)
				log.debug({ node: nodeName, cause: describe(error) }, 'the fault of the node cannot be told');
		});
	const parts: Parts = { ...options, counted: createProxyMetrics() };
	const node = keepTrying('the node agent', parts, agent, absent);
	if (options.engine === 'simulated') {
		// The kernel has nothing to carry to addresses that lead nowhere.
		options.say(SIMULATED);
		return node;
	}
	await Promise.all([node, keepTrying('services and DNS', parts, proxy)]);
}

/** What the parts of the node share. */
interface Parts extends NodeOptions {
	/** The figures of services, which the agent serves. */
	readonly counted: ProxyMetrics;
}

async function agent(options: Parts): Promise<void> {
	const { client, cache, dataDir, nodeName, say, log, signal, dockerHost, engine: kind } = options;
	await using engine: Engine = await connectEngine({ kind, dockerHost, dataDir, log, signal, say });
	if (kind === 'docker' && !(await ensureExampleImage(engine, signal)))
		say('the image of the examples, driftless/example:1, was not made: busybox-static is not installed');
	await using running = await runAgent({
		client: client.as('kubelet'),
		cache,
		events: recordEvents(client.as('kubelet'), { component: 'kubelet', host: nodeName, now: Date.now, log, signal }),
		engine,
		nodeName,
		dataDir,
		kubeletDir: options.kubeletDir,
		address: options.address,
		port: options.agentPort,
		clientCa: options.clientCa,
		clusterDns: addressIn(options.serviceNetwork, 10),
		clusterDomain: 'cluster.local',
		labels: options.labels,
		taints: options.taints,
		systemReserved: options.limits.systemReserved,
		unsafeSysctls: options.limits.allowedUnsafeSysctls,
		maxPids: options.limits.containerMaxPids,
		podMaxPids: options.limits.podMaxPids,
		...evictionOf(options.limits),
		manifestPath: options.limits.podManifestPath,
		metrics: options.counted.families,
		log,
		now: Date.now,
		signal,
	});
	await running.ended;
}

async function proxy(options: Parts): Promise<void> {
	const { cache, nodeName, podNetwork, serviceNetwork, dataDir, kubeconfig, log, signal } = options;
	await runProxy({
		cache,
		bridge: NETWORK.bridge,
		nodeName,
		podNetwork,
		serviceNetwork,
		clusterDns: addressIn(serviceNetwork, 10),
		clusterDomain: 'cluster.local',
		dns: { folder: dnsFolder(dataDir), kubeconfig },
		metrics: options.counted,
		log,
		signal,
	});
}

/** Of the process of cluster DNS, in the data directory of a node. */
export const dnsFolder = (dataDir: string) => join(dataDir, 'dns');

async function keepTrying(
	what: string,
	options: Parts,
	start: (options: Parts) => Promise<void>,
	failed?: (why: string) => Promise<void>,
): Promise<void> {
	const { signal } = options;
	const said = new Set<string>();
	const say = (line: string) => {
		if (!said.has(line)) options.say(line);
		said.add(line);
	};
	let pause = RETRY_FIRST_MS;
	while (!signal.aborted) {
		const began = performance.now();
		try {
			await start({ ...options, say });
		} catch (error) {
			if (signal.aborted) return;
			const why = `${what} cannot run: ${describe(error)}`;
			say(`${why}; it is tried again until it can`);
			await failed?.(why);
		}
		if (performance.now() - began > STEADY_MS) {
			said.clear();
			pause = RETRY_FIRST_MS;
		}
		await sleep(pause, undefined, { signal }).catch(() => {});
		pause = Math.min(pause * 2, RETRY_MAX_MS);
	}
}
