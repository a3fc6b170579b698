/** Keeps the node's service rules as Services and EndpointSlices say: one service's change costs that service's rules. */
import { type Cache, describe } from '../client/index.ts';
import { EndpointSlice, type Key, keyOf, Node, Service } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import { createFlows, lostEndpoints } from './flows.ts';
import type { HostNetwork } from './host.ts';
import { createLoop } from './loop.ts';
import { nft, nftList } from './programs.ts';
import { change, clientSets, type Network, rebuild, TABLE } from './rules.ts';
import { externalAddresses, type ServicePort, serviceOf, servicePorts } from './services.ts';
import { synced } from './synced.ts';

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
	const dirty = new Set<Key>();
	/** What the kernel has, by service. */
	const applied = new Map<Key, readonly ServicePort[]>();
	/** What the kernel has is not known, or not what it is to have: everything is set anew. */
	let whole = true;
	/** Our table may be gone. */
	let unsure = false;

	const wanted = (key: Key): readonly ServicePort[] => {
		const service = services.get(key);
		// Each node's own DNS server answers at that address.
		if (!service || service.spec.clusterIP === clusterDns) return [];
		return servicePorts(service, slices.by('service', key), nodeName, (address) => services.by('address', address));
	};
	const network = (): Network => ({ ...options, podCidr: nodes.get(nodeName)?.spec?.podCIDR });

	const everything = async () => {
		dirty.clear();
		applied.clear();
		for (const service of services.list()) applied.set(keyOf(service), wanted(keyOf(service)));
		const ports = [...applied.values()].flat();
		// Where no table is, nobody is remembered.
		const clients = await nftList('sets', 'table', 'ip', TABLE).then(clientSets, () => []);
		await nft(rebuild(network(), ports, clients));
		await flows.forget(ports);
	};
	const changes = async () => {
		const keys = [...dirty];
		dirty.clear();
		const before = keys.flatMap((key) => applied.get(key) ?? []);
		for (const key of keys) applied.set(key, wanted(key));
		const after = keys.flatMap((key) => applied.get(key) ?? []);
		for (const key of keys) if (!services.get(key)) applied.delete(key);
		const script = change(before, after, network());
		if (script !== '') await nft(script);
		await flows.forget(lostEndpoints(before, after));
	};
	const loop = createLoop({
		name: 'service rules',
		everyMs: CHECK_MS,
		log,
		async work() {
			const check = unsure || dirty.size === 0;
			unsure = false;
			if (!whole && check) whole = !(await isThere());
			if (!whole) {
				try {
					return await changes();
				} catch (error) {
					// Somebody may have taken the table away at this very moment.
					log.warn({ cause: describe(error) }, 'a change of the service rules was refused; all of them are set anew');
				}
			}
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

/** Whether our table is there. */
const isThere = (): Promise<boolean> =>
	nftList('chain', 'ip', TABLE, 'dispatch').then(
		() => true,
		() => false,
	);
