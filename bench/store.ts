/**
 * The stores: commits, watches and listings of 1 KB values, beside the limits of the disk and of SQLite, of the same run.
 * `node bench/store.ts [sqlite] [etcd]`; without arguments both, etcd where it is installed.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import { openEtcd } from '../src/store/etcd.ts';
import { openSqlite } from '../src/store/sqlite.ts';
import type { Store } from '../src/store/store.ts';
import { startEtcd } from '../test/testbed/etcd.ts';

const VALUE = new Uint8Array(1024).fill(120);
const ENTRIES = 10_000;
/** Each rate is measured for about this long, in ms. */
const SPAN = 2000;

function row(what: string, figure: number, unit: string): void {
	const digits = figure < 100 ? 2 : 0;
	console.log(
		`${what.padEnd(58)} ${figure.toLocaleString('en', { maximumFractionDigits: digits }).padStart(10)} ${unit}`,
	);
}

/** How often `work` ends in a second, with so many of it under way at once. */
async function rate(concurrency: number, work: (index: number) => Promise<unknown>): Promise<number> {
	let count = 0;
	const started = performance.now();
	const worker = async () => {
		while (performance.now() - started < SPAN) await work(count++);
	};
	await Promise.all(Array.from({ length: concurrency }, worker));
	return (count / (performance.now() - started)) * 1000;
}

async function best(times: number, work: () => Promise<unknown>): Promise<number> {
	let least = Number.POSITIVE_INFINITY;
	for (let time = 0; time < times; time++) {
		const started = performance.now();
		await work();
		least = Math.min(least, performance.now() - started);
	}
	return least;
}

function limits(folder: string): void {
	const file = openSync(join(folder, 'raw'), 'w');
	let started = performance.now();
	let count = 0;
	for (; performance.now() - started < SPAN / 2; count++) {
		writeSync(file, VALUE);
		fdatasyncSync(file);
	}
	row('limit: write of 1 KB and fdatasync', (count / (performance.now() - started)) * 1000, '/s');
	closeSync(file);

	const database = new DatabaseSync(join(folder, 'raw.db'));
	database.exec(
		'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE raw (key TEXT PRIMARY KEY, value BLOB)',
	);
	const insert = database.prepare('INSERT INTO raw VALUES (?, ?)');
	for (const batch of [1, 32, 256]) {
		started = performance.now();
		for (count = 0; performance.now() - started < SPAN / 2; ) {
			database.exec('BEGIN');
			for (let index = 0; index < batch; index++) insert.run(`/raw/${batch}/${count++}`, VALUE);
			database.exec('COMMIT');
		}
		row(
			`limit: node:sqlite, inserts in transactions of ${batch}`,
			(count / (performance.now() - started)) * 1000,
			'/s',
		);
	}
	database.close();
}

async function measure(name: string, store: Store): Promise<void> {
	for (let index = 0; index < ENTRIES; index += 100) {
		// Not in the order of keys, as a cluster does not create its objects either.
		const puts = Array.from({ length: 100 }, (_, part) => ({
			key: `/list/${((index + part) * 7919) % ENTRIES}`,
			value: VALUE,
		}));
		await store.commit({ puts });
	}
	row(`${name}: list of ${ENTRIES} entries`, await best(5, () => store.list('/list/')), 'ms');
	row(`${name}: first page of 500 of them`, await best(5, () => store.list('/list/', { limit: 500 })), 'ms');
	const revision = await store.revision();
	for (let index = 0; index < 100; index++) await store.commit({ puts: [{ key: `/list/${index}`, value: VALUE }] });
	row(
		`${name}: the same page, 100 commits later`,
		await best(5, () => store.list('/list/', { limit: 500, revision })),
		'ms',
	);
	for (const concurrency of [1, 32, 256]) {
		const create = (index: number) => {
			const key = `/create/${concurrency}/${index}`;
			return store.commit({ puts: [{ key, value: VALUE }], expect: [{ key, modified: 'absent' }] });
		};
		row(`${name}: creates, ${concurrency} at once`, await rate(concurrency, create), '/s');
	}
	const update = (index: number) => store.commit({ puts: [{ key: `/list/${index % ENTRIES}`, value: VALUE }] });
	row(`${name}: updates, 256 at once`, await rate(256, update), '/s');
	row(`${name}: gets, 32 at once`, await rate(32, (index) => store.get(`/list/${index % ENTRIES}`)), '/s');
	await watchLatency(name, store);
}

/** From the call of commit to the event, with 20 watches of which one is concerned. */
async function watchLatency(name: string, store: Store): Promise<void> {
	const abort = new AbortController();
	const after = await store.revision();
	const sent: number[] = [];
	const took: number[] = [];
	const watches = Array.from({ length: 20 }, async (_, index) => {
		for await (const batch of store.watch(`/watched/${String.fromCharCode(97 + index)}/`, after, abort.signal)) {
			for (const { key } of batch) took.push(performance.now() - (sent[Number(key.split('/').at(-1))] ?? 0));
		}
	});
	for (let index = 0; index < 1000; index++) {
		sent[index] = performance.now();
		await store.commit({ puts: [{ key: `/watched/a/${index}`, value: VALUE }] });
	}
	while (took.length < 1000) await new Promise(setImmediate);
	abort.abort();
	await Promise.all(watches);
	// The first ones wait until the watch is set up.
	const sorted = took.slice(100).sort((a, b) => a - b);
	row(`${name}: commit to event, median`, sorted[Math.floor(sorted.length * 0.5)] ?? 0, 'ms');
	row(`${name}: commit to event, p99`, sorted[Math.floor(sorted.length * 0.99)] ?? 0, 'ms');
}

/** 32 writers that change 20,000 entries of 2 KB: so much that the history is compacted and the log copied all the time. */
async function constantLoad(store: Store): Promise<void> {
	const value = new Uint8Array(2048).fill(120);
	const put = (index: number) => store.commit({ puts: [{ key: `/load/${index}`, value }] });
	const change = () => put(Math.floor(Math.random() * 20_000));
	await Promise.all(Array.from({ length: 20_000 }, (_, index) => put(index)));
	await Promise.all(Array.from({ length: 12_000 }, change));
	const delay = monitorEventLoopDelay({ resolution: 1 });
	delay.enable();
	const before = { all: process.cpuUsage(), own: process.threadCpuUsage() };
	let count = 0;
	await rate(32, () => {
		count++;
		return change();
	});
	const each = ({ user, system }: NodeJS.CpuUsage) => (user + system) / count;
	row('sqlite: a change under constant load, CPU', each(process.cpuUsage(before.all)), 'µs');
	row('sqlite: of that on the event loop', each(process.threadCpuUsage(before.own)), 'µs');
	row('sqlite: longest hold of the event loop meanwhile', delay.max / 1e6, 'ms');
}

async function sqlite(folder: string): Promise<void> {
	limits(folder);
	{
		await using store = await openSqlite(join(folder, 'bench.db'));
		await measure('sqlite', store);
	}
	{
		await using store = await openSqlite(join(folder, 'load.db'));
		await constantLoad(store);
	}
	const path = join(folder, 'open.db');
	{
		await using store = await openSqlite(path);
		for (let index = 0; index < ENTRIES; index++)
			void store.commit({ puts: [{ key: `/list/${index}`, value: VALUE }] });
	}
	const open = async () => {
		await using store = await openSqlite(path);
		await store.revision();
	};
	row(`sqlite: open and close with ${ENTRIES} entries`, await best(3, open), 'ms');
}

async function etcd(): Promise<void> {
	if (spawnSync('etcd', ['--version']).error) {
		console.log('etcd: not installed, so not measured');
		return;
	}
	await using cluster = await startEtcd();
	await using store = await openEtcd({ endpoints: cluster.endpoints });
	await measure('etcd', store);
}

const wanted = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), 'driftless-bench-'));
try {
	if (wanted.length === 0 || wanted.includes('sqlite')) await sqlite(folder);
	if (wanted.length === 0 || wanted.includes('etcd')) await etcd();
} finally {
	await rm(folder, { recursive: true, force: true });
}
