/** Which of this machine's addresses others reach. */
import { networkInterfaces } from 'node:os';
import { reachableAddress } from '../../kinds/index.ts';

/** The first IPv4 address that is not of loopback and not of a bridge of containers; loopback on a machine without a network. */
export function ownAddress(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string {
	for (const [name, addresses] of Object.entries(interfaces)) {
		if (/^(docker|br-|drift|veth|virbr|cni|lo)/.test(name)) continue;
		for (const { family, internal, address } of addresses ?? [])
			if (family === 'IPv4' && !internal && !address.startsWith('169.254.')) return address;
	}
	return '127.0.0.1';
}

/** What is to be said of a server whose store others may share, and whose address leads them nowhere; undefined of any other. */
export function seenByNone(store: string, address: string): string | undefined {
	if (store === 'sqlite' || reachableAddress(address).length === 0) return undefined;
	return `no other server on this store sees this one, or passes pushes on to it, at ${address}; where there are several: --advertise-address with an address of this machine that they reach`;
}
