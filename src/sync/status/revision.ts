/** A second, light door of sync/: commands that only print revisions need none of the rest. */

/** Seven characters of a commit or of the hash of a folder, or the whole of anything else. */
export function short(revision: string): string {
	return /^[0-9a-f]{40}([0-9a-f]{24})?$/.test(revision) ? revision.slice(0, 7) : revision;
}

/** What a status or a history records of the revision of one source or of several, short enough to look at; empty where it has none. */
export function recordedText({
	revision,
	revisions,
}: {
	revision?: string;
	revisions?: readonly string[];
} = {}): string {
	return (revision ? [revision] : (revisions ?? [])).map(short).join(', ');
}
