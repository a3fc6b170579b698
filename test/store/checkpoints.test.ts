import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { startThread } from '../../src/store/checkpoint-thread.ts';
import { CHECKPOINT_BYTES, LOG_BYTES } from '../../src/store/checkpoints.ts';
import { openDatabase } from '../../src/store/database.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { Compacted, type Store, Unavailable } from '../../src/store/store.ts';
import { numbers } from '../storms/numbers.ts';
import { killInCheckpoint } from './kills.ts';

const MIB = 1024 * 1024;

/** The threads that stores of this file have started, and what each message to one of them has to wait for. */
const threads: Worker[] = [];
let gate: Promise<void> | undefined;
const workerThreads = createRequire(import.meta.url)('node:worker_threads') as { Worker: typeof Worker };
workerThreads.Worker = class extends workerThreads.Worker {
	constructor(...given: ConstructorParameters<typeof Worker>) {
		super(...given);
		threads.push(this);
	}
	override postMessage(message: unknown): void {
		if (gate) void gate.then(() => super.postMessage(message));
		else super.postMessage(message);
	}
};
syncBuiltinESMExports();

async function folder(t: ExecutionContext): Promise<string> {
	const path = await mkdtemp(join(tmpdir(), 'driftless-checkpoints-'));
	t.teardown(() => rm(path, { recursive: true, force: true }));
	return path;
}

/** What is said to the log, as `LEVEL MESSAGE: CAUSE`. */
function logged() {
	const lines: string[] = [];
	const level = (name: string) => (fields: object, message: string) => {
		lines.push([`${name} ${message}`, ...('cause' in fields ? [fields.cause] : [])].join(': '));
	};
	return { lines, log: { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') } };
}

const size = async (path: string) => (await stat(path)).size;

/** Commits values of 1 MiB, one after the other, each under a key of its own. */
let written = 0;
async function write(store: Store, count: number): Promise<void> {
	const value = new Uint8Array(MIB).fill(7);
	for (let index = 0; index < count; index++) await store.commit({ puts: [{ key: `/${written++}`, value }] });
}

/** Commits until something is so: checkpoints that failed are tried again where there are commits. */
async function writeUntil(store: Store, what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
	const deadline = performance.now() + 120_000;
	let last: unknown;
	while (!(await condition())) {
		if (performance.now() > deadline) throw new Error(`never: ${what}; the last commit: ${last}`);
		last = await store.commit({ puts: [{ key: '/until', value: new Uint8Array(1) }] }).catch(String);
		await sleep(20);
	}
}

test.serial('what the event loop writes goes to the log: another thread writes it to the database', async (t) => {
	/** Bytes that this thread has written. Source: proc(5), /proc/pid/io */
	const byThisThread = () => Number(/wchar: (\d+)/.exec(readFileSync('/proc/thread-self/io', 'utf8'))?.[1]);
	const path = join(await folder(t), 'store.db');
	await using store = await openSqlite(path);
	const before = byThisThread();
	await write(store, 100);
	const own = byThisThread() - before;
	t.true((await size(path)) >= 64 * MIB, 'checkpoints were made');
	t.true(own >= 100 * MIB && own <= 110 * MIB, `${own} bytes`);
});

test.serial(
	'the log is measured in the pages of its file: one that an earlier version made has larger ones',
	async (t) => {
		for (const pageBytes of [4096, 8192]) {
			const path = join(await folder(t), 'store.db');
			const made = new DatabaseSync(path);
			made.exec(`PRAGMA page_size=${pageBytes}; CREATE TABLE a (b); DROP TABLE a; PRAGMA application_id=${0x64726674}`);
			made.close();
			const database = await openDatabase(path);
			database.connection.exec('BEGIN; CREATE TABLE c (d); INSERT INTO c VALUES (zeroblob(3000000)); COMMIT');
			const written = await size(`${path}-wal`);
			const counted = database.logBytes();
			database.close();
			t.true(counted <= written && counted > written * 0.98, `${counted} of ${written} in pages of ${pageBytes}`);
		}
	},
);

test.serial('while a checkpoint is made reads are answered, and commits wait', async (t) => {
	const path = join(await folder(t), 'store.db');
	await using store = await openSqlite(path);
	const open = Promise.withResolvers<void>();
	gate = open.promise;
	await write(store, 16);
	const events: string[] = [];
	const commit = store.commit({ puts: [{ key: '/late', value: new Uint8Array(1) }] }).then(() => events.push('commit'));
	for (let turns = 0; turns < 100; turns++) await turn();
	t.is((await store.list('/')).entries.length, 16);
	events.push('read');
	gate = undefined;
	open.resolve();
	await commit;
	t.deepEqual(events, ['read', 'commit']);
	t.truthy(await store.get('/late'));
});

test.serial('a store that is closed while it makes a checkpoint makes it, and the commits that wait', async (t) => {
	const path = join(await folder(t), 'store.db');
	const before = written;
	{
		const store = await openSqlite(path);
		const open = Promise.withResolvers<void>();
		gate = open.promise;
		await write(store, 16);
		const commits = [write(store, 1), write(store, 1)];
		const closed = Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()]);
		await turn();
		gate = undefined;
		open.resolve();
		await Promise.all([...commits, closed]);
	}
	await t.throwsAsync(stat(`${path}-wal`), { code: 'ENOENT' });
	await using again = await openSqlite(path);
	t.is((await again.list('/')).entries.length, written - before);
});

test.serial('the log stays within bounds under constant load, whoever reads meanwhile', async (t) => {
	const path = join(await folder(t), 'store.db');
	await using store = await openSqlite(path);
	const ended = new AbortController();
	let seen = 0;
	const slow = async () => {
		for (let after = 0; !ended.signal.aborted; after = await store.revision())
			try {
				for await (const events of store.watch('/', after, ended.signal)) {
					seen += events.length;
					await sleep(5);
				}
			} catch (error) {
				if (!(error instanceof Compacted)) throw error;
			}
	};
	let largest = 0;
	let left = 8000;
	const value = new Uint8Array(16_384);
	const writers = Array.from({ length: 32 }, async (_, writer) => {
		while (left-- > 0) {
			await store.commit({ puts: [{ key: `/load/${writer}/${left % 50}`, value }] });
			if (left % 20 === 0) largest = Math.max(largest, await size(`${path}-wal`));
		}
	});
	const pages = async () => {
		while (left > 0) {
			await store.list('/', { limit: 10, revision: await store.revision() });
			await turn();
		}
	};
	const reading = slow();
	await Promise.all([...writers, pages()]);
	ended.abort();
	await reading;
	t.true(seen > 0);
	// 8,000 commits of 16 KiB are eight logs full. A transaction that was begun is finished.
	t.true(largest >= CHECKPOINT_BYTES && largest <= CHECKPOINT_BYTES * 1.5, `${largest} bytes`);
});

test.serial('a checkpoint is whole whenever somebody begins to read', async (t) => {
	const database = await openDatabase(join(await folder(t), 'store.db'));
	const { connection } = database;
	connection.exec('PRAGMA synchronous=OFF; CREATE TABLE a (b INTEGER PRIMARY KEY, c)');
	const put = connection.prepare('INSERT OR REPLACE INTO a VALUES (?, ?)');
	const read = connection.prepare('SELECT c FROM a WHERE b = ?');
	const thread = startThread(database, () => {});
	for (let round = 0; round < 4000; round++) {
		put.run(round % 50, round);
		const made = thread.checkpoint();
		// The first read after a write moves its mark in the index of the log, which is when a checkpoint may find it in its way.
		for (const until = performance.now() + (round % 100) / 1000; performance.now() < until; );
		t.like(read.get(round % 50), { c: round });
		await made;
	}
	await thread.end();
	database.close();
});

test.serial('a checkpoint that fails is told once and tried again, and commits go on', async (t) => {
	const path = join(await folder(t), 'store.db');
	const { lines, log } = logged();
	await using store = await openSqlite(path, { log });
	await rename(path, `${path}.away`);
	await write(store, 20);
	await writeUntil(store, 'it is told', () => lines.length > 0);
	await write(store, 20);
	// What has taken its name is not written to.
	await writeFile(path, 'a file of another');
	await sleep(1500);
	await write(store, 2);
	t.is(await readFile(path, 'utf8'), 'a file of another');
	await rename(`${path}.away`, path);
	await writeUntil(store, 'it succeeds', () => lines.length > 1);
	t.is(lines.length, 2, lines.join('\n'));
	t.regex(lines[0] ?? '', /^warn the log of the store cannot be copied into its database; trying again: ENOENT/);
	t.regex(lines[1] ?? '', /^info the log of the store is copied into its database again$/);
	t.true((await size(path)) >= 40 * MIB);
});

test.serial(
	'a log that cannot be copied grows up to its limit: then commits say why they fail, until it can',
	async (t) => {
		const path = join(await folder(t), 'store.db');
		await using store = await openSqlite(path);
		await write(store, 1);
		await rename(path, `${path}.away`);
		const error = await t.throwsAsync(write(store, LOG_BYTES / MIB + 10), { instanceOf: Unavailable });
		t.regex(
			error?.message ?? '',
			/store\.db takes no more: its log has grown to 256 MiB and cannot be copied into it: ENOENT/,
		);
		t.true((await size(`${path}-wal`)) < LOG_BYTES + 4 * MIB);
		t.true((await store.list('/', { limit: 1 })).entries.length === 1, 'reads go on');
		await rename(`${path}.away`, path);
		let taken = false;
		await writeUntil(store, 'a commit is taken', async () => {
			taken = await write(store, 1).then(
				() => true,
				() => false,
			);
			return taken;
		});
		t.true((await size(path)) >= LOG_BYTES * 0.9);
		t.true((await size(`${path}-wal`)) <= CHECKPOINT_BYTES * 2, 'the file of the log is cut back');
	},
);

test.serial('a thread that dies in a checkpoint is told of, and followed by another', async (t) => {
	const path = join(await folder(t), 'store.db');
	const { lines, log } = logged();
	await using store = await openSqlite(path, { log });
	const before = threads.length;
	gate = new Promise(() => {});
	await write(store, 16);
	const commit = write(store, 1);
	t.is(threads.length, before + 1);
	await threads[before]?.terminate();
	gate = undefined;
	await commit;
	await writeUntil(store, 'another has made it', () => lines.length > 1);
	t.regex(lines[0] ?? '', /^warn .*the thread of checkpoints has ended with status \d/);
	t.regex(lines[1] ?? '', /^info .*is copied into its database again/);
	t.is(threads.length, before + 2);
	t.true((await size(path)) >= 16 * MIB);
});

test.serial('where the disk has no room for a checkpoint, commits go on while the log has room', async (t) => {
	const path = await folder(t);
	const mount = promisify(execFile)('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', path]);
	const refused = await mount.then(() => undefined, String);
	if (refused) {
		t.log(`skipped, a file system of its own cannot be mounted here: ${refused}`);
		return t.pass();
	}
	t.teardown(() => promisify(execFile)('umount', ['-l', path]));
	const file = join(path, 'store.db');
	const { lines, log } = logged();
	let entries: number;
	{
		await using store = await openSqlite(file, { log });
		await write(store, 18);
		t.true((await size(file)) >= 16 * MIB, 'the log is begun anew, in the room that it has');
		const ballast = join(path, 'ballast');
		spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1M']);
		await write(store, 13);
		await t.throwsAsync(write(store, 10), { instanceOf: Unavailable, message: /its disk is full/ });
		t.is(lines.length, 1, lines.join('\n'));
		t.regex(lines[0] ?? '', /^warn .*store\.db cannot grow, its disk is full: free some space/);
		await rm(ballast);
		await writeUntil(store, 'there is room', () => lines.length > 1);
		entries = (await store.list('/')).entries.length;
		t.true(entries >= 32);
	}
	await using again = await openSqlite(file);
	t.is((await again.list('/')).entries.length, entries);
});

test.serial('what was acknowledged survives kill -9 in the middle of checkpoints', async (t) => {
	const path = join(await folder(t), 'store.db');
	const random = numbers(20_260);
	for (let round = 0; round < 4; round++)
		t.deepEqual(await killInCheckpoint(path, 1 + (round % 2), random() * 40), [], `round ${round}`);
});

test.serial('a database that this process has open is not opened again, and stays locked against others', async (t) => {
	const path = join(await folder(t), 'store.db');
	const message = /store\.db is in use by another process/;
	await using store = await openSqlite(path);
	await store.commit({ puts: [{ key: '/a', value: new Uint8Array(1) }] });
	await t.throwsAsync(openSqlite(path), { instanceOf: Unavailable, message });
	const source = `const { openSqlite } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/store/sqlite.ts'))});
		await openSqlite(${JSON.stringify(path)}).then(() => console.log('opened'), (error) => console.log(error.message));`;
	t.regex(spawnSync(process.execPath, ['-e', source], { encoding: 'utf8' }).stdout, message);
	const reader = `new (require('node:sqlite').DatabaseSync)(${JSON.stringify(path)}).prepare('SELECT * FROM live').all()`;
	t.regex(spawnSync(process.execPath, ['-e', reader], { encoding: 'utf8' }).stderr, /database is locked/);
});
