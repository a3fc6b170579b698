import { chmod, mkdir, open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { Unavailable } from './store.ts';

/** Marks the file as ours, for `file` and for us (SQLite's application_id): "drft". */
const APPLICATION_ID = 0x64726674;

/**
 * The steps from an empty file to today's schema; the count of those taken is the file's schema version (user_version).
 * Steps are only ever appended.
 *
 * `log` is the history: each row is one change of one key. Its id is `revision * SLOTS + place in the commit`, so ids order
 * as events do and tell their revision. `previous` is the row that held the key before (null: none), `value` is null for a
 * delete. A value is written once, here. `live` names the row that holds each key now.
 */
const MIGRATIONS: readonly string[] = [
	`CREATE TABLE log (id INTEGER PRIMARY KEY, key TEXT NOT NULL, previous INTEGER, created INTEGER NOT NULL, value BLOB) STRICT;
	 CREATE TABLE live (key TEXT PRIMARY KEY, id INTEGER NOT NULL, created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
	 CREATE TABLE compaction (revision INTEGER NOT NULL) STRICT;
	 INSERT INTO compaction VALUES (0);`,
];

/**
 * Bytes of a page of a new file. What a change costs are the pages that it touches, most of them for one small row: with pages twice
 * as large the changes of objects of 2 to 5 KB take a fifth to four fifths more, of larger ones up to a fifth less.
 */
const PAGE_BYTES = 4096;

/** Pages that SQLite keeps in memory, in KiB: those that writes come back to. Reads are answered by the cache of the API. */
const CACHE_KIB = 8 * 1024;

/** The file of the log is cut back to this size when it is begun anew. To write over what is there costs less than to let it grow. */
const LOG_KEPT_BYTES = 24 * 1024 * 1024;

/** How long opening waits for another process to let go of the file, in ms: a predecessor that is about to end. */
const LOCK_TIMEOUT_MS = 1000;

/** SQLite's primary result codes: https://sqlite.org/rescode.html */
const CODE = {
	busy: 5,
	locked: 6,
	noMemory: 7,
	readOnly: 8,
	ioError: 10,
	corrupt: 11,
	full: 13,
	cantOpen: 14,
	notADb: 26,
};

/** A database that is open. */
export interface Database {
	readonly path: string;
	readonly connection: DatabaseSync;
	/** What other connections of this process open it by, and which file that is. */
	readonly url: URL;
	readonly device: bigint;
	readonly inode: bigint;
	/** The size of the write-ahead log since it was begun anew, in bytes. */
	logBytes(): number;
	close(): void;
}

/**
 * What this process has open. The lock of a file is the process's: it would let itself in, and lose the lock when it closes any
 * descriptor of the file. Source: fcntl(2), "Advisory record locking"
 */
const opened = new Set<string>();

/**
 * Opens the database file, created (0600, its folder 0700) when absent, locked against every other process.
 * @throws Unavailable when it is in use or its disk fails; Error when it is damaged, of another program or of a newer version.
 */
export async function openDatabase(path: string): Promise<Database> {
	const name = resolve(path);
	if (opened.has(name)) throw inUse(path);
	opened.add(name);
	let connection: DatabaseSync | undefined;
	const close = () => {
		connection?.close();
		opened.delete(name);
	};
	try {
		await makePrivate(path);
		const url = urlOf(path);
		connection = new DatabaseSync(url, { timeout: LOCK_TIMEOUT_MS });
		prepare(connection, path);
		await protectLog(path);
		const { dev: device, ino: inode } = await stat(path, { bigint: true });
		const log = connection.prepare('PRAGMA wal_checkpoint(NOOP)');
		const pageBytes = pragma(connection, 'page_size');
		return { path, connection, url, device, inode, logBytes: () => Number(log.get()?.log) * pageBytes, close };
	} catch (error) {
		close();
		throw fault(error, path);
	}
}

async function makePrivate(path: string): Promise<void> {
	await mkdir(dirname(path), { recursive: true, mode: 0o700 });
	try {
		await (await open(path, 'a', 0o600)).close();
		await chmod(path, 0o600);
	} catch (error) {
		throw new Unavailable(`${path} cannot be opened: ${String(error)}`, { cause: error });
	}
}

/**
 * With `unix-excl` the lock of the file is the process's, from the first statement on until its last connection closes or it ends:
 * no other process gets in. Its own connections share the index of the log on its heap, and lock each other out in
 * memory, without a system call. Source: https://sqlite.org/vfs.html#standard_unix_vfses
 */
function urlOf(path: string): URL {
	const url = pathToFileURL(path);
	url.search = 'vfs=unix-excl&mode=rw';
	return url;
}

function prepare(database: DatabaseSync, path: string): void {
	database.exec(`PRAGMA page_size=${PAGE_BYTES}; PRAGMA cache_size=-${CACHE_KIB}`);
	refuseForeign(database, path);
	database.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;
		PRAGMA journal_size_limit=${LOG_KEPT_BYTES}; BEGIN IMMEDIATE`);
	const version = pragma(database, 'user_version');
	if (version < MIGRATIONS.length) {
		for (const step of MIGRATIONS.slice(version)) database.exec(step);
		database.exec(`PRAGMA application_id=${APPLICATION_ID}; PRAGMA user_version=${MIGRATIONS.length}`);
	}
	database.exec('COMMIT');
}

/** Before anything is written: a file of a newer driftless, or of another program, stays as it is. */
function refuseForeign(database: DatabaseSync, path: string): void {
	const version = pragma(database, 'user_version');
	const application = pragma(database, 'application_id');
	const empty = pragma(database, 'schema_version') === 0;
	if (!empty && application !== APPLICATION_ID) {
		throw new Error(`${path} is a database of another program: move it away, or choose another data directory`);
	}
	if (version > MIGRATIONS.length) {
		throw new Error(
			`${path} has schema version ${version}, but this driftless knows versions up to ${MIGRATIONS.length}: ` +
				'run the newer driftless that wrote it, or choose another data directory',
		);
	}
}

function pragma(database: DatabaseSync, name: string): number {
	return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}

/** SQLite gives the log the mode of the database when it makes it; one left by a crash is made private as well. */
async function protectLog(path: string): Promise<void> {
	await chmod(`${path}-wal`, 0o600).catch((error: NodeJS.ErrnoException) => {
		if (error.code !== 'ENOENT') throw error;
	});
}

function inUse(path: string, cause?: unknown): Unavailable {
	return new Unavailable(`${path} is in use by another process: stop it, or choose another data directory`, { cause });
}

/** What an error of SQLite means to the caller of the store: Unavailable where the same call may succeed later. */
export function fault(error: unknown, path: string): Error {
	if (!(error instanceof Error)) return new Error(String(error));
	const code = 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : undefined;
	switch (code) {
		case CODE.busy:
		case CODE.locked:
			return inUse(path, error);
		case CODE.full:
			return new Unavailable(`${path} cannot grow, its disk is full: free some space`, { cause: error });
		case CODE.ioError:
		case CODE.noMemory:
		case CODE.readOnly:
		case CODE.cantOpen:
			return new Unavailable(`${path} cannot be read or written: ${error.message}`, { cause: error });
		case CODE.corrupt:
		case CODE.notADb:
			return new Error(
				`${path} is damaged (${error.message}): restore it from a backup, or move it away to start anew from git`,
				{ cause: error },
			);
		default:
			return error;
	}
}
