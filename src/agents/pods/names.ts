/** What names a pod and its containers, so that the engine's own list of them is the agent's memory. */
import { createHash } from 'node:crypto';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import type { PodIdentity } from '../engine/index.ts';

export const identityOf = (pod: Pod, node: string): PodIdentity => ({
	node,
	uid: uidOf(pod),
	namespace: pod.metadata.namespace ?? '',
	name: pod.metadata.name,
});

/** A stored pod always has a uid; without one nothing of it could be told from its namesake. */
export function uidOf(pod: Pod): string {
	if (!pod.metadata.uid) throw new Error(`the pod ${pod.metadata.namespace}/${pod.metadata.name} has no uid`);
	return pod.metadata.uid;
}

/** `NAME_NAMESPACE(UID)`, as the kubelet's messages name a pod. */
export const podTitle = (pod: Pod) => `${pod.metadata.name}_${pod.metadata.namespace}(${uidOf(pod)})`;

/** Changes when a running container must be replaced: its image is the only field of it that may change in place. */
export function specHash(container: core.Container): string {
	const text = JSON.stringify([container.name, container.image]);
	return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
