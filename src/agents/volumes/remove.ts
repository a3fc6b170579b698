/** Takes a pod's volumes and files away, and nothing that is only mounted among them. */
import type { Dirent } from 'node:fs';
import { lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { within } from './deadline.ts';
import { unmountBelow } from './mount.ts';
import { SUBPATHS, volumesOf } from './paths.ts';
import { removeTree } from './tree.ts';
import { types } from './types/index.ts';

/** Folders below that of the sub-paths down to what is mounted: volume, container, mount. */
const SUBPATH_DEPTH = 3;

/** Undoes the mounts of parts of volumes, which would keep the volumes themselves in use. Their places stay. */
export const unmountParts = (root: string, signal: AbortSignal): Promise<void> =>
	unmountBelow(join(root, SUBPATHS), signal);

/**
 * Removes the pod's folder with all that is in it. Throws, and deletes nothing of it, where something stays mounted.
 *
 * @param table - where the kernel tells what is mounted.
 */
export async function removePodFolder(root: string, signal: AbortSignal, table?: string): Promise<void> {
	// The pod may be forgotten: its folder says what volumes it had.
	for (const type of types) {
		const folder = volumesOf(root, type);
		for (const { name } of type.remove ? await entries(folder) : []) {
			const path = join(folder, name);
			await within(`removal of ${path}`, async () => type.remove?.(path, signal), signal);
		}
	}
	await unmountBelow(root, signal, { table });
	await removePlaces(join(root, SUBPATHS), SUBPATH_DEPTH);
	const found = await lstat(root).catch(absent);
	if (found) await removeTree(root, found.dev);
}

/**
 * Removes the places of mounts one by one, and never what is in them: where one is mounted after all, it shows a folder that
 * is somebody else's, and the kernel refuses.
 */
async function removePlaces(path: string, depth: number): Promise<void> {
	for (const entry of await entries(path)) {
		const inner = join(path, entry.name);
		if (depth > 1) await removePlaces(inner, depth - 1);
		else await (entry.isDirectory() ? rmdir(inner) : unlink(inner));
	}
	await rmdir(path).catch(absent);
}

/** What is in a folder; nothing where there is none. */
const entries = async (path: string): Promise<Dirent[]> =>
	(await readdir(path, { withFileTypes: true }).catch(absent)) ?? [];

function absent(error: NodeJS.ErrnoException): undefined {
	if (error.code !== 'ENOENT') throw error;
}
