/**
 * As whom a place of this machine is read. Who may exchange a part of a path decides where it leads, between any check and any
 * read; so root reads what lies below a folder of somebody else with that one's rights, and no others.
 */
import { execFile } from 'node:child_process';
import { lstat, readlink } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import type { Identity } from '../git/index.ts';

/** Links that are followed in one path. Source: path_resolution(7), as Linux has it. */
const MAX_LINKS = 40;
/** Bits of a mode: others, or the group, may pass through a folder. */
const OTHERS_PASS = 0o011;
/** The group of who is in none: nogroup of Debian, nobody of others. */
const NO_GROUP = 65_534;

/**
 * The owner of the first part of a path that is not root's; undefined where all of it is, or where this process is not root's and has
 * no more rights than its own. What lies in a folder that nobody but root may pass through is root's to exchange, whoever owns it,
 * until a link leads out of that.
 */
export async function ownerAlong(path: string): Promise<Identity | undefined> {
	if (process.getuid?.() !== 0) return undefined;
	let place: string = sep;
	let closed: string | undefined;
	let links = 0;
	const parts = resolve(path).split(sep).filter(Boolean);
	for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
		if (part === '.') continue;
		if (part === '..') {
			place = resolve(place, '..');
			continue;
		}
		const here = join(place, part);
		if (closed !== undefined && !here.startsWith(closed + sep)) closed = undefined;
		const stats = await lstat(here).catch(() => undefined);
		if (!stats) return undefined;
		if (stats.uid !== 0 && closed === undefined) return identityOf(stats);
		if (stats.isSymbolicLink()) {
			const target = await readlink(here);
			if (++links > MAX_LINKS) return undefined;
			parts.unshift(...target.split(sep).filter(Boolean));
			if (target.startsWith(sep)) place = sep;
		} else {
			if ((stats.mode & OTHERS_PASS) === 0) closed ??= here;
			place = here;
		}
	}
	return undefined;
}

/** An owner, and the group of what he owns where he is in it: he may own things of a group whose rights he has not, as root's. */
async function identityOf({ uid, gid }: { readonly uid: number; readonly gid: number }): Promise<Identity> {
	const groups = await groupsOf(uid);
	return { uid, gid: groups.includes(gid) ? gid : (groups[0] ?? NO_GROUP) };
}

const known = new Map<number, readonly number[]>();

/** The groups that a user is in, his own first; none of a user who has no name here. */
async function groupsOf(uid: number): Promise<readonly number[]> {
	const before = known.get(uid);
	if (before) return before;
	const text = await new Promise<string>((settle) =>
		execFile('id', ['-G', String(uid)], (error, output) => settle(error ? '' : output)),
	);
	const groups = text.split(/\s+/).filter(Boolean).map(Number);
	// One without a name may be given one later.
	if (groups.length > 0) known.set(uid, groups);
	return groups;
}

/** What lstat gives of a file or a folder, in either kind of number. */
interface Modes {
	readonly uid: number | bigint;
	readonly gid: number | bigint;
	readonly mode: number | bigint;
}

/** Whether the modes of a file (4: read) or folder (1: pass, 5: list) allow somebody that much. */
export function mayAccess({ uid, gid }: Identity, stats: Modes, wanted: number): boolean {
	const shift = Number(stats.uid) === uid ? 6 : Number(stats.gid) === gid ? 3 : 0;
	return ((Number(stats.mode) >> shift) & wanted) === wanted;
}

/** Whether somebody may list this folder, by the modes of the folders on the way; `place` has no links in it. */
export async function mayList(who: Identity, place: string): Promise<boolean> {
	const parts = place.split(sep).filter(Boolean);
	for (let count = 0; count <= parts.length; count++) {
		const stats = await lstat(sep + parts.slice(0, count).join(sep));
		if (!stats.isDirectory() || !mayAccess(who, stats, count === parts.length ? 0o5 : 0o1)) return false;
	}
	return true;
}
