/** Pods by the pairs of their labels: those that a selector means are found without a scan of all. */
import type { Cache } from '../../client/informer.ts';
import { matchRequirements, Pod, parseLabelSelector } from '../../kinds/index.ts';
import { index } from './controller.ts';

const PAIR = 'label-pair';

export const pair = (namespace: string | undefined, key: string, value: string) => `${namespace}/${key}=${value}`;

/** To be declared by a controller that looks pods up here. */
export const podPairs = index(Pod, PAIR, ({ metadata: { namespace, labels } }) =>
	Object.entries(labels ?? {}).map(([key, value]) => pair(namespace, key, value)),
);

/** Those that have the pair. */
export const podsWith = (cache: Cache, value: string): Iterable<Pod> => cache.informer(Pod).by(PAIR, value);

/** The pods of a namespace that the text of a selector means, by name. Throws ApiError BadRequest where it is none. */
export function selectedPods(cache: Cache, namespace: string | undefined, selector: string): Pod[] {
	const requirements = parseLabelSelector(selector);
	const matches = matchRequirements(requirements);
	const one = requirements.find(({ operator, values }) => operator === 'In' && values.length === 1);
	const candidates = one
		? podsWith(cache, pair(namespace, one.key, one.values[0] ?? ''))
		: cache.informer(Pod).by('namespace', namespace ?? '');
	const found = Array.from(candidates).filter(({ metadata }) => matches(metadata.labels));
	return found.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}
