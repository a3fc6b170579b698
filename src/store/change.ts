import type { Change } from './store.ts';

/**
 * At most this many puts and deletes, and this many expectations, in one commit: etcd's default (`--max-txn-ops`). It holds
 * for every store, so that what works on one works on all.
 */
export const MAX_CHANGE_KEYS = 128;

/**
 * At most this many bytes of keys and values in one commit. etcd takes requests of 1.5 MiB (`--max-request-bytes`); the
 * rest of that is left for the expectations and the framing.
 */
export const MAX_CHANGE_BYTES = 1_500_000;

/** A change that no store accepts, however often it is tried: too many keys, or too many bytes. */
export class ChangeTooLarge extends RangeError {
	override readonly name = 'ChangeTooLarge';
}

/**
 * Whether a change is one that every store can make.
 * @throws ChangeTooLarge beyond the limits above; RangeError for a key that is empty, no well-formed text, holds NUL or
 * occurs twice among puts and deletes.
 */
export function checkChange({ puts = [], deletes = [], expect = [] }: Change): void {
	const keys = puts.length + deletes.length;
	if (keys > MAX_CHANGE_KEYS || expect.length > MAX_CHANGE_KEYS) {
		throw new ChangeTooLarge(
			`a commit of ${keys} keys under ${expect.length} expectations: at most ${MAX_CHANGE_KEYS} of each fit in one, split it`,
		);
	}
	let bytes = 0;
	for (const { key, value } of puts) {
		checkKey(key);
		bytes += key.length + value.byteLength;
	}
	for (const key of deletes) {
		checkKey(key);
		bytes += key.length;
	}
	for (const { key } of expect) checkKey(key);
	if (bytes > MAX_CHANGE_BYTES) {
		throw new ChangeTooLarge(
			`a commit of ${bytes} bytes (${firstKey({ puts, deletes })}): at most ${MAX_CHANGE_BYTES} bytes fit in one`,
		);
	}
	if (keys > 1) checkDistinct({ puts, deletes });
}

/** etcd knows no empty key, SQLite's tools end text at a NUL, and a lone surrogate has no UTF-8. */
function checkKey(key: string): void {
	if (key === '' || key.includes('\0') || !key.isWellFormed()) {
		throw new RangeError(`${JSON.stringify(key)} is no key: a key is well-formed text, not empty and without NUL`);
	}
}

function checkDistinct({ puts = [], deletes = [] }: Change): void {
	const seen = new Set<string>();
	for (const key of [...puts.map((put) => put.key), ...deletes]) {
		if (seen.has(key)) throw new RangeError(`${key} occurs twice in one commit`);
		seen.add(key);
	}
}

function firstKey({ puts = [], deletes = [] }: Change): string {
	return puts[0]?.key ?? deletes[0] ?? 'no key';
}
