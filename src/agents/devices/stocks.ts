/**
 * What there is of each resource, and who gives it. A plugin that vanishes leaves its devices unhealthy; when it stays away, the
 * node has none of them. Source: Kubernetes documentation, "Device Plugins", and the kubelet, which waits as long.
 */
import type { Amounts } from '../node/capacity.ts';
import type { Wheel } from '../wheel.ts';
import type { DeviceList, Provider } from './plugin.ts';

/** How long the devices of a plugin that has vanished are counted in the node's capacity. */
export const GRACE_MS = 300_000;
/** Resources of one node. */
export const MAX_RESOURCES = 256;

export interface Stock extends DeviceList {
	/** Undefined while it is away. */
	readonly provider?: Provider;
}

export interface Stocks {
	get(resource: string): Stock | undefined;
	/** Whether a plugin has the resource, or had it and has gone. */
	has(resource: string): boolean;
	names(): readonly string[];
	/** A plugin had the resource before the agent's start: it may come back. */
	expect(resource: string): void;
	/** From now on it is this one; who gave it before gives it no more. */
	attach(resource: string, provider: Provider): void;
	/** What it has now. Of one that was replaced nothing is taken. */
	list(resource: string, provider: Provider, list: DeviceList): void;
	detach(resource: string, provider: Provider): void;
	/** As the node publishes them; nothing of those that have gone. */
	amounts(): Amounts;
}

/** @param changed - `names` or `amounts` are others. */
export function createStocks(wheel: Wheel, changed: () => void): Stocks {
	const stocks = new Map<string, Stock & { readonly timer?: Disposable }>();
	const retired = new Set<string>();

	const away = (resource: string, unhealthy: readonly string[]) => {
		const timer = wheel.after(GRACE_MS, () => {
			if (stocks.get(resource)?.timer !== timer) return;
			stocks.delete(resource);
			retired.add(resource);
			changed();
		});
		stocks.set(resource, { healthy: [], unhealthy, timer });
		changed();
	};
	return {
		get: (resource) => stocks.get(resource),
		has: (resource) => stocks.has(resource) || retired.has(resource),
		names: () => [...stocks.keys()],
		expect(resource) {
			if (!stocks.has(resource)) away(resource, []);
		},
		attach(resource, provider) {
			const { healthy = [], unhealthy = [], timer } = stocks.get(resource) ?? {};
			timer?.[Symbol.dispose]();
			retired.delete(resource);
			stocks.set(resource, { healthy, unhealthy, provider });
			changed();
		},
		list(resource, provider, { healthy, unhealthy }) {
			const before = stocks.get(resource);
			if (before?.provider !== provider) return;
			if (same(before.healthy, healthy) && same(before.unhealthy, unhealthy)) return;
			stocks.set(resource, { healthy, unhealthy, provider });
			changed();
		},
		detach(resource, provider) {
			const stock = stocks.get(resource);
			if (stock?.provider === provider) away(resource, [...stock.healthy, ...stock.unhealthy]);
		},
		amounts() {
			const capacity: Record<string, string> = Object.fromEntries([...retired].map((name) => [name, '0']));
			const allocatable = { ...capacity };
			for (const [name, { healthy, unhealthy }] of stocks) {
				capacity[name] = String(healthy.length + unhealthy.length);
				allocatable[name] = String(healthy.length);
			}
			return { capacity, allocatable };
		},
	};
}

const same = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((id, at) => id === b[at]);
