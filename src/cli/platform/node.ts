/** The node: container engine, agent, services and DNS. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connectEngine, type Engine, ensureExampleImage, runAgent } from '../../agents/index.ts';
import { type Cache, type Client, describe, recordEvents } from '../../client/index.ts';
import type { Log } from '../../log.ts';
import { runProxy } from '../../proxy/index.ts';
import { networkAddress } from './addresses.ts';

export interface NodeOptions {
	readonly client: Client;
	readonly cache: Cache;
	readonly dataDir: string;
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
	readonly dockerHost: string | undefined;
	readonly say: (line: string) => void;
	readonly log: Log;
	readonly signal: AbortSignal;
}

/** How soon a node that could not start is tried again, in ms. */
const START_RETRY_MS = 5_000;

/** Runs the node until the signal aborts. What cannot start (no engine, no nftables) is said once and tried again. */
export async function runNode(options: NodeOptions): Promise<void> {
	await Promise.all([keepTrying('the node agent', options, agent), keepTrying('services and DNS', options, proxy)]);
}

async function agent(options: NodeOptions): Promise<void> {
	const { client, cache, dataDir, nodeName, say, log, signal, dockerHost } = options;
	await using engine: Engine = await connectEngine({ dockerHost, dataDir, log, signal, say });
	if (!(await ensureExampleImage(engine, signal)))
		say('the image of the examples, driftless/example:1, was not made: busybox-static is not installed');
	await using running = await runAgent({
		client: client.as('kubelet'),
		cache,
		events: recordEvents(client.as('kubelet'), { component: 'kubelet', host: nodeName, now: Date.now, log, signal }),
		engine,
		nodeName,
		dataDir,
		address: options.address,
		port: options.agentPort,
		clientCa: options.clientCa,
		clusterDns: networkAddress(options.serviceNetwork, 10),
		clusterDomain: 'cluster.local',
		labels: options.labels,
		log,
		now: Date.now,
		signal,
	});
	await running.ended;
}

async function proxy({ cache, nodeName, podNetwork, serviceNetwork, log, signal }: NodeOptions): Promise<void> {
	await runProxy({
		cache,
		nodeName,
		podNetwork,
		serviceNetwork,
		clusterDns: networkAddress(serviceNetwork, 10),
		clusterDomain: 'cluster.local',
		log,
		signal,
	});
}

async function keepTrying(
	what: string,
	options: NodeOptions,
	start: (options: NodeOptions) => Promise<void>,
): Promise<void> {
	const { signal, say } = options;
	let last = '';
	while (!signal.aborted) {
		try {
			await start(options);
		} catch (error) {
			if (signal.aborted) return;
			const message = describe(error);
			if (message !== last) say(`${what} cannot run: ${message}; it is tried again every ${START_RETRY_MS / 1_000} s`);
			last = message;
		}
		await sleep(START_RETRY_MS, undefined, { signal }).catch(() => {});
	}
}
