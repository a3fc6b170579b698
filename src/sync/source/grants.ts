/**
 * Which repositories and folders of this machine Applications may follow: what the machine's administrator has put, or linked,
 * into DATA/sources. The server may read more than those who write Applications.
 */
import { lstat, mkdir, readdir, readlink, realpath, rm, symlink } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Reader } from './follow.ts';
import { SourceError } from './source.ts';

/** The link that `--repo` and `--watch` make. */
const OF_FLAGS = 'default';

/** Where links and folders grant what they lead to. */
export const grantsFolder = (dataDir: string): string => join(dataDir, 'sources');

/** The path that a URL has on this machine; undefined where it means another place, or none at all. */
export function localPath(url: string): string | undefined {
	if (url.startsWith('/')) return resolve(url);
	if (!/^(?:file|folder):\/\//.test(url)) return undefined;
	try {
		return fileURLToPath(url.replace(/^folder:/, 'file:'));
	} catch {
		return undefined;
	}
}

/** Grants what the flags of a start name, in place of what those of an earlier one did; `undefined` takes that back. Throws where something else has the name of the link. */
export async function grant(dataDir: string, path: string | undefined): Promise<void> {
	const link = join(grantsFolder(dataDir), OF_FLAGS);
	await mkdir(grantsFolder(dataDir), { recursive: true });
	const before = await lstat(link).catch(() => undefined);
	if (before && !before.isSymbolicLink())
		throw new Error(`${link} is in the way: --repo and --watch make a link of that name; move it away`);
	if (before) await rm(link);
	if (path !== undefined) await symlink(resolve(path), link);
}

/** Throws SourceError where the path, links followed, is not in DATA/sources and not in what a link there leads to. */
export async function requireGrant(dataDir: string, path: string, url: string): Promise<void> {
	const folder = grantsFolder(dataDir);
	const names = await readdir(folder).catch(() => []);
	const granted = await Promise.all([folder, ...names.map((name) => join(folder, name))].map(placeOf));
	const place = await placeOf(path);
	if (granted.some((each) => place === each || place.startsWith(each.endsWith(sep) ? each : each + sep))) return;
	throw new SourceError(
		url,
		`${url}: Applications may follow only what is in ${folder} of this machine: put or link it there (ln -s ${path} ${folder}/)`,
	);
}

/** Where a path leads. Of what is not there, where it would: whoever asks is not told whether it is. */
async function placeOf(path: string): Promise<string> {
	try {
		return await realpath(path);
	} catch {
		const target = await readlink(path).catch(() => undefined);
		return target === undefined ? resolve(path) : resolve(path, '..', target);
	}
}

/** A reader of `path` that reads, and watches, while that is granted. */
export function granted(reader: Reader, path: string, dataDir: string): Reader {
	const check = () => requireGrant(dataDir, path, reader.url);
	let watch = () => {};
	return {
		...reader,
		async look(signal) {
			await check();
			watch();
			return reader.look(signal);
		},
		tree: (revision) => check().then(() => reader.tree(revision)),
		resolve: (revision) => check().then(() => reader.resolve(revision)),
		commit: (revision) => check().then(() => reader.commit(revision)),
		blame: (revision, file, line) => check().then(() => reader.blame(revision, file, line)),
		watch(changed, signal, log) {
			watch = () => {
				watch = () => {};
				if (!signal.aborted) reader.watch?.(changed, signal, log);
			};
		},
	};
}
