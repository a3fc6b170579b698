/**
 * Which repositories and folders of this machine Applications may follow: what the machine's administrator has put, or linked,
 * into DATA/sources. The server may read more than those who write Applications.
 */
import { lstat, mkdir, readdir, readlink, realpath, rm, symlink } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Reader } from './follow.ts';
import { SourceError } from './source.ts';

export interface LocalReader extends Reader {
	/** The places outside of its path to which what lies there may lead whoever reads it. */
	places?(): AsyncIterable<string>;
}

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

/** What may be read at this moment: gives whether a path, links followed, is in DATA/sources or in what a link there leads to. */
async function grantsOf(dataDir: string): Promise<(path: string) => Promise<boolean>> {
	const folder = grantsFolder(dataDir);
	const names = await readdir(folder).catch(() => []);
	const granted = await Promise.all([folder, ...names.map((name) => join(folder, name))].map(placeOf));
	return async (path) => {
		const place = await placeOf(path);
		return granted.some((each) => place === each || place.startsWith(each.endsWith(sep) ? each : each + sep));
	};
}

/** Throws SourceError where one of the places is not granted. The next one is asked for when the one before is. */
async function requireGrant(dataDir: string, path: string, { url, places }: LocalReader): Promise<void> {
	const isGranted = await grantsOf(dataDir);
	const folder = grantsFolder(dataDir);
	if (!(await isGranted(path)))
		throw new SourceError(
			url,
			`${url}: Applications may follow only what is in ${folder} of this machine: put or link it there (ln -s ${path} ${folder}/)`,
		);
	for await (const place of places?.() ?? []) {
		if (await isGranted(place)) continue;
		throw new SourceError(
			url,
			`${url}: by ${place} git would leave what is in ${folder} of this machine: put or link that there too, or have the repository hold its own`,
		);
	}
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

/** A reader of `path` that reads, and watches, while that is granted, and all to which it leads. */
export function granted(reader: LocalReader, path: string, dataDir: string): Reader {
	const check = () => requireGrant(dataDir, path, reader);
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
