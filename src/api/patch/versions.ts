/**
 * Ownership over several versions of a kind: a manager's fields are named as the version says that it wrote, so what a
 * change did to them is looked at in that version. Source: KEP-555, "Version conversion".
 */
import type { MapType } from '../../kinds/mergetype.ts';
import type { Dynamic } from '../../kinds/object.ts';
import { compare, type Delta } from './compare.ts';

/** An object in one of the versions of its kind. */
export interface Seen {
	readonly type: MapType;
	readonly object: Dynamic;
}

/** The same object in another version; undefined where that version is not served (any more). */
export type Versions = (apiVersion: string, object: Dynamic) => Seen | undefined;

/** What a change did, by version; `unserved` where nobody can say. */
export type DeltaIn = (apiVersion: string) => Delta | undefined | 'unserved';

/** `delta` is what the change did in the version `apiVersion`. Without `versions` the kind has but one. */
export function deltaIn(
	versions: Versions | undefined,
	apiVersion: string,
	delta: Delta | undefined,
	before: Dynamic | undefined,
	after: Dynamic,
): DeltaIn {
	if (!versions) return () => delta;
	return (other) => {
		if (other === apiVersion) return delta;
		const now = versions(other, after);
		const then = before && versions(other, before);
		if (!now || !then) return 'unserved';
		return compare(now.type, then.object, now.object);
	};
}
