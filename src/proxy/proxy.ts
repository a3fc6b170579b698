/** Puts the parts of a node's network together: service rules, routes, what the host must have, and DNS. */
import { type Cache, faults } from '../client/index.ts';
import { Node } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import { keepDnsRunning } from './dns/process.ts';
import { runHealthPorts } from './health-ports.ts';
import { type HostNetwork, loadBridgeFilter, prepareHost, reflectPorts } from './host.ts';
import { createLoop } from './loop.ts';
import type { ProxyMetrics } from './metrics.ts';
import { monitor } from './monitor.ts';
import { need } from './programs.ts';
import { createRoutes, nodeRoute, nodeRoutes, type Route } from './routes.ts';
import { serviceRules } from './service-rules.ts';
import { synced } from './synced.ts';

/** How often things are looked at without a cause, should a change have been missed, in ms. */
const CHECK_MS = 60_000;
/** New ports of the bridge within so many ms are looked at together: each pod that starts tells of its own several times. */
const PORTS_MS = 200;

export interface ProxyOptions {
	readonly cache: Cache;
	readonly nodeName: string;
	/** The bridge that the node agent makes for its pods. */
	readonly bridge: string;
	/** `10.244.0.0/16`. */
	readonly podNetwork: string;
	/** `10.96.0.0/12`. */
	readonly serviceNetwork: string;
	/** The address of cluster DNS, within the service network. */
	readonly clusterDns: string;
	/** `cluster.local`. */
	readonly clusterDomain: string;
	/** Of the process of cluster DNS: its folder, and the kubeconfig with which it asks. Absent: names are not served. */
	readonly dns?: { readonly folder: string; readonly kubeconfig: string };
	/** Where it counts; served by somebody else. */
	readonly metrics?: ProxyMetrics;
	readonly log: Log;
	readonly signal: AbortSignal;
}

/**
 * Runs services, names and routes of the node until the signal aborts. Throws at once where that cannot be: for lack of
 * privileges or of a program, which the error names. What fails later is logged and tried again. The rules stay behind, so
 * that connections go on while driftless is restarted.
 */
export async function runProxy(options: ProxyOptions): Promise<void> {
	if (process.getuid?.() !== 0)
		throw new Error('services and cluster DNS need root (they change the tables of the kernel); run driftless as root');
	need('nft');
	need('ip');
	const { log } = options;
	const stop = new AbortController();
	const signal = AbortSignal.any([options.signal, stop.signal]);
	await loadBridgeFilter(log);
	// Once before all else: it makes the address that DNS listens on.
	await prepareHost(options);

	const rules = serviceRules(options);
	const network = hostNetwork(options);
	const ports = createLoop({
		name: 'the bridge of pods',
		gatherMs: PORTS_MS,
		work: () => reflectPorts(options.bridge),
		everyMs: CHECK_MS,
		log,
	});
	const parts = [
		rules.run(signal),
		runHealthPorts({ cache: options.cache, nodeName: options.nodeName, healthy: () => rules.healthy, log }, signal),
		network.run(signal),
		ports.run(signal),
		monitor(options.bridge, { host: network.check, ports: ports.poke, rules: rules.check }, log, signal),
		...(options.dns ? [keepDnsRunning({ ...namesOf(options), ...options.dns }, signal)] : []),
	];
	try {
		await Promise.all(parts);
	} finally {
		stop.abort();
		await Promise.allSettled(parts);
	}
}

const namesOf = ({ podNetwork, serviceNetwork, clusterDns, clusterDomain, log }: ProxyOptions) => ({
	podNetwork,
	serviceNetwork,
	clusterDns,
	clusterDomain,
	log,
});

interface HostOptions extends HostNetwork {
	readonly cache: Cache;
	readonly nodeName: string;
	/** The bridge that the node agent makes for its pods. */
	readonly bridge: string;
	readonly log: Log;
}

/** Keeps addresses, Docker's leave and routes as they must be. */
function hostNetwork(options: HostOptions) {
	const { cache, nodeName, podNetwork, serviceNetwork, bridge, log } = options;
	const nodes = cache.informer(Node);
	const setRoutes = createRoutes([podNetwork, serviceNetwork], log);
	const refusals = faults(log);
	const told = new Set<string>();
	const tell = (refused: ReadonlyMap<string, string>) => {
		for (const name of told.difference(new Set(refused.keys())))
			if (told.delete(name)) refusals.healed(name, 'the route to the pods of a node is taken again', { node: name });
		for (const [name, why] of refused) {
			told.add(name);
			refusals.failed(name, why, 'what a node says of the way to its pods is not taken', { node: name });
		}
	};
	const loop = createLoop({
		name: 'the network of this host',
		everyMs: CHECK_MS,
		log,
		async work() {
			const gateway = await prepareHost(options);
			// From an address that every pod can answer, and whether or not the host has a default route.
			const services = gateway ? [{ to: serviceNetwork, dev: bridge, src: gateway }] : [];
			const { routes, refused } = nodeRoutes(nodes.list(), nodeName, options);
			tell(refused);
			await setRoutes([...services, ...routes]);
		},
	});
	return {
		check: loop.poke,
		async run(signal: AbortSignal) {
			// Before the nodes are known, their routes must not go.
			if (!(await synced([nodes], signal))) return;
			using _ = nodes.on(({ object, old }) => {
				if (!sameWay(object && nodeRoute(object), old && nodeRoute(old))) loop.poke();
			});
			await loop.run(signal);
		},
	};
}

const sameWay = (one: Route | undefined, other: Route | undefined) => one?.to === other?.to && one?.via === other?.via;
