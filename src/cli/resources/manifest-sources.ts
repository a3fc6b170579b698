/** What -f and -k name (files, folders, URLs, standard input), as trees for the renderer. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { relative } from 'node:path';
import type { Position } from '../../sync/render/index.ts';
import type { Tree, TreeEntry } from '../../sync/source/index.ts';
import { UserError } from '../user-error.ts';

/** Of standard input and of a URL; the renderer refuses files beyond its own limit, which is lower, with a better message. */
const MOST_BYTES = 8 << 20;
/** How long a URL may take, in ms. */
const FETCH_MS = 30_000;

export interface ManifestSource {
	readonly tree: Tree;
	/** The path to render in the tree. */
	readonly path: string;
	readonly recurse: boolean;
	/** Where a position is for the user. */
	place(position: Position): Position;
}

/** Throws a UserError for what cannot be read. `stdin` is read where a name is `-`. */
export async function openSource(
	name: string,
	recurse: boolean,
	stdin: AsyncIterable<Uint8Array>,
): Promise<ManifestSource> {
	if (name === '-') return textSource('<stdin>', await readAll(stdin, 'standard input'));
	if (/^https?:\/\//.test(name)) return textSource(name, await download(name));
	try {
		if ((await stat(name)).isDirectory()) return await folderSource(name, recurse);
		return textSource(name, await readFile(name));
	} catch (error) {
		throw new UserError(unreadable(name, error), 1);
	}
}

/** A folder with a kustomization and all that it builds upon. */
export async function openKustomization(name: string): Promise<ManifestSource> {
	try {
		const found = (await readdir(name)).some((file) => /^(kustomization\.ya?ml|Kustomization)$/.test(file));
		if (!found) throw new UserError(`${name} has no kustomization.yaml; for plain manifests use -f`);
		return await folderSource(name, true);
	} catch (error) {
		throw error instanceof UserError ? error : new UserError(unreadable(name, error), 1);
	}
}

function unreadable(name: string, error: unknown): string {
	const { code, message } = error as NodeJS.ErrnoException;
	if (code === 'ENOENT') return `${name}: no such file or folder`;
	return `${name} cannot be read: ${message}`;
}

/** One file, whatever it is called. */
function textSource(name: string, content: Uint8Array): ManifestSource {
	// The renderer tells manifests by their name.
	const file = /\.json$/i.test(name) ? 'manifest.json' : 'manifest.yaml';
	const tree: Tree = {
		revision: name,
		id: name,
		list: async () => [{ name: file, kind: 'file', id: name }],
		sizes: async (files) => files.map(() => content.byteLength),
		read: async (files) => files.map(() => content),
	};
	return { tree, path: '', recurse: false, place: (position) => ({ ...position, file: name }) };
}

/** Rooted at the root of the machine, so that a kustomization may build upon what lies beside and above it. */
async function folderSource(name: string, recurse: boolean): Promise<ManifestSource> {
	const [folder, here] = await Promise.all([realpath(name), realpath('.')]);
	const at = (path: string) => `/${path}`;
	const tree: Tree = {
		revision: folder,
		id: folder,
		list: ({ path }) => entriesOf(at(path), path),
		sizes: async (files) => Promise.all(files.map(async ({ path }) => (await stat(at(path))).size)),
		read: async (files) => Promise.all(files.map(({ path }) => readFile(at(path)))),
	};
	const place = (position: Position): Position => {
		const inside = relative(here, at(position.file));
		return { ...position, file: inside.startsWith('..') ? at(position.file) : inside };
	};
	return { tree, path: relative('/', folder), recurse, place };
}

/** Links to files count as files: whoever types the command may read what it reads anyway. */
async function entriesOf(folder: string, path: string): Promise<TreeEntry[]> {
	const found = await readdir(folder, { withFileTypes: true });
	const entries = await Promise.all(
		found.map(async (entry): Promise<TreeEntry | undefined> => {
			const inner = path ? `${path}/${entry.name}` : entry.name;
			if (entry.isDirectory()) return { name: entry.name, kind: 'directory', id: inner };
			if (entry.isFile()) return { name: entry.name, kind: 'file', id: inner };
			if (!entry.isSymbolicLink()) return undefined;
			const target = await stat(`${folder}/${entry.name}`).catch(() => undefined);
			return { name: entry.name, kind: target?.isFile() ? 'file' : 'symlink', id: inner };
		}),
	);
	return entries.filter((entry) => entry !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function download(url: string): Promise<Uint8Array> {
	let response: Response;
	try {
		response = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS) });
	} catch (error) {
		const { message, cause } = error as Error;
		throw new UserError(`${url} cannot be read: ${cause instanceof Error ? cause.message : message}`, 1);
	}
	if (!response.ok || !response.body)
		throw new UserError(`${url} cannot be read: the server answers ${response.status}`, 1);
	return readAll(response.body, url);
}

async function readAll(stream: AsyncIterable<Uint8Array>, name: string): Promise<Uint8Array> {
	const chunks: Uint8Array[] = [];
	let size = 0;
	for await (const chunk of stream) {
		size += chunk.byteLength;
		if (size > MOST_BYTES)
			throw new UserError(`${name} is larger than ${MOST_BYTES >> 20} MiB, the most that is read`, 1);
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}
