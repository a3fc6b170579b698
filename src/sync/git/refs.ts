/** The branches and tags of a repository, read from its files: each push wants them some times, and a child takes 5 ms. */
import type { Dirent } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { git } from './program.ts';

/** Object ids of branches and tags by their full names (of an annotated tag its own). */
export type Refs = ReadonlyMap<string, string>;

/** References in files of their own up to which they are read here: for more a child is faster. */
const MOST_LOOSE = 200;
const roots = ['refs/heads', 'refs/tags'];

/** Source of the layout: gitrepository-layout(5). What is laid out in another way (reftable, symbolic references) git reads. */
export async function readRefs(gitdir: string): Promise<Refs> {
	return (await fromFiles(gitdir)) ?? (await fromGit(gitdir));
}

async function fromGit(gitdir: string): Promise<Refs> {
	const lines = await git(['for-each-ref', '--format=%(objectname) %(refname)', ...roots], { gitdir });
	const pairs = lines.split('\n').map((line) => line.split(' ', 2));
	return new Map(pairs.flatMap(([id, ref]) => (id && ref ? [[ref, id] as const] : [])));
}

/** Undefined where the files alone do not tell. */
async function fromFiles(gitdir: string): Promise<Refs | undefined> {
	// In this order: what is packed meanwhile is in the packed file before its own is gone.
	const names = (await Promise.all(roots.map((root) => looseNames(gitdir, root)))).flat();
	if (names.length > MOST_LOOSE || !names.every((name) => name !== undefined)) return undefined;
	const loose = await Promise.all(
		names.map(async (name) => [name, (await readIfThere(join(gitdir, name)))?.trim()] as const),
	);
	const packed = await readIfThere(join(gitdir, 'packed-refs'));
	if (
		packed === undefined &&
		names.length === 0 &&
		(await readIfThere(join(gitdir, 'reftable/tables.list'))) !== undefined
	)
		return undefined;
	const refs = new Map<string, string>();
	for (const [, id, ref] of (packed ?? '').matchAll(/^([0-9a-f]{40,64}) (refs\/(?:heads|tags)\/\S+)$/gm))
		if (id && ref) refs.set(ref, id);
	for (const [name, id] of loose) {
		if (id === undefined) continue;
		if (!/^(?!0+$)[0-9a-f]{40,64}$/.test(id)) return undefined;
		refs.set(name, id);
	}
	return refs;
}

/** A part of a name that git takes wherever it stands. Source: git-check-ref-format(1), which allows a few more. */
const plain = /^[\p{L}\p{N}_+-][\p{L}\p{N}_+=,#%!-]*(?:\.[\p{L}\p{N}_+=,#%!-]+)*$/u;

/** Undefined among them: something of which git says whether it is a reference, as what a file system leaves of a deleted file. */
async function looseNames(gitdir: string, folder: string): Promise<(string | undefined)[]> {
	const entries = await readdir(join(gitdir, folder), { withFileTypes: true }).catch(absent<Dirent[]>([]));
	const found = entries.map(async (entry) => {
		const path = `${folder}/${entry.name}`;
		if (entry.isFile() && entry.name.endsWith('.lock')) return [];
		if (!plain.test(entry.name)) return [undefined];
		if (entry.isDirectory()) return looseNames(gitdir, path);
		return [entry.isFile() ? path : undefined];
	});
	return (await Promise.all(found)).flat();
}

const readIfThere = (file: string): Promise<string | undefined> => readFile(file, 'utf8').catch(absent(undefined));

/** For what is deleted, or becomes a folder, between its listing and its reading. */
const absent =
	<T>(value: T) =>
	(error: NodeJS.ErrnoException): T => {
		if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EISDIR') return value;
		throw error;
	};
