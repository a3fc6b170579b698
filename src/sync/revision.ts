/** A second, light door of sync/: commands that only print revisions need none of the rest. */

/** Seven characters of a commit, or the whole of anything else. */
export function short(revision: string): string {
	return /^[0-9a-f]{40}$/.test(revision) ? revision.slice(0, 7) : revision;
}
