/**
 * Part of a volume as a mount. A container that can write to the volume could put a symbolic link in the way between our
 * check and the engine's mount. So the path is opened step by step without following links, and what was opened is bound
 * to a place of our own, which is what the engine gets.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, realpath, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { VolumeError } from './error.ts';
import { bind } from './mount.ts';

/** The kernel's O_PATH, which node does not name: a handle to a place, without the right to read it. Linux, all architectures. */
const O_PATH = 0o10000000;

/**
 * The path to mount for `subPath` of the volume at `root`; makes the directory where nothing is there.
 *
 * @param place - where the bind mount goes; removed with the pod's volumes. Only root can bind: without root the checked
 *   path itself is returned.
 */
export async function mountSubPath(root: string, subPath: string, place: string): Promise<string> {
	if (subPath.startsWith('/')) throw new VolumeError(`error SubPath \`${subPath}\` must not be an absolute path`);
	if (subPath.split('/').includes('..')) {
		throw new VolumeError(`unable to provision SubPath \`${subPath}\`: must not contain '..'`);
	}
	const top = await realpath(root);
	const wanted = join(top, subPath);
	await makeDirectory(top, wanted, subPath);
	// Links within the volume are fine (a config map's files are links); where they lead must lie inside.
	const real = await realpath(wanted);
	if (real !== top && !real.startsWith(top + sep)) {
		throw new VolumeError(`subPath "${subPath}" leads out of the volume by a symbolic link`);
	}
	if (process.getuid?.() !== 0) return real;
	const handle = await openWithin(top, relative(top, real), subPath);
	try {
		const isDirectory = (await handle.stat()).isDirectory();
		if (isDirectory) await mkdir(place, { recursive: true, mode: 0o750 });
		else {
			await mkdir(dirname(place), { recursive: true, mode: 0o750 });
			await writeFile(place, '', { flag: 'a' });
		}
		await bind(`/proc/${process.pid}/fd/${handle.fd}`, place);
		return place;
	} finally {
		await handle.close();
	}
}

/** Makes what is missing of a directory path as open as the volume itself, refusing to go through a link that leads out. */
async function makeDirectory(top: string, wanted: string, subPath: string): Promise<void> {
	let path = top;
	const mode = (await lstat(top)).mode & 0o7777;
	for (const part of relative(top, wanted).split(sep).filter(Boolean)) {
		path = join(path, part);
		const found = await lstat(path).catch(() => undefined);
		if (!found) await makeOne(path, mode);
		else if (found.isSymbolicLink()) {
			const target = await realpath(path).catch(() => undefined);
			if (!target || (target !== top && !target.startsWith(top + sep))) {
				throw new VolumeError(`subPath "${subPath}" leads out of the volume by a symbolic link`);
			}
			path = target;
		}
	}
}

async function makeOne(path: string, mode: number): Promise<void> {
	await mkdir(path, { mode: 0o700 });
	// Not by mkdir's mode, which the umask cuts; and not by the path, which a container may have made a link meanwhile.
	await using handle = await open(path, constants.O_DIRECTORY | constants.O_NOFOLLOW);
	await handle.chmod(mode);
}

/** Opens a path below `top` one name at a time, each from the handle of the one before: no link is followed anywhere. */
async function openWithin(top: string, path: string, subPath: string): Promise<FileHandle> {
	let handle = await open(top, O_PATH | constants.O_DIRECTORY);
	for (const part of path.split(sep).filter(Boolean)) {
		const parent = handle;
		try {
			handle = await open(`/proc/self/fd/${parent.fd}/${part}`, O_PATH | constants.O_NOFOLLOW);
		} finally {
			await parent.close();
		}
		if ((await handle.stat()).isSymbolicLink()) {
			await handle.close();
			throw new VolumeError(`subPath "${subPath}" was replaced by a symbolic link while it was mounted`);
		}
	}
	return handle;
}
