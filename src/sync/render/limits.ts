/** What a source may hold. Beyond these a push is refused with the limit named, and nothing is read into memory first. */

/** Of one manifest file. The largest bundles of custom resource definitions in use are about 4 MiB. */
export const MAX_FILE_BYTES = 5 * 1024 * 1024;
/** Of all manifest files under one path. */
export const MAX_TOTAL_BYTES = 128 * 1024 * 1024;
/** Of one object as JSON: what the API takes as the body of a request. */
export const MAX_OBJECT_BYTES = 3 * 1024 * 1024;
/** Documents in one file. */
export const MAX_DOCUMENTS = 10_000;
/** Names, values, marks, spaces and line ends of one document, of which a line has about eight: what its reading costs follows them. */
export const MAX_TOKENS = 1_000_000;
/** Characters of a document whose brackets and quotes may go on at any indentation: it is read a second time for that, in one go. */
export const MAX_FREE_FORM = 256 * 1024;
/** Objects under one path. */
export const MAX_OBJECTS = 100_000;
/** Mappings and lists inside one another. The deepest built-in schema (JSON schemas aside) has fewer than 30. */
export const MAX_DEPTH = 100;
/** What the aliases of a document may expand to, as the parser counts it. */
export const MAX_ALIASES = 1000;
/** Files and folders under one path, manifests or not. */
export const MAX_ENTRIES = 500_000;
/** Folders inside one another. */
export const MAX_FOLDER_DEPTH = 64;
/** Problems told at once; the rest is counted. */
export const MAX_PROBLEMS = 100;

/** `5 MiB`. */
export function bytes(count: number): string {
	if (count < 1024) return `${count} bytes`;
	const mebi = count / 1024 / 1024;
	return mebi < 1 ? `${Math.round(count / 1024)} KiB` : `${Number.isInteger(mebi) ? mebi : mebi.toFixed(1)} MiB`;
}
