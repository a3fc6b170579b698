/** Keeps the node's service rules as Services and EndpointSlices say: one service's change costs that service's rules. */
import { type Cache, faults, pause } from '../client/index.ts';
import { EndpointSlice, type Key, keyOf, Node, Service } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import { type HostNetwork, prepareHost } from './host.ts';
import { chainExists, nft } from './programs.ts';
import { change, type Network, rebuild, TABLE } from './rules.ts';
import { type ServicePort, servicePorts } from './services.ts';

/** Changes that come within so many ms go to the kernel together. */
const GATHER_MS = 10;
/** How often it is looked whether somebody else took the rules away, in ms. */
const CHECK_MS = 30_000;
/** Between attempts while the kernel refuses, in ms. */
const RETRY_MS = 5_000;

/** The label by which a slice says whose it is. */
const SERVICE_NAME = 'kubernetes.io/service-name';

export interface ProxyOptions extends HostNetwork {
	readonly cache: Cache;
	readonly nodeName: string;
	readonly log: Log;
	readonly signal: AbortSignal;
}

/** Runs until the signal aborts. The rules stay when it ends: connections go on while driftless is restarted. */
export async function runServiceRules(options: ProxyOptions): Promise<void> {
	const { cache, nodeName, podNetwork, bridge, log, signal } = options;
	const services = cache.informer(Service);
	const slices = cache.informer(EndpointSlice);
	const nodes = cache.informer(Node);
	slices.addIndex('service', (slice) => {
		const name = slice.metadata.labels?.[SERVICE_NAME];
		return name ? [`${slice.metadata.namespace}/${name}`] : [];
	});

	const dirty = new Set<Key>();
	let whole = true;
	let wake = () => {};
	const mark = (key: Key) => {
		dirty.add(key);
		wake();
	};
	using subscriptions = new DisposableStack();
	subscriptions.use(services.on(({ key }) => mark(key)));
	subscriptions.use(
		slices.on(({ object, old }) => {
			for (const slice of [object, old]) {
				const name = slice?.metadata.labels?.[SERVICE_NAME];
				if (slice && name) mark(`${slice.metadata.namespace}/${name}`);
			}
		}),
	);
	subscriptions.use(
		nodes.on(({ key, object, old }) => {
			if (key !== nodeName || object?.spec?.podCIDR === old?.spec?.podCIDR) return;
			whole = true;
			wake();
		}),
	);
	await Promise.all([services.synced, slices.synced, nodes.synced]);

	/** What the kernel has, by service. */
	const applied = new Map<Key, readonly ServicePort[]>();
	const wanted = (key: Key): ServicePort[] => {
		const service = services.get(key);
		return service ? servicePorts(service, slices.by('service', key), nodeName) : [];
	};
	const network = (): Network => ({ podNetwork, podCidr: nodes.get(nodeName)?.spec?.podCIDR, bridge });
	const bring = async () => {
		if (whole) {
			dirty.clear();
			const all = new Map([...services.list()].map((service) => [keyOf(service), wanted(keyOf(service))]));
			await prepareHost(options, log);
			await nft(rebuild(network(), [...all.values()].flat()));
			applied.clear();
			for (const [key, ports] of all) if (ports.length > 0) applied.set(key, ports);
			whole = false;
			return;
		}
		const keys = [...dirty];
		dirty.clear();
		const next = new Map(keys.map((key) => [key, wanted(key)]));
		const script = keys.map((key) => change(applied.get(key) ?? [], next.get(key) ?? [], network())).join('');
		if (script === '') return;
		await nft(script);
		for (const [key, ports] of next) {
			if (ports.length > 0) applied.set(key, ports);
			else applied.delete(key);
		}
	};

	const known = faults(log);
	let checkAt = Date.now() + CHECK_MS;
	while (!signal.aborted) {
		try {
			if (!whole && Date.now() >= checkAt) {
				checkAt = Date.now() + CHECK_MS;
				await prepareHost(options, log);
				whole = !(await chainExists(TABLE, 'dispatch'));
			}
			if (whole || dirty.size > 0) await bring();
			known.healed('nft', 'service rules are in place again', {});
		} catch (error) {
			// Half of the truth may be in the kernel: the next attempt starts from nothing, in one transaction.
			whole = true;
			known.failed('nft', error, 'service rules could not be set; it is tried again', {});
			await pause(RETRY_MS, signal).catch(() => {});
			continue;
		}
		if (dirty.size > 0 || whole) continue;
		await Promise.race([
			pause(Math.max(0, checkAt - Date.now()), signal).catch(() => {}),
			new Promise<void>((resolve) => {
				wake = resolve;
			}),
		]);
		await pause(GATHER_MS, signal).catch(() => {});
	}
}
