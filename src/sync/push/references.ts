/** What a push may make of the references of a repository: names that git takes beside the others, moved from where they are. */
import { type Quarantine, type Refs, shortName as short } from '../git/index.ts';
import type { Embedded, RefChange } from '../source/index.ts';

/** What git takes in no name of a reference, and what was no UTF-8. Source: git-check-ref-format(1). */
const unsoundName = /(?:^|\/)\.|\.\.|[\p{Cc} ~^:?*[\\\ufffd]|\/(?:\/|$)|\.$|@\{|\.lock(?:\/|$)/u;

/** A name that git would refuse when other heads of the push have moved already. */
export function unsound(updates: readonly RefChange[]): string | undefined {
	const found = updates.find(({ ref, after }) => after && unsoundName.test(ref));
	return found && `${short(found.ref)} is no name for a branch or tag: choose another one`;
}

/**
 * A name that git has no room for beside another: `a/b` beside `a`, since references are files. Git would refuse it when its head
 * has moved already.
 */
export function clashes(updates: readonly RefChange[], heads: Refs): string | undefined {
	const above = (ref: string) => ref.split('/').map((_, index, parts) => parts.slice(0, index).join('/'));
	const names = new Set([...heads.keys(), ...updates.map(({ ref }) => ref)]);
	const folders = new Map([...names].flatMap((ref) => above(ref).map((folder) => [folder, ref] as const)));
	for (const { ref, after } of updates) {
		const other = above(ref).find((folder) => names.has(folder)) ?? folders.get(ref);
		if (after && other)
			return `${short(ref)} cannot be beside ${short(other)}: choose another name, or delete that one first`;
	}
	return undefined;
}

/**
 * What is wrong with the place that a push starts from: another push has moved the reference while this one was on its way (git
 * would refuse it too, after the check), or the commit that it would replace is not here.
 */
export async function isBehind(
	{ ref, before, after }: RefChange,
	head: string | undefined,
	quarantine: Quarantine,
	{ exchange }: Embedded,
): Promise<string | undefined> {
	if (head === before || head === after) return undefined;
	if (head === undefined || (await exchange.obtain(head)))
		return `${short(ref)} has moved on since you fetched it: fetch, rebase and push again`;
	// This server missed some pushes, and the pusher may have them.
	if (after && (await quarantine.follows(after, head))) return undefined;
	return `${short(ref)} is at ${head.slice(0, 12)}, which no server that is there has: only a push of that commit, or of one that follows it, is taken`;
}
