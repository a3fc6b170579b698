/**
 * Directories of this machine that are volumes: made whole or not at all, and removed only where nothing else can be lost by it. They lie
 * side by side in one folder, each named as its volume.
 */
import { chmod, lstat, mkdir, open, realpath, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { VolumeError } from '../error.ts';
import { mountsBelow } from '../mount.ts';
import { run } from '../program.ts';
import { removeTree } from '../tree.ts';
import type { Quotas } from './quota.ts';

/** No volume's name begins with a dot. */
const MAKING = '.making-';
const REMOVING = '.removing-';
/** How long a copy may take: a day. */
const COPY_TIMEOUT_MS = 24 * 3_600_000;

export interface Wish {
	/** Bytes. */
	readonly size: number;
	/** The name of the volume that it is to be a copy of. */
	readonly copyOf?: string;
	readonly quotas?: Quotas;
}

/** The directory of the volume; undefined where there is none. Throws VolumeError where something else has its name. */
export async function findDirectory(root: string, name: string): Promise<string | undefined> {
	const path = join(root, checked(name));
	const found = await lstat(path).catch(absent);
	if (!found) return undefined;
	if (!found.isDirectory()) throw new VolumeError(`${path} is not a directory`);
	return path;
}

/** Makes the directory, writable for whoever a container runs as. What an earlier attempt has left is taken away first. */
export async function makeDirectory(root: string, name: string, wish: Wish, signal: AbortSignal): Promise<string> {
	await mkdir(root, { recursive: true, mode: 0o711 });
	const fresh = join(root, MAKING + checked(name));
	await discard(fresh);
	await mkdir(fresh);
	await wish.quotas?.begin(fresh, wish.size, signal);
	if (wish.copyOf === undefined) await chmod(fresh, 0o777);
	else {
		const source = await findDirectory(root, wish.copyOf);
		if (!source)
			throw new VolumeError(`there is no directory of the volume ${wish.copyOf}, of which it is to be a copy`);
		const args = ['-a', '--one-file-system', '--reflink=auto', '--', `${source}/.`, fresh];
		const { code, said } = await run('cp', args, signal, COPY_TIMEOUT_MS);
		if (code !== 0) throw new VolumeError(`cannot copy the volume ${wish.copyOf}: ${said.split('\n')[0]}`);
	}
	const path = join(root, name);
	await rename(fresh, path);
	await flush(root);
	return path;
}

/**
 * Removes the directory with all that is in it: below the root, on its file system, and with nothing mounted in it. It has another name
 * first, so that what dies half-way leaves no half of a volume. `id` is the volume's own, so that a new one of its name is another.
 */
export async function removeDirectory(
	root: string,
	name: string,
	id: string,
	quotas: Quotas | undefined,
	signal: AbortSignal,
): Promise<void> {
	const going = join(root, `${REMOVING}${checked(id)}`);
	const path = await findDirectory(root, name);
	if (path) {
		if ((await realpath(path)) !== join(await realpath(root), name)) throw new Error(`${path} leads out of ${root}`);
		await refuseMounted(path);
		if (!(await lstat(going).catch(absent))) await rename(path, going);
	}
	const found = await lstat(going).catch(absent);
	if (!found) return;
	if (found.dev !== (await lstat(root)).dev) throw new Error(`${going} is on another file system than ${root}`);
	if (found.isDirectory()) {
		await refuseMounted(going);
		await quotas?.end(going, signal);
	}
	await discard(going);
}

async function refuseMounted(path: string): Promise<void> {
	const mounts = await mountsBelow(await realpath(path));
	if (mounts.length > 0) throw new Error(`still mounted in it: ${mounts.join(', ')}`);
}

async function discard(path: string): Promise<void> {
	const found = await lstat(path).catch(absent);
	if (found) await removeTree(path, found.dev);
}

/** A name that is no path. The API lets no other through; what is removed by it must not depend on that. */
function checked(name: string): string {
	if (!name || name.includes('/') || name.startsWith('.'))
		throw new VolumeError(`${JSON.stringify(name)} is no name of a volume`);
	return name;
}

/** A name is on the disk before others are told of it. */
async function flush(folder: string): Promise<void> {
	await using handle = await open(folder, 'r');
	await handle.sync();
}

function absent(error: NodeJS.ErrnoException): undefined {
	if (error.code !== 'ENOENT') throw error;
}
