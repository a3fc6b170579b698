/** The door of volumes/: a pod's volumes are set up before its containers start, kept up to date, and taken away with the pod. */
import { join } from 'node:path';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Mount } from '../engine/index.ts';
import { within } from './deadline.ts';
import { VolumeError } from './error.ts';
import { SUBPATHS, volumesOf } from './paths.ts';
import { answers } from './program.ts';
import { mountSubPath } from './subpath.ts';
import type { PodView, References, VolumeContext, VolumeType } from './type.ts';
import { typeOf } from './types/index.ts';

export { VolumeError } from './error.ts';
export { createLocalVolumes, type LocalVolumes, volumeRoot } from './local/index.ts';
export { removePodFolder, unmountParts } from './remove.ts';
export type { PodView, References } from './type.ts';

/** A volume that could not be set up, for the event that says so. */
export class FailedMount extends Error {
	override readonly name = 'FailedMount';
	readonly volume: string;
	constructor(volume: string, error: unknown) {
		const operation = error instanceof VolumeError ? error.operation : 'MountVolume.SetUp';
		super(`${operation} failed for volume "${volume}" : ${(error as Error).message}`);
		this.volume = volume;
	}
}

/** Sets up all volumes of the pod. Throws FailedMount. */
export async function setUpVolumes(pod: PodView): Promise<void> {
	await each(pod, (type, context) => type.prepare(context));
}

/** Brings those up to date whose content is made of something that may change. Throws FailedMount. */
export async function updateVolumes(pod: PodView): Promise<void> {
	await each(pod, async (type, context) => type.update?.(context));
}

async function each(pod: PodView, work: (type: VolumeType, context: VolumeContext) => Promise<void>): Promise<void> {
	for (const volume of pod.volumes) {
		try {
			const { type, context } = look(pod, volume);
			// What lies elsewhere may lie on a server.
			if (type.path && !context.path.startsWith(`${pod.root}/`)) await answers(context.path, pod.signal);
			if (type.ownDeadlines) await work(type, context);
			else await within(`volume ${volume.name} of ${pod.root}`, () => work(type, context), pod.signal);
		} catch (error) {
			throw new FailedMount(volume.name, error);
		}
	}
}

/** The volume's type, and the volume as its type sees it. Throws VolumeError where there is no such type. */
function look(pod: PodView, volume: core.Volume): { type: VolumeType; context: VolumeContext } {
	const type = typeOf(volume);
	const source = volume[type.key];
	if (!source) throw new VolumeError(`the volume ${volume.name} has no source`);
	const path = type.path?.(source, pod) ?? join(volumesOf(pod.root, type), volume.name);
	return { type, context: { source, path, pod } };
}

/** The objects of whose change the volumes must hear. One whose type is not there needs none. */
export function referencedObjects(volumes: readonly core.Volume[]): References {
	const all = volumes.flatMap((volume) => {
		try {
			const type = typeOf(volume);
			const source = volume[type.key];
			return source && type.references ? [type.references(source)] : [];
		} catch (error) {
			if (error instanceof VolumeError) return [];
			throw error;
		}
	});
	return {
		configMaps: all.flatMap(({ configMaps }) => configMaps),
		secrets: all.flatMap(({ secrets }) => secrets),
	};
}

/**
 * The mounts of a container, its volumes being set up. Throws VolumeError.
 *
 * @param subPathOf - what part of its volume a mount shows; undefined for all of it.
 */
export async function containerMounts(
	pod: PodView,
	container: core.Container,
	subPathOf: (mount: core.VolumeMount) => string | undefined,
): Promise<Mount[]> {
	const mounts: Mount[] = [];
	for (const [index, wish] of (container.volumeMounts ?? []).entries()) {
		const volume = pod.volumes.find((one) => one.name === wish.name);
		if (!volume)
			throw new VolumeError(`the volume "${wish.name}" of container ${container.name} is not in the pod's spec`);
		const { type, context } = look(pod, volume);
		const subPath = subPathOf(wish);
		const place = join(pod.root, SUBPATHS, wish.name, container.name, String(index));
		const part = async (path: string) => {
			await answers(context.path, pod.signal);
			return within(
				`part of a volume at ${place}`,
				() => mountSubPath(context.path, path, place, pod.signal),
				pod.signal,
			);
		};
		mounts.push({
			source: subPath ? await part(subPath) : context.path,
			target: wish.mountPath,
			readOnly: wish.readOnly === true || type.readOnly === true || type.isReadOnly?.(context.source) === true,
			propagation: propagations[wish.mountPropagation ?? 'None'] ?? 'rprivate',
		});
	}
	return mounts;
}

const propagations: Readonly<Record<string, Mount['propagation']>> = {
	None: 'rprivate',
	HostToContainer: 'rslave',
	Bidirectional: 'rshared',
};
