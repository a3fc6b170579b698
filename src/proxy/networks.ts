/** IPv4 networks, to ask whether an address is in one of them. */
import { BlockList, isIPv4 } from 'node:net';

/** Of `10.244.0.0/16` and the like. Throws where one is no IPv4 network. */
export function networksOf(...cidrs: readonly string[]): BlockList {
	const networks = new BlockList();
	for (const cidr of cidrs) {
		const [base = '', bits = '32'] = cidr.split('/');
		if (!isIPv4(base)) throw new Error(`${cidr} is not an IPv4 network: driftless carries IPv4 only`);
		networks.addSubnet(base, Number(bits));
	}
	return networks;
}
