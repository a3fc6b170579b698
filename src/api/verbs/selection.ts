/** Label and field selectors of a request as one predicate over stored objects. */
import type { Kind } from '../../kinds/kind.ts';
import type { KubeObject } from '../../kinds/object.ts';
import { fieldPredicate, labelPredicate } from '../../kinds/selectors.ts';
import type { StoredObject } from '../storage.ts';

export type Matches = (stored: StoredObject) => boolean;

export interface Selection {
	readonly labelSelector?: string;
	readonly fieldSelector?: string;
}

/** Undefined where everything is selected. Throws 400 for selectors that cannot be parsed, or a field the kind has not. */
export function matcher<T extends KubeObject>(
	kind: Kind<T>,
	{ labelSelector, fieldSelector }: Selection,
): Matches | undefined {
	const labels = labelSelector ? labelPredicate(labelSelector) : undefined;
	const fields = fieldSelector ? fieldPredicate(kind, fieldSelector) : undefined;
	if (!labels && !fields) return undefined;
	// The cache of a kind holds objects of its type only.
	return ({ object }) => (!labels || labels(object.metadata.labels)) && (!fields || fields(object as T));
}
