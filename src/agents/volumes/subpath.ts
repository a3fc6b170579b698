/**
 * Part of a volume as a mount. A container that can write to the volume could put a symbolic link in the way between our
 * check and what follows it. So the path is gone down from handle to handle without following links, what is missing is made
 * below the handle of its parent, and what was reached is bound to a place of our own, which is what the engine gets.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, realpath, rmdir, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { VolumeError } from './error.ts';
import { bind, canMount, mountsBelow, unmountBelow } from './mount.ts';

/** The kernel's O_PATH, which node does not name: a handle to a place, without the right to read it. Linux, all architectures. */
const O_PATH = 0o10000000;

/**
 * The path to mount for `subPath` of the volume at `root`; makes the directory where nothing is there.
 *
 * @param place - where the bind mount goes; removed with the pod's volumes. What an earlier container of the same mount has
 *   left there is taken over, or taken away. Only root can bind: without root the checked path itself is returned.
 */
export async function mountSubPath(root: string, subPath: string, place: string, signal: AbortSignal): Promise<string> {
	if (subPath.startsWith('/')) throw new VolumeError(`error SubPath \`${subPath}\` must not be an absolute path`);
	const parts = subPath.split('/').filter((part) => part !== '' && part !== '.');
	if (parts.includes('..')) throw new VolumeError(`unable to provision SubPath \`${subPath}\`: must not contain '..'`);
	const top = await realpath(root);
	const { present, missing } = await resolve(top, parts, subPath);
	await using handle = await descend(top, relative(top, present).split(sep).filter(Boolean), missing, subPath);
	if (!canMount()) return join(present, ...missing);
	const wanted = await handle.stat();
	if ((await mountsBelow(place)).length > 0) {
		const found = await stat(place);
		if (found.ino === wanted.ino && found.dev === wanted.dev) return place;
		await unmountBelow(place, signal);
		// A file may have to become a directory.
		await unlink(place).catch(() => rmdir(place));
	}
	if (wanted.isDirectory()) await mkdir(place, { recursive: true, mode: 0o750 });
	else {
		await mkdir(dirname(place), { recursive: true, mode: 0o750 });
		await writeFile(place, '', { flag: 'a' });
	}
	await bind(`/proc/${process.pid}/fd/${handle.fd}`, place, signal);
	return place;
}

/** How much of a path is there, links resolved: those within the volume are fine (a config map's files are links). */
async function resolve(top: string, parts: readonly string[], subPath: string) {
	for (let count = parts.length; ; count--) {
		const present = await realpath(join(top, ...parts.slice(0, count))).catch((error: NodeJS.ErrnoException) => {
			if (error.code === 'ENOENT' && count > 0) return undefined;
			throw error;
		});
		if (present === undefined) continue;
		if (present !== top && !present.startsWith(top === sep ? top : top + sep)) throw leadsOut(subPath);
		return { present, missing: parts.slice(count) };
	}
}

const leadsOut = (subPath: string) =>
	new VolumeError(`subPath "${subPath}" leads out of the volume by a symbolic link`);

/**
 * Opens what lies below `top`, one name at a time, each from the handle of the one before: no link is followed anywhere.
 * What is `missing` is made, as open as the volume itself.
 */
async function descend(
	top: string,
	present: readonly string[],
	missing: readonly string[],
	subPath: string,
): Promise<FileHandle> {
	let handle = await open(top, O_PATH);
	const mode = (await handle.stat()).mode & 0o7777;
	for (const [index, part] of [...present, ...missing].entries()) {
		await using parent = handle;
		const path = `/proc/self/fd/${parent.fd}/${part}`;
		if (index >= present.length) await makeDirectory(path, mode);
		handle = await open(path, O_PATH | constants.O_NOFOLLOW);
		if ((await handle.stat()).isSymbolicLink()) {
			await handle.close();
			throw leadsOut(subPath);
		}
	}
	return handle;
}

async function makeDirectory(path: string, mode: number): Promise<void> {
	try {
		await mkdir(path, { mode: 0o700 });
	} catch (error) {
		// Made by another container meanwhile, or a link that leads nowhere: the next step looks at it.
		if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
		throw error;
	}
	// Not by mkdir's mode, which the umask cuts.
	await using handle = await open(path, constants.O_DIRECTORY | constants.O_NOFOLLOW);
	await handle.chmod(mode);
}
