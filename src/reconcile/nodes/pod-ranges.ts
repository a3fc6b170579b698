/** Which part of a network is free. */
import type { Range } from '../../kinds/index.ts';

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
