/** Which container has which devices: in memory, by pod, container and resource. */
import type { Grant } from './grant.ts';

export interface Allocation {
	/** Of the pod. */
	readonly uid: string;
	readonly container: string;
	readonly resource: string;
	readonly ids: readonly string[];
	/** Undefined: it is known from the container alone, and the plugin is asked again before the next one. */
	readonly grant?: Grant;
}

export interface Ledger {
	get(uid: string, container: string, resource: string): Allocation | undefined;
	/** Of one container, of all resources. */
	of(uid: string, container: string): readonly Allocation[];
	put(allocation: Allocation): void;
	/** The pod gives back what it has. @returns whether it had something. */
	drop(uid: string): boolean;
	uids(): Iterable<string>;
	all(): readonly Allocation[];
	/** Devices of the resource that containers have, and those that are reserved. */
	taken(resource: string): ReadonlySet<string>;
	/** Keeps devices from others until the answer of their plugin is there. */
	reserve(resource: string, ids: readonly string[]): Disposable;
}

export function createLedger(): Ledger {
	const pods = new Map<string, Map<string, Allocation>>();
	/** By resource and device, by how many. */
	const uses = new Map<string, Map<string, number>>();
	const key = (container: string, resource: string) => `${container} ${resource}`;
	const use = (resource: string, ids: readonly string[], by: 1 | -1) => {
		const counts = uses.get(resource) ?? new Map<string, number>();
		uses.set(resource, counts);
		for (const id of ids) {
			const count = (counts.get(id) ?? 0) + by;
			if (count > 0) counts.set(id, count);
			else counts.delete(id);
		}
		if (counts.size === 0) uses.delete(resource);
	};
	return {
		get: (uid, container, resource) => pods.get(uid)?.get(key(container, resource)),
		of: (uid, container) => [...(pods.get(uid)?.values() ?? [])].filter((one) => one.container === container),
		put(allocation) {
			const { uid, container, resource, ids } = allocation;
			const pod = pods.get(uid) ?? new Map<string, Allocation>();
			pods.set(uid, pod);
			const before = pod.get(key(container, resource));
			use(resource, ids, 1);
			if (before) use(resource, before.ids, -1);
			pod.set(key(container, resource), allocation);
		},
		drop(uid) {
			const pod = pods.get(uid);
			for (const { resource, ids } of pod?.values() ?? []) use(resource, ids, -1);
			return pods.delete(uid);
		},
		uids: () => pods.keys(),
		all: () => [...pods.values()].flatMap((pod) => [...pod.values()]),
		taken: (resource) => new Set(uses.get(resource)?.keys() ?? []),
		reserve(resource, ids) {
			use(resource, ids, 1);
			return { [Symbol.dispose]: () => use(resource, ids, -1) };
		},
	};
}
