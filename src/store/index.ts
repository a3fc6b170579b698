/** The door of the store: the contract, and how to open one. */
import { join } from 'node:path';
import type { Log } from '../log.ts';
import { openSqlite } from './sqlite.ts';
import type { Store } from './store.ts';

export { ChangeTooLarge, MAX_CHANGE_BYTES, MAX_CHANGE_KEYS } from './change.ts';
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

/**
 * Opens the store that `url` names: `sqlite` (DATA/store/driftless.db) or `etcd://HOST:PORT[,HOST:PORT...]`.
 * @throws RangeError for a url that is neither; what openSqlite and openEtcd throw.
 */
export async function openStore(url: string, dataDir: string, options: { readonly log?: Log } = {}): Promise<Store> {
	if (url === 'sqlite') return openSqlite(join(dataDir, 'store', 'driftless.db'));
	const endpoints = etcdEndpoints(url);
	// Loaded here only: those who use SQLite do not pay for gRPC.
	const { openEtcd } = await import('./etcd.ts');
	return openEtcd({ endpoints, ...options });
}

const ETCD_URL = /^etcd:\/\/(?<hosts>[^/?#]+)\/?$/;
const ENDPOINT = /^(?:[\w.-]+|\[[\da-f:.]+\]):\d{1,5}$/i;

function etcdEndpoints(url: string): string[] {
	const endpoints = ETCD_URL.exec(url)?.groups?.hosts?.split(',') ?? [];
	if (endpoints.length === 0 || !endpoints.every((endpoint) => ENDPOINT.test(endpoint))) {
		throw new RangeError(`"${url}" names no store: use "sqlite", or "etcd://HOST:PORT[,HOST:PORT...]"`);
	}
	return endpoints;
}
