/**
 * Whether a pod takes more of the node's disk than it may: pure. Source: Kubernetes documentation, "Local ephemeral storage", and the
 * kubelet's words.
 */
import { limitsOf, type Pod, quantity } from '../../kinds/index.ts';

/** Bytes of the disk that a pod takes. */
export interface DiskUse {
	/** By volume. */
	readonly volumes: ReadonlyMap<string, number>;
	/** By container: what it writes, with its log. */
	readonly containers: ReadonlyMap<string, number>;
}

const STORAGE = 'ephemeral-storage';

/** Whether anything of the pod has a limit of the disk, so that it is worth a look. */
export function hasStorageLimit({ spec }: Pod): boolean {
	return (
		(spec.volumes ?? []).some(({ emptyDir }) => emptyDir?.sizeLimit && emptyDir.medium !== 'Memory') ||
		[...spec.containers, ...(spec.initContainers ?? [])].some(({ resources }) => resources?.limits?.[STORAGE])
	);
}

/** Why the pod is evicted for it; undefined where it keeps its limits. */
export function exceeded(pod: Pod, use: DiskUse): string | undefined {
	for (const { name, emptyDir } of pod.spec.volumes ?? []) {
		const limit = emptyDir?.medium === 'Memory' ? undefined : emptyDir?.sizeLimit;
		if (limit && quantity(limit) > 0 && (use.volumes.get(name) ?? 0) > quantity(limit))
			return `Usage of EmptyDir volume "${name}" exceeds the limit "${limit}". `;
	}
	const total = limitsOf(pod)[STORAGE];
	const claimed = new Set(
		(pod.spec.volumes ?? []).filter(({ emptyDir }) => emptyDir?.medium === 'Memory').map(({ name }) => name),
	);
	const sum = (map: ReadonlyMap<string, number>) =>
		[...map].reduce((all, [name, bytes]) => all + (claimed.has(name) ? 0 : bytes), 0);
	if (total !== undefined && sum(use.volumes) + sum(use.containers) > total)
		return `Pod ephemeral local storage usage exceeds the total limit of containers ${textOf(total)}. `;
	for (const { name, resources } of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]) {
		const limit = resources?.limits?.[STORAGE];
		if (limit && (use.containers.get(name) ?? 0) > quantity(limit))
			return `Container ${name} exceeded its local ephemeral storage limit "${limit}". `;
	}
	return undefined;
}

function textOf(bytes: number): string {
	for (const [unit, size] of [
		['Gi', 2 ** 30],
		['Mi', 2 ** 20],
		['Ki', 2 ** 10],
	] as const)
		if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
	return String(bytes);
}
