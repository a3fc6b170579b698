/**
 * Claims: values that only one object of the cluster may hold, as its kind declares them. Each is a key of the store beside
 * the objects, written and removed in the same commit, so that two servers cannot give out one value twice.
 */
import type { Kind } from '../../kinds/kind.ts';
import type { Key, KubeObject } from '../../kinds/object.ts';
import type { Expectation } from '../../store/store.ts';

const claimPrefix = '/claims/';

/** What a commit must add so that the claims follow the object. */
export interface ClaimChange {
	readonly puts: readonly { readonly key: string; readonly value: Uint8Array }[];
	readonly deletes: readonly string[];
	readonly expect: readonly Expectation[];
}

const none: ClaimChange = { puts: [], deletes: [], expect: [] };

/** The key of the store that stands for a claimed value. */
export const claimKey = (value: string): string => `${claimPrefix}${value}`;

/** The claimed value that a key of the store stands for; undefined for other keys. */
export const claimOf = (storeKey: string): string | undefined =>
	storeKey.startsWith(claimPrefix) ? storeKey.slice(claimPrefix.length) : undefined;

export function claimChange(
	kind: Kind,
	key: Key,
	before: KubeObject | undefined,
	after: KubeObject | undefined,
): ClaimChange {
	const had = before ? kind.claims(before) : [];
	const has = after ? kind.claims(after) : [];
	if (had.length === 0 && has.length === 0) return none;
	// An object may name a value twice; it is one key.
	const taken = [...new Set(has)].filter((value) => !had.includes(value));
	const freed = [...new Set(had)].filter((value) => !has.includes(value));
	if (taken.length === 0 && freed.length === 0) return none;
	return {
		puts: taken.map((value) => ({ key: claimKey(value), value: Buffer.from(key) })),
		deletes: freed.map(claimKey),
		expect: taken.map((value) => ({ key: claimKey(value), modified: 'absent' })),
	};
}
