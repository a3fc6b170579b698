/**
 * Gives a volume to a pod's group: all of it belongs to the group, which may read and write it, and hands itself on to what is made inside.
 * Containers that have the volume may put links in the way meanwhile, so each name is opened by the handle of the folder that it is in, and
 * no link is followed. Source: Kubernetes documentation, "Configure a Security Context", fsGroup and fsGroupChangePolicy.
 */
import { constants } from 'node:fs';
import { chmod, chown, type FileHandle, lchown, open, readdir } from 'node:fs/promises';

/** The kernel's O_PATH, which node does not name: a handle to a place, without the right to read it. Linux, all architectures. */
const O_PATH = 0o10000000;
const DIRECTORY = 0o2770;
const FILE = 0o660;

export type GroupChange = 'Always' | 'OnRootMismatch';

export async function takeOver(path: string, group: number, change: GroupChange = 'Always'): Promise<void> {
	await using handle = await open(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
	if (change === 'OnRootMismatch' && (await isOwned(handle, group))) return;
	await giveDirectory(handle, group);
}

async function isOwned(handle: FileHandle, group: number): Promise<boolean> {
	const { gid, mode } = await handle.stat();
	return gid === group && (mode & DIRECTORY) === DIRECTORY;
}

async function giveDirectory(handle: FileHandle, group: number): Promise<void> {
	const here = `/proc/self/fd/${handle.fd}`;
	for (const name of await readdir(here)) {
		const inner = `${here}/${name}`;
		await using entry = await open(inner, O_PATH | constants.O_NOFOLLOW).catch(absent);
		const found = await entry?.stat();
		if (!entry || !found) continue;
		if (found.isDirectory()) await giveDirectory(entry, group);
		else if (found.isSymbolicLink()) await lchown(inner, -1, group).catch(absent);
		else await give(entry, group, FILE);
	}
	// Last, so that one whose contents were not all given is not taken for one that was.
	await give(handle, group, DIRECTORY);
}

async function give(handle: FileHandle, group: number, bits: number): Promise<void> {
	const { gid, uid, mode } = await handle.stat();
	const path = `/proc/self/fd/${handle.fd}`;
	if (gid !== group) await chown(path, uid, group);
	const wanted = (mode & 0o7777) | bits;
	if ((mode & 0o7777) !== wanted || gid !== group) await chmod(path, wanted);
}

/** Gone meanwhile. */
function absent(error: NodeJS.ErrnoException): undefined {
	if (error.code !== 'ENOENT') throw error;
}
