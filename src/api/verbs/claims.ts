/**
 * Claims: values that only one object of the cluster may hold (a service's cluster IPs and node ports). Each is a key of
 * the store beside the objects, written and removed in the same commit, so that two servers cannot give out one value twice.
 */
import type { Kind } from '../../kinds/kind.ts';
import type { Key, KubeObject } from '../../kinds/object.ts';
import type { Expectation } from '../../store/store.ts';
import type { ServiceAddresses } from './services.ts';

export const claimPrefix = '/claims/';

/** What a commit must add so that the claims follow the object. */
export interface ClaimChange {
	readonly puts: readonly { readonly key: string; readonly value: Uint8Array }[];
	readonly deletes: readonly string[];
	readonly expect: readonly Expectation[];
}

export interface Claims {
	change(kind: Kind, key: Key, before: KubeObject | undefined, after: KubeObject | undefined): ClaimChange;
}

const none: ClaimChange = { puts: [], deletes: [], expect: [] };

/** The claims of services; objects of other kinds claim nothing. */
export function createClaims(addresses: Pick<ServiceAddresses, 'held'>): Claims {
	return {
		change(kind, key, before, after) {
			if (kind.group !== '' || kind.plural !== 'services') return none;
			const had = new Set(before ? addresses.held(before) : []);
			const has = new Set(after ? addresses.held(after) : []);
			const taken = [...has].filter((value) => !had.has(value));
			const freed = [...had].filter((value) => !has.has(value));
			if (taken.length === 0 && freed.length === 0) return none;
			return {
				puts: taken.map((value) => ({ key: `${claimPrefix}${value}`, value: Buffer.from(key) })),
				deletes: freed.map((value) => `${claimPrefix}${value}`),
				expect: taken.map((value) => ({ key: `${claimPrefix}${value}`, modified: 'absent' })),
			};
		},
	};
}
