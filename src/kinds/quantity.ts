/**
 * Kubernetes quantities: `500m`, `1.5Gi`, `2e3`. Source: Kubernetes API reference, "Quantity".
 *
 * Amounts are kept exactly, as whole nano-units in a bigint (the finest suffix is `n`). What is finer is rounded up, and
 * what is larger than 2^63-1 units is taken for that, as the reference says.
 */

/** Decimal suffixes as powers of ten of the nano-unit. */
const decimal: Readonly<Record<string, number>> = { n: 0, u: 3, m: 6, '': 9, k: 12, M: 15, G: 18, T: 21, P: 24, E: 27 };
const decimalSuffixes = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'] as const;
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;
/** Each text matches in one way only, so that one that matches not is known as such in one pass. */
const pattern = /^([+-])?(\d+(?:\.\d*)?|\.\d+)(?:([eE][+-]?\d+)|([KMGTPE]i)|([numkMGTPE]))?$/;
const nano = 1_000_000_000n;

/** The longest text that is read as a quantity: 2^63-1 has 19 digits, and a nano-unit is the ninth behind the point. */
const MAX_LENGTH = 128;
/** The greatest amount. Source: Kubernetes API reference, "Quantity". */
const MAX_NANOS = (2n ** 63n - 1n) * nano;
/** Powers of ten beyond this make of any number of MAX_LENGTH digits more than the greatest amount, or less than a nano-unit. */
const MAX_POWER = 2 * MAX_LENGTH;

export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

interface Parsed {
	readonly nanos: bigint;
	readonly format: QuantityFormat;
}

/** What a malformed quantity is refused with, as Kubernetes words it. */
export const quantityError =
	"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/** The amount in units as a number (cpu `500m` is 0.5, memory `1Ki` is 1024). Throws RangeError where the text is no quantity. */
export function quantity(text: string | number): number {
	if (typeof text === 'number') return text;
	// Most amounts are plain or milli: no bigint for those.
	if (/^\d{1,15}$/.test(text)) return Number(text);
	if (/^\d{1,15}m$/.test(text)) return Number(text.slice(0, -1)) / 1000;
	return Number(read(text).nanos) / 1e9;
}

/** The amount in thousandths, rounded up, as schedulers count cpu. Throws RangeError where the text is no quantity. */
export function milli(text: string | number): number {
	return Number(ceilDivide(read(text).nanos, 1_000_000n));
}

/** Whether the text is a quantity. */
export function isQuantity(text: unknown): text is string | number {
	return typeof text === 'number' ? Number.isFinite(text) : typeof text === 'string' && parse(text) !== undefined;
}

/** Negative, zero or positive as `a` is less than, equal to or greater than `b`. Throws RangeError where one is no quantity. */
export function compareQuantities(a: string | number, b: string | number): number {
	if (a === b) return 0;
	const difference = read(a).nanos - read(b).nanos;
	return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/**
 * The one way to write the amount: no fraction, the largest suffix that allows that, in the format it came in
 * (`1500m` stays, `0.5` becomes `500m`, `1024Mi` becomes `1Gi`). Throws RangeError where the text is no quantity.
 */
export function canonicalQuantity(text: string | number): string {
	const { nanos, format: shape } = read(text);
	return format(nanos, shape);
}

/** The canonical form of an amount in units; whole milli-units and more are exact. */
export function formatQuantity(units: number, shape: QuantityFormat): string {
	return format(BigInt(Math.round(units * 1e6)) * 1000n, shape);
}

/**
 * The exact sum of two amounts in the format of the first one, or of the second where the first is nothing. Throws RangeError
 * where one is no quantity.
 */
export function addQuantities(a: string | number, b: string | number): string {
	const [one, other] = [read(a), read(b)];
	return format(one.nanos + other.nanos, one.nanos === 0n ? other.format : one.format);
}

/** What is left of `a` without `b`, exactly; it may be less than nothing. Throws RangeError where one is no quantity. */
export function subtractQuantities(a: string | number, b: string | number): string {
	const [one, other] = [read(a), read(b)];
	return format(one.nanos - other.nanos, one.nanos === 0n ? other.format : one.format);
}

function read(text: string | number): Parsed {
	const parsed = parse(String(text));
	if (!parsed) throw new RangeError(quantityError);
	return parsed;
}

/** The same few amounts come again and again: what was read last is kept. */
const MAX_KEPT = 1_000;
const kept = new Map<string, Parsed>();

function parse(text: string): Parsed | undefined {
	const known = kept.get(text);
	if (known) return known;
	const parsed = parseAnew(text);
	if (parsed) {
		if (kept.size >= MAX_KEPT) kept.clear();
		kept.set(text, parsed);
	}
	return parsed;
}

function parseAnew(text: string): Parsed | undefined {
	const parts = text.length > MAX_LENGTH ? null : pattern.exec(text);
	if (!parts) return undefined;
	const [, sign, number = '', exponent, binary, suffix = ''] = parts;
	const point = number.indexOf('.');
	const fraction = point < 0 ? '' : number.slice(point + 1);
	const digits = BigInt((point < 0 ? number : number.slice(0, point) + fraction) || '0');
	let nanos: bigint;
	let shape: QuantityFormat = 'DecimalSI';
	if (binary) {
		const scale = 1024n ** BigInt(binarySuffixes.indexOf(binary as (typeof binarySuffixes)[number]));
		nanos = ceilDivide(digits * scale * nano, 10n ** BigInt(fraction.length));
		shape = 'BinarySI';
	} else {
		if (exponent) shape = 'DecimalExponent';
		const power = (exponent ? 9 + Number(exponent.slice(1)) : (decimal[suffix] ?? 9)) - fraction.length;
		const bounded = BigInt(Math.min(Math.abs(power), MAX_POWER));
		nanos = power >= 0 ? digits * 10n ** bounded : ceilDivide(digits, 10n ** bounded);
	}
	if (nanos > MAX_NANOS) nanos = MAX_NANOS;
	return { nanos: sign === '-' ? -nanos : nanos, format: shape };
}

function format(nanos: bigint, shape: QuantityFormat): string {
	if (nanos === 0n) return '0';
	const sign = nanos < 0n ? '-' : '';
	let amount = nanos < 0n ? -nanos : nanos;
	// Below 1024, or with a fraction, binary suffixes do not apply.
	if (shape === 'BinarySI' && amount % nano === 0n && amount >= 1024n * nano) {
		amount /= nano;
		let step = 0;
		while (amount % 1024n === 0n && step < binarySuffixes.length - 1) {
			amount /= 1024n;
			step++;
		}
		return `${sign}${amount}${binarySuffixes[step]}`;
	}
	let step = 0;
	while (amount % 1000n === 0n && step < decimalSuffixes.length - 1) {
		amount /= 1000n;
		step++;
	}
	const power = step * 3 - 9;
	if (shape === 'DecimalExponent') return power === 0 ? `${sign}${amount}` : `${sign}${amount}e${power}`;
	return `${sign}${amount}${decimalSuffixes[step]}`;
}

function ceilDivide(dividend: bigint, divisor: bigint): bigint {
	const quotient = dividend / divisor;
	return dividend > 0n && dividend % divisor !== 0n ? quotient + 1n : quotient;
}
