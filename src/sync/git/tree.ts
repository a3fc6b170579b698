/** A commit's tree, read from the repository as it is asked for. */
import type { Located, Tree, TreeEntry } from '../source/tree.ts';
import type { Objects } from './objects.ts';
import { GitError } from './program.ts';

export function gitTree(objects: Objects, revision: string, id: string): Tree {
	return {
		revision,
		id,
		async list(directory, signal) {
			signal?.throwIfAborted();
			const object = await objects.read(directory.id);
			if (object?.type !== 'tree')
				throw new GitError(`the folder ${directory.path || '.'} (tree ${directory.id}) cannot be read`);
			return parseTree(object.bytes, directory.id.length / 2);
		},
		sizes(files, signal) {
			signal?.throwIfAborted();
			return Promise.all(files.map(async (file) => (await objects.info(file.id))?.size ?? missing(file)));
		},
		read(files, signal) {
			signal?.throwIfAborted();
			return Promise.all(files.map(async (file) => (await objects.read(file.id))?.bytes ?? missing(file)));
		},
	};
}

function missing(file: Located): never {
	throw new GitError(`the file ${file.path} (blob ${file.id}) is missing from the repository`);
}

/** Source: gitformat-tree; each entry is `MODE NAME NUL ID`, with the id in `idLength` bytes. */
function parseTree(bytes: Uint8Array, idLength: number): TreeEntry[] {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const entries: TreeEntry[] = [];
	for (let at = 0; at < buffer.length; ) {
		const space = buffer.indexOf(32, at);
		const nul = buffer.indexOf(0, space);
		if (space < 0 || nul < 0) throw new GitError('a tree object is malformed');
		entries.push({
			kind: kindOf(buffer.toString('latin1', at, space)),
			name: buffer.toString('utf8', space + 1, nul),
			id: buffer.toString('hex', nul + 1, nul + 1 + idLength),
		});
		at = nul + 1 + idLength;
	}
	return entries;
}

function kindOf(mode: string): TreeEntry['kind'] {
	switch (mode) {
		case '40000':
			return 'directory';
		case '120000':
			return 'symlink';
		case '160000':
			return 'submodule';
		default:
			return 'file';
	}
}
