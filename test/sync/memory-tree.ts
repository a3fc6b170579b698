/** A tree in memory, that counts what is read of it. */
import { hash } from 'node:crypto';
import type { Tree, TreeEntry } from '../../src/sync/source/index.ts';

export interface Link {
	readonly link: string;
}
export type Files = Readonly<Record<string, string | Uint8Array | Link | 'submodule'>>;

export function memoryTree(files: Files): Tree & { readonly reads: string[]; readonly lists: string[] } {
	const reads: string[] = [];
	const lists: string[] = [];
	const folders = new Map<string, Map<string, TreeEntry>>([['', new Map()]]);
	const contents = new Map<string, Uint8Array>();
	const folderAt = (path: string): Map<string, TreeEntry> => {
		const known = folders.get(path) ?? new Map<string, TreeEntry>();
		folders.set(path, known);
		return known;
	};
	for (const [path, content] of Object.entries(files)) {
		const parts = path.split('/');
		const name = parts.pop() ?? '';
		for (let i = 0; i < parts.length; i++) folderAt(parts.slice(0, i + 1).join('/'));
		const kind =
			content === 'submodule' ? 'submodule' : typeof content === 'object' && 'link' in content ? 'symlink' : 'file';
		const bytes =
			typeof content === 'string' ? Buffer.from(content) : content instanceof Uint8Array ? content : Buffer.alloc(0);
		contents.set(path, bytes);
		folderAt(parts.join('/')).set(name, { name, kind, id: hash('sha1', bytes) });
	}
	const identify = (path: string): string => {
		const folder = folderAt(path);
		for (const inner of folders.keys()) {
			const name = inner.slice(path ? path.length + 1 : 0);
			if (inner === '' || !inner.startsWith(path ? `${path}/` : '') || name.includes('/')) continue;
			folder.set(name, { name, kind: 'directory', id: identify(inner) });
		}
		return hash('sha1', JSON.stringify([...folder.values()].sort(byName)));
	};
	const id = identify('');
	return {
		revision: id,
		id,
		reads,
		lists,
		async list({ path }) {
			lists.push(path);
			return [...folderAt(path).values()].sort(byName);
		},
		sizes: async (wanted) => wanted.map(({ path }) => contents.get(path)?.length ?? 0),
		async read(wanted) {
			reads.push(...wanted.map(({ path }) => path));
			return wanted.map(({ path }) => contents.get(path) ?? new Uint8Array());
		},
	};
}

const byName = (a: TreeEntry, b: TreeEntry) => (a.name < b.name ? -1 : 1);
