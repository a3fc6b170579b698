/** Keeps the node's service rules as Services and EndpointSlices say: one service's change costs that service's rules. */
import { type Cache, describe, faults } from '../client/index.ts';
import { EndpointSlice, type Key, keyOf, Node, Service } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import { createFlows, redirected } from './flows.ts';
import type { Network } from './frame.ts';
import type { HostNetwork } from './host.ts';
import { createLoop } from './loop.ts';
import { nodeRange } from './routes.ts';
import { externalAddresses, type ServicePort, serviceOf, servicePorts } from './services.ts';
import { synced } from './synced.ts';
import { createTable, type Refused } from './table.ts';

/** How often it is looked whether the rules are there, should their going have been missed, in ms. */
const CHECK_MS = 60_000;

export interface RulesOptions extends HostNetwork {
	readonly cache: Cache;
	readonly nodeName: string;
	readonly log: Log;
}

export interface ServiceRules {
	/** The rules may be gone. */
	check(): void;
	/** Runs until the signal aborts. The rules stay when it ends: connections go on while driftless is restarted. */
	run(signal: AbortSignal): Promise<void>;
}

export function serviceRules(options: RulesOptions): ServiceRules {
	const { cache, nodeName, clusterDns, log } = options;
	const services = cache.informer(Service);
	const slices = cache.informer(EndpointSlice);
	const nodes = cache.informer(Node);
	slices.addIndex('service', (slice) => [serviceOf(slice) ?? []].flat());
	services.addIndex('address', addressesOf);

	const flows = createFlows(log);
	const known = faults(log);
	const table = createTable();
	const dirty = new Set<Key>();
	/** The ports of each service that the kernel was to have at last. */
	const applied = new Map<Key, readonly ServicePort[]>();
	/** Services whose rules the kernel did not take: they are tried again now and then. */
	const refused = new Set<Key>();
	/** What the kernel has is not known, or not what it is to have: everything is set. */
	let whole = true;
	/** Our table may be gone. */
	let unsure = false;

	const wanted = (key: Key): readonly ServicePort[] => {
		const service = services.get(key);
		// Each node's own DNS server answers at that address.
		if (!service || service.spec.clusterIP === clusterDns) return [];
		return servicePorts(service, slices.by('service', key), nodeName, (address) => services.by('address', address));
	};
	const network = (): Network => {
		const { podCIDR = '' } = nodes.get(nodeName)?.spec ?? {};
		return { ...options, podCidr: nodeRange(podCIDR, options.podNetwork) && podCIDR };
	};
	const tell = (tried: Iterable<Key>, failed: Refused) => {
		for (const key of tried) {
			if (!failed.has(key)) known.healed(key, 'the rules of a service are in place', { service: key });
			refused.delete(key);
		}
		for (const [key, error] of failed) {
			refused.add(key);
			known.failed(key, error, 'the kernel refuses the rules of a service: it has those of before', { service: key });
		}
	};

	const everything = async () => {
		dirty.clear();
		refused.clear();
		applied.clear();
		for (const service of services.list()) applied.set(keyOf(service), wanted(keyOf(service)));
		tell(applied.keys(), await table.setAll(applied, network()));
		await flows.forget([...applied.values()].flat());
	};
	const changes = async () => {
		const after = new Map(Array.from(dirty, (key) => [key, wanted(key)] as const));
		dirty.clear();
		const before = [...after.keys()].flatMap((key) => applied.get(key) ?? []);
		tell(after.keys(), await table.set(after, network()));
		for (const [key, ports] of after) {
			if (ports.length > 0) applied.set(key, ports);
			else applied.delete(key);
		}
		await flows.forget(redirected(before, [...after.values()].flat()));
	};
	const loop = createLoop({
		name: 'service rules',
		everyMs: CHECK_MS,
		log,
		async work() {
			const check = unsure || dirty.size === 0;
			unsure = false;
			if (check) for (const key of refused) dirty.add(key);
			if (!whole && check) whole = !(await table.isThere());
			if (!whole) {
				try {
					return await changes();
				} catch (error) {
					// Somebody may have taken the table away at this very moment. What the kernel has is found out.
					log.warn({ cause: describe(error) }, 'a change of the service rules failed; all of them are set');
				}
			}
			// Before it begins: what changes meanwhile counts.
			whole = false;
			try {
				await everything();
			} catch (error) {
				whole = true;
				throw error;
			}
		},
	});
	const mark = (key: Key | undefined) => {
		if (!key) return;
		dirty.add(key);
		loop.poke();
	};

	return {
		check() {
			unsure = true;
			loop.poke();
		},
		async run(signal) {
			if (!(await synced([services, slices, nodes], signal))) return;
			using subscriptions = new DisposableStack();
			subscriptions.use(
				services.on(({ key, object, old }) => {
					mark(key);
					// Who comes first at an address of several may have changed.
					for (const service of [object, old])
						for (const address of service ? addressesOf(service) : [])
							for (const rival of services.by('address', address)) mark(keyOf(rival));
				}),
			);
			subscriptions.use(
				slices.on(({ object, old }) => {
					for (const slice of [object, old]) mark(slice && serviceOf(slice));
				}),
			);
			subscriptions.use(
				nodes.on(({ key, object, old }) => {
					if (key !== nodeName || object?.spec?.podCIDR === old?.spec?.podCIDR) return;
					whole = true;
					loop.poke();
				}),
			);
			await loop.run(signal);
		},
	};
}

const addressesOf = (service: Service): string[] => [service.spec.clusterIP ?? [], externalAddresses(service)].flat();
