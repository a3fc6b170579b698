/** What a node must have for pods and services beside the service rules: forwarding, addresses, and Docker's leave. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { describe } from '../client/index.ts';
import type { Log } from '../log.ts';
import { networksOf } from './networks.ts';
import { find, ip, ipBatch, ipList, iptables, modprobe } from './programs.ts';

export interface HostNetwork {
	/** `10.244.0.0/16`. */
	readonly podNetwork: string;
	/** `10.96.0.0/12`. */
	readonly serviceNetwork: string;
	/** The address of cluster DNS, within the service network. */
	readonly clusterDns: string;
	/** The bridge that the node agent's pods are on. */
	readonly bridge: string;
}

/**
 * Bridged packets must pass the tables too, or the answer of a pod on the same bridge would come from the pod's own address
 * instead of the service's. Source: kernel documentation, ip-sysctl, bridge-nf-call-iptables.
 */
const BRIDGE_FILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables';

/** Sets what is not set; safe to call again and again. Returns the address of the bridge, if it is up. Throws what cannot be done without. */
export async function prepareHost({ podNetwork, clusterDns, bridge }: HostNetwork): Promise<string | undefined> {
	await setSysctl('/proc/sys/net/ipv4/ip_forward', '1');
	if (existsSync(BRIDGE_FILTER)) await setSysctl(BRIDGE_FILTER, '1');
	const links = await ipList<Link>('address', 'show');
	// The DNS server's address is this host's own, so each node answers itself; of scope host, so that nothing is sent from it by default.
	if (!links.some((link) => addressesOf(link).includes(clusterDns)))
		await ip('address', 'replace', `${clusterDns}/32`, 'dev', 'lo', 'scope', 'host');
	await letThrough(exceptions(podNetwork));
	const link = links.find(({ ifname, flags }) => ifname === bridge && flags.includes('UP'));
	// Node ports answer on localhost.
	if (link) await setRouteLocalnet(bridge);
	return link && addressesOf(link)[0];
}

/** Makes br_netfilter ready, which lets bridged packets pass the tables. Once, before all else; it may be built in under no name. */
export async function loadBridgeFilter(log: Log): Promise<void> {
	if (existsSync(BRIDGE_FILTER)) return;
	const cause = await modprobe('br_netfilter').then(
		() => undefined,
		(error: unknown) => describe(error),
	);
	if (!existsSync(BRIDGE_FILTER))
		log.warn({ cause }, 'br_netfilter is missing: a pod reaches no service whose endpoint is on its own node');
}

/** Lets the bridge send packets back to the pod that they come from, as when a pod reaches itself through a service. */
export async function reflectPorts(bridge: string): Promise<void> {
	const mute = async () => {
		if (!existsSync(`/proc/sys/net/ipv4/conf/${bridge}`)) return [];
		const ports = await ipList<BridgePort>('-d', 'link', 'show', 'master', bridge);
		return ports.filter(({ linkinfo }) => linkinfo?.info_slave_data?.hairpin === false);
	};
	const ports = await mute();
	if (ports.length === 0) return;
	const commands = ports.map(({ ifname }) => `link set dev ${ifname} type bridge_slave hairpin on`);
	await ipBatch(commands).catch(async (error: unknown) => {
		// Ports that went in the meantime are no fault.
		if ((await mute()).length > 0) throw error;
	});
}

/**
 * Docker drops what it did not publish; its chain DOCKER-USER is where exceptions belong. Absent: Docker filters nothing here
 * (yet). Pods start connections by Docker's own rules, so that its networks stay apart from one another.
 */
async function letThrough(wanted: readonly string[]): Promise<void> {
	if (!find('iptables')) return;
	const rules = (await iptables('-S')).split('\n');
	if (!rules.includes('-N DOCKER-USER')) return;
	const present = rules.filter((rule) => rule.startsWith('-A DOCKER-USER ') && rule.includes(COMMENT));
	for (const rule of present) if (!wanted.includes(rule)) await iptables('-D', ...rule.split(' ').slice(1));
	for (const rule of wanted) if (!present.includes(rule)) await iptables('-I', ...rule.split(' ').slice(1));
}

/** How our rules in Docker's chain are known. */
const COMMENT = '-m comment --comment driftless';

const exceptions = (podNetwork: string) => [
	`-A DOCKER-USER -d ${podNetwork} ${COMMENT} -j ACCEPT`,
	`-A DOCKER-USER -s ${podNetwork} -m conntrack --ctstate RELATED,ESTABLISHED ${COMMENT} -j ACCEPT`,
];

/** Takes back what `prepareHost` has given the host for good. Kernel settings stay: others may rely on them by now. */
export async function restoreHost(serviceNetwork: string): Promise<void> {
	const services = networksOf(serviceNetwork);
	const lo = (await ipList<Link>('address', 'show', 'dev', 'lo')).flatMap(addressesOf);
	for (const address of lo.filter((each) => services.check(each)))
		await ip('address', 'delete', `${address}/32`, 'dev', 'lo');
	await letThrough([]);
}

/** Packets from and to 127.0.0.0/8 may use the link, as connections to a node port on localhost do. The rules keep others out. */
export const setRouteLocalnet = (link: string): Promise<void> =>
	setSysctl(`/proc/sys/net/ipv4/conf/${link}/route_localnet`, '1');

async function setSysctl(path: string, value: string): Promise<void> {
	if ((await readFile(path, 'utf8')).trim() !== value) await writeFile(path, value);
}

interface Link {
	readonly ifname: string;
	readonly flags: readonly string[];
	readonly addr_info: readonly { readonly local?: string }[];
}

interface BridgePort {
	readonly ifname: string;
	readonly linkinfo?: { readonly info_slave_data?: { readonly hairpin?: boolean } };
}

const addressesOf = ({ addr_info }: Link): string[] => addr_info.flatMap(({ local }) => local ?? []);
