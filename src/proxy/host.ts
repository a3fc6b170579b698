/** What the host must have for pods and services beside the service rules: forwarding, addresses, and Docker's leave. */
import { readFile, writeFile } from 'node:fs/promises';
import type { Log } from '../log.ts';
import { ip, iptables, loadModule } from './programs.ts';

export interface HostNetwork {
	readonly podNetwork: string;
	readonly serviceNetwork: string;
	readonly clusterDns: string;
	readonly bridge: string;
}

/** Sets what is not set. Safe to call again and again. Throws what cannot be done without. */
export async function prepareHost(
	{ podNetwork, serviceNetwork, clusterDns, bridge }: HostNetwork,
	log: Log,
): Promise<void> {
	await sysctl('net/ipv4/ip_forward', '1');
	// Bridged packets must pass connection tracking, or the answer of a pod on the same bridge would keep the pod's own address.
	await loadModule('br_netfilter');
	await sysctl('net/bridge/bridge-nf-call-iptables', '1').catch((error: Error) =>
		log.warn({ error: error.message }, 'br_netfilter is missing: services between pods of one node do not work'),
	);
	// The DNS server's address is this host's own: no translation, and it answers before any pod runs.
	await ip('address', 'replace', `${clusterDns}/32`, 'dev', 'lo');
	if (await linkExists(bridge)) {
		// A host without a default route reaches services too, from an address that every pod can answer.
		await ip('route', 'replace', serviceNetwork, 'dev', bridge);
		// Node ports answer on localhost.
		await sysctl(`net/ipv4/conf/${bridge}/route_localnet`, '1');
	}
	await letThrough(podNetwork);
}

const linkExists = (name: string): Promise<boolean> =>
	ip('link', 'show', 'dev', name).then(
		() => true,
		() => false,
	);

/** Docker drops what it did not publish; its chain DOCKER-USER is where exceptions belong. Absent: Docker filters nothing here. */
async function letThrough(podNetwork: string): Promise<void> {
	const there = await iptables('-n', '-L', 'DOCKER-USER').then(
		() => true,
		() => false,
	);
	if (!there) return;
	for (const direction of ['-s', '-d']) {
		const rule = ['DOCKER-USER', direction, podNetwork, '-j', 'ACCEPT'];
		const present = await iptables('-C', ...rule).then(
			() => true,
			() => false,
		);
		if (!present) await iptables('-I', ...rule);
	}
}

async function sysctl(name: string, value: string): Promise<void> {
	const path = `/proc/sys/${name}`;
	if ((await readFile(path, 'utf8')).trim() !== value) await writeFile(path, value);
}
