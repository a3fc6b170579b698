/** Where a git directory leads whoever reads it: whoever writes into it may have git read what he could not read himself. */
import { constants, type Dirent } from 'node:fs';
import { type FileHandle, lstat, open, readdir, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { GitError } from './program.ts';

/** What git reads of a git directory for what is done here. Source: gitrepository-layout(5). */
const READ = ['HEAD', 'commondir', 'config', 'objects', 'packed-refs', 'refs', 'reftable', 'shallow'];
/** Bytes of a file that names other places. */
const MAX_LEAD_BYTES = 1024 * 1024;
/** The folders among these. */
const FOLDERS = new Set(['objects', 'refs', 'reftable']);

/**
 * The symbolic links, the common directory and the stores of borrowed objects. Nothing is read of a place before the next one is
 * asked for, and then what it leads to comes too. Throws GitError.
 */
export async function* leadsOf(gitdir: string, seen = new Set<string>()): AsyncGenerator<string> {
	yield* linkIn(gitdir);
	for (const name of READ) {
		const path = join(gitdir, name);
		yield* linkIn(path);
		if (FOLDERS.has(name)) yield* leadsBelow(path, seen);
	}
	yield* borrowed(join(gitdir, 'objects'), seen);
	const common = (await text(join(gitdir, 'commondir'))).trim();
	if (common === '') return;
	const other = resolve(gitdir, common);
	yield other;
	if (await isNew(other, seen)) yield* leadsOf(other, seen);
}

/** Source: gitrepository-layout(5), objects/info/alternates. A path in quotes is not taken apart: it is none that is granted. */
async function* borrowed(objects: string, seen: Set<string>): AsyncGenerator<string> {
	for (const line of (await text(join(objects, 'info/alternates'))).split('\n')) {
		if (line === '' || line.startsWith('#')) continue;
		const other = line.startsWith('"') ? line : resolve(objects, line);
		yield other;
		if (!(await isNew(other, seen))) continue;
		yield* leadsBelow(other, seen);
		yield* borrowed(other, seen);
	}
}

async function* linkIn(path: string): AsyncGenerator<string> {
	if ((await lstat(path).catch(() => undefined))?.isSymbolicLink()) yield path;
}

/** The links in a folder and below it, those behind links included. */
async function* leadsBelow(folder: string, seen: Set<string>): AsyncGenerator<string> {
	if (!(await isNew(join(folder, '.'), seen))) return;
	const entries: Dirent[] = await readdir(folder, { withFileTypes: true }).catch(() => []);
	for (const entry of entries) {
		if (entry.isFile()) continue;
		const path = join(folder, entry.name);
		if (entry.isSymbolicLink()) yield path;
		yield* leadsBelow(path, seen);
	}
}

async function isNew(path: string, seen: Set<string>): Promise<boolean> {
	const place = await realpath(path).catch(() => path);
	return !seen.has(place) && Boolean(seen.add(place));
}

/**
 * What a file says: itself, and not where a link leads. Empty where there is none. Throws GitError for a pipe, which nobody may ever
 * write into and which may say something else to git, and for what is too large.
 */
async function text(file: string): Promise<string> {
	let opened: FileHandle;
	try {
		opened = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
	} catch {
		return '';
	}
	try {
		const stats = await opened.stat();
		if (!stats.isFile()) throw new GitError(`${file} is not a file`);
		if (stats.size > MAX_LEAD_BYTES) throw new GitError(`${file} is larger than ${MAX_LEAD_BYTES} bytes`);
		return await opened.readFile('utf8');
	} finally {
		await opened.close();
	}
}
