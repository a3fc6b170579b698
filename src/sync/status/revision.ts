/** A second, light door of sync/: commands that only print revisions need none of the rest. */

/** Seven characters of a commit or of the hash of a folder, or the whole of anything else. */
export function short(revision: string): string {
	return /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(revision) ? revision.slice(0, 7) : revision;
}
