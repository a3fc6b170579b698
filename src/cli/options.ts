/** Parsers of option values: each says what it takes when it gets something else. */
import { InvalidArgumentError } from 'commander';

export function oneOf<const T extends string>(...values: readonly T[]) {
	return (text: string): T => {
		const found = values.find((value) => value === text);
		if (found === undefined) throw new InvalidArgumentError(`It takes one of: ${values.join(', ')}.`);
		return found;
	};
}

/** A TCP port; 0 asks the system for a free one. */
export function port(text: string): number {
	const number = Number(text);
	if (!/^\d+$/.test(text) || number > 65_535) throw new InvalidArgumentError('It takes a port, 0 to 65535.');
	return number;
}

/** Seconds, as a whole number or with a unit (`30`, `30s`, `2m`), in milliseconds. */
export function duration(text: string): number {
	const match = /^(\d+)(ms|s|m|h)?$/.exec(text);
	const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match?.[2] ?? 's'];
	if (!match || unit === undefined) throw new InvalidArgumentError('It takes a duration such as 30s or 2m.');
	return Number(match[1]) * unit;
}

/** `10.244.0.0/16`. */
export function cidr(text: string): string {
	const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(text);
	if (!match || match.slice(1, 5).some((part) => Number(part) > 255) || Number(match[5]) > 30)
		throw new InvalidArgumentError('It takes an IPv4 network such as 10.244.0.0/16.');
	return text;
}

/** The length of the prefix of an IPv4 network that has room for addresses. */
export function prefixLength(text: string): number {
	const number = Number(text);
	if (!/^\d+$/.test(text) || number < 20 || number > 30)
		throw new InvalidArgumentError('It takes the length of a prefix, 20 to 30.');
	return number;
}

/** As the flag of kube-apiserver: 0 to 0.02. */
export function goawayChance(text: string): number {
	const share = Number(text);
	if (!/^[\d.]+$/.test(text) || !(share <= 0.02)) throw new InvalidArgumentError('It takes a share of 0 to 0.02.');
	return share;
}

/** Gathers an option that may be given several times. */
export function collect<T>(parse: (text: string) => T) {
	return (text: string, before: readonly T[] = []): T[] => [...before, parse(text)];
}

/** `key=value`. */
export function label(text: string): [string, string] {
	const mark = text.indexOf('=');
	if (mark < 1) throw new InvalidArgumentError('It takes a label such as disk=ssd.');
	return [text.slice(0, mark), text.slice(mark + 1)];
}

/** Parts of the platform that somebody else may do instead. */
const components = ['servicelb'] as const;
export type Component = (typeof components)[number];

/** `servicelb`, or several with commas between. */
export const disabled = (text: string): Component[] => text.split(',').map(oneOf(...components));
