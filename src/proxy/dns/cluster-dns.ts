/** Cluster DNS on a node: the cluster's names from the caches, all others from the machine's resolvers. */
import { networkInterfaces } from 'node:os';
import { describe, faults, pause } from '../../client/index.ts';
import { ConfigMap, keyOf } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { networksOf } from '../networks.ts';
import { aborted } from '../synced.ts';
import { CONFIG, createForwarding } from './forwarding.ts';
import { createDnsMetrics, METRICS_PORT, serveMetrics } from './metrics.ts';
import type { Remembered } from './remembered.ts';
import { resolversOf } from './resolvers.ts';
import { serveDns } from './server.ts';
import { zoneOf } from './zone.ts';

export interface ClusterDnsOptions {
	readonly informers: Pick<Remembered, 'informer'>;
	readonly podNetwork: string;
	readonly serviceNetwork: string;
	/** The address to listen on, and on no other. */
	readonly clusterDns: string;
	/** `cluster.local`. */
	readonly clusterDomain: string;
	readonly log: Log;
	/** Called when it begins to serve, and when it ends. */
	onServing(now: boolean): void;
}

/** How long the names of the cluster are waited for before others are answered, in ms. */
const KNOWN_MS = 5_000;
/** Between attempts to serve, in ms. */
const RETRY_MS = 5_000;
/** How long the list of this host's addresses is taken as current, in ms. */
const ADDRESSES_AGE_MS = 5_000;

/** Serves until the signal aborts. An address or a port that cannot be had is logged once and tried again. */
export async function runClusterDns(options: ClusterDnsOptions, signal: AbortSignal): Promise<void> {
	const { informers, clusterDns, clusterDomain, podNetwork, serviceNetwork, log } = options;
	const known = faults(log);
	const zone = zoneOf(informers, clusterDomain, networksOf(podNetwork, serviceNetwork));
	const config = informers.informer(ConfigMap, {
		namespace: CONFIG.namespace,
		fieldSelector: `metadata.name=${CONFIG.name}`,
	});
	const resolversFor = createForwarding({
		config: () => config.get(keyOf({ metadata: CONFIG })),
		machine: () => resolversOf('/etc/resolv.conf', clusterDns),
		self: clusterDns,
		log,
	});
	const metrics = createDnsMetrics();
	const serves = insiders(podNetwork, serviceNetwork);
	// Who relieves another begins when it knows as much; names of others need not wait for ever.
	// The cache may end before.
	const told = config.synced.catch(() => {});
	await Promise.race([Promise.all([zone.known, told]), pause(KNOWN_MS, signal)]);
	while (!signal.aborted) {
		try {
			await using _ = await serveDns({ zone, resolversFor, metrics, serves, address: clusterDns, log });
			known.healed('dns', 'cluster DNS is served again');
			options.onServing(true);
			await using _figures = await serveMetrics({ address: clusterDns, metrics, serves }).catch((error: unknown) => {
				known.failed('metrics', error, `the figures of cluster DNS cannot be served on ${clusterDns}:${METRICS_PORT}`);
				return undefined;
			});
			await aborted(signal);
			options.onServing(false);
		} catch (error) {
			known.failed('dns', error, `cluster DNS cannot be served on ${clusterDns}:53: ${describe(error)}`);
			await pause(RETRY_MS, signal);
		}
	}
}

/** Whether a client is a pod, or this host by one of its addresses. */
function insiders(podNetwork: string, serviceNetwork: string): (client: string) => boolean {
	const networks = networksOf(podNetwork, serviceNetwork, '127.0.0.0/8');
	let own = new Set<string>();
	let readAt = Number.NEGATIVE_INFINITY;
	return (client) => {
		if (networks.check(client)) return true;
		if (performance.now() - readAt > ADDRESSES_AGE_MS) {
			readAt = performance.now();
			own = new Set(Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address)));
		}
		return own.has(client);
	};
}
