import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, open as openFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { openStore } from '../../src/store/index.ts';
import { HISTORY_BYTES, HISTORY_REVISIONS, openSqlite } from '../../src/store/sqlite.ts';
import { Compacted, type Store, Unavailable } from '../../src/store/store.ts';
import { bytes, contract, readUntil } from './contract.ts';
import { properties } from './properties.ts';

async function folder(t: ExecutionContext): Promise<string> {
	const path = await mkdtemp(join(tmpdir(), 'driftless-store-'));
	t.teardown(() => rm(path, { recursive: true, force: true }));
	return path;
}

const suite = await mkdtemp(join(tmpdir(), 'driftless-store-'));
test.after.always(() => rm(suite, { recursive: true, force: true }));
let opened = 0;
const open = () => openSqlite(join(suite, `${opened++}.db`));

contract(test, open);
properties(test, open, { runs: 100 });

const numbered = (from: number, count: number, prefix = '/n/') =>
	Array.from({ length: count }, (_, index) => ({
		key: `${prefix}${from + index}`,
		value: bytes(String(from + index)),
	}));

/** Commits one put each, all at once. */
async function commitAll(store: Store, puts: readonly { key: string; value: Uint8Array }[]): Promise<number[]> {
	return Promise.all(puts.map((put) => store.commit({ puts: [put] })));
}

test('a store that is closed and opened again has its state, its history and its revision', async (t) => {
	const path = join(await folder(t), 'deep', 'store.db');
	const first = await openSqlite(path);
	const [, kept = 0] = await commitAll(first, numbered(0, 10));
	await first.commit({ deletes: ['/n/3'] });
	await first.compact(kept);
	const last = await first.commit({ puts: numbered(20, 2) });
	const before = await first.list('/n/');
	await first[Symbol.asyncDispose]();

	await using second = await openSqlite(path);
	t.is(await second.revision(), last);
	t.deepEqual(await second.list('/n/'), before);
	t.is((await readUntil(second, '/n/', kept, last)).flat().length, 11);
	await t.throwsAsync(readUntil(second, '/n/', kept - 1, last), { instanceOf: Compacted });
	t.is(await second.commit({ puts: numbered(0, 1) }), last + 1);
});

test('the revision is not lost when the newest commits were deletes that have been compacted', async (t) => {
	const path = join(await folder(t), 'store.db');
	const first = await openSqlite(path);
	await first.commit({ puts: numbered(0, 1) });
	const last = await first.commit({ deletes: ['/n/0'] });
	await first.compact(last);
	await first[Symbol.asyncDispose]();
	await using second = await openSqlite(path);
	t.is(await second.revision(), last);
});

test('what was acknowledged survives kill -9 in a storm of commits, and no commit is there by half', async (t) => {
	const path = join(await folder(t), 'store.db');
	for (let round = 1; round <= 5; round++) {
		const child = spawn(process.execPath, [join(import.meta.dirname, 'storm.ts'), path], {
			stdio: ['ignore', 'pipe', 'inherit'],
		});
		const acknowledged = new Map<string, number>();
		let count = 0;
		for await (const line of createInterface({ input: child.stdout })) {
			const [writer = '', number] = line.split(' ');
			// A last line may be cut off by the death of the process; its beginning is a smaller number.
			acknowledged.set(writer, Math.max(acknowledged.get(writer) ?? 0, Number(number)));
			if (++count === round * 300) child.kill('SIGKILL');
		}
		if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
		t.is(child.signalCode, 'SIGKILL');

		await using store = await openSqlite(path);
		const { entries } = await store.list('/storm/');
		t.is(entries.length, 48);
		for (let writer = 0; writer < 16; writer++) {
			const [a, b, c] = entries.slice(writer * 3, writer * 3 + 3);
			t.true(Buffer.from(a?.value ?? []).equals(b?.value ?? new Uint8Array()));
			t.true(Buffer.from(a?.value ?? []).equals(c?.value ?? new Uint8Array()));
			t.is(a?.modified, c?.modified);
			const stored = Number(new TextDecoder().decode(a?.value).split(' ')[0]);
			t.true(stored >= (acknowledged.get(String(writer)) ?? 0), `writer ${writer}`);
		}
	}
});

test('the history is bounded by itself: the newest revisions stay, older ones are forgotten', async (t) => {
	const path = join(await folder(t), 'store.db');
	{
		await using store = await openSqlite(path);
		const signal = new AbortController().signal;
		const slow = store.watch('/', 0, signal)[Symbol.asyncIterator]();
		await commitAll(store, numbered(0, 100));
		t.false((await slow.next()).done);
		for (let round = 0; round < 11; round++) await commitAll(store, numbered(0, 1000, `/n/${round}/`));
		for (let round = 0; round < 4; round++) await commitAll(store, numbered(0, 500));
		const last = await store.revision();
		await t.throwsAsync(slow.next(), { instanceOf: Compacted });
		await t.throwsAsync(readUntil(store, '/', last - HISTORY_REVISIONS - 1000, last), { instanceOf: Compacted });
		t.is((await readUntil(store, '/', last - HISTORY_REVISIONS, last)).flat().length, HISTORY_REVISIONS);
		t.is((await store.list('/')).entries.length, 11_500);
	}
	const database = new DatabaseSync(path);
	// 11,500 keys are alive; of the 1,600 changes that replaced another, most are within the history.
	const kept = database.prepare('SELECT count(*) AS rows, min(id) AS oldest FROM log').get();
	database.close();
	t.true(Number(kept?.rows) <= 11_500 + 1_600);
});

test('keys that come and go leave nothing behind once they are compacted', async (t) => {
	const path = join(await folder(t), 'store.db');
	{
		await using store = await openSqlite(path);
		for (let round = 0; round < 3; round++) {
			await commitAll(store, numbered(0, 200));
			await Promise.all(numbered(10, 190).map(({ key }) => store.commit({ deletes: [key] })));
		}
		await store.compact(await store.revision());
	}
	const database = new DatabaseSync(path);
	t.is(database.prepare('SELECT count(*) AS rows FROM log').get()?.rows, 10);
	database.close();
});

test('large values bound the history by their bytes', async (t) => {
	await using store = await openSqlite(join(await folder(t), 'store.db'));
	const value = new Uint8Array(1024 * 1024);
	const count = Math.ceil((HISTORY_BYTES * 2) / value.byteLength);
	for (let index = 0; index < count; index++) await store.commit({ puts: [{ key: `/${index % 4}`, value }] });
	const last = await store.revision();
	await t.throwsAsync(readUntil(store, '/', 0, last), { instanceOf: Compacted });
	const kept = await readUntil(store, '/', last - 40, last);
	t.is(kept.flat().length, 40);
	t.true(kept.length > 1, 'a reader that is behind is handed the history in pieces');
});

test('whoever reads many pages, or a long history, leaves the event loop its turns', async (t) => {
	await using store = await openSqlite(join(await folder(t), 'store.db'));
	await commitAll(store, numbered(0, 3000));
	let turned = false;
	const note = () => {
		turned = true;
	};
	setImmediate(note);
	await store.list('/', { limit: 1000 });
	t.true(turned, 'between two pages');
	turned = false;
	let pieces = 0;
	for await (const _ of store.watch('/', 0, new AbortController().signal)) {
		if (++pieces === 2) break;
		setImmediate(note);
	}
	t.true(turned, 'between two pieces of the history');
});

test('a compaction that cannot be committed forgets nothing', async (t) => {
	const file = join(await folder(t), 'store.db');
	const value = (text: string) => ({ puts: [{ key: '/a', value: Buffer.from(text) }] });
	{
		await using store = await openSqlite(file);
		for (const text of ['one', 'two', 'three']) await store.commit(value(text));
	}
	{
		using database = new DatabaseSync(file);
		// What is wrong with this is found out by COMMIT.
		database.exec(`CREATE TABLE whole (id INTEGER PRIMARY KEY);
			CREATE TABLE part (whole INTEGER REFERENCES whole DEFERRABLE INITIALLY DEFERRED);
			CREATE TRIGGER refuse AFTER UPDATE ON compaction BEGIN INSERT INTO part VALUES (1); END`);
	}
	await using store = await openSqlite(file);
	await t.throwsAsync(store.compact(3), { message: /FOREIGN KEY/ });
	const { entries } = await store.list('/', { revision: 1 });
	t.deepEqual(
		entries.map((entry) => Buffer.from(entry.value).toString()),
		['one'],
	);
});

test('a full disk makes commits Unavailable and loses nothing; they succeed again when there is space', async (t) => {
	const path = await folder(t);
	const mount = promisify(execFile)('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', path]);
	const refused = await mount.then(() => undefined, String);
	if (refused) {
		t.log(`skipped, a file system of its own cannot be mounted here: ${refused}`);
		return t.pass();
	}
	t.teardown(() => promisify(execFile)('umount', ['-l', path]));
	const ballast = join(path, 'ballast');
	await writeFile(ballast, new Uint8Array(2 * 1024 * 1024));
	const file = join(path, 'store.db');
	const acknowledged: string[] = [];
	{
		await using store = await openSqlite(file);
		const value = new Uint8Array(20_000).fill(7);
		let failure: unknown;
		for (let index = 0; !failure && index < 1000; index++) {
			await store.commit({ puts: [{ key: `/${index}`, value }] }).then(
				() => acknowledged.push(`/${index}`),
				(error: unknown) => {
					failure = error;
				},
			);
		}
		t.true(failure instanceof Unavailable);
		t.regex(String(failure), /store\.db.*(disk is full|cannot be read or written)/);
		await t.throwsAsync(store.commit({ puts: [{ key: '/more', value }] }), { instanceOf: Unavailable });
		t.deepEqual(
			(await store.list('/')).entries.map(({ key }) => key),
			acknowledged.toSorted(),
		);
		t.is(await store.revision(), acknowledged.length);

		await rm(ballast);
		t.is(await store.commit({ puts: [{ key: '/after', value }] }), acknowledged.length + 1);
		t.is((await readUntil(store, '/', 0, acknowledged.length + 1)).flat().length, acknowledged.length + 1);
	}
	await using again = await openSqlite(file);
	t.is((await again.list('/')).entries.length, acknowledged.length + 1);
});

test('a database of a newer version is refused with both versions and its path, and left as it is', async (t) => {
	const path = join(await folder(t), 'store.db');
	await (await openSqlite(path))[Symbol.asyncDispose]();
	const database = new DatabaseSync(path);
	database.exec('PRAGMA user_version=99');
	database.close();
	const before = await readFile(path);
	const error = await t.throwsAsync(openSqlite(path));
	t.regex(error?.message ?? '', /store\.db has schema version 99, but this driftless knows versions up to 1/);
	t.true(before.equals(await readFile(path)));
});

test('a database of another program is refused', async (t) => {
	const path = join(await folder(t), 'other.db');
	const database = new DatabaseSync(path);
	database.exec('CREATE TABLE theirs (id INTEGER)');
	database.close();
	await t.throwsAsync(openSqlite(path), { message: /other\.db is a database of another program/ });
});

test('a damaged file is refused with an error that names it', async (t) => {
	const path = join(await folder(t), 'store.db');
	await writeFile(path, 'this is no database at all. '.repeat(1000));
	await t.throwsAsync(openSqlite(path), { message: /store\.db is damaged.*restore it from a backup/ });
});

test('damage that is met while reading is an error that names the file', async (t) => {
	const path = join(await folder(t), 'store.db');
	const first = await openSqlite(path);
	await first.commit({
		puts: Array.from({ length: 100 }, (_, index) => ({ key: `/${index}`, value: new Uint8Array(4000) })),
	});
	await first[Symbol.asyncDispose]();
	const file = await openFile(path, 'r+');
	const { size } = await file.stat();
	// All pages but the first, which holds the schema.
	await file.write(new Uint8Array(size - 8192).fill(0xee), 0, size - 8192, 8192);
	await file.close();
	const outcome = await (async () => {
		await using store = await openSqlite(path);
		return await store.list('/');
	})().catch((error: unknown) => String(error));
	t.regex(String(outcome), /store\.db is damaged/);
});

test('a database that another process has open is refused, and free again when that has ended', async (t) => {
	const path = join(await folder(t), 'store.db');
	const child = spawn(process.execPath, [join(import.meta.dirname, 'storm.ts'), path], {
		stdio: ['ignore', 'pipe', 'inherit'],
	});
	t.teardown(() => child.kill('SIGKILL'));
	await once(child.stdout, 'data');
	child.stdout.resume();
	await t.throwsAsync(openSqlite(path), { instanceOf: Unavailable, message: /store\.db is in use by another process/ });
	child.kill('SIGKILL');
	await once(child, 'exit');
	await using store = await openSqlite(path);
	t.true((await store.revision()) > 0);
});

test('the files are readable by their owner only, whatever they were before', async (t) => {
	const path = join(await folder(t), 'data', 'store.db');
	const modes = async () => {
		await using store = await openSqlite(path);
		await store.commit({ puts: numbered(0, 1) });
		return await Promise.all([path, `${path}-wal`].map(async (file) => (await stat(file)).mode & 0o777));
	};
	t.deepEqual(await modes(), [0o600, 0o600]);
	t.is((await stat(join(path, '..'))).mode & 0o777, 0o700);
	await chmod(path, 0o644);
	t.deepEqual(await modes(), [0o600, 0o600]);
});

test('a path that cannot be is Unavailable, and names it', async (t) => {
	const path = await folder(t);
	await mkdir(join(path, 'store.db'));
	await t.throwsAsync(openSqlite(join(path, 'store.db')), {
		instanceOf: Unavailable,
		message: /store\.db cannot be opened/,
	});
});

test('openStore opens SQLite in the data directory, and refuses a url that names no store', async (t) => {
	const data = await folder(t);
	{
		await using store = await openStore('sqlite', data);
		await store.commit({ puts: numbered(0, 1) });
	}
	t.true((await stat(join(data, 'store', 'driftless.db'))).isFile());
	for (const url of [
		'',
		'postgres://db',
		'etcd://',
		'etcd://host',
		'etcd://a:1,b',
		'etcd:a:1',
		'sqlite:/x',
		'etcd://a:1/path',
	]) {
		await t.throwsAsync(openStore(url, data), {
			instanceOf: RangeError,
			message: /names no store: use "sqlite", or "etcd/,
		});
	}
	const secret = await t.throwsAsync(openStore('etcd://ann:secret@host:1/x', data), { instanceOf: RangeError });
	t.false(secret?.message.includes('secret'), secret?.message);
});
