/** IPv4 addresses and networks as numbers. */

/** A network: its addresses in a row. */
export interface Range {
	/** The first address, as a number. */
	readonly first: number;
	/** How many addresses. */
	readonly size: number;
}

/** `10.244.0.7` as a number; undefined where the text is no address. */
export function addressNumber(address: string): number | undefined {
	const parts = address.split('.');
	if (parts.length !== 4 || parts.some((part) => !/^\d{1,3}$/.test(part) || Number(part) > 255)) return undefined;
	return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

export const addressText = (number: number): string =>
	[2 ** 24, 2 ** 16, 2 ** 8, 1].map((unit) => Math.floor(number / unit) % 256).join('.');

/** The range of `10.244.0.0/16`; undefined where the text is none. */
export function parseRange(cidr: string): Range | undefined {
	const [base = '', bits = '', ...more] = cidr.split('/');
	const address = addressNumber(base);
	if (address === undefined || !/^\d{1,2}$/.test(bits) || Number(bits) > 32 || more.length > 0) return undefined;
	const size = 2 ** (32 - Number(bits));
	return { first: address - (address % size), size };
}

export const formatRange = ({ first, size }: Range): string => `${addressText(first)}/${32 - Math.log2(size)}`;

/** The address at `offset` in a network: addressIn('10.96.0.0/12', 1) is 10.96.0.1. Throws where the text is no network. */
export function addressIn(cidr: string, offset: number): string {
	const range = parseRange(cidr);
	if (!range) throw new Error(`${cidr} is not an IPv4 network: driftless carries IPv4 only`);
	return addressText(range.first + offset);
}
