/** What this machine has, and how it fares. */
import { readFile, statfs } from 'node:fs/promises';
import type * as core from 'kubernetes-types/core/v1.js';
import { quantity } from '../../kinds/index.ts';
import type { EngineInfo, Image } from '../engine/index.ts';

/** As the kubelet's default. */
const MAX_PODS = 110;
/** Thresholds of pressure, as the kubelet's defaults for eviction. */
const MEMORY_LOW_BYTES = 100 * 1024 * 1024;
const DISK_LOW_SHARE = 0.1;
/** How many images a node tells of, the largest first. */
const MAX_IMAGES = 50;
/** The level of the Kubernetes API that the agent speaks. */
export const KUBELET_VERSION = 'v1.32.0+driftless';

/** What a kind of resource is read from. */
export interface Machine {
	readonly info: EngineInfo;
	/** Where the files of pods lie. */
	readonly dataDir: string;
}

/** One resource that every node has. A new kind is one entry more; devices come from plugins (devices/). */
export interface Resource {
	readonly name: string;
	/** How much of it there is, as a quantity; undefined where the node has none. */
	capacity(machine: Machine): string | undefined | Promise<string | undefined>;
	/** How much of it pods never get, in the resource's own unit (cores, bytes), beside what is reserved by hand. */
	withheld?(capacity: number): number;
}

const kibibytes = (bytes: number) => `${Math.floor(bytes / 1024)}Ki`;

/** What every node has. What is withheld is what the kubelet's thresholds of eviction keep free. */
export const RESOURCES: readonly Resource[] = [
	{ name: 'cpu', capacity: ({ info }) => String(info.cpus) },
	{ name: 'memory', capacity: ({ info }) => kibibytes(info.memory), withheld: () => MEMORY_LOW_BYTES },
	{
		name: 'ephemeral-storage',
		async capacity({ dataDir }) {
			const disk = await statfs(dataDir);
			return kibibytes(disk.blocks * disk.bsize);
		},
		withheld: (bytes) => bytes * DISK_LOW_SHARE,
	},
	{ name: 'pods', capacity: () => String(MAX_PODS) },
];

export interface Amounts {
	/** All that the node has, as quantities by resource. */
	readonly capacity: Readonly<Record<string, string>>;
	/** What of it pods may ask for. Source: Kubernetes documentation, "Reserve Compute Resources for System Daemons". */
	readonly allocatable: Readonly<Record<string, string>>;
}

/** What a node has, less what is reserved (quantities by resource) for what is not a pod. */
export async function measure(
	machine: Machine,
	reserved: Readonly<Record<string, string>> = {},
	resources: readonly Resource[] = RESOURCES,
): Promise<Amounts> {
	const capacity: Record<string, string> = {};
	const allocatable: Record<string, string> = {};
	for (const resource of resources) {
		const { name } = resource;
		const all = await resource.capacity(machine);
		if (all === undefined) continue;
		capacity[name] = all;
		const withheld = resource.withheld?.(quantity(all)) ?? 0;
		allocatable[name] = less(name, all, quantity(reserved[name] ?? '0') + withheld);
	}
	return { capacity, allocatable };
}

function less(name: string, all: string, taken: number): string {
	if (taken === 0) return all;
	const left = Math.max(0, quantity(all) - taken);
	if (name === 'cpu') return `${Math.floor(left * 1000)}m`;
	return all.endsWith('Ki') ? kibibytes(left) : String(Math.floor(left));
}

export async function nodeInfo(info: EngineInfo): Promise<core.NodeSystemInfo> {
	const read = async (path: string) => (await readFile(path, 'utf8').catch(() => '')).trim();
	const machineID = await read('/etc/machine-id');
	return {
		architecture: info.architecture,
		bootID: await read('/proc/sys/kernel/random/boot_id'),
		containerRuntimeVersion: `${info.name}://${info.version}`,
		kernelVersion: info.kernelVersion,
		kubeProxyVersion: KUBELET_VERSION,
		kubeletVersion: KUBELET_VERSION,
		machineID,
		operatingSystem: 'linux',
		osImage: info.operatingSystem,
		systemUUID: (await read('/sys/class/dmi/id/product_uuid')) || machineID,
	};
}

/** Labels that every node has. */
export function nodeLabels(name: string, info: EngineInfo): Record<string, string> {
	return {
		'kubernetes.io/hostname': name,
		'kubernetes.io/os': 'linux',
		'kubernetes.io/arch': info.architecture,
		'beta.kubernetes.io/os': 'linux',
		'beta.kubernetes.io/arch': info.architecture,
	};
}

/** The images of the engine as a node's status lists them. */
export function nodeImages(images: readonly Image[]): core.ContainerImage[] {
	return images
		.map((image) => ({
			names: [...image.digests, ...image.tags].filter((name) => !name.includes('<none>')),
			sizeBytes: image.size,
		}))
		.filter(({ names }) => names.length > 0)
		.sort((a, b) => b.sizeBytes - a.sizeBytes)
		.slice(0, MAX_IMAGES);
}
