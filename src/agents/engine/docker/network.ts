/** The bridge network of a node's pods: made with the node's range, made anew when that has changed. */
import type Docker from 'dockerode';
import { addressIn } from '../../../kinds/index.ts';
import type { Log } from '../../../log.ts';
import type { Engine } from '../engine.ts';
import { EngineError } from '../error.ts';
import type { PodNetwork } from '../pod.ts';
import { type Labels, nodeLabel, nodeOf } from './names.ts';
import type { Requests } from './requests.ts';

interface Found {
	readonly subnet: string;
	readonly labels: Labels;
	/** Ids of those that run on it. */
	readonly containers: readonly string[];
}

/**
 * Makes sure that the network is there with this range. One of another range goes, and with it the containers on it that are
 * this node's: their pods get new ones. Throws where the network is not this node's, and where the engine refuses.
 */
export async function ensureNetwork(
	requests: Requests,
	network: PodNetwork,
	parts: Pick<Engine['parts'], 'list' | 'remove'>,
	log: Log,
): Promise<void> {
	const { name, node, cidr } = network;
	const present = await inspect(requests, name);
	if (present) {
		const owner = nodeOf(present.labels);
		if (owner !== node) throw new EngineError('conflict', 'prepare the engine', notOurs(name, node, owner));
		if (present.subnet === cidr) return;
		log.warn(
			{ network: name, from: present.subnet, to: cidr },
			'the range of the node has changed: its pods get new addresses',
		);
		const ours = new Set((await parts.list(node)).map(({ id }) => id));
		for (const id of present.containers) if (ours.has(id)) await parts.remove(id);
		await remove(requests, name);
	}
	await create(requests, network);
}

/** Takes the network away where it is the node's and nobody is on it. */
export async function releaseNetwork(
	requests: Requests,
	{ name, node }: Pick<PodNetwork, 'name' | 'node'>,
): Promise<void> {
	const network = await inspect(requests, name);
	if (network && nodeOf(network.labels) === node && network.containers.length === 0) await remove(requests, name);
}

function notOurs(name: string, node: string, owner: string | undefined): string {
	if (owner === undefined)
		return `the engine has a network ${name} that was not made for a node of driftless: remove it, or use another engine`;
	return `the network ${name} of the engine belongs to the node ${owner}, and this is the node ${node}: two nodes cannot share an engine. Where the node was renamed, start it with --node-name ${owner}, or take it off the engine with \`driftless down --node-name ${owner}\``;
}

async function inspect({ find, dial }: Requests, name: string): Promise<Found | undefined> {
	const network = await find(`inspect network ${name}`, 'answerMs', (signal) =>
		dial<Docker.NetworkInspectInfo>(`/networks/${name}`, signal),
	);
	return (
		network && {
			subnet: network.IPAM?.Config?.[0]?.Subnet ?? '',
			labels: network.Labels ?? {},
			containers: Object.keys(network.Containers ?? {}),
		}
	);
}

async function create({ call, dial, docker }: Requests, network: PodNetwork): Promise<void> {
	const { name, bridge, cidr, mtu, node } = network;
	await call(`create network ${name} ${cidr}`, 'changeMs', async (abortSignal) => {
		const { Version } = await dial<Docker.DockerVersion>('/version', abortSignal);
		await docker.createNetwork({
			Name: name,
			Driver: 'bridge',
			CheckDuplicate: true,
			IPAM: { Driver: 'default', Config: [{ Subnet: cidr, Gateway: addressIn(cidr, 1) }] },
			Labels: { ...nodeLabel(node) },
			Options: {
				'com.docker.network.bridge.name': bridge,
				'com.docker.network.bridge.enable_ip_masquerade': 'false',
				'com.docker.network.bridge.enable_icc': 'true',
				'com.docker.network.driver.mtu': String(mtu),
				...gatewayMode(Version),
			},
			abortSignal,
		});
	});
}

async function remove({ find, docker }: Requests, name: string): Promise<void> {
	await find(`remove network ${name}`, 'changeMs', (abortSignal) => docker.getNetwork(name).remove({ abortSignal }));
}

/**
 * From 28 on Docker drops what comes from other machines to a container's own address, before any rule of ours sees it: pods
 * of other nodes, say. This mode lets it through, as all engines did before. Older ones keep the option without a look at it,
 * so that it holds when they are upgraded; only 27 knows gateway modes but not this one, and refuses it. Source: Docker
 * documentation, "Port publishing and mapping", Gateway modes; moby pull request 48597.
 */
export function gatewayMode(version: string): Record<string, string> {
	return version.startsWith('27.') ? {} : { 'com.docker.network.bridge.gateway_mode_ipv4': 'nat-unprotected' };
}
