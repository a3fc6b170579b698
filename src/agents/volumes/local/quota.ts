/**
 * The size of a directory, held to by the kernel: by project quotas, where the file system has them (XFS or ext4 mounted with `prjquota`).
 * Each directory is a project of its own, numbered by its inode. Source: xfs_quota(8), setquota(8), chattr(1), quotactl(2).
 */
import { lstat, readFile } from 'node:fs/promises';

import { run } from '../program.ts';

export interface Quotas {
	/** Holds an empty directory, and all that will be in it, to so many bytes. */
	begin(directory: string, bytes: number, signal: AbortSignal): Promise<void>;
	/** Another limit for a directory that has one. */
	change(directory: string, bytes: number, signal: AbortSignal): Promise<void>;
	/** The directory is about to go: its number may be another's later. */
	end(directory: string, signal: AbortSignal): Promise<void>;
}

/** Other programs number their projects from one upwards (the Docker engine); ours stand far above those. */
const FIRST_PROJECT = 0x40000000;
const MOST_INODES = 0x3fffffff;
/** What setquota counts in, in bytes. */
const BLOCK = 1024;

/** The quotas of the file system on which the folder is, or why there are none. */
export async function quotasOf(
	folder: string,
	signal: AbortSignal,
	table = '/proc/self/mountinfo',
): Promise<Quotas | string> {
	const mount = mountOf(await readFile(table, 'utf8'), folder);
	if (!mount) return `it is not known on which file system ${folder} is`;
	const { point, type, options } = mount;
	if (!options.some((option) => option === 'prjquota' || option === 'pquota'))
		return `${point} (${type}) is mounted without project quotas (prjquota)`;
	if (process.getuid?.() !== 0) return 'only root sets quotas';
	for (const program of ['chattr', 'setquota'])
		if (!(await isThere(program, signal))) return `the program ${program} is not installed`;
	return quotasAt(point);
}

function quotasAt(point: string): Quotas {
	const limit = async (directory: string, bytes: number, signal: AbortSignal) => {
		const blocks = String(Math.ceil(bytes / BLOCK));
		await succeed('setquota', ['-P', String(await projectOf(directory)), '0', blocks, '0', '0', point], signal);
	};
	return {
		async begin(directory, bytes, signal) {
			// First the number, then what hands it on to all that is made inside.
			await succeed('chattr', ['-p', String(await projectOf(directory)), directory], signal);
			await succeed('chattr', ['+P', directory], signal);
			await limit(directory, bytes, signal);
		},
		change: limit,
		end: (directory, signal) => limit(directory, 0, signal),
	};
}

async function projectOf(directory: string): Promise<number> {
	const { ino } = await lstat(directory);
	if (ino > MOST_INODES) throw new Error(`the inode of ${directory} is too large a number for a project`);
	return FIRST_PROJECT + ino;
}

interface Mount {
	readonly point: string;
	readonly type: string;
	/** Of the mount and of its file system. */
	readonly options: readonly string[];
}

/** The mount on which a folder lies, in what the kernel says of mounts. Source: proc(5), /proc/pid/mountinfo. */
export function mountOf(text: string, folder: string): Mount | undefined {
	let best: Mount | undefined;
	for (const line of text.split('\n')) {
		const [before = '', after = ''] = line.split(' - ');
		const [, , , , point = '', own = ''] = before.split(' ');
		const [type = '', , shared = ''] = after.split(' ');
		const holds = point === '/' || folder === point || folder.startsWith(`${point}/`);
		// Of two at one place the later one covers the other.
		if (point && holds && point.length >= (best?.point.length ?? 0))
			best = { point, type, options: [...own.split(','), ...shared.split(',')] };
	}
	return best;
}

async function isThere(program: string, signal: AbortSignal): Promise<boolean> {
	try {
		await run(program, ['-V'], signal);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
		throw error;
	}
}

async function succeed(program: string, args: readonly string[], signal: AbortSignal): Promise<void> {
	const { code, said } = await run(program, args, signal);
	if (code !== 0) throw new Error(`${program}: ${said || `ended with ${code}`}`);
}
