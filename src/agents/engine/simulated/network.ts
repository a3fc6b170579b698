/** The addresses of simulated pods: they are given out, and lead nowhere. */
import { addressIn, parseRange } from '../../../kinds/index.ts';
import { EngineError } from '../error.ts';
import type { PodNetwork } from '../pod.ts';

const DOING = 'give a sandbox its address';

export interface Addresses {
	readonly network: PodNetwork;
	/** One that nobody has, not the one that was freed last. Throws EngineError where there is none. */
	take(): string;
	free(address: string): void;
}

/** The addresses of a range, without its own, that of its gateway and that of all. */
export function addressesOf(network: PodNetwork): Addresses {
	const size = parseRange(network.cidr)?.size ?? 0;
	const taken = new Set<string>();
	let last = 1;
	return {
		network,
		take() {
			for (let tried = 0; tried < size - 3; tried++) {
				last = last + 1 > size - 2 ? 2 : last + 1;
				const address = addressIn(network.cidr, last);
				if (taken.has(address)) continue;
				taken.add(address);
				return address;
			}
			throw new EngineError('failed', DOING, `no address of ${network.cidr} is left`);
		},
		free: (address) => void taken.delete(address),
	};
}
