/** What of the disk the summary tells: file systems, what containers write, volumes. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../kinds/index.ts';
import type { Container } from '../engine/index.ts';
import { type DiskMeter, type DiskUse, type FileSystem, readFileSystem } from '../figures/index.ts';
import { podFiles } from '../pods/files.ts';
import { uidOf } from '../pods/names.ts';

export interface FileSystemStats {
	readonly time: string;
	readonly availableBytes: number;
	readonly capacityBytes: number;
	readonly usedBytes?: number;
	readonly inodesFree: number;
	readonly inodes: number;
	readonly inodesUsed?: number;
}

export interface VolumeStats extends FileSystemStats {
	readonly name: string;
	readonly pvcRef?: { readonly name: string; readonly namespace: string };
}

export interface ContainerDisk {
	/** What the container has written into its own layer, and its log. */
	readonly rootfs?: FileSystemStats;
	readonly logs?: FileSystemStats;
}

const text = (at: number) => new Date(at).toISOString();

/** A file system in the words of the API. `use` is what a folder on it takes, where it is a folder's. */
export function fileSystemStats(found: FileSystem | undefined, use?: DiskUse): FileSystemStats | undefined {
	if (!found) return undefined;
	return {
		time: text(use?.at ?? found.at),
		availableBytes: found.available,
		capacityBytes: found.capacity,
		usedBytes: use ? use.bytes : found.used,
		inodesFree: found.inodesFree,
		inodes: found.inodes,
		inodesUsed: use ? use.inodes : found.inodes - found.inodesFree,
	};
}

/** Of a folder that takes a part of its file system; without its use until that was found for the first time. */
function folderStats(disk: DiskMeter, path: string | undefined, at: number): FileSystemStats | undefined {
	const system = path === undefined ? undefined : readFileSystem(path, at);
	if (path === undefined || !system) return undefined;
	const use = disk.use(path);
	const stats = fileSystemStats(system, use);
	if (use || !stats) return stats;
	const { usedBytes: _, inodesUsed: _i, ...rest } = stats;
	return rest;
}

export function containerDisk(disk: DiskMeter, { writes }: Container, at: number): ContainerDisk {
	const rootfs = folderStats(disk, writes?.layer, at);
	const logs = folderStats(disk, writes?.log, at);
	return { ...(rootfs ? { rootfs } : {}), ...(logs ? { logs } : {}) };
}

/** A volume of the pod that is on this machine. */
export interface VolumeFolder {
	readonly name: string;
	readonly path: string;
	/** It has a file system of its own. */
	readonly mounted: boolean;
}

/** The folders of the pod's volumes. What is not below the pod's own folder, a path of the machine say, is not its use. */
export function volumeFolders(root: string): VolumeFolder[] {
	const list = (path: string): readonly string[] => {
		try {
			return readdirSync(path);
		} catch {
			return [];
		}
	};
	const volumes = join(root, 'volumes');
	return list(volumes).flatMap((type) => {
		const within = join(volumes, type);
		return list(within).flatMap((name) => {
			const path = join(within, name);
			const [own, around] = [deviceOf(path), deviceOf(within)];
			return own === undefined ? [] : [{ name, path, mounted: own !== around }];
		});
	});
}

function deviceOf(path: string): number | undefined {
	try {
		return statSync(path).dev;
	} catch {
		return undefined;
	}
}

/** The pod's volumes, and what of the node's disk the pod takes that goes with it. Source: KEP-361, local ephemeral storage. */
export function podDisk(
	{ disk, dataDir, now }: { readonly disk: DiskMeter; readonly dataDir: string; readonly now: () => number },
	pod: Pod,
	containers: readonly ContainerDisk[],
): { readonly volume?: readonly VolumeStats[]; readonly 'ephemeral-storage'?: FileSystemStats } {
	const at = now();
	const claims = new Map(
		(pod.spec.volumes ?? []).flatMap(({ name, persistentVolumeClaim }) =>
			persistentVolumeClaim ? [[name, persistentVolumeClaim.claimName] as const] : [],
		),
	);
	const { namespace = '' } = pod.metadata;
	let local = 0;
	let inodes = 0;
	const volume = volumeFolders(podFiles(dataDir, uidOf(pod)).root).flatMap(({ name, path, mounted }): VolumeStats[] => {
		const stats = mounted ? fileSystemStats(readFileSystem(path, at)) : folderStats(disk, path, at);
		if (!stats) return [];
		const claim = claims.get(name);
		if (!mounted && claim === undefined) {
			local += stats.usedBytes ?? 0;
			inodes += stats.inodesUsed ?? 0;
		}
		return [{ name, ...stats, ...(claim === undefined ? {} : { pvcRef: { name: claim, namespace } }) }];
	});
	for (const stats of containers.flatMap(({ rootfs, logs }) => [rootfs, logs])) {
		local += stats?.usedBytes ?? 0;
		inodes += stats?.inodesUsed ?? 0;
	}
	const around = fileSystemStats(readFileSystem(dataDir, at));
	return {
		...(volume.length > 0 ? { volume } : {}),
		...(around ? { 'ephemeral-storage': { ...around, usedBytes: local, inodesUsed: inodes } } : {}),
	};
}
