/** The network of a node's pods: asked for with the node's podCIDR, once it has one. */
import type { Cache } from '../../client/index.ts';
import { Node } from '../../kinds/index.ts';
import type { Engine, PodNetwork } from '../engine/index.ts';

/** Name of the network in the engine, its bridge on the machine, and its MTU. */
export const NETWORK = { name: 'driftless', bridge: 'drift0', mtu: 1500 } as const;

export interface Preparation {
	/** Settles once the engine is prepared for sandboxes. Waits until the node has a range. Throws where it cannot be. */
	ready(): Promise<void>;
	/** It may not be any more: it is prepared anew before it is used again. */
	lost(): void;
}

/** Prepares the engine for the pods of the node when that is first asked for. */
export function prepareEngine({
	engine,
	cache,
	signal,
	...network
}: Omit<PodNetwork, 'cidr'> & {
	readonly engine: Engine;
	readonly cache: Cache;
	readonly signal: AbortSignal;
}): Preparation {
	let prepared: Promise<void> | undefined;
	const prepare = async () => engine.prepare({ ...network, cidr: await podCidr(cache, network.node, signal) });
	return {
		ready() {
			if (prepared) return prepared;
			const made = prepare();
			prepared = made;
			made.catch(() => {
				if (prepared === made) prepared = undefined;
			});
			return made;
		},
		lost() {
			prepared = undefined;
		},
	};
}

/** Waits until a controller, or whoever gives ranges, has given the node one. */
async function podCidr(cache: Cache, name: string, signal: AbortSignal): Promise<string> {
	const { promise, resolve, reject } = Promise.withResolvers<string>();
	const given = () => cache.informer(Node).get(name)?.spec.podCIDR;
	using _watching = cache.informer(Node).on(() => {
		const cidr = given();
		if (cidr) resolve(cidr);
	});
	const abort = () => reject(signal.reason);
	signal.addEventListener('abort', abort, { once: true });
	try {
		signal.throwIfAborted();
		return await promise;
	} finally {
		signal.removeEventListener('abort', abort);
	}
}
