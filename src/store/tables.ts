import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { prefixEnd } from './keys.ts';
import type { Entry, Event, Revision } from './store.ts';
import type { Passage } from './waiting.ts';

/** Ids of the log leave room for this many changes a revision (MAX_CHANGE_KEYS). Part of the file format. */
export const SLOTS = 128;

/** One read of the history hands over at most about this many bytes of values, and about this many events. */
const PASSAGE_BYTES = 4 * 1024 * 1024;
const PASSAGE_EVENTS = 1000;

/** The row that holds a key now. */
export interface Head {
	readonly id: number;
	readonly created: Revision;
}

/** What a step of compaction did: it reached `revision`, and values of `bytes` left the history. */
export interface CompactionStep {
	readonly revision: Revision;
	readonly bytes: number;
}

export const revisionOf = (id: number): Revision => Math.floor(id / SLOTS);

/** Greater than every text in SQLite's order of types: the end of a range without end. */
const NO_END = new Uint8Array(0);

/** Keys from `start` (included) to the end of `prefix`, as the two bounds of a statement. */
export type Range = readonly [start: string, end: string | Uint8Array];
export const rangeOf = (start: string, prefix: string): Range => [start, prefixEnd(prefix) ?? NO_END];

/** The statements on the tables of database.ts. They know rows, not transactions: sqlite.ts opens and ends those. */
export function tables(database: DatabaseSync) {
	const statement = (sql: string): StatementSync => {
		const prepared = database.prepare(sql);
		prepared.setReturnArrays(true);
		return prepared;
	};
	const row = <Row extends readonly unknown[]>(prepared: StatementSync, ...bound: Bound[]) =>
		prepared.get(...bound) as unknown as Row | undefined;
	const rows = <Row extends readonly unknown[]>(prepared: StatementSync, ...bound: Bound[]) =>
		prepared.all(...bound) as unknown as Row[];
	const eachRow = <Row extends readonly unknown[]>(prepared: StatementSync, ...bound: Bound[]) =>
		prepared.iterate(...bound) as unknown as Iterable<Row>;

	const head = statement('SELECT id, created FROM live WHERE key = ?');
	const entry = statement(
		'SELECT log.value, live.created, live.id FROM live JOIN log ON log.id = live.id WHERE live.key = ?',
	);
	const append = statement('INSERT INTO log (id, key, previous, created, value) VALUES (?, ?, ?, ?, ?)');
	const enter = statement('INSERT INTO live (key, id, created) VALUES (?, ?, ?)');
	const raise = statement('UPDATE live SET id = ? WHERE key = ?');
	const drop = statement('DELETE FROM live WHERE key = ?');

	const page = statement(
		`SELECT live.key, log.value, live.created, live.id FROM live CROSS JOIN log ON log.id = live.id
		WHERE live.key >= ? AND live.key < ? ORDER BY live.key LIMIT ?`,
	);
	// The state before the row `?3`: what was live then and is still, and for each key changed since, the row that its
	// first change replaced (SQLite takes the other columns from the row with the minimum). A page is among the first so many
	// of each, so what is sorted is a page and the changes since, however large the state is.
	const pastPage = statement(
		`WITH same AS (SELECT key, id FROM live WHERE key >= ?1 AND key < ?2 AND id < ?3 ORDER BY key LIMIT ?4),
		changed AS (SELECT key, previous, min(id) FROM log WHERE id >= ?3 AND key >= ?1 AND key < ?2 GROUP BY key),
		other AS (SELECT key, previous FROM changed WHERE previous IS NOT NULL ORDER BY key LIMIT ?4),
		page AS (SELECT * FROM same UNION ALL SELECT * FROM other ORDER BY key LIMIT ?4)
		SELECT page.key, log.value, log.created, page.id FROM page CROSS JOIN log ON log.id = page.id ORDER BY page.key`,
	);

	const history = statement(
		'SELECT id, key, created, value FROM log WHERE id >= ? AND key >= ? AND key < ? ORDER BY id',
	);
	const newest = statement('SELECT max(id) FROM log');
	const compacted = statement('SELECT revision FROM compaction');
	const setCompacted = statement('UPDATE compaction SET revision = ?');
	const window = statement(
		'SELECT id, previous, value IS NULL, coalesce(length(value), 0) FROM log WHERE id >= ? AND id < ? ORDER BY id',
	);
	const windowBytes = statement('SELECT coalesce(sum(length(value)), 0) FROM log WHERE id >= ?');
	const erase = statement('DELETE FROM log WHERE id = ?');

	const toEntry = ([key, value, created, id]: EntryRow): Entry => ({ key, value, created, modified: revisionOf(id) });

	return {
		/** The newest revision, and that before which the history is forgotten. */
		revisions(): { newest: Revision; compacted: Revision } {
			const forgotten = row<[number]>(compacted)?.[0] ?? 0;
			return { newest: Math.max(revisionOf(row<[number | null]>(newest)?.[0] ?? 0), forgotten), compacted: forgotten };
		},
		head(key: string): Head | undefined {
			const found = row<[number, number]>(head, key);
			return found && { id: found[0], created: found[1] };
		},
		entry(key: string): Entry | undefined {
			const found = row<[Uint8Array, number, number]>(entry, key);
			return found && toEntry([key, ...found]);
		},
		put(id: number, key: string, value: Uint8Array, previous: Head | undefined): Revision {
			const created = previous?.created ?? revisionOf(id);
			append.run(id, key, previous?.id ?? null, created, value);
			if (previous) raise.run(id, key);
			else enter.run(key, id, created);
			return created;
		},
		delete(id: number, key: string, previous: Head): void {
			append.run(id, key, previous.id, previous.created, null);
			drop.run(key);
		},
		page: (range: Range, limit: number): Entry[] => rows<EntryRow>(page, ...range, limit).map(toEntry),
		/** As `page`, in the state that `revision` left. */
		pageAt: (range: Range, limit: number, revision: Revision): Entry[] =>
			rows<EntryRow>(pastPage, ...range, (revision + 1) * SLOTS, limit).map(toEntry),

		/** The events under `prefix` after a revision: whole commits, up to the bounds above, else up to `until`. */
		passage(prefix: string, after: Revision, until: Revision): Passage {
			const events: Event[] = [];
			let bytes = 0;
			let upTo = after;
			for (const found of eachRow<HistoryRow>(history, (after + 1) * SLOTS, ...rangeOf(prefix, prefix))) {
				const [id, key, created, value] = found;
				const revision = revisionOf(id);
				if (revision !== upTo && (bytes >= PASSAGE_BYTES || events.length >= PASSAGE_EVENTS)) {
					return { events, upTo };
				}
				upTo = revision;
				bytes += value?.byteLength ?? 0;
				events.push(value ? { type: 'put', key, value, created, revision } : { type: 'delete', key, revision });
			}
			return { events, upTo: until };
		},

		/** Bytes of the values in the history after a revision. */
		bytesAfter: (revision: Revision): number => row<[number]>(windowBytes, (revision + 1) * SLOTS)?.[0] ?? 0,
		/**
		 * Forgets what the revisions after `from`, up to `upTo`, replaced; ends early, between two revisions, once it has
		 * passed `limit` rows or bytes.
		 */
		compact(from: Revision, upTo: Revision, limit: { rows: number; bytes: number }): CompactionStep {
			let revision = Math.min(upTo, from + limit.rows);
			let passed = 0;
			let bytes = 0;
			const gone: number[] = [];
			// Read whole before the first delete: SQLite leaves open what a scan sees of rows deleted under it.
			const found = rows<WindowRow>(window, (from + 1) * SLOTS, (revision + 1) * SLOTS);
			for (const [index, [id, previous, deleted, length]] of found.entries()) {
				const whole = index === 0 || revisionOf(id) !== revisionOf(found[index - 1]?.[0] ?? id);
				if (whole && (passed >= limit.rows || bytes >= limit.bytes)) {
					revision = revisionOf(id) - 1;
					break;
				}
				passed++;
				bytes += length;
				if (previous !== null) gone.push(previous);
				if (deleted) gone.push(id);
			}
			// In the order of their pages.
			for (const id of gone.sort((a, b) => a - b)) erase.run(id);
			setCompacted.run(revision);
			return { revision, bytes };
		},
	};
}

type Bound = string | number | Uint8Array | null;
type EntryRow = [key: string, value: Uint8Array, created: number, id: number];
type HistoryRow = [id: number, key: string, created: number, value: Uint8Array | null];
type WindowRow = [id: number, previous: number | null, deleted: number, length: number];
