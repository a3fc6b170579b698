/** IPv4 arithmetic, and which of this machine's addresses others reach. */
import { networkInterfaces } from 'node:os';

/** The address at `offset` in a network: networkAddress('10.96.0.0/12', 1) is 10.96.0.1. */
export function networkAddress(cidr: string, offset: number): string {
	const [base = '0.0.0.0'] = cidr.split('/');
	const number = base.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) + offset;
	return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}

/** The first IPv4 address that is not of loopback and not of a bridge of containers; loopback on a machine without a network. */
export function ownAddress(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string {
	for (const [name, addresses] of Object.entries(interfaces)) {
		if (/^(docker|br-|drift|veth|virbr|cni|lo)/.test(name)) continue;
		for (const { family, internal, address } of addresses ?? [])
			if (family === 'IPv4' && !internal && !address.startsWith('169.254.')) return address;
	}
	return '127.0.0.1';
}
