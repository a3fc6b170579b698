/** How a pod's containers are named and labelled, so that the engine's own list is the agent's memory. Source: cri-dockerd naming. */
import { createHash } from 'node:crypto';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';

export const labels = {
	podName: 'io.kubernetes.pod.name',
	podNamespace: 'io.kubernetes.pod.namespace',
	podUid: 'io.kubernetes.pod.uid',
	container: 'io.kubernetes.container.name',
	restartCount: 'io.kubernetes.container.restartCount',
	type: 'io.kubernetes.docker.type',
	/** Sandbox that a container belongs to. */
	sandbox: 'io.kubernetes.sandbox.id',
	/** Hash of the part of a container's spec that may change while its pod lives. */
	hash: 'io.kubernetes.container.hash',
	terminationMessagePath: 'io.kubernetes.container.terminationMessagePath',
	/** Seconds that its restart has to wait once it has ended. */
	backoff: 'driftless.io/restart-backoff-seconds',
	/** The node that the container belongs to: several agents may share an engine. */
	node: 'driftless.io/node',
} as const;

export const SANDBOX = 'POD';

/** `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`; the pause container is called POD. */
export function containerName(pod: Pod, container: string, attempt: number): string {
	return ['k8s', container, pod.metadata.name, pod.metadata.namespace, uidOf(pod), attempt].join('_');
}

export function podLabels(pod: Pod, node: string): Record<string, string> {
	return {
		[labels.podName]: pod.metadata.name,
		[labels.podNamespace]: pod.metadata.namespace ?? '',
		[labels.podUid]: uidOf(pod),
		[labels.node]: node,
	};
}

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
