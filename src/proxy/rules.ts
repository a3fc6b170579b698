/**
 * The node's service rules as nftables commands. One table; two verdict maps lead from address, protocol and port to a
 * chain for each port of a service, which picks a target at random. Pure: scripts are text, `nft.ts` runs them, each as one transaction.
 */
import type { ServicePort, Target } from './services.ts';

export const TABLE = 'driftless';
/** Packets with this mark leave with the node's address, so that answers come back through it. */
const MASQUERADE = '0x4000';

export interface Network {
	/** `10.244.0.0/16`: every pod of the cluster. */
	readonly podNetwork: string;
	/** This node's part of it; undefined before it has one. */
	readonly podCidr: string | undefined;
	/** The bridge of the node's pods. */
	readonly bridge: string;
}

const chainOf = (port: ServicePort) => `svc/${port.name}`;
const nodeChainOf = (port: ServicePort) => `ext/${port.name}`;
/** A map from numbers to targets: random among them. */
const spread = (targets: readonly Target[]) =>
	`numgen random mod ${targets.length} map { ${targets.map(({ ip, port }, index) => `${index} : ${ip} . ${port}`).join(', ')} }`;

/** Everything anew, in one transaction: what was there before serves until the moment of the exchange. */
export function rebuild(network: Network, ports: Iterable<ServicePort>): string {
	const { podNetwork, podCidr, bridge } = network;
	const lines = [
		`add table ip ${TABLE}`,
		`delete table ip ${TABLE}`,
		`table ip ${TABLE} {
	map services { type ipv4_addr . inet_proto . inet_service : verdict; }
	map nodeports { type inet_proto . inet_service : verdict; }
	set unserved { type ipv4_addr . inet_proto . inet_service; }
	set itself { type ipv4_addr . ipv4_addr; ${itself(podCidr)} }
	chain dispatch {
		ip daddr . meta l4proto . th dport vmap @services
		fib daddr type local meta l4proto . th dport vmap @nodeports
	}
	chain prerouting {
		type nat hook prerouting priority -110;
		jump dispatch
	}
	chain guard {
		type filter hook prerouting priority -310;
		iifname "${bridge}" ip daddr 127.0.0.0/8 drop
	}
	chain output {
		type nat hook output priority -110;
		jump dispatch
	}
	chain postrouting {
		type nat hook postrouting priority 90;
		meta mark & ${MASQUERADE} == ${MASQUERADE} masquerade
		ip saddr . ip daddr @itself ct status dnat masquerade
		ip saddr ${podNetwork} ip daddr != ${podNetwork} oifname != "${bridge}" masquerade
	}
	chain unserved_forward {
		type filter hook forward priority -10;
		ip daddr . meta l4proto . th dport @unserved reject
	}
	chain unserved_output {
		type filter hook output priority 10;
		ip daddr . meta l4proto . th dport @unserved reject
	}
}`,
	];
	for (const port of ports) lines.push(...add(port, network));
	return `${lines.join('\n')}\n`;
}

/** A pod that reaches itself through a service must see another address than its own, or it would answer itself directly. */
function itself(podCidr: string | undefined): string {
	const prefix = podCidr && /^(\d+\.\d+\.\d+)\.0\/24$/.exec(podCidr)?.[1];
	if (!prefix) return '';
	const pairs = Array.from({ length: 253 }, (_, index) => `${prefix}.${index + 2} . ${prefix}.${index + 2}`);
	return `elements = { ${pairs.join(', ')} }`;
}

/** What leads from one set of ports of a service to another; empty where nothing differs. */
export function change(before: readonly ServicePort[], after: readonly ServicePort[], network: Network): string {
	const old = new Map(before.map((port) => [port.name, port]));
	const lines: string[] = [];
	for (const port of after) {
		const was = old.get(port.name);
		old.delete(port.name);
		if (was && JSON.stringify(was) === JSON.stringify(port)) continue;
		if (was) lines.push(...remove(was));
		lines.push(...add(port, network));
	}
	// A port that moves to another name must be free before it is taken.
	const removals = [...old.values()].flatMap(remove);
	return removals.length + lines.length === 0 ? '' : `${[...removals, ...lines].join('\n')}\n`;
}

function add(port: ServicePort, { podNetwork }: Network): string[] {
	const { protocol, targets, nodeTargets } = port;
	const lines: string[] = [];
	if (targets.length === 0) {
		for (const address of port.addresses)
			lines.push(`add element ip ${TABLE} unserved { ${address} . ${protocol} . ${port.port} }`);
	} else {
		const chain = chainOf(port);
		lines.push(`add chain ip ${TABLE} ${chain}`);
		lines.push(`add rule ip ${TABLE} ${chain} ip saddr != ${podNetwork} meta mark set meta mark or ${MASQUERADE}`);
		lines.push(`add rule ip ${TABLE} ${chain} meta l4proto ${protocol} dnat ip addr . port to ${spread(targets)}`);
		for (const address of port.addresses)
			lines.push(`add element ip ${TABLE} services { ${address} . ${protocol} . ${port.port} : goto ${chain} }`);
	}
	if (port.nodePort && nodeTargets.length > 0) {
		const chain = nodeChainOf(port);
		lines.push(`add chain ip ${TABLE} ${chain}`);
		if (!port.keepSource) lines.push(`add rule ip ${TABLE} ${chain} meta mark set meta mark or ${MASQUERADE}`);
		lines.push(`add rule ip ${TABLE} ${chain} meta l4proto ${protocol} dnat ip addr . port to ${spread(nodeTargets)}`);
		lines.push(`add element ip ${TABLE} nodeports { ${protocol} . ${port.nodePort} : goto ${chain} }`);
	}
	return lines;
}

function remove(port: ServicePort): string[] {
	const { protocol } = port;
	const lines: string[] = [];
	const keys = port.addresses.map((address) => `${address} . ${protocol} . ${port.port}`);
	if (port.targets.length === 0) for (const key of keys) lines.push(`delete element ip ${TABLE} unserved { ${key} }`);
	else {
		for (const key of keys) lines.push(`delete element ip ${TABLE} services { ${key} }`);
		lines.push(`flush chain ip ${TABLE} ${chainOf(port)}`, `delete chain ip ${TABLE} ${chainOf(port)}`);
	}
	if (port.nodePort && port.nodeTargets.length > 0) {
		lines.push(
			`delete element ip ${TABLE} nodeports { ${protocol} . ${port.nodePort} }`,
			`flush chain ip ${TABLE} ${nodeChainOf(port)}`,
			`delete chain ip ${TABLE} ${nodeChainOf(port)}`,
		);
	}
	return lines;
}
