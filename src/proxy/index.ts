/** The door of proxy/: services and names on a node. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, faults } from '../client/index.ts';
import { serveDns } from './dns/server.ts';
import { zoneOf } from './dns/zone.ts';
import { prepareHost } from './host.ts';
import { type ProxyOptions as RulesOptions, runServiceRules } from './proxy.ts';

/** The bridge that the node agent makes for its pods. */
export const POD_BRIDGE = 'drift0';

export interface ProxyOptions extends Omit<RulesOptions, 'bridge'> {
	/** `cluster.local`. */
	readonly clusterDomain: string;
}

/** Between attempts to serve DNS, in ms. */
const DNS_RETRY_MS = 5_000;

/** Runs both until the signal aborts. Only root can: others get an error that says so. */
export async function runProxy(options: ProxyOptions): Promise<void> {
	if (process.getuid?.() !== 0)
		throw new Error('services and cluster DNS need root (they change the tables of the kernel); run driftless as root');
	const all = { ...options, bridge: POD_BRIDGE };
	// Once before all else: it makes the address that DNS listens on.
	await prepareHost(all, options.log);
	await Promise.all([runServiceRules(all), keepServingDns(options)]);
}

async function keepServingDns({ cache, clusterDns, clusterDomain, log, signal }: ProxyOptions): Promise<void> {
	const known = faults(log);
	const zone = zoneOf(cache, clusterDomain);
	while (!signal.aborted) {
		try {
			const { ended } = await serveDns({ zone, address: clusterDns, log, signal });
			known.healed('dns', 'cluster DNS is served again', {});
			await ended;
		} catch (error) {
			known.failed('dns', error, `cluster DNS cannot be served on ${clusterDns}:53: ${describe(error)}`, {});
			await sleep(DNS_RETRY_MS, undefined, { signal }).catch(() => {});
		}
	}
}
