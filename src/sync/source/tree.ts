/** The content of a source at one revision, addressed by content: equal ids mean equal content, so that nothing is read twice. */

export interface TreeEntry {
	readonly name: string;
	readonly kind: 'file' | 'directory' | 'symlink' | 'submodule';
	/** Of its content: a git blob or tree id, or a content hash. */
	readonly id: string;
}

/** Where something lies in a tree (`''` is the root; no leading or trailing slash), and what it is. */
export interface Located {
	readonly path: string;
	readonly id: string;
}

export interface Tree {
	/** A commit id; for a folder, the hash of its content. */
	readonly revision: string;
	/** Id of the root directory. */
	readonly id: string;
	/** The entries of a directory, in the order of their names. */
	list(directory: Located, signal?: AbortSignal): Promise<readonly TreeEntry[]>;
	/** Sizes of files in bytes, in the order asked for. */
	sizes(files: readonly Located[], signal?: AbortSignal): Promise<readonly number[]>;
	/** Contents of files, in the order asked for. The caller has looked at their sizes first. */
	read(files: readonly Located[], signal?: AbortSignal): Promise<readonly Uint8Array[]>;
}
