/** What this machine has, and how it fares. */
import { readdir, readFile, statfs } from 'node:fs/promises';
import os from 'node:os';
import type * as core from 'kubernetes-types/core/v1.js';
import type { EngineInfo, Image } from '../engine/engine.ts';

/** As the kubelet's default. */
const MAX_PODS = 110;
/** Thresholds of pressure, as the kubelet's defaults for eviction. */
const MEMORY_LOW_BYTES = 100 * 1024 * 1024;
const DISK_LOW_SHARE = 0.1;
const PIDS_LOW_SHARE = 0.1;
/** How many images a node tells of, the largest first. */
const MAX_IMAGES = 50;
/** The level of the Kubernetes API that the agent speaks. */
export const KUBELET_VERSION = 'v1.32.0+driftless';

/** Capacity as quantities. `dataDir` lies on the disk that counts. */
export async function capacity(info: EngineInfo, dataDir: string): Promise<Record<string, string>> {
	const disk = await statfs(dataDir);
	return {
		cpu: String(info.cpus),
		memory: `${Math.floor(info.memory / 1024)}Ki`,
		'ephemeral-storage': `${Math.floor((disk.blocks * disk.bsize) / 1024)}Ki`,
		pods: String(MAX_PODS),
	};
}

export async function nodeInfo(info: EngineInfo): Promise<core.NodeSystemInfo> {
	const read = async (path: string) => (await readFile(path, 'utf8').catch(() => '')).trim();
	const machineID = await read('/etc/machine-id');
	return {
		architecture: info.architecture,
		bootID: await read('/proc/sys/kernel/random/boot_id'),
		containerRuntimeVersion: `docker://${info.version}`,
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

export interface Pressure {
	readonly memory: boolean;
	readonly disk: boolean;
	readonly pids: boolean;
}

/** Whether something of the machine runs out. */
export async function pressure(dataDir: string): Promise<Pressure> {
	const meminfo = await readFile('/proc/meminfo', 'utf8').catch(() => '');
	const available = Number(/^MemAvailable:\s+(\d+) kB/m.exec(meminfo)?.[1] ?? Number.NaN) * 1024;
	const disk = await statfs(dataDir);
	const pidMax = Number(await readFile('/proc/sys/kernel/pid_max', 'utf8').catch(() => '0'));
	const processes = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).length;
	return {
		memory: (Number.isNaN(available) ? os.freemem() : available) < MEMORY_LOW_BYTES,
		disk: disk.bavail / disk.blocks < DISK_LOW_SHARE,
		pids: pidMax > 0 && processes > pidMax * (1 - PIDS_LOW_SHARE),
	};
}

/** CAP_SYS_RESOURCE, as a bit of the kernel's capability masks. */
const SYS_RESOURCE = 1n << 24n;

/**
 * The lowest out-of-memory score that processes of this machine may be given. Inside a container that may not lower it
 * (no CAP_SYS_RESOURCE in its bounding set) the engine fails on negative scores.
 */
export async function lowestOomScore(): Promise<number> {
	const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
	const bounding = /^CapBnd:\s+([0-9a-f]+)$/m.exec(status)?.[1];
	return bounding && !(BigInt(`0x${bounding}`) & SYS_RESOURCE) ? 0 : -1000;
}
