/** Parsers of option values: each says what it takes when it gets something else. */
import { isIPv4 } from 'node:net';
import { InvalidArgumentError } from 'commander';
import {
	allowedNodeLabels,
	dnsSubdomain,
	isReservedNodeLabel,
	labelValue,
	qualifiedName,
	reachableAddress,
} from '../kinds/index.ts';

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

/** `key=value`, each as a label of Kubernetes has it, and of those that a node may give to itself. */
export function label(text: string): [string, string] {
	const mark = text.indexOf('=');
	const [key, value] = [text.slice(0, mark), text.slice(mark + 1)];
	if (mark < 1 || qualifiedName(key).length > 0 || labelValue(value).length > 0)
		throw new InvalidArgumentError('It takes a label such as disk=ssd.');
	if (isReservedNodeLabel(key))
		throw new InvalidArgumentError(
			`It takes no ${key}, which is the administrator's to give by kubectl label: ${allowedNodeLabels}.`,
		);
	return [key, value];
}

/** The name of a node, which is that of an object, and a label of it. */
export function nodeName(text: string): string {
	if (dnsSubdomain(text).length > 0 || labelValue(text).length > 0)
		throw new InvalidArgumentError(
			'It takes a name of at most 63 lower case letters, digits, - and ., which begins and ends with a letter or digit.',
		);
	return text;
}

/** An address of this machine. That of loopback is one, for a machine without a network. */
export function ownIp(text: string): string {
	if (!isIPv4(text) || (!text.startsWith('127.') && reachableAddress(text).length > 0))
		throw new InvalidArgumentError('It takes an IPv4 address of this machine, such as 10.0.0.2.');
	return text;
}

/** Parts of the platform that somebody else may do instead. */
const components = ['servicelb'] as const;
export type Component = (typeof components)[number];

/** `servicelb`, or several with commas between. */
export const disabled = (text: string): Component[] => text.split(',').map(oneOf(...components));

/** The URL of a site, with a name and a password where it asks for them. */
export function httpUrl(text: string): string {
	const url = URL.parse(text);
	if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
		throw new InvalidArgumentError('It takes a URL such as http://prometheus.example.com:9090.');
	return text;
}
