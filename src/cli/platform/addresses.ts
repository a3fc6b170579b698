/** Which of this machine's addresses others reach. */
import { networkInterfaces } from 'node:os';

/** The first IPv4 address that is not of loopback and not of a bridge of containers; loopback on a machine without a network. */
export function ownAddress(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string {
	for (const [name, addresses] of Object.entries(interfaces)) {
		if (/^(docker|br-|drift|veth|virbr|cni|lo)/.test(name)) continue;
		for (const { family, internal, address } of addresses ?? [])
			if (family === 'IPv4' && !internal && !address.startsWith('169.254.')) return address;
	}
	return '127.0.0.1';
}
