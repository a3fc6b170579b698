import type { IEvent, IKeyValue, IRangeRequest, IRangeResponse, IResponseHeader, ITxnResponse } from 'etcd3';
import { ChangeTooLarge, checkChange } from './change.ts';
import {
	CALL_TIMEOUT_MS,
	type Connection,
	GRPC,
	isServiceError,
	Members,
	NO_ROOM,
	TOO_LARGE_TO_RECEIVE,
} from './etcd-members.ts';
import { watchEtcd } from './etcd-watch.ts';
import { pageStart, prefixEnd } from './keys.ts';
import {
	type Change,
	Compacted,
	Conflict,
	type Entry,
	type Event,
	type Listing,
	type Page,
	type Revision,
	type Store,
	Unavailable,
} from './store.ts';

/**
 * This process asks etcd each COMPACT_EVERY_MS to forget what is older than HISTORY_MS. Every server on one etcd does so; the
 * later ones find it done. The history outlasts etcd's signs of progress (each 10 minutes), so that also a watch on which
 * nothing happens can resume after a broken connection.
 */
export const COMPACT_EVERY_MS = 5 * 60 * 1000;
export const HISTORY_MS = 15 * 60 * 1000;

/** Ranges are asked for in messages of about this size, in bytes; gRPC refuses those above 4 MiB. */
const MESSAGE_BYTES = 2 * 1024 * 1024;

/** Source: etcd documentation, "Maintenance", section "Space quota". */
const NO_ROOM_MEANS =
	'etcd has no room left and refuses what is written (alarm NOSPACE): compact and defragment it or raise its --quota-backend-bytes, then etcdctl alarm disarm';

/** Entries of the first message of a range, when nothing is known of their size, and how much more the next may hold. */
const FIRST_ENTRIES = 32;
const GROWTH = 8;

export interface EtcdOptions extends Connection {
	/** Comes before every key in etcd, so that others may live beside; `/driftless` by default. */
	readonly prefix?: string;
	/** How long the history is kept, and how often it is cut, in ms: HISTORY_MS and COMPACT_EVERY_MS by default. */
	readonly history?: { readonly keep: number; readonly every: number };
}

/**
 * Opens a store on an etcd cluster (3.4 or newer).
 *
 * A call is answered or rejected with Unavailable within CALL_TIMEOUT_MS; a commit rejected so may have been made. Everything
 * recovers by itself when etcd is back. The limits of etcd's transactions and requests are those of change.ts.
 *
 * @throws Unavailable when no member answers; RangeError without endpoints; Error when etcd refuses the user.
 */
export async function openEtcd(options: EtcdOptions): Promise<Store> {
	if (options.endpoints.length === 0) throw new RangeError('etcd without endpoints: name at least one HOST:PORT');
	const store = new EtcdStore(options);
	try {
		await store.revision();
		return store;
	} catch (error) {
		await store[Symbol.asyncDispose]();
		throw error;
	}
}

class EtcdStore implements Store {
	readonly #members: Members;
	readonly #options: EtcdOptions;
	readonly #prefix: string;
	readonly #compaction: NodeJS.Timeout;
	/** The newest revisions at the last turns of the compaction, oldest first. */
	readonly #past: Revision[] = [];
	#compactionFails = false;
	/** Whether writes are refused for want of room, so that it is said once. */
	#full = false;

	constructor(options: EtcdOptions) {
		this.#options = options;
		this.#members = new Members(options);
		this.#prefix = options.prefix ?? '/driftless';
		this.#compaction = setInterval(() => void this.#compactOld(), options.history?.every ?? COMPACT_EVERY_MS);
	}

	async get(key: string): Promise<Entry | undefined> {
		if (key === '') return undefined;
		const { kvs } = await this.#range({ key: this.#bytes(key) });
		return kvs[0] && this.#entry(kvs[0]);
	}

	async list(prefix: string, page: Page = {}): Promise<Listing> {
		for (;;) {
			try {
				return await this.#list(prefix, page);
			} catch (error) {
				// A compaction overtook a listing of the newest state between two of its messages: begin anew.
				if (!(error instanceof Compacted) || page.revision !== undefined) throw error;
			}
		}
	}

	async revision(): Promise<Revision> {
		const { header } = await this.#range({ key: this.#bytes('\0'), count_only: true });
		return revisionOf(header);
	}

	async commit(change: Change): Promise<Revision> {
		checkChange(change);
		const { puts = [], deletes = [], expect = [] } = change;
		const request = {
			compare: expect.map(({ key, modified }) => ({
				key: this.#bytes(key),
				target: 'Mod',
				result: 'Equal',
				mod_revision: modified === 'absent' ? 0 : modified,
			})),
			success: [
				...puts.map(({ key, value }) => ({ request_put: { key: this.#bytes(key), value } })),
				...deletes.map((key) => ({ request_delete_range: { key: this.#bytes(key) } })),
			],
			// To tell which expectation did not hold.
			failure: expect.map(({ key }) => ({ request_range: { key: this.#bytes(key), keys_only: true } })),
		};
		const answer = await this.#call<ITxnResponse>('txn', request, { repeatable: false });
		// A full etcd still takes deletes.
		if (this.#full && answer.succeeded && puts.length > 0) {
			this.#full = false;
			this.#options.log?.info({}, 'etcd has room again');
		}
		if (answer.succeeded) return revisionOf(answer.header);
		const failed = expect.find(({ modified }, index) => {
			const found = answer.responses[index]?.response_range?.kvs[0];
			return (found ? Number(found.mod_revision) : 'absent') !== modified;
		});
		throw new Conflict(failed?.key ?? expect[0]?.key ?? '');
	}

	watch(prefix: string, after: Revision, signal: AbortSignal): AsyncIterable<readonly Event[]> {
		return watchEtcd(
			this.#members,
			{ ...this.#bounds(prefix, prefix), toEvent: (raw) => this.#event(raw) },
			after,
			signal,
		);
	}

	async compact(upTo: Revision): Promise<void> {
		if (upTo < 1) return;
		try {
			await this.#members.call('compact', { revision: upTo }, { repeatable: true });
		} catch (error) {
			if (!isServiceError(error) || error.code !== GRPC.outOfRange) throw error;
			// Otherwise it has been done already.
			if (!error.details.includes('compacted')) throw yetToCome(upTo, error);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		clearInterval(this.#compaction);
		this.#members.close();
	}

	async #list(prefix: string, { limit = Number.POSITIVE_INFINITY, after, revision: asked }: Page): Promise<Listing> {
		const entries: Entry[] = [];
		let start = pageStart(prefix, after);
		let revision = asked;
		let size = FIRST_ENTRIES;
		for (;;) {
			const wanted = Math.min(limit - entries.length, size);
			const request = {
				...this.#bounds(start, prefix),
				// 0 is "the newest" to etcd; the empty store is its revision 1.
				revision: revision === undefined ? 0 : Math.max(revision, 1),
				...(limit === 0 ? { count_only: true } : { limit: wanted }),
			};
			const found = await this.#range(request).catch((error: unknown) => {
				if (wanted > 1 && isTooLarge(error)) return undefined;
				throw error;
			});
			if (!found) {
				size = Math.floor(wanted / 2);
				continue;
			}
			revision ??= revisionOf(found.header);
			let bytes = 0;
			for (const kv of found.kvs) {
				entries.push(this.#entry(kv));
				bytes += kv.key.length + kv.value.length;
			}
			const remaining = Number(found.count) - found.kvs.length;
			const last = entries.at(-1);
			if (remaining === 0 || entries.length >= limit || !last) {
				return { entries, revision, more: remaining > 0 };
			}
			start = pageStart(prefix, last.key);
			size = Math.max(1, Math.min(wanted * GROWTH, Math.floor((MESSAGE_BYTES * found.kvs.length) / bytes)));
		}
	}

	async #range(request: IRangeRequest): Promise<IRangeResponse> {
		return this.#call('range', request, { repeatable: true, asked: Number(request.revision ?? 0) });
	}

	/** `asked` is the revision that the request is about, for the error that etcd may give. */
	async #call<Response>(
		method: string,
		request: object,
		{ repeatable, asked = 0 }: { repeatable: boolean; asked?: Revision },
	): Promise<Response> {
		try {
			return await this.#members.call<Response>(method, request, { repeatable });
		} catch (error) {
			if (!isServiceError(error)) throw error;
			if (error.code === GRPC.outOfRange && error.details.includes('compacted')) {
				throw new Compacted(await this.#oldest(asked));
			}
			if (error.code === GRPC.outOfRange) throw yetToCome(asked, error);
			if (error.details.includes('request is too large') || error.details.includes('too many operations')) {
				throw new ChangeTooLarge(`etcd refuses the commit: ${error.details}`, { cause: error });
			}
			if (isTooLarge(error)) throw error;
			if (NO_ROOM.test(error.details)) {
				if (!this.#full) this.#options.log?.error({}, NO_ROOM_MEANS);
				this.#full = true;
				// The write that meets the quota first is made all the same, and answered like those after it.
				throw new Unavailable(`${NO_ROOM_MEANS}; the commit may have been made or not`, { cause: error });
			}
			throw new Error(`etcd refuses the ${method}: ${error.details}`, { cause: error });
		}
	}

	/** The oldest revision that etcd keeps, which it tells only to a watch that asks for an older one. */
	async #oldest(compacted: Revision): Promise<Revision> {
		const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
		const nothing = {
			key: this.#bytes('\0'),
			range_end: this.#bytes('\0\0'),
			toEvent: (raw: IEvent) => this.#event(raw),
		};
		try {
			for await (const _ of watchEtcd(this.#members, nothing, compacted, signal));
		} catch (error) {
			if (error instanceof Compacted) return error.oldest;
			throw error;
		}
		return compacted + 1;
	}

	async #compactOld(): Promise<void> {
		try {
			this.#past.push(await this.revision());
			const { keep, every } = this.#options.history ?? { keep: HISTORY_MS, every: COMPACT_EVERY_MS };
			const oldest = this.#past.length > keep / every ? this.#past.shift() : undefined;
			if (oldest !== undefined) await this.compact(oldest);
			this.#compactionFails = false;
		} catch (error) {
			if (this.#members.closing.aborted) return;
			if (!this.#compactionFails) {
				this.#options.log?.warn({ cause: String(error) }, 'etcd was not compacted; trying again');
			}
			this.#compactionFails = true;
		}
	}

	/** From the key `start` to the end of `prefix`. Without a prefix of its own the range may end at etcd's end of all keys. */
	#bounds(start: string, prefix: string): { key: Buffer; range_end: Buffer } {
		return {
			key: this.#bytes(start === '' ? '\0' : start),
			range_end: Buffer.from(prefixEnd(this.#prefix + prefix) ?? '\0'),
		};
	}

	#bytes(key: string): Buffer {
		return Buffer.from(this.#prefix + key);
	}

	#key(bytes: Buffer): string {
		return bytes.toString('utf8', Buffer.byteLength(this.#prefix));
	}

	#entry({ key, value, create_revision, mod_revision }: IKeyValue): Entry {
		return {
			key: this.#key(key),
			// A copy: what comes is a view that would keep its whole message in memory.
			value: new Uint8Array(value),
			created: Number(create_revision),
			modified: Number(mod_revision),
		};
	}

	#event({ type, kv }: IEvent): Event {
		const { key, value, created, modified: revision } = this.#entry(kv);
		return type === 'Delete' ? { type: 'delete', key, revision } : { type: 'put', key, value, created, revision };
	}
}

const revisionOf = ({ revision }: IResponseHeader): Revision => Number(revision);

function yetToCome(revision: Revision, cause: Error): RangeError {
	return new RangeError(`revision ${revision} is yet to come`, { cause });
}

function isTooLarge(error: unknown): boolean {
	return isServiceError(error) && error.code === GRPC.resourceExhausted && TOO_LARGE_TO_RECEIVE.test(error.details);
}
