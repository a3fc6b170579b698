/** The bridge network of a node's pods: made from the node's podCIDR, made anew when that has changed. */
import type { Log } from '../../log.ts';
import type { Engine } from '../engine/engine.ts';
import { labels } from '../pods/names.ts';

export interface NetworkOptions {
	readonly engine: Engine;
	/** Name of the network in the engine, and of its bridge on the machine. */
	readonly name: string;
	readonly bridge: string;
	readonly mtu: number;
	/** `10.244.0.0/24`. */
	readonly cidr: string;
	readonly node: string;
	readonly log: Log;
}

/**
 * Makes sure that the network is there with this range. A network of another range goes, and with it the pause containers
 * on it: their pods get new ones. Throws where the engine refuses (the range or the bridge is taken).
 */
export async function ensureNetwork({ engine, name, bridge, mtu, cidr, node, log }: NetworkOptions): Promise<void> {
	const present = await engine.networks.inspect(name);
	if (present?.subnet === cidr) return;
	if (present) {
		log.warn(
			{ network: name, from: present.subnet, to: cidr },
			'the range of the node has changed: its pods get new addresses',
		);
		for (const id of present.containers) await engine.containers.remove(id);
		await engine.networks.remove(name);
	}
	const gateway = firstAddress(cidr);
	await engine.networks.create({ name, bridge, mtu, subnet: cidr, gateway, labels: { [labels.node]: node } });
}

/** The first address of an IPv4 range after the range's own: `10.244.0.0/24` gives `10.244.0.1`. */
export function firstAddress(cidr: string): string {
	const [address = '', bits = '32'] = cidr.split('/');
	const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
	const size = 2 ** (32 - Number(bits));
	const first = number - (number % size) + 1;
	return [24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256).join('.');
}
