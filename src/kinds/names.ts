/**
 * The name syntaxes of Kubernetes. Each check returns what is wrong, in Kubernetes' words; an empty list is a valid name.
 * Source: Kubernetes documentation, "Object Names and IDs" and "Labels and Selectors", and apimachinery's messages.
 */
import { BlockList, isIP } from 'node:net';

export type NameCheck = (name: string) => string[];

const LABEL_MAX = 63;
const SUBDOMAIN_MAX = 253;
const PORT_NAME_MAX = 15;
/** All annotation keys and values of an object together, in bytes. */
export const ANNOTATIONS_MAX = 256 * 1024;

const label1123 = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const subdomain1123 = `${label1123}(\\.${label1123})*`;
const label1035 = '[a-z]([-a-z0-9]*[a-z0-9])?';
const qualifiedPart = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const labelText = `(${qualifiedPart})?`;
const configKeyText = '[-._a-zA-Z0-9]+';

const whole = (expression: string) => new RegExp(`^(?:${expression})$`);
const isLabel1123 = whole(label1123);
const isSubdomain1123 = whole(subdomain1123);
const isLabel1035 = whole(label1035);
const isQualifiedPart = whole(qualifiedPart);
const isLabelText = whole(labelText);
const isConfigKey = whole(configKeyText);

const explain = (what: string, expression: string, ...examples: string[]) =>
	`${what} (e.g. ${examples.map((example) => `'${example}', `).join(' or ')}regex used for validation is '${expression}')`;

const label1123Message = explain(
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
	label1123,
	'my-name',
	'123-abc',
);
const subdomainMessage = explain(
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
	subdomain1123,
	'example.com',
);
const label1035Message = explain(
	"a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
	label1035,
	'my-name',
	'abc-123',
);
const qualifiedMessage = explain(
	"must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
	qualifiedPart,
	'MyName',
	'my.name',
	'123-abc',
);
const labelValueMessage = explain(
	"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
	labelText,
	'MyValue',
	'my_value',
	'12345',
);
const configKeyMessage = explain(
	"a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
	configKeyText,
	'key.name',
	'KEY_NAME',
	'key-name',
);

const tooLong = (max: number) => `must be no more than ${max} bytes`;

/** A DNS label of RFC 1123: names of namespaces, containers, volumes. */
export const dnsLabel: NameCheck = (name) => {
	const wrong = name.length > LABEL_MAX ? [tooLong(LABEL_MAX)] : [];
	if (!isLabel1123.test(name)) wrong.push(label1123Message);
	return wrong;
};

/** A DNS subdomain of RFC 1123: names of most objects. */
export const dnsSubdomain: NameCheck = (name) => {
	const wrong = name.length > SUBDOMAIN_MAX ? [tooLong(SUBDOMAIN_MAX)] : [];
	if (!isSubdomain1123.test(name)) wrong.push(subdomainMessage);
	return wrong;
};

/** A DNS label of RFC 1035: names of services. */
export const dns1035Label: NameCheck = (name) => {
	const wrong = name.length > LABEL_MAX ? [tooLong(LABEL_MAX)] : [];
	if (!isLabel1035.test(name)) wrong.push(label1035Message);
	return wrong;
};

/** `name` or `prefix.example.com/name`: keys of labels and annotations. */
export const qualifiedName: NameCheck = (name) => {
	const parts = name.split('/');
	if (parts.length > 2)
		return [
			`a qualified name ${qualifiedMessage} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
		];
	const wrong: string[] = [];
	const own = parts.at(-1) ?? '';
	if (parts.length === 2) {
		const prefix = parts[0] ?? '';
		if (!prefix) wrong.push('prefix part must be non-empty');
		else wrong.push(...dnsSubdomain(prefix).map((message) => `prefix part ${message}`));
	}
	if (!own) wrong.push('name part must be non-empty');
	else if (own.length > LABEL_MAX) wrong.push(`name part ${tooLong(LABEL_MAX)}`);
	if (!isQualifiedPart.test(own)) wrong.push(`name part ${qualifiedMessage}`);
	return wrong;
};

export const labelValue: NameCheck = (value) => {
	const wrong = value.length > LABEL_MAX ? [tooLong(LABEL_MAX)] : [];
	if (!isLabelText.test(value)) wrong.push(labelValueMessage);
	return wrong;
};

/** A key in the data of a ConfigMap or Secret. */
export const configKey: NameCheck = (key) => {
	const wrong = key.length > SUBDOMAIN_MAX ? [tooLong(SUBDOMAIN_MAX)] : [];
	if (!isConfigKey.test(key)) wrong.push(configKeyMessage);
	if (key === '.') wrong.push("must not be '.'");
	else if (key === '..') wrong.push("must not be '..'");
	else if (key.startsWith('..')) wrong.push("must not start with '..'");
	return wrong;
};

/** The name of an environment variable: printable ASCII without `=`. */
export const environmentName: NameCheck = (name) =>
	/^[ -<>-~]+$/.test(name)
		? []
		: ["a valid environment variable name must consist only of printable ASCII characters other than '='"];

/** The name of a port (IANA_SVC_NAME). */
export const portName: NameCheck = (name) => {
	const wrong: string[] = [];
	if (name.length > PORT_NAME_MAX) wrong.push(`must be no more than ${PORT_NAME_MAX} characters`);
	if (!/^[-a-z0-9]+$/.test(name)) wrong.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
	if (!/[a-z]/.test(name)) wrong.push('must contain at least one letter (a-z)');
	if (name.includes('--')) wrong.push('must not contain consecutive hyphens');
	if (name.startsWith('-') || name.endsWith('-')) wrong.push('must not begin or end with a hyphen');
	return wrong;
};

/** A port number of TCP, UDP or SCTP. */
export function portNumber(port: number): string[] {
	return Number.isInteger(port) && port >= 1 && port <= 65535 ? [] : ['must be between 1 and 65535, inclusive'];
}

export const ipAddress: NameCheck = (address) =>
	isIP(address) ? [] : ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'];

const special = (...ranges: readonly (readonly [network: string, bits: number, family: 'ipv4' | 'ipv6'])[]) => {
	const list = new BlockList();
	for (const [network, bits, family] of ranges) list.addSubnet(network, bits, family);
	return list;
};

/** Addresses that mean another machine to each machine, and what is said of them. */
const NOWHERE: readonly (readonly [BlockList, string])[] = [
	[special(['0.0.0.0', 32, 'ipv4'], ['::', 128, 'ipv6']), 'may not be unspecified (0.0.0.0 or ::)'],
	[special(['127.0.0.0', 8, 'ipv4'], ['::1', 128, 'ipv6']), 'may not be in the loopback range (127.0.0.0/8, ::1/128)'],
	[
		special(['169.254.0.0', 16, 'ipv4'], ['fe80::', 10, 'ipv6']),
		'may not be in the link-local range (169.254.0.0/16, fe80::/10)',
	],
	[
		special(['224.0.0.0', 24, 'ipv4'], ['ff02::', 16, 'ipv6']),
		'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
	],
];

/** An address that can be that of an endpoint, or lead to a service, in the whole cluster. */
export const reachableAddress: NameCheck = (address) => {
	const family = isIP(address);
	if (!family) return ipAddress(address);
	return NOWHERE.flatMap(([list, wrong]) => (list.check(address, family === 6 ? 'ipv6' : 'ipv4') ? [wrong] : []));
};

/** `10.0.0.0/8`, `2001:db8::/64`. */
export const cidr: NameCheck = (text) => {
	const [address = '', bits = '', ...more] = text.split('/');
	const family = isIP(address);
	const valid = family && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128) && more.length === 0;
	return valid ? [] : ['must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'];
};

/**
 * What a generateName must satisfy: the rule of the name that will be made of it. A suffix follows, so that a trailing
 * `-` or `.` is fine.
 */
export function asPrefix(check: NameCheck): NameCheck {
	return (prefix) => check(prefix.replace(/[-.]$/, 'a'));
}
