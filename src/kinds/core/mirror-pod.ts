/** Pods that a file on a node says, and what stands for them in the API. Source: Kubernetes documentation, "Create static Pods". */
import type { PodSpec } from 'kubernetes-types/core/v1.js';

/** Where a pod comes from: `file` for a static one, `api` else. */
export const CONFIG_SOURCE_ANNOTATION = 'kubernetes.io/config.source';
/** What the file says, as one short text: another one is another pod. */
export const CONFIG_HASH_ANNOTATION = 'kubernetes.io/config.hash';
/** On the pod in the API that stands for a static one: the same text. It may not change. */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
/** When the node has read it first. */
export const CONFIG_SEEN_ANNOTATION = 'kubernetes.io/config.seen';

/** What of the API a pod refers to, if anything: a static pod may not, since its node may read nothing for it. */
export function apiReference({
	serviceAccountName,
	volumes = [],
	imagePullSecrets = [],
	...spec
}: PodSpec): string | undefined {
	if (serviceAccountName) return 'service account';
	if (imagePullSecrets.length > 0) return 'Secret';
	for (const { secret, configMap, persistentVolumeClaim, ephemeral, projected, csi } of volumes) {
		const sources = projected?.sources ?? [];
		if (secret || csi?.nodePublishSecretRef || sources.some((one) => one.secret)) return 'Secret';
		if (configMap || sources.some((one) => one.configMap)) return 'ConfigMap';
		if (sources.some((one) => one.serviceAccountToken)) return 'service account';
		if (persistentVolumeClaim || ephemeral) return 'PersistentVolumeClaim';
	}
	for (const { env = [], envFrom = [] } of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
		if (env.some(({ valueFrom }) => valueFrom?.secretKeyRef) || envFrom.some(({ secretRef }) => secretRef))
			return 'Secret';
		if (env.some(({ valueFrom }) => valueFrom?.configMapKeyRef) || envFrom.some(({ configMapRef }) => configMapRef))
			return 'ConfigMap';
	}
	return undefined;
}
