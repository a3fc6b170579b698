/**
 * Thresholds of what a node has left, below which it evicts pods: as flags give them, and as the kubelet has them by default.
 * Source: Kubernetes documentation, "Node-pressure Eviction".
 */
import { isQuantity, quantity } from '../../kinds/index.ts';

export const SIGNALS = [
	'memory.available',
	'nodefs.available',
	'nodefs.inodesFree',
	'imagefs.available',
	'imagefs.inodesFree',
	'pid.available',
] as const;
export type Signal = (typeof SIGNALS)[number];

/** A quantity in the signal's own unit (bytes, pieces), or a share of all that there is. */
export type Amount = { readonly quantity: string } | { readonly share: number };

export interface Threshold {
	readonly signal: Signal;
	readonly value: Amount;
	/** Milliseconds for which it has to be met; absent: one moment is enough (hard). */
	readonly graceMs?: number;
	/** How much more has to be left before it counts as not met any more. */
	readonly reclaim?: Amount;
}

export interface EvictionOptions {
	readonly hard?: Readonly<Partial<Record<Signal, Amount>>>;
	readonly soft?: Readonly<Partial<Record<Signal, Amount>>>;
	/** Milliseconds; each soft threshold has one. */
	readonly softGrace?: Readonly<Partial<Record<Signal, number>>>;
	readonly minimumReclaim?: Readonly<Partial<Record<Signal, Amount>>>;
	/** Milliseconds that pressure is told of after it was last seen. */
	readonly transitionMs?: number;
	/** Seconds that a pod has at most which a soft threshold evicts. Default its own. */
	readonly maxPodGrace?: number;
}

/** As the kubelet's; but that of processes, which it leaves to its user. */
const HARD: Readonly<Partial<Record<Signal, Amount>>> = {
	'memory.available': { quantity: '100Mi' },
	'nodefs.available': { share: 0.1 },
	'nodefs.inodesFree': { share: 0.05 },
	'imagefs.available': { share: 0.15 },
	'imagefs.inodesFree': { share: 0.05 },
	'pid.available': { share: 0.1 },
};

/** How long pressure counts after it was last seen, so that taints do not flap. */
export const TRANSITION_MS = 300_000;

/** All thresholds, the hard ones first. Throws where a soft one has no grace period. */
export function thresholdsOf({
	hard = HARD,
	soft = {},
	softGrace = {},
	minimumReclaim = {},
}: EvictionOptions = {}): Threshold[] {
	const without = Object.keys(soft).find((signal) => softGrace[signal as Signal] === undefined);
	if (without)
		throw new Error(`the soft threshold of ${without} has no grace period: name one with --eviction-soft-grace-period`);
	const all = (values: typeof hard, grace: typeof softGrace) =>
		SIGNALS.flatMap((signal): Threshold[] => {
			const value = values[signal];
			const [graceMs, reclaim] = [grace[signal], minimumReclaim[signal]];
			return value === undefined
				? []
				: [{ signal, value, ...(graceMs === undefined ? {} : { graceMs }), ...(reclaim ? { reclaim } : {}) }];
		});
	return [...all(hard, {}), ...all(soft, softGrace)];
}

/** So much of `capacity`. */
export const amountOf = (amount: Amount, capacity: number): number =>
	'share' in amount ? amount.share * capacity : quantity(amount.quantity);

/** As messages name it. */
export const amountText = (amount: Amount, capacity: number): string =>
	'share' in amount ? binary(amount.share * capacity) : amount.quantity;

/** Bytes as a quantity, in the largest unit that it is a whole number of. */
export function binary(bytes: number): string {
	let [value, unit] = [Math.floor(bytes), ''];
	for (const next of ['Ki', 'Mi', 'Gi', 'Ti']) {
		if (value === 0 || value % 1024 !== 0) break;
		[value, unit] = [value / 1024, next];
	}
	return `${value}${unit}`;
}

/** `memory.available<500Mi,nodefs.available<10%`; `sign` is what stands between. Throws what is wrong with it. */
export function parseAmounts(text: string, sign: '<' | '='): Partial<Record<Signal, Amount>> {
	const found: Partial<Record<Signal, Amount>> = {};
	for (const [signal, value] of parts(text, sign)) found[signal] = amount(value);
	return found;
}

/** `memory.available=90s`; `duration` reads the times. Throws what is wrong with it. */
export function parseGraces(text: string, duration: (text: string) => number): Partial<Record<Signal, number>> {
	const found: Partial<Record<Signal, number>> = {};
	for (const [signal, value] of parts(text, '=')) found[signal] = duration(value);
	return found;
}

function parts(text: string, sign: string): (readonly [Signal, string])[] {
	return text
		.split(',')
		.filter(Boolean)
		.map((part) => {
			const [name = '', value = '', more] = part.split(sign);
			const signal = SIGNALS.find((one) => one === name);
			if (!signal || more !== undefined || !value)
				throw new Error(`It takes ${SIGNALS.join(', ')}, each with ${sign} and a value.`);
			return [signal, value] as const;
		});
}

function amount(text: string): Amount {
	const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
	if (percent !== undefined && Number(percent) <= 100) return { share: Number(percent) / 100 };
	if (percent === undefined && isQuantity(text) && quantity(text) >= 0) return { quantity: text };
	throw new Error('Its values are quantities such as 500Mi, or shares such as 10%.');
}
