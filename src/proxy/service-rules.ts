/** Keeps the node's service rules as Services and EndpointSlices say: one service's change costs that service's rules. */
import { type Cache, describe, faults } from '../client/index.ts';
import { EndpointSlice, type Key, keyOf, Node, Service, TRIGGER_TIME } from '../kinds/index.ts';
import type { Log } from '../log.ts';
import { createFlows, redirected } from './flows.ts';
import type { Network } from './frame.ts';
import type { HostNetwork } from './host.ts';
import { createLoop } from './loop.ts';
import { createProxyMetrics, type ProxyMetrics } from './metrics.ts';
import { nodeRange } from './routes.ts';
import { externalAddresses, SERVICE_INDEX, type ServicePort, serviceOf, servicePorts } from './services.ts';
import { synced } from './synced.ts';
import { createTable, type Table, type Wanted } from './table.ts';

/** How often it is looked whether the rules are there, should their going have been missed, in ms. */
const CHECK_MS = 60_000;

export interface RulesOptions extends HostNetwork {
	readonly cache: Cache;
	readonly nodeName: string;
	readonly metrics?: ProxyMetrics;
	readonly log: Log;
}

export interface ServiceRules {
	/** The rules may be gone. */
	check(): void;
	/** Whether the kernel has the rules of all services, as far as it is known. */
	readonly healthy: boolean;
	/** Runs until the signal aborts. The rules stay when it ends: connections go on while driftless is restarted. */
	run(signal: AbortSignal): Promise<void>;
}

export function serviceRules(options: RulesOptions): ServiceRules {
	const { cache, nodeName, clusterDns, metrics = createProxyMetrics(), log } = options;
	const services = cache.informer(Service);
	const slices = cache.informer(EndpointSlice);
	const nodes = cache.informer(Node);
	slices.addIndex(SERVICE_INDEX, (slice) => [serviceOf(slice) ?? []].flat());
	services.addIndex('address', addressesOf);

	const flows = createFlows(log);
	const started = Date.now();
	const known = faults(log);
	const table = createTable();
	const dirty = new Set<Key>();
	/** The ports of each service that the kernel was to have at last. */
	const applied = new Map<Key, readonly ServicePort[]>();
	/** Services whose rules the kernel did not take: they are tried again now and then. */
	const refused = new Set<Key>();
	/** When what the rules do not follow yet has changed, in ms since the epoch, by service. */
	const triggers = new Map<Key, number[]>();
	/** What the kernel has is not known, or not what it is to have: everything is set. */
	let whole = true;
	/** Our table may be gone. */
	let unsure = false;

	const wanted = (key: Key): readonly ServicePort[] => {
		const service = services.get(key);
		// Each node's own DNS server answers at that address.
		if (!service || service.spec.clusterIP === clusterDns) return [];
		return servicePorts(service, slices.by(SERVICE_INDEX, key), nodeName, (address) => services.by('address', address));
	};
	const network = (): Network => {
		const { podCIDR = '' } = nodes.get(nodeName)?.spec ?? {};
		return { ...options, podCidr: nodeRange(podCIDR, options.podNetwork) && podCIDR };
	};
	/** Has `set` set the rules of these services, and tells how it went. */
	const put = async (wanted: Wanted, set: Table['set']) => {
		const since = new Map(Array.from(wanted.keys(), (key) => [key, triggers.get(key) ?? []] as const));
		for (const key of since.keys()) triggers.delete(key);
		const began = performance.now();
		const took = (complete: boolean) => metrics.synced((performance.now() - began) / 1_000, complete, Date.now());
		const failed = await set(wanted, network()).catch((error: unknown) => {
			took(false);
			throw error;
		});
		took(failed.size === 0);
		for (const [key, changes] of since) {
			refused.delete(key);
			if (failed.has(key)) continue;
			known.healed(key, 'the rules of a service are in place', { service: key });
			for (const at of changes) metrics.programmed((Date.now() - at) / 1_000);
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
		await put(applied, table.setAll);
		await flows.forget([...applied.values()].flat());
	};
	const changes = async () => {
		const after = new Map(Array.from(dirty, (key) => [key, wanted(key)] as const));
		dirty.clear();
		const before = [...after.keys()].flatMap((key) => applied.get(key) ?? []);
		if (after.size > 0) await put(after, table.set);
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
	/** Keeps when what has changed a slice was, if that was after this proxy began. */
	const note = (slice: EndpointSlice | undefined, old: EndpointSlice | undefined) => {
		const told = slice?.metadata.annotations?.[TRIGGER_TIME];
		const key = slice && serviceOf(slice);
		const at = Date.parse(told ?? '');
		if (!key || told === old?.metadata.annotations?.[TRIGGER_TIME] || !(at >= started)) return;
		triggers.set(key, [...(triggers.get(key) ?? []), at]);
	};
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
		get healthy() {
			return !whole;
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
					note(object, old);
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
