/**
 * What becomes of an object whose owners go. Source of the rules: Kubernetes documentation, "Garbage Collection" and
 * "Owners and Dependents".
 */
import type { KubeObject, OwnerReference } from '../../kinds/index.ts';

/** An owner with this finalizer stays until the dependents that block its deletion are gone. */
export const FOREGROUND = 'foregroundDeletion';
/** An owner with this finalizer stays until its dependents no longer name it. */
export const ORPHAN = 'orphan';

/**
 * `present`: exists and stays, or goes without waiting. `foreground`: is being deleted and waits for its dependents. `absent`:
 * does not exist. `unknown`: of a kind that the server does not have, or not visible from where its dependent is; such an
 * owner counts as present.
 */
export type OwnerState = 'present' | 'foreground' | 'absent' | 'unknown';

export type Verdict =
	| { readonly do: 'keep' }
	/** Take the references to these owners away. */
	| { readonly do: 'disown'; readonly uids: readonly string[] }
	| { readonly do: 'delete'; readonly policy: 'Background' | 'Foreground' | 'Orphan' };

/**
 * Judges an object by its owners: it lives as long as one of them does. `states` has the state of each owner by uid,
 * `hasDependents` tells whether the object owns others itself.
 */
export function judge(object: KubeObject, states: ReadonlyMap<string, OwnerState>, hasDependents: boolean): Verdict {
	const { ownerReferences = [], finalizers = [], deletionTimestamp } = object.metadata;
	if (ownerReferences.length === 0 || deletionTimestamp) return { do: 'keep' };
	const gone = ownerReferences.filter(({ uid }) => isGoing(states.get(uid)));
	if (gone.length < ownerReferences.length) {
		return gone.length > 0 ? { do: 'disown', uids: gone.map(({ uid }) => uid) } : { do: 'keep' };
	}
	const waited = gone.some(({ uid }) => states.get(uid) === 'foreground');
	if (waited && hasDependents) return { do: 'delete', policy: 'Foreground' };
	if (finalizers.includes(ORPHAN)) return { do: 'delete', policy: 'Orphan' };
	return { do: 'delete', policy: finalizers.includes(FOREGROUND) ? 'Foreground' : 'Background' };
}

const isGoing = (state: OwnerState | undefined) => state === 'foreground' || state === 'absent';

/** Whether the object is being deleted and has the finalizer. */
export function waitsFor(object: KubeObject | undefined, finalizer: string): boolean {
	return Boolean(object?.metadata.deletionTimestamp && object.metadata.finalizers?.includes(finalizer));
}

/** Whether the dependent keeps its owner, which is being deleted in the foreground, from going. */
export function blocks(dependent: KubeObject, owner: string): boolean {
	return Boolean(
		dependent.metadata.ownerReferences?.some(({ uid, blockOwnerDeletion }) => uid === owner && blockOwnerDeletion),
	);
}

/** Whether two versions of an object differ in what the garbage collector looks at. */
export function concerns(object: KubeObject, old: KubeObject | undefined): boolean {
	const { ownerReferences, deletionTimestamp, finalizers } = object.metadata;
	if (!ownerReferences?.length && !deletionTimestamp) return false;
	if (!old) return true;
	return (
		deletionTimestamp !== old.metadata.deletionTimestamp ||
		!sameOwners(ownerReferences, old.metadata.ownerReferences) ||
		finalizers?.join() !== old.metadata.finalizers?.join()
	);
}

/** Whether the same owners are named, blocked alike. */
export function sameOwners(one: readonly OwnerReference[] = [], other: readonly OwnerReference[] = []): boolean {
	return (
		one.length === other.length &&
		one.every(({ uid, blockOwnerDeletion }, at) => {
			const counterpart = other[at];
			return counterpart?.uid === uid && Boolean(counterpart.blockOwnerDeletion) === Boolean(blockOwnerDeletion);
		})
	);
}
