/** The door of the store: the contract, and how to open one. */
import { join } from 'node:path';
import type { Log } from '../log.ts';
import { type EtcdAccess, etcdConnection } from './etcd-access.ts';
import { openSqlite } from './sqlite.ts';
import type { Store } from './store.ts';

export { ChangeTooLarge, MAX_CHANGE_BYTES, MAX_CHANGE_KEYS } from './change.ts';
export type { EtcdAccess } from './etcd-access.ts';
export {
	type Change,
	Compacted,
	Conflict,
	type Entry,
	type Event,
	type Expectation,
	type Listing,
	type Page,
	type Revision,
	type Store,
	Unavailable,
} from './store.ts';

export interface StoreOptions {
	readonly log?: Log;
	/** How to be let in by etcd. Nothing for SQLite. */
	readonly etcd?: EtcdAccess;
}

/**
 * Opens the store that `url` names: `sqlite` (DATA/store/driftless.db), `etcd://HOST:PORT[,HOST:PORT...]`, or `etcds://...` for
 * etcd over TLS.
 * @throws RangeError for a url that is none of these, or does not go with the access; what openSqlite and openEtcd throw.
 */
export async function openStore(url: string, dataDir: string, { log, etcd }: StoreOptions = {}): Promise<Store> {
	if (url === 'sqlite') {
		if (Object.values(etcd ?? {}).some(Boolean))
			throw new RangeError('certificates, names and passwords for etcd need a store on etcd, and this one is "sqlite"');
		return openSqlite(join(dataDir, 'store', 'driftless.db'), { log });
	}
	const connection = etcdConnection(url, etcd);
	// Loaded here only: those who use SQLite do not pay for gRPC.
	const { openEtcd } = await import('./etcd.ts');
	return openEtcd({ ...connection, log });
}
