/**
 * What the informers knew last, kept on disk: a process that starts while the API is away answers from it, until its own
 * informers are there. Each change is one row, so the cost follows change.
 */
import { DatabaseSync } from 'node:sqlite';
import type { Cache, Informer, Selection } from '../../client/index.ts';
import { createCopy } from '../../client/index.ts';
import { type Kind, type KubeObject, keyOf } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';

/** Changes within so many ms are written together. */
const GATHER_MS = 500;

/** What names are made of; the rest of an object is not kept. */
const kept = ({ apiVersion, kind, metadata, ...rest }: KubeObject & { status?: unknown }) => {
	const { name, namespace, labels, resourceVersion } = metadata;
	const { status: _, ...content } = rest;
	return { apiVersion, kind, metadata: { name, namespace, labels, resourceVersion }, ...content };
};

/** An informer as the names of a cluster read it. */
export type Known<T extends KubeObject> = Pick<Informer<T>, 'get' | 'by' | 'addIndex' | 'synced'>;

export interface Remembered extends Disposable {
	/** The informer of the kind, or, before it has its first list, what it knew at its end, if it was whole then. */
	informer<T extends KubeObject>(kind: Kind<T>, selection?: Selection): Known<T>;
}

/** `path` is of the database, which is made anew where it is damaged: what it holds can be had again. */
export function remembered(cache: Cache, path: string, log: Log): Remembered {
	const database = open(path, log);
	const put = database.prepare('INSERT OR REPLACE INTO known (kind, key, object) VALUES (?, ?, ?)');
	const remove = database.prepare('DELETE FROM known WHERE kind = ? AND key = ?');
	const rows = database.prepare('SELECT key, object FROM known WHERE kind = ?');
	const whole = database.prepare('SELECT 1 FROM whole WHERE kind = ?');
	const changed = new Map<string, () => void>();
	let timer: NodeJS.Timeout | undefined;

	const flush = () => {
		clearTimeout(timer);
		timer = undefined;
		if (changed.size === 0) return;
		const writes = [...changed.values()];
		changed.clear();
		try {
			database.exec('BEGIN');
			for (const write of writes) write();
			database.exec('COMMIT');
		} catch (error) {
			if (database.isTransaction) database.exec('ROLLBACK');
			log.warn({ cause: String(error) }, 'what the names of the cluster are made of cannot be kept on disk');
		}
	};
	const later = (id: string, write: () => void) => {
		changed.set(id, write);
		timer ??= setTimeout(flush, GATHER_MS).unref();
	};

	return {
		informer<T extends KubeObject>(kind: Kind<T>, selection?: Selection): Known<T> {
			const live = cache.informer(kind, selection);
			const name = `${kind.plural}.${kind.group}`;
			let before: ReturnType<typeof createCopy<T>> | undefined;
			if (whole.get(name)) {
				before = createCopy<T>(name);
				for (const { key, object } of rows.iterate(name)) before.set(String(key), JSON.parse(String(object)) as T);
			}
			live.on(({ key, object }) => {
				later(`${name} ${key}`, () => {
					if (object) put.run(name, key, JSON.stringify(kept(object)));
					else remove.run(name, key);
				});
			});
			const there = live.synced.then(() => {
				const listed = new Set(Array.from(live.list(), keyOf));
				for (const key of before?.objects.keys() ?? [])
					if (!listed.has(key)) later(`${name} ${key}`, () => void remove.run(name, key));
				later(`${name} whole`, () => database.prepare('INSERT OR IGNORE INTO whole (kind) VALUES (?)').run(name));
				before = undefined;
			});
			const synced = before ? Promise.resolve() : there;
			// The cache has ended; nobody asks any more.
			there.catch(() => {});
			return {
				synced,
				get: (key) => (before ? before.objects.get(key) : live.get(key)),
				by: (index, value) => (before ? before.by(index, value) : live.by(index, value)),
				addIndex(index, of) {
					before?.addIndex(index, of);
					live.addIndex(index, of);
				},
			};
		},
		[Symbol.dispose]() {
			flush();
			database.close();
		},
	};
}

function open(path: string, log: Log): DatabaseSync {
	try {
		return prepared(new DatabaseSync(path));
	} catch (error) {
		log.warn(
			{ cause: String(error), path },
			'what the names of the cluster were made of cannot be read; it is asked anew',
		);
		return prepared(new DatabaseSync(':memory:'));
	}
}

function prepared(database: DatabaseSync): DatabaseSync {
	// Two processes have it open while one relieves the other. Losing the last moment to a fault of the machine costs nothing: it is asked anew.
	database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA busy_timeout = 2000;
		CREATE TABLE IF NOT EXISTS known (kind TEXT, key TEXT, object TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID;
		CREATE TABLE IF NOT EXISTS whole (kind TEXT PRIMARY KEY) WITHOUT ROWID;`);
	return database;
}
