/** Ranges of IPv4 addresses, and which of them is free. */

export interface Range {
	/** The first address, as a number. */
	readonly first: number;
	/** How many addresses. */
	readonly size: number;
}

/** The range of `10.244.0.0/16`; undefined where the text is none. */
export function parseRange(cidr: string): Range | undefined {
	const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
	if (!match) return undefined;
	const [a = 0, b = 0, c = 0, d = 0, bits = 0] = match.slice(1).map(Number);
	if (bits > 32 || [a, b, c, d].some((part) => part > 255)) return undefined;
	const size = 2 ** (32 - bits);
	const address = ((a * 256 + b) * 256 + c) * 256 + d;
	return { first: address - (address % size), size };
}

export function formatRange({ first, size }: Range): string {
	const parts = [2 ** 24, 2 ** 16, 2 ** 8, 1].map((unit) => Math.floor(first / unit) % 256);
	return `${parts.join('.')}/${32 - Math.log2(size)}`;
}

/** The lowest range of 2 ** (32 - bits) addresses in `network` that meets none of `used`; undefined when all are taken. */
export function freeRange(network: Range, bits: number, used: Iterable<Range>): Range | undefined {
	const size = 2 ** (32 - bits);
	const taken = [...used].sort((one, other) => one.first - other.first);
	const end = network.first + network.size;
	let first = network.first;
	for (const range of taken) {
		if (range.first >= first + size) break;
		// The next aligned range after the taken one.
		if (range.first + range.size > first) first = Math.ceil((range.first + range.size) / size) * size;
	}
	return first + size <= end ? { first, size } : undefined;
}
