/** The volumes of a pod: set up before its containers start, kept up to date, and taken away with the pod. */
import type { Stats } from 'node:fs';
import { chmod, chown, lstat, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { quantity } from '../../kinds/index.ts';
import type { Mount } from '../engine/engine.ts';
import { expand, type Objects } from '../pods/environment.ts';
import type { Place } from '../pods/fields.ts';
import { podFiles } from '../pods/files.ts';
import { uidOf } from '../pods/names.ts';
import { writeAtomically } from './atomic.ts';
import { VolumeError } from './error.ts';
import { canMount, mountsBelow, mountTmpfs, unmountBelow } from './mount.ts';
import { payloadOf } from './payload.ts';
import { mountSubPath } from './subpath.ts';

export { VolumeError } from './error.ts';
export { referencedObjects } from './payload.ts';

/** A volume that could not be set up, for the event that says so. */
export class FailedMount extends Error {
	override readonly name = 'FailedMount';
	readonly volume: string;
	constructor(volume: string, why: string) {
		super(`MountVolume.SetUp failed for volume "${volume}" : ${why}`);
		this.volume = volume;
	}
}

/** Sets up all volumes of the pod, or brings those made of API objects up to date. Throws FailedMount. */
export async function setUpVolumes(dataDir: string, pod: Pod, objects: Objects, place: Place): Promise<void> {
	for (const volume of pod.spec.volumes ?? []) {
		try {
			await setUp(dataDir, pod, volume, objects, place);
		} catch (error) {
			throw new FailedMount(volume.name, (error as Error).message);
		}
	}
}

/** Where a volume lies on the machine. */
function pathOf(dataDir: string, pod: Pod, volume: core.Volume): string {
	const files = podFiles(dataDir, uidOf(pod));
	if (volume.hostPath) return volume.hostPath.path;
	if (volume.emptyDir) return files.volume('empty-dir', volume.name);
	if (volume.configMap) return files.volume('configmap', volume.name);
	if (volume.secret) return files.volume('secret', volume.name);
	if (volume.downwardAPI) return files.volume('downward-api', volume.name);
	if (volume.projected) return files.volume('projected', volume.name);
	const type = Object.keys(volume).find((key) => key !== 'name') ?? 'unknown';
	throw new VolumeError(
		`volumes of type ${type} are not supported: use emptyDir, hostPath, configMap, secret, downwardAPI or projected`,
	);
}

async function setUp(dataDir: string, pod: Pod, volume: core.Volume, objects: Objects, place: Place): Promise<void> {
	const path = pathOf(dataDir, pod, volume);
	if (volume.hostPath) return prepareHostPath(path, volume.hostPath.type ?? '');
	const group = pod.spec.securityContext?.fsGroup;
	if (volume.emptyDir) return prepareEmptyDir(path, volume.emptyDir, group);
	// Before anything is mounted: what is missing must not leave an empty volume behind.
	const payload = payloadOf(pod, volume, objects, place);
	if (!payload) return;
	await mkdir(path, { recursive: true, mode: 0o755 });
	// A secret never touches the disk where that can be had.
	const secret = volume.secret || volume.projected?.sources?.some((source) => source.secret);
	if (secret && canMount() && (await mountsBelow(path)).length === 0) await mountTmpfs(path, undefined, '0755');
	await writeAtomically(path, payload, group);
}

async function prepareEmptyDir(
	path: string,
	source: core.EmptyDirVolumeSource,
	group: number | undefined,
): Promise<void> {
	const fresh = !(await lstat(path).catch(() => undefined));
	await mkdir(path, { recursive: true });
	if (source.medium === 'Memory') {
		if (!canMount()) throw new VolumeError('medium Memory needs root, which may mount');
		const size = source.sizeLimit ? quantity(source.sizeLimit) : undefined;
		if ((await mountsBelow(path)).length === 0) await mountTmpfs(path, size || undefined);
		else if (!fresh) return;
	} else if (!fresh) return;
	if (group !== undefined) await chown(path, -1, group);
	// The set-group bit hands the group on to what is made inside.
	await chmod(path, group === undefined ? 0o777 : 0o2777);
}

interface HostPathType {
	readonly name: string;
	fits(found: Stats): boolean;
}

const directory: HostPathType = { name: 'directory', fits: (found) => found.isDirectory() };
const file: HostPathType = { name: 'file', fits: (found) => found.isFile() };
const hostPathTypes: Readonly<Record<string, HostPathType>> = {
	Directory: directory,
	DirectoryOrCreate: directory,
	File: file,
	FileOrCreate: file,
	Socket: { name: 'socket file', fits: (found) => found.isSocket() },
	CharDevice: { name: 'character device', fits: (found) => found.isCharacterDevice() },
	BlockDevice: { name: 'block device', fits: (found) => found.isBlockDevice() },
};

async function prepareHostPath(path: string, type: string): Promise<void> {
	let found = await stat(path).catch(() => undefined);
	if (!found && (type === 'DirectoryOrCreate' || type === '')) {
		await mkdir(path, { recursive: true, mode: 0o755 });
		found = await stat(path);
	} else if (!found && type === 'FileOrCreate') {
		await writeFile(path, '', { flag: 'a', mode: 0o644 });
		found = await stat(path);
	}
	if (type === '') return;
	const wanted = hostPathTypes[type];
	if (!found || !wanted?.fits(found)) {
		throw new VolumeError(`hostPath type check failed: ${path} is not a ${wanted?.name ?? type}`);
	}
}

/**
 * The mounts of a container, its volumes being set up.
 *
 * @param variables - its environment, for subPathExpr.
 */
export async function containerMounts(
	dataDir: string,
	pod: Pod,
	container: core.Container,
	attempt: number,
	variables: ReadonlyMap<string, string>,
): Promise<Mount[]> {
	const files = podFiles(dataDir, uidOf(pod));
	const mounts: Mount[] = [];
	for (const [index, wish] of (container.volumeMounts ?? []).entries()) {
		const volume = pod.spec.volumes?.find((one) => one.name === wish.name);
		if (!volume)
			throw new VolumeError(`the volume "${wish.name}" of container ${container.name} is not in the pod's spec`);
		const root = pathOf(dataDir, pod, volume);
		const sub = wish.subPathExpr ? expandPath(wish.subPathExpr, variables) : wish.subPath;
		const place = join(files.root, 'volume-subpaths', wish.name, container.name, `${index}-${attempt}`);
		const derived = volume.configMap || volume.secret || volume.downwardAPI || volume.projected;
		mounts.push({
			source: sub ? await mountSubPath(root, sub, place) : root,
			target: wish.mountPath,
			readOnly: wish.readOnly === true || derived !== undefined,
			propagation:
				wish.mountPropagation === 'Bidirectional'
					? 'rshared'
					: wish.mountPropagation === 'HostToContainer'
						? 'rslave'
						: 'rprivate',
		});
	}
	return mounts;
}

/** What a path expression stands for. Throws VolumeError where a variable in it has no value: another place would be mounted. */
function expandPath(expression: string, variables: ReadonlyMap<string, string>): string {
	return expand(expression, (name) => {
		const value = variables.get(name);
		if (!value) throw new VolumeError(`missing value for "${name}"`);
		return value;
	});
}

/** Makes the file to which a container writes its last words. */
export async function prepareTerminationMessage(path: string): Promise<void> {
	await mkdir(join(path, '..'), { recursive: true, mode: 0o755 });
	await writeFile(path, '', { flag: 'a' });
	await chmod(path, 0o666);
}

/** Removes everything of the pod from the disk. Nothing is deleted while something is mounted below. */
export async function removePodFiles(dataDir: string, uid: string): Promise<void> {
	const { root } = podFiles(dataDir, uid);
	if (canMount()) await unmountBelow(root);
	const left = await mountsBelow(root);
	if (left.length > 0) throw new Error(`still mounted below ${root}: ${left.join(', ')}`);
	await rm(root, { recursive: true, force: true, maxRetries: 3 });
}

/** Uids of the pods that have files on this machine. */
export async function podsOnDisk(dataDir: string): Promise<string[]> {
	return readdir(join(dataDir, 'pods')).catch(() => []);
}
