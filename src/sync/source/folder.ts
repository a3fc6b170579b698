/**
 * A watched folder. What is read is a snapshot, taken when the folder has been quiet: every manifest with the hash of its
 * content, so that a renderer sees either all of a change or none of it.
 */
import { hash } from 'node:crypto';
import { type BigIntStats, constants } from 'node:fs';
import { lstat, open, readdir, readlink, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { watch } from 'chokidar';
import type { Log } from '../../log.ts';
import type { Reader } from './follow.ts';
import { mayAccess, mayList, type Owner, ownerAlong } from './owner.ts';
import { SourceError } from './source.ts';
import type { Located, Tree, TreeEntry } from './tree.ts';

/** Milliseconds without a change before a snapshot is taken. */
const QUIET = 200;
/** Milliseconds after which one is taken although the folder never is quiet. */
const LONGEST_UNREST = 5_000;
/** Milliseconds between looks besides the watch, which may miss what network file systems do. */
const POLL = 60_000;
/** Larger files are known by their size and time, not by their content: no manifest is that large. */
const MAX_HASHED = 8 * 1024 * 1024;
/** Files and folders of one snapshot. */
const MAX_ENTRIES = 200_000;
/** Old snapshots that can still be asked for: a few, for those who were rendering one when the next came. */
const SNAPSHOTS = 4;
/** Times that a snapshot is begun anew because the folder changed under it. */
const ATTEMPTS = 5;

/** What Node puts for bytes that are no UTF-8. A name with that of its own is there under it. */
const NO_UTF8 = '\ufffd';

/** What other programs keep beside the files they edit; and hidden files, which are never manifests. */
const temporary = /^\.|~$|^#.*#$|\.(?:swp|swo|swx|tmp|part|crdownload)$|^4913$/;

interface Known {
	/** Inode, size and times: while they stay, so does the content. */
	readonly stamp: string;
	readonly id: string;
}

interface Snapshot {
	readonly id: string;
	/** Where it was, without links. */
	readonly root: string;
	/** With whose rights it is read, where that is not this process. */
	readonly as: Owner | undefined;
	readonly folders: ReadonlyMap<string, readonly TreeEntry[]>;
	readonly stamps: ReadonlyMap<string, string>;
}

/** `root` is absolute. `quiet` in milliseconds. */
export function folderReader(root: string, url: string, quiet = QUIET): Reader {
	let known: ReadonlyMap<string, Known> = new Map();
	const snapshots = new Map<string, Snapshot>();

	async function look(signal: AbortSignal): Promise<string> {
		for (let attempt = 1; ; attempt++) {
			try {
				const taken = await takeSnapshot(await rootOf(root, url), known, signal);
				known = taken.known;
				snapshots.delete(taken.snapshot.id);
				snapshots.set(taken.snapshot.id, taken.snapshot);
				for (const id of snapshots.keys()) if (snapshots.size > SNAPSHOTS) snapshots.delete(id);
				return taken.snapshot.id;
			} catch (error) {
				const moving =
					error instanceof Moved || isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR') || isErrno(error, 'ELOOP');
				if (!moving || attempt === ATTEMPTS)
					throw error instanceof Moved || error instanceof Unreadable
						? new SourceError(url, `${root}: ${error.message}`)
						: error;
			}
		}
	}

	const tree = (revision: string): Tree => {
		const snapshot = snapshots.get(revision);
		if (!snapshot) throw new SourceError(url, `${root}: a folder has no history; its content ${revision} is gone`);
		return folderTree(root, url, snapshot);
	};

	return {
		url,
		poll: () => POLL,
		look,
		tree: async (revision) => tree(revision),
		resolve: async (revision) =>
			snapshots.has(revision)
				? revision
				: revision === '' || revision === 'HEAD'
					? [...snapshots.keys()].at(-1)
					: undefined,
		commit: async () => undefined,
		blame: async () => undefined,
		watch: (changed, signal, log) => watchFolder(root, quiet, changed, signal, log),
		close: async () => {},
	};
}

/** A folder's own place: it may be given through a symbolic link, and what is below it may not leave it. And with whose rights it is read. */
async function rootOf(root: string, url: string): Promise<Pick<Snapshot, 'root' | 'as'>> {
	try {
		const real = await realpath(root);
		if (!(await lstat(real)).isDirectory()) throw new SourceError(url, `${root} is not a folder`);
		const owner = await ownerAlong(root);
		if (!owner || (await mayList(owner, real))) return { root: real, as: owner };
		throw new SourceError(
			url,
			`${root} leads where user ${owner.uid}, who may exchange it, may read nothing: it is read with his rights`,
		);
	} catch (cause) {
		if (!isErrno(cause, 'ENOENT')) throw cause;
		throw new SourceError(url, `the folder ${root} is gone: nothing is changed or pruned until it is back`, { cause });
	}
}

class Moved extends Error {}
/** What stays as it is until somebody does something about it. */
class Unreadable extends Error {}

async function takeSnapshot(
	{ root, as }: Pick<Snapshot, 'root' | 'as'>,
	before: ReadonlyMap<string, Known>,
	signal: AbortSignal,
) {
	const known = new Map<string, Known>();
	const folders = new Map<string, readonly TreeEntry[]>();
	const stamps = new Map<string, string>();
	let entries = 0;

	async function folder(path: string): Promise<string> {
		signal.throwIfAborted();
		if (as) requireAccess(as, join(root, path), await lstat(join(root, path)), 0o5);
		const found = await readdir(join(root, path), { withFileTypes: true });
		entries += found.length;
		if (entries > MAX_ENTRIES)
			throw new Error(`${root} holds more than ${MAX_ENTRIES} files: watch a folder with fewer`);
		const listed: TreeEntry[] = [];
		for (const entry of found) {
			if (temporary.test(entry.name)) continue;
			const inner = path ? `${path}/${entry.name}` : entry.name;
			if (entry.name.includes(NO_UTF8) && !(await isThere(join(root, inner))))
				throw new Unreadable(`${inner} has a name that is not UTF-8: rename it`);
			if (entry.isDirectory()) listed.push({ name: entry.name, kind: 'directory', id: await folder(inner) });
			else if (entry.isFile()) listed.push({ name: entry.name, kind: 'file', id: await file(inner) });
			else if (entry.isSymbolicLink()) listed.push({ name: entry.name, kind: 'symlink', id: 'symlink' });
		}
		listed.sort((a, b) => (a.name < b.name ? -1 : 1));
		folders.set(path, listed);
		return hash('sha256', listed.map(({ kind, name, id }) => `${kind} ${name}\0${id}`).join('\n'));
	}

	async function file(path: string): Promise<string> {
		const stamp = stampOf(await lstat(join(root, path), { bigint: true }));
		stamps.set(path, stamp);
		const old = before.get(path);
		const id = old?.stamp === stamp ? old.id : await identify(path, stamp);
		known.set(path, { stamp, id });
		return id;
	}

	async function identify(path: string, stamp: string): Promise<string> {
		if (!/\.(?:ya?ml|json)$/i.test(path) && !path.endsWith('Kustomization')) return hash('sha256', `stamp ${stamp}`);
		const { bytes } = await readStamped(join(root, path), stamp, MAX_HASHED, as);
		return hash('sha256', bytes ?? `stamp ${stamp}`);
	}

	const id = await folder('');
	const snapshot: Snapshot = { id, root, as, folders, stamps };
	return { snapshot, known };
}

const isThere = (path: string) =>
	lstat(path).then(
		() => true,
		() => false,
	);

const stampOf = (stats: BigIntStats) => [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':');

/** Throws Unreadable. */
function requireAccess(as: Owner, path: string, stats: Parameters<typeof mayAccess>[1], wanted: number): void {
	if (!mayAccess(as, stats, wanted))
		throw new Unreadable(`user ${as.uid}, with whose rights it is read, may not read ${path}`);
}

/**
 * The bytes of a file that is still the one with this stamp, and lies where its path says: no link has come to be on the way. None
 * where it is larger than `limit`. `as`: who must be allowed to read it. Throws Moved and Unreadable.
 */
async function readStamped(
	path: string,
	stamp: string,
	limit: number,
	as: Owner | undefined,
): Promise<{ bytes?: Uint8Array }> {
	// A pipe that was put in its place would be waited for.
	const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
	try {
		// Source: proc(5), /proc/PID/fd: where the file is that was opened, whatever its path may lead to.
		if ((await readlink(`/proc/self/fd/${file.fd}`)) !== path)
			throw new Moved('a folder was exchanged while it was read');
		const stats = await file.stat({ bigint: true });
		if (!stats.isFile() || stampOf(stats) !== stamp) throw new Moved('a file changes faster than it can be read');
		if (as) requireAccess(as, path, stats, 0o4);
		if (stats.size > limit) return {};
		const bytes = await file.readFile();
		if (stampOf(await file.stat({ bigint: true })) !== stamp)
			throw new Moved('a file changes faster than it can be read');
		return { bytes };
	} finally {
		await file.close();
	}
}

function folderTree(root: string, url: string, snapshot: Snapshot): Tree {
	const stampFor = (file: Located) => snapshot.stamps.get(file.path) ?? '';
	return {
		revision: snapshot.id,
		id: snapshot.id,
		async list(directory) {
			return snapshot.folders.get(directory.path) ?? [];
		},
		sizes: async (files) => files.map((file) => Number(stampFor(file).split(':')[2] ?? 0)),
		async read(files, signal) {
			const contents: Uint8Array[] = [];
			for (const file of files) {
				signal?.throwIfAborted();
				contents.push(await readOne(file));
			}
			return contents;
		},
	};

	async function readOne(file: Located): Promise<Uint8Array> {
		try {
			const { bytes } = await readStamped(
				join(snapshot.root, file.path),
				stampFor(file),
				Number.MAX_SAFE_INTEGER,
				snapshot.as,
			);
			return bytes ?? new Uint8Array();
		} catch (cause) {
			if (cause instanceof Unreadable) throw new SourceError(url, `${root}: ${cause.message}`);
			// The watch has seen it too: the next snapshot is on its way.
			if (!(cause instanceof Moved) && !isErrno(cause, 'ENOENT') && !isErrno(cause, 'ELOOP')) throw cause;
			throw new SourceError(url, `${join(root, file.path)} changed while it was read; it is read again in a moment`, {
				cause,
			});
		}
	}
}

/** Calls `changed` when the folder has been quiet after a change, and when it vanishes or comes back. */
function watchFolder(root: string, quiet: number, changed: () => Promise<void>, signal: AbortSignal, log: Log): void {
	let timer: NodeJS.Timeout | undefined;
	let since: number | undefined;
	const fire = () => {
		since = undefined;
		void changed();
	};
	const stir = () => {
		const now = performance.now();
		since ??= now;
		clearTimeout(timer);
		timer = setTimeout(fire, Math.min(quiet, Math.max(0, since + LONGEST_UNREST - now)));
	};
	const ignored = (path: string) =>
		relative(root, path)
			.split(sep)
			.some((part) => part !== '..' && temporary.test(part));
	const watcher = watch(root, { ignored, ignoreInitial: true, followSymlinks: false, ignorePermissionErrors: true });
	watcher.on('all', stir);
	watcher.once('error', (error) => {
		// Too many files for the kernel's limit, most often: the poll is left. Said once, not per file.
		log.warn({ folder: root, error: String(error) }, 'the folder cannot be watched; it is looked at every minute');
		watcher.on('error', () => {});
	});
	signal.addEventListener(
		'abort',
		() => {
			clearTimeout(timer);
			void watcher.close();
		},
		{ once: true },
	);
}

function isErrno(error: unknown, code: string): boolean {
	return error instanceof Error && 'code' in error && error.code === code;
}
