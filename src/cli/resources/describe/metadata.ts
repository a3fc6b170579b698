/** The beginning of every description. */
import type { KubeObject } from '../../../kinds/index.ts';
import { type Entry, field, pairs } from './layout.ts';

/** What `apply` of kubectl keeps for itself: nobody reads it. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

export function nameFields({ metadata }: KubeObject): Entry[] {
	return [
		field('Name', metadata.name),
		...(metadata.namespace === undefined ? [] : [field('Namespace', metadata.namespace)]),
	];
}

export function labelFields({ metadata }: KubeObject): Entry[] {
	const { [LAST_APPLIED]: _, ...annotations } = metadata.annotations ?? {};
	return [field('Labels', pairs(metadata.labels)), field('Annotations', pairs(annotations, ': '))];
}

/** `ReplicaSet/web-5d8c7` of the owner that controls the object; nothing where none does. */
export function controlledBy({ metadata }: KubeObject): Entry[] {
	const owner = metadata.ownerReferences?.find(({ controller }) => controller);
	return owner ? [field('Controlled By', `${owner.kind}/${owner.name}`)] : [];
}
