/**
 * As whom a place of this machine is read. Who may exchange a part of a path decides where it leads, between any check and any
 * read; so root reads what lies below a folder of somebody else with that one's rights, and no others.
 */
import { lstat, readlink } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import type { Identity } from '../git/index.ts';

/** Links that are followed in one path. Source: path_resolution(7), as Linux has it. */
const MAX_LINKS = 40;
/** Bits of a mode: others, or the group, may pass through a folder. */
const OTHERS_PASS = 0o011;

/**
 * The owner of the first part of a path that is not root's; undefined where all of it is, where nobody but root gets that far, or
 * where this process is not root's and has no more rights than its own.
 */
export async function ownerAlong(path: string): Promise<Identity | undefined> {
	if (process.getuid?.() !== 0) return undefined;
	let place: string = sep;
	let links = 0;
	const parts = resolve(path).split(sep).filter(Boolean);
	for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
		if (part === '.') continue;
		if (part === '..') {
			place = resolve(place, '..');
			continue;
		}
		const here = join(place, part);
		const stats = await lstat(here).catch(() => undefined);
		if (!stats) return undefined;
		if (stats.uid !== 0) return { uid: stats.uid, gid: stats.gid };
		if (stats.isSymbolicLink()) {
			const target = await readlink(here);
			if (++links > MAX_LINKS) return undefined;
			parts.unshift(...target.split(sep).filter(Boolean));
			if (target.startsWith(sep)) place = sep;
		} else if ((stats.mode & OTHERS_PASS) === 0) return undefined;
		else place = here;
	}
	return undefined;
}

/** Whether somebody may list this folder, by the modes of the folders on the way; `place` has no links in it. */
export async function mayList({ uid, gid }: Identity, place: string): Promise<boolean> {
	const parts = place.split(sep).filter(Boolean);
	for (let count = 0; count <= parts.length; count++) {
		const stats = await lstat(sep + parts.slice(0, count).join(sep));
		const mode = stats.mode >> (stats.uid === uid ? 6 : stats.gid === gid ? 3 : 0);
		const wanted = count === parts.length ? 0o5 : 0o1;
		if (!stats.isDirectory() || (mode & wanted) !== wanted) return false;
	}
	return true;
}
