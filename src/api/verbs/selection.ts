/** What a request selects of a collection: label and field selectors as one predicate, and where to look for what matches. */
import { type KubeObject, keyOf } from '../../kinds/object.ts';
import { type FieldTerm, fieldReaders, fieldTerms, labelPredicate, matchFields } from '../../kinds/selectors.ts';
import type { Collection } from '../api.ts';
import type { Trigger } from '../cache/feed.ts';
import type { StoredObject } from '../storage.ts';

export type Matches = (stored: StoredObject) => boolean;

export interface Selectors {
	readonly labelSelector?: string;
	readonly fieldSelector?: string;
}

export interface Selection {
	/** Absent where everything of the namespace is selected. */
	readonly matches?: Matches;
	/** All that is selected lies in it; absent for all namespaces. */
	readonly namespace?: string;
	/** The key of the only object that can be selected, where that is known. */
	readonly key?: string;
	/** What all selected objects have in common, where they have something. */
	readonly trigger?: Trigger;
	/** Whether few objects have that in common: then they are found by it, and not among all others. */
	readonly few: boolean;
}

/** Throws 400 for selectors that cannot be parsed, or a field the kind has not. */
export function select<T extends KubeObject>(
	{ kind, namespace: asked }: Collection<T>,
	{ labelSelector, fieldSelector }: Selectors,
): Selection {
	const labels = labelSelector ? labelPredicate(labelSelector) : undefined;
	const terms = fieldSelector ? fieldTerms(kind, fieldSelector) : [];
	const readers = fieldReaders(kind);
	const fields = terms.length > 0 ? matchFields(terms) : undefined;
	const matches = (stored: StoredObject) => {
		const attributes = stored.attributes(readers);
		return (!labels || labels(attributes.labels)) && (!fields || fields(attributes.fields));
	};
	const equal = terms.filter(({ negated }) => !negated);
	const required = (path: string) => equal.find((term) => term.path === path)?.value;
	const namespace = asked ?? (kind.namespaced ? required('metadata.namespace') : undefined);
	const name = required('metadata.name');
	const only = name !== undefined && (namespace !== undefined || !kind.namespaced);
	const key = only ? keyOf({ metadata: { name, namespace } }) : undefined;
	const reader = (path: string) => (stored: StoredObject) => stored.attributes(readers).fields[path] ?? '';
	return {
		matches: labels || fields ? matches : undefined,
		namespace,
		key,
		trigger: triggerOf(key, name, namespace, equal, reader),
		few: key === undefined && equal.some(({ path }) => isIdentifying(path)),
	};
}

/** The narrowest of what the selected objects have in common. */
function triggerOf(
	key: string | undefined,
	name: string | undefined,
	namespace: string | undefined,
	equal: readonly FieldTerm[],
	reader: (path: string) => Trigger['read'],
): Trigger | undefined {
	if (key !== undefined) return { field: 'key', value: key, read: (_, each) => each };
	if (name !== undefined)
		return { field: 'metadata.name', value: name, read: (_, each) => each.slice(each.lastIndexOf('/') + 1) };
	const [narrowest] = equal.filter(({ path }) => path !== 'metadata.namespace').toSorted((a, b) => rank(a) - rank(b));
	if (narrowest) return { field: narrowest.path, value: narrowest.value, read: reader(narrowest.path) };
	if (namespace !== undefined)
		return { field: 'metadata.namespace', value: namespace, read: (_, each) => each.slice(0, each.indexOf('/')) };
	return undefined;
}

/** Of two fields the one that identifies is the narrower: `involvedObject.uid` before `involvedObject.name` before its kind. */
const identifying = [/uid$/i, /name$/i];
const isIdentifying = (path: string) => identifying.some((pattern) => pattern.test(path));
const rank = ({ path }: FieldTerm) => {
	const found = identifying.findIndex((pattern) => pattern.test(path));
	return found < 0 ? identifying.length : found;
};
