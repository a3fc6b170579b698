/**
 * How the lists and maps of a type merge, and the defaults that merge keys need: what a kind says of the types it brings.
 * The types' package does not carry these. Source: the `+listType`, `+listMapKey`, `+mapType`, `patchStrategy` and
 * `patchMergeKey` markers that the Kubernetes API reference publishes as `x-kubernetes-*` extensions.
 */
import type { Schema } from './schema.ts';

export type Extensions = Pick<
	Schema,
	| 'default'
	| 'x-kubernetes-list-type'
	| 'x-kubernetes-list-map-keys'
	| 'x-kubernetes-map-type'
	| 'x-kubernetes-patch-strategy'
	| 'x-kubernetes-patch-merge-key'
>;

/** By OpenAPI name of the type, then by field; `.` is the type itself. */
export type Merges = Readonly<Record<string, Readonly<Record<string, Extensions>>>>;

export const atomic: Extensions = { 'x-kubernetes-list-type': 'atomic' };
export const set: Extensions = { 'x-kubernetes-list-type': 'set' };
export const atomicMap: Extensions = { 'x-kubernetes-map-type': 'atomic' };
/** Objects of the type are one value in server-side apply: who sets one of the fields sets them all. */
export const wholly = { '.': atomicMap };
/** Strategic merge only. */
export const patch = (strategy: string, key?: string): Extensions => ({
	'x-kubernetes-patch-strategy': strategy,
	...(key && { 'x-kubernetes-patch-merge-key': key }),
});
/** Server-side apply only. */
export const map = (...keys: string[]): Extensions => ({
	'x-kubernetes-list-type': 'map',
	'x-kubernetes-list-map-keys': keys,
});
/** Both: merged by `keys` in server-side apply, and by the first of them in a strategic merge patch. */
export const merge = (...keys: string[]): Extensions => ({ ...map(...keys), ...patch('merge', keys[0]) });
export const retainKeys = (key: string): Extensions => ({ ...map(key), ...patch('merge,retainKeys', key) });
/** A protocol that is a part of a merge key. */
export const tcp: Extensions = { default: 'TCP' };
export const conditions = { conditions: merge('type') };

const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';

/** The types that every kind has. */
export const metaMerges: Merges = {
	[`${meta}.ObjectMeta`]: {
		finalizers: { ...set, ...patch('merge') },
		managedFields: atomic,
		ownerReferences: merge('uid'),
	},
	[`${meta}.LabelSelectorRequirement`]: { values: atomic },
	[`${meta}.StatusDetails`]: { causes: atomic },
	[`${meta}.DeleteOptions`]: { dryRun: atomic },
	[`${meta}.LabelSelector`]: { ...wholly, matchExpressions: atomic },
	[`${meta}.OwnerReference`]: wholly,
};
