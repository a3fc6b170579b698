/** Which autoscalers have a pod among those of their target: more than one would pull in different directions. */
import { type Key, type LabelPredicate, matchRequirements, type Pod, parseLabelSelector } from '../../kinds/index.ts';
import { pair } from '../runtime/label-pairs.ts';

export interface Selecting {
	/** Remembers the selector of an autoscaler's target. */
	set(key: Key, namespace: string, selector: string): void;
	delete(key: Key): void;
	/** Those that select any of the pods, by key. */
	of(pods: Iterable<Pod>): readonly Key[];
}

export function createSelecting(): Selecting {
	const known = new Map<Key, { readonly selector: string; readonly place: string; readonly matches: LabelPredicate }>();
	/** By a pair of labels that the selector asks for; by the namespace where it asks for none. */
	const places = new Map<string, Set<Key>>();
	const self: Selecting = {
		set(key, namespace, selector) {
			if (known.get(key)?.selector === selector) return;
			self.delete(key);
			const requirements = parseLabelSelector(selector);
			const one = requirements.find(({ operator, values }) => operator === 'In' && values.length === 1);
			const place = one ? pair(namespace, one.key, one.values[0] ?? '') : namespace;
			known.set(key, { selector, place, matches: matchRequirements(requirements) });
			const there = places.get(place) ?? new Set();
			places.set(place, there.add(key));
		},
		delete(key) {
			const { place = '' } = known.get(key) ?? {};
			const there = places.get(place);
			there?.delete(key);
			if (there?.size === 0) places.delete(place);
			known.delete(key);
		},
		of(pods) {
			const found = new Set<Key>();
			for (const { metadata } of pods) {
				const { namespace = '', labels } = metadata;
				const pairs = Object.entries(labels ?? {}).map(([key, value]) => pair(namespace, key, value));
				for (const place of [namespace, ...pairs])
					for (const key of places.get(place) ?? [])
						if (!found.has(key) && known.get(key)?.matches(labels)) found.add(key);
			}
			return [...found].sort();
		},
	};
	return self;
}
