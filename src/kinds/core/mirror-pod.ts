/** Pods that a file on a node says, and what stands for them in the API. Source: Kubernetes documentation, "Create static Pods". */

/** Where a pod comes from: `file` for a static one, `api` else. */
export const CONFIG_SOURCE_ANNOTATION = 'kubernetes.io/config.source';
/** What the file says, as one short text: another one is another pod. */
export const CONFIG_HASH_ANNOTATION = 'kubernetes.io/config.hash';
/** On the pod in the API that stands for a static one: the same text. It may not change. */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
/** When the node has read it first. */
export const CONFIG_SEEN_ANNOTATION = 'kubernetes.io/config.seen';
