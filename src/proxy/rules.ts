/**
 * The node's service rules as nftables scripts. Pure: `programs.ts` runs them, each as one transaction.
 *
 * One table. Verdict maps lead from address, protocol and port to a chain, which picks an endpoint at random and translates
 * the destination. What the services need beyond that frame are chains, sets and elements; a change of services is the
 * difference between those of before and those of after.
 */
import { addressText, parseRange } from '../kinds/index.ts';
import type { ServicePort, Target } from './services.ts';

export const TABLE = 'driftless';
/** Packets with this mark leave with the node's address, so that answers come back through it. The bit is Kubernetes' own. */
const MASQUERADE = '0x4000';
/** Packets with this mark are refused: their service has no endpoint. The bit is Kubernetes' own. */
const REFUSE = '0x8000';
/** Clients that one endpoint may remember; the next ones are spread as if without affinity. */
const MAX_CLIENTS = 65_535;

export interface Network {
	/** `10.244.0.0/16`: every pod of the cluster. */
	readonly podNetwork: string;
	/** `10.96.0.0/12`. */
	readonly serviceNetwork: string;
	/** This node's part of the pod network; undefined before it has one. */
	readonly podCidr: string | undefined;
	/** The bridge of the node's pods. */
	readonly bridge: string;
}

/** What leads from one set of ports to another, whatever services they are of; empty where nothing differs. */
export function change(before: Iterable<ServicePort>, after: Iterable<ServicePort>, network: Network): string {
	return difference(compile(before, network), compile(after, network));
}

/**
 * Everything anew, in one transaction: what was there before serves until the moment of the exchange. `clients` are the
 * sets of clients with affinity as they are now.
 */
export function rebuild(network: Network, ports: Iterable<ServicePort>, clients: readonly ClientSet[] = []): string {
	const after = compile(ports, network);
	const remembered = clients.flatMap(({ name, elements }) =>
		after.sets.has(name) && elements.length > 0
			? [`add element ip ${TABLE} ${name} { ${elements.map(remember).join(', ')} }`]
			: [],
	);
	const frameLines = [`add table ip ${TABLE}`, `delete table ip ${TABLE}`, frame(network)];
	return [...frameLines, difference(compile([], network), after), ...remembered, ''].join('\n');
}

/** What is the same for every set of services. */
function frame({ podNetwork, serviceNetwork, podCidr, bridge }: Network): string {
	return `table ip ${TABLE} {
	map services { type ipv4_addr . inet_proto . inet_service : verdict; }
	map nodeports { type inet_proto . inet_service : verdict; }
	set itself { type ipv4_addr . ipv4_addr; ${itself(podCidr)} }

	chain dispatch {
		ip daddr . meta l4proto . th dport vmap @services
		fib daddr type local meta l4proto . th dport vmap @nodeports
	}
	chain prerouting {
		type nat hook prerouting priority -110;
		jump dispatch
	}
	chain output {
		type nat hook output priority -110;
		jump dispatch
	}
	chain postrouting {
		type nat hook postrouting priority 90;
		meta mark & ${MASQUERADE} == ${MASQUERADE} meta mark set meta mark ^ ${MASQUERADE} masquerade fully-random
		ip saddr . ip daddr @itself ct status dnat masquerade fully-random
		ip saddr ${podNetwork} ip daddr != ${podNetwork} oifname != { "lo", "${bridge}" } masquerade fully-random
	}

	chain loopback_guard {
		type filter hook prerouting priority -310;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
		iifname != "lo" ip saddr 127.0.0.0/8 drop
	}

	chain refused {
		meta mark set meta mark | ${REFUSE}
	}
	chain refusal {
		meta l4proto tcp reject with tcp reset
		reject
	}
	chain refuse_input {
		type filter hook input priority -10;
		meta mark & ${REFUSE} == ${REFUSE} goto refusal
	}
	chain refuse_forward {
		type filter hook forward priority -10;
		meta mark & ${REFUSE} == ${REFUSE} goto refusal
		oifname "${bridge}" ip daddr ${serviceNetwork} goto refusal
	}
	chain refuse_output {
		type filter hook output priority 10;
		meta mark & ${REFUSE} == ${REFUSE} goto refusal
		oifname "${bridge}" ip daddr ${serviceNetwork} goto refusal
	}
}`;
}

/** A pod that reaches itself through a service must see another address than its own, or it would answer itself directly. */
function itself(podCidr: string | undefined): string {
	if (!podCidr) return '';
	const { first, size } = parseRange(podCidr) ?? { first: 0, size: 0 };
	if (size < 4) return '';
	// Neither the range's own address nor the broadcast address is a pod's.
	const pairs = Array.from({ length: size - 2 }, (_, index) => {
		const address = addressText(first + index + 1);
		return `${address} . ${address}`;
	});
	return `elements = { ${pairs.join(', ')} }`;
}

/** Chains with their rules, sets, and elements of the two maps. */
interface Rules {
	readonly chains: Map<string, readonly string[]>;
	readonly sets: Set<string>;
	readonly services: Map<string, string>;
	readonly nodeports: Map<string, string>;
}

function compile(ports: Iterable<ServicePort>, network: Network): Rules {
	const rules: Rules = { chains: new Map(), sets: new Set(), services: new Map(), nodeports: new Map() };
	for (const port of ports) enter(rules, port, network);
	return rules;
}

function enter(rules: Rules, port: ServicePort, network: Network): void {
	const { protocol, clusterIP, externalAddresses, nodePort, internalPolicy, externalPolicy } = port;
	const inside = internalPolicy === 'Local' ? localChain(rules, port) : clusterChain(rules, port, network);
	rules.services.set(`${clusterIP} . ${protocol} . ${port.port}`, `goto ${inside}`);
	if (!nodePort && externalAddresses.length === 0) return;
	const outside =
		externalPolicy === 'Local' ? externalLocalChain(rules, port, network) : externalChain(rules, port, network);
	for (const address of externalAddresses)
		rules.services.set(`${address} . ${protocol} . ${port.port}`, `goto ${outside}`);
	if (nodePort) rules.nodeports.set(`${protocol} . ${nodePort}`, `goto ${outside}`);
}

/** To all endpoints. Whoever is no pod comes with the node's address, since an endpoint elsewhere could not answer it. */
function clusterChain(rules: Rules, port: ServicePort, { podNetwork }: Network): string {
	if (port.targets.length === 0) return 'refused';
	const chain = `cluster/${port.name}`;
	const mark = `ip saddr != ${podNetwork} meta mark set meta mark | ${MASQUERADE}`;
	rules.chains.set(chain, [mark, ...spread(rules, port, port.targets)]);
	return chain;
}

/** To the endpoints on this node, which see who asks. */
function localChain(rules: Rules, port: ServicePort): string {
	if (port.localTargets.length === 0) return 'refused';
	const chain = `local/${port.name}`;
	rules.chains.set(chain, spread(rules, port, port.localTargets));
	return chain;
}

function externalChain(rules: Rules, port: ServicePort, network: Network): string {
	const cluster = clusterChain(rules, port, network);
	if (cluster === 'refused') return cluster;
	const chain = `external/${port.name}`;
	rules.chains.set(chain, [`meta mark set meta mark | ${MASQUERADE}`, `goto ${cluster}`]);
	return chain;
}

/** The policy is about clients from outside: pods and the node itself reach every endpoint. Source: KEP-1669, KEP-3458. */
function externalLocalChain(rules: Rules, port: ServicePort, network: Network): string {
	const cluster = clusterChain(rules, port, network);
	const local = localChain(rules, port);
	if (cluster === 'refused') return cluster;
	const chain = `external/${port.name}`;
	rules.chains.set(chain, [
		`ip saddr ${network.podNetwork} goto ${cluster}`,
		`fib saddr type local meta mark set meta mark | ${MASQUERADE} goto ${cluster}`,
		`goto ${local}`,
	]);
	return chain;
}

/** A random one of the targets; with affinity the one that the client had, if it has come back in time. */
function spread(rules: Rules, port: ServicePort, targets: readonly Target[]): string[] {
	const { affinitySeconds, protocol } = port;
	const number = `numgen random mod ${targets.length}`;
	if (affinitySeconds === undefined) {
		const [only] = targets;
		if (only && targets.length === 1) return [translate(protocol, `${only.ip}:${only.port}`)];
		const elements = targets.map(({ ip, port }, index) => `${index} : ${ip} . ${port}`);
		return [`meta l4proto ${protocol} dnat ip addr . port to ${number} map { ${elements.join(', ')} }`];
	}
	const endpoints = targets.map(({ ip, port: number }) => {
		const chain = `endpoint/${port.name}/${ip}/${number}`;
		const clients = `clients/${port.name}/${ip}/${number}`;
		const remembering = `update @${clients} { ip saddr timeout ${affinitySeconds}s }`;
		rules.sets.add(clients);
		// A set that is full must not keep the second rule from its work.
		rules.chains.set(chain, [remembering, translate(protocol, `${ip}:${number}`)]);
		return { chain, clients };
	});
	return [
		...endpoints.map(({ chain, clients }) => `ip saddr @${clients} goto ${chain}`),
		`${number} vmap { ${endpoints.map(({ chain }, index) => `${index} : goto ${chain}`).join(', ')} }`,
	];
}

const translate = (protocol: string, to: string) => `meta l4proto ${protocol} dnat to ${to}`;

/** In an order in which nothing is referred to that is not there, and nothing goes that is referred to. */
function difference(before: Rules, after: Rules): string {
	const chains = [...after.chains].filter(([name, rules]) => !sameRules(before.chains.get(name), rules));
	const goneChains = [...before.chains.keys()].filter((name) => !after.chains.has(name));
	const sets = [...after.sets.difference(before.sets)];
	const goneSets = [...before.sets.difference(after.sets)];
	const lines: string[] = [];
	for (const map of ['services', 'nodeports'] as const) {
		const gone = [...before[map]].filter(([key, verdict]) => after[map].get(key) !== verdict).map(([key]) => key);
		if (gone.length > 0) lines.push(`delete element ip ${TABLE} ${map} { ${gone.join(', ')} }`);
	}
	for (const name of [...chains.map(([name]) => name).filter((name) => before.chains.has(name)), ...goneChains])
		lines.push(`flush chain ip ${TABLE} ${name}`);
	if (sets.length + chains.length > 0)
		lines.push(
			`table ip ${TABLE} {`,
			...sets.map((name) => `\tset ${name} { type ipv4_addr; size ${MAX_CLIENTS}; flags dynamic,timeout; }`),
			...chains.map(([name, rules]) => `\tchain ${name} {\n\t\t${rules.join('\n\t\t')}\n\t}`),
			'}',
		);
	lines.push(...goneChains.map((name) => `delete chain ip ${TABLE} ${name}`));
	lines.push(...goneSets.map((name) => `delete set ip ${TABLE} ${name}`));
	for (const map of ['services', 'nodeports'] as const) {
		const added = [...after[map]].filter(([key, verdict]) => before[map].get(key) !== verdict);
		const elements = added.map(([key, verdict]) => `${key} : ${verdict}`);
		if (elements.length > 0) lines.push(`add element ip ${TABLE} ${map} { ${elements.join(', ')} }`);
	}
	return lines.map((line) => `${line}\n`).join('');
}

const sameRules = (before: readonly string[] | undefined, after: readonly string[]) =>
	before?.join('\n') === after.join('\n');

/** The clients of one endpoint of a service with affinity. */
export interface ClientSet {
	readonly name: string;
	readonly elements: readonly { readonly address: string; readonly timeout: number; readonly expires: number }[];
}

const remember = ({ address, timeout, expires }: ClientSet['elements'][number]) =>
	`${address} timeout ${timeout}s expires ${expires}s`;

/** The clients that the kernel remembers, from the answer of `nft -j list sets ip`. */
export function clientSets(listing: string): ClientSet[] {
	const { nftables } = JSON.parse(listing) as { nftables: { set?: ListedSet }[] };
	return nftables.flatMap(({ set }) => {
		if (set?.table !== TABLE || !set.name.startsWith('clients/')) return [];
		const elements = (set.elem ?? []).flatMap((each) =>
			typeof each === 'object' && each.elem.expires > 0
				? [{ address: each.elem.val, timeout: each.elem.timeout, expires: each.elem.expires }]
				: [],
		);
		return [{ name: set.name, elements }];
	});
}

interface ListedSet {
	readonly table: string;
	readonly name: string;
	readonly elem?: readonly (string | { readonly elem: { val: string; timeout: number; expires: number } })[];
}
