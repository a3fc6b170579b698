/** The frame that the rules of services stand in: what is the same for every set of services. Pure. */
import { addressText, parseRange } from '../kinds/index.ts';

export const TABLE = 'driftless';
/** Packets with this mark leave with the node's address, so that answers come back through it. The bit is Kubernetes' own. */
export const MASQUERADE = '0x4000';
/** Packets with this mark are refused: their service has no endpoint. The bit is Kubernetes' own. */
const REFUSE = '0x8000';

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

/**
 * Sets the frame in a table that may be there or not; the rules of services in it stay and serve all the while. Refused where the
 * kernel has a map or a hook of the same name and another form, as a version of old may have left.
 */
export function frame(network: Network): string {
	const chains = chainsOf(network);
	const own = itself(network.podCidr);
	return `table ip ${TABLE} {
	map services { type ipv4_addr . inet_proto . inet_service : verdict; }
	map nodeports { type inet_proto . inet_service : verdict; }
	set itself { type ipv4_addr . ipv4_addr; }
${chains.map(({ name, hook }) => `\tchain ${name} { ${hook ? `type ${hook};` : ''} }\n`).join('')}}
flush set ip ${TABLE} itself
${chains.map(({ name }) => `flush chain ip ${TABLE} ${name}\n`).join('')}table ip ${TABLE} {
${chains.map(({ name, rules }) => `\tchain ${name} {\n\t\t${rules.join('\n\t\t')}\n\t}\n`).join('')}}
${own.length > 0 ? `add element ip ${TABLE} itself { ${own.join(', ')} }\n` : ''}`;
}

/** The frame in a new table, in the place of one that cannot take it. */
export const frameAnew = (network: Network): string =>
	`add table ip ${TABLE}\ndelete table ip ${TABLE}\n${frame(network)}`;

interface Chain {
	readonly name: string;
	/** What the kernel calls it for; without one it is called by other chains. */
	readonly hook?: string;
	readonly rules: readonly string[];
}

function chainsOf({ podNetwork, serviceNetwork, bridge }: Network): readonly Chain[] {
	const refusal = `meta mark & ${REFUSE} == ${REFUSE} goto refusal`;
	const unserved = `oifname "${bridge}" ip daddr ${serviceNetwork} goto refusal`;
	return [
		{
			name: 'dispatch',
			rules: [
				'ip daddr . meta l4proto . th dport vmap @services',
				'fib daddr type local meta l4proto . th dport vmap @nodeports',
			],
		},
		{ name: 'prerouting', hook: 'nat hook prerouting priority -110', rules: ['jump dispatch'] },
		{ name: 'output', hook: 'nat hook output priority -110', rules: ['jump dispatch'] },
		{
			name: 'postrouting',
			hook: 'nat hook postrouting priority 90',
			rules: [
				`meta mark & ${MASQUERADE} == ${MASQUERADE} meta mark set meta mark ^ ${MASQUERADE} masquerade fully-random`,
				'ip saddr . ip daddr @itself ct status dnat masquerade fully-random',
				`ip saddr ${podNetwork} ip daddr != ${podNetwork} oifname != { "lo", "${bridge}" } masquerade fully-random`,
			],
		},
		{
			name: 'loopback_guard',
			hook: 'filter hook prerouting priority -310',
			rules: ['iifname != "lo" ip daddr 127.0.0.0/8 drop', 'iifname != "lo" ip saddr 127.0.0.0/8 drop'],
		},
		{ name: 'refused', rules: [`meta mark set meta mark | ${REFUSE}`] },
		{ name: 'refusal', rules: ['meta l4proto tcp reject with tcp reset', 'reject'] },
		{ name: 'refuse_input', hook: 'filter hook input priority -10', rules: [refusal] },
		{ name: 'refuse_forward', hook: 'filter hook forward priority -10', rules: [refusal, unserved] },
		{ name: 'refuse_output', hook: 'filter hook output priority 10', rules: [refusal, unserved] },
	];
}

/** A pod that reaches itself through a service must see another address than its own, or it would answer itself directly. */
function itself(podCidr: string | undefined): string[] {
	const { first, size } = (podCidr && parseRange(podCidr)) || { first: 0, size: 0 };
	// Neither the range's own address nor the broadcast address is a pod's.
	return Array.from({ length: Math.max(0, size - 2) }, (_, index) => {
		const address = addressText(first + index + 1);
		return `${address} . ${address}`;
	});
}
