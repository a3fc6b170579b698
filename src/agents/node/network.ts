/** The bridge network of a node's pods: made from the node's podCIDR, made anew when that has changed. */
import type { Cache } from '../../client/index.ts';
import { addressIn, Node } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import type { Engine } from '../engine/engine.ts';
import { labels } from '../pods/names.ts';

/** Name of the network in the engine, its bridge on the machine, and its MTU. */
export const NETWORK = { name: 'driftless', bridge: 'drift0', mtu: 1500 } as const;

export interface NetworkOptions {
	readonly engine: Engine;
	/** Name of the network in the engine, and of its bridge on the machine. */
	readonly name: string;
	readonly bridge: string;
	readonly mtu: number;
	readonly node: string;
	readonly log: Log;
}

export interface PodNetwork {
	/** Its name in the engine, once it is there. Waits until the node has been given a range. Throws where it cannot be made. */
	ready(): Promise<string>;
	/** It may not be there any more: looked for, and made anew if need be, before it is used again. */
	lost(): void;
}

/** The network of the node's pods, made when it is first asked for. */
export function podNetwork(
	options: NetworkOptions & { readonly cache: Cache; readonly signal: AbortSignal },
): PodNetwork {
	const { name, node, cache, signal } = options;
	let network: Promise<string> | undefined;
	const make = async (): Promise<string> => {
		await ensureNetwork({ ...options, cidr: await podCidr(cache, node, signal) });
		return name;
	};
	return {
		ready() {
			if (network) return network;
			const made = make();
			network = made;
			made.catch(() => {
				if (network === made) network = undefined;
			});
			return made;
		},
		lost() {
			network = undefined;
		},
	};
}

/**
 * Makes sure that the network is there with this range. A network of another range goes, and with it the containers on it
 * that are this node's: their pods get new ones. Throws where the network is not this node's, and where the engine refuses
 * (the range or the bridge is taken, containers of others are on it).
 */
export async function ensureNetwork({
	engine,
	name,
	bridge,
	mtu,
	cidr,
	node,
	log,
}: NetworkOptions & { readonly cidr: string }): Promise<void> {
	const present = await engine.networks.inspect(name);
	if (present) {
		const owner = present.labels[labels.node];
		if (owner !== node) throw new Error(notOurs(name, node, owner));
		if (present.subnet === cidr) return;
		log.warn(
			{ network: name, from: present.subnet, to: cidr },
			'the range of the node has changed: its pods get new addresses',
		);
		const ours = new Set((await engine.containers.list({ [labels.node]: node })).map(({ id }) => id));
		for (const id of present.containers) if (ours.has(id)) await engine.containers.remove(id);
		await engine.networks.remove(name);
	}
	const gateway = addressIn(cidr, 1);
	await engine.networks.create({ name, bridge, mtu, subnet: cidr, gateway, labels: { [labels.node]: node } });
}

function notOurs(name: string, node: string, owner: string | undefined): string {
	if (owner === undefined)
		return `the engine has a network ${name} that was not made for a node of driftless: remove it, or use another engine`;
	return `the network ${name} of the engine belongs to the node ${owner}, and this is the node ${node}: two nodes cannot share an engine. Where the node was renamed, start it with --node-name ${owner}, or take it off the engine with \`driftless down --node-name ${owner}\``;
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
