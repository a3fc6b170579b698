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
/** Milliseconds for which the groups of a user are remembered. */
const GROUPS_KEPT = 60_000;

/** Somebody, with the one of his groups that a child has, and all of them. */
export interface Owner extends Identity {
	readonly groups: readonly number[];
}

/**
 * The owner of the first part of a path that is not root's; undefined where all of it is, or where this process is not root's and has
 * no more rights than its own. What lies in a folder that nobody but root may pass through is root's to exchange, whoever owns it,
 * until a link leads out of that. Rejects where something on the way is not there: who took it away may put another thing in its place.
 */
export async function ownerAlong(path: string): Promise<Owner | undefined> {
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
		const stats = await lstat(here);
		if (stats.uid !== 0 && closed === undefined) return identityOf(stats);
		if (stats.isSymbolicLink()) {
			const target = await readlink(here);
			if (++links > MAX_LINKS) throw new Error(`${path} leads through more than ${MAX_LINKS} links`);
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
async function identityOf({ uid, gid }: Identity): Promise<Owner> {
	const groups = await groupsOf(uid);
	return { uid, gid: groups.includes(gid) ? gid : (groups[0] ?? NO_GROUP), groups };
}

const known = new Map<number, Promise<readonly number[]>>();

/** The groups that a user is in, his own first; none of a user who has no name here. */
function groupsOf(uid: number): Promise<readonly number[]> {
	const asked =
		known.get(uid) ??
		new Promise<readonly number[]>((settle) =>
			execFile('id', ['-G', String(uid)], (error, output) =>
				settle(error ? [] : output.split(/\s+/).filter(Boolean).map(Number)),
			),
		);
	if (!known.has(uid)) setTimeout(() => known.delete(uid), GROUPS_KEPT).unref();
	known.set(uid, asked);
	return asked;
}

/** What lstat gives of a file or a folder, in either kind of number. */
interface Modes {
	readonly uid: number | bigint;
	readonly gid: number | bigint;
	readonly mode: number | bigint;
}

/** Whether the modes of a file (4: read) or folder (1: pass, 5: list) allow somebody that much. */
export function mayAccess({ uid, groups }: Owner, stats: Modes, wanted: number): boolean {
	const shift = Number(stats.uid) === uid ? 6 : groups.includes(Number(stats.gid)) ? 3 : 0;
	return ((Number(stats.mode) >> shift) & wanted) === wanted;
}

/** Whether somebody may list this folder, by the modes of the folders on the way; `place` has no links in it. */
export async function mayList(who: Owner, place: string): Promise<boolean> {
	const parts = place.split(sep).filter(Boolean);
	for (let count = 0; count <= parts.length; count++) {
		const stats = await lstat(sep + parts.slice(0, count).join(sep));
		if (!stats.isDirectory() || !mayAccess(who, stats, count === parts.length ? 0o5 : 0o1)) return false;
	}
	return true;
}
