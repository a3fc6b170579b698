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
	/** The bytes of files, in the order asked for. A file of more than `limit` bytes is not read: only its size comes. */
	read(files: readonly Located[], limit: number, signal?: AbortSignal): Promise<readonly FileContent[]>;
}

export interface FileContent {
	/** In bytes. */
	readonly size: number;
	/** Absent where the file is larger than the limit. */
	readonly bytes?: Uint8Array;
}
