/**
 * The rules of services as nftables scripts. Pure: `table.ts` has them run, each as one transaction.
 *
 * Verdict maps lead from address, protocol and port to a chain, which picks an endpoint at random and translates the destination.
 * What services need beyond the frame are chains, sets and elements of the maps; a change of services is the difference between
 * those of before and those of after.
 */
import { MASQUERADE, TABLE } from './frame.ts';
import type { ServicePort, Target } from './services.ts';

/** Clients that one endpoint may remember; the next ones are spread as if without affinity. */
const MAX_CLIENTS = 65_535;

/** Chains with their rules, sets, and elements of the two maps. */
export interface Rules {
	readonly chains: Map<string, readonly string[]>;
	readonly sets: Set<string>;
	readonly services: Map<string, string>;
	readonly nodeports: Map<string, string>;
}

export const noRules = (): Rules => ({ chains: new Map(), sets: new Set(), services: new Map(), nodeports: new Map() });

/** What these ports need. `podNetwork` (`10.244.0.0/16`) tells who is a pod. */
export function compile(ports: Iterable<ServicePort>, podNetwork: string): Rules {
	const rules = noRules();
	for (const port of ports) enter(rules, port, podNetwork);
	return rules;
}

/** What several services need, as one. */
export function together(all: Iterable<Rules>): Rules {
	const sum = noRules();
	for (const { chains, sets, services, nodeports } of all) {
		for (const [name, rules] of chains) sum.chains.set(name, rules);
		for (const name of sets) sum.sets.add(name);
		for (const [key, verdict] of services) sum.services.set(key, verdict);
		for (const [key, verdict] of nodeports) sum.nodeports.set(key, verdict);
	}
	return sum;
}

function enter(rules: Rules, port: ServicePort, podNetwork: string): void {
	const { protocol, clusterIP, externalAddresses, nodePort, internalPolicy, externalPolicy } = port;
	const inside = internalPolicy === 'Local' ? localChain(rules, port) : clusterChain(rules, port, podNetwork);
	rules.services.set(`${clusterIP} . ${protocol} . ${port.port}`, `goto ${inside}`);
	if (!nodePort && externalAddresses.length === 0) return;
	const outside =
		externalPolicy === 'Local' ? externalLocalChain(rules, port, podNetwork) : externalChain(rules, port, podNetwork);
	for (const address of externalAddresses) {
		const guarded = port.balanced?.addresses.includes(address);
		const chain = guarded ? guardChain(rules, port, outside) : outside;
		rules.services.set(`${address} . ${protocol} . ${port.port}`, `goto ${chain}`);
	}
	if (nodePort) rules.nodeports.set(`${protocol} . ${nodePort}`, `goto ${outside}`);
}

/** To all endpoints. Whoever is no pod comes with the node's address, since an endpoint elsewhere could not answer it. */
function clusterChain(rules: Rules, port: ServicePort, podNetwork: string): string {
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

function externalChain(rules: Rules, port: ServicePort, podNetwork: string): string {
	const cluster = clusterChain(rules, port, podNetwork);
	if (cluster === 'refused') return cluster;
	const chain = `external/${port.name}`;
	rules.chains.set(chain, [`meta mark set meta mark | ${MASQUERADE}`, `goto ${cluster}`]);
	return chain;
}

/** The policy is about clients from outside: pods and the node itself reach every endpoint. Source: KEP-1669, KEP-3458. */
function externalLocalChain(rules: Rules, port: ServicePort, podNetwork: string): string {
	const cluster = clusterChain(rules, port, podNetwork);
	const local = localChain(rules, port);
	if (cluster === 'refused') return cluster;
	const chain = `external/${port.name}`;
	rules.chains.set(chain, [
		`ip saddr ${podNetwork} goto ${cluster}`,
		`fib saddr type local meta mark set meta mark | ${MASQUERADE} goto ${cluster}`,
		`goto ${local}`,
	]);
	return chain;
}

/**
 * Lets those through to `outside` whom a load balancer address is for; the connections of all others are dropped, not refused, as
 * kube-proxy does it. Source: Kubernetes documentation, "Service", loadBalancerSourceRanges.
 */
function guardChain(rules: Rules, port: ServicePort, outside: string): string {
	const chain = `guard/${port.name}`;
	const ranges = port.balanced?.sourceRanges ?? [];
	rules.chains.set(chain, [...ranges.map((range) => `ip saddr ${range} goto ${outside}`), 'drop']);
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

/**
 * The script that leads from rules that are there to others; empty where nothing differs. In an order in which nothing is referred to
 * that is not there, and nothing goes that is referred to.
 */
export function difference(before: Rules, after: Rules): string {
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
