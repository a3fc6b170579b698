/** When a pod must leave a node because of its taints. Source: Kubernetes documentation, "Taint based Evictions". */
import type { Taint, Toleration } from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { tolerates } from '../scheduling/tolerations.ts';
import { timeOf } from '../workloads/pod-state.ts';
import { NOT_READY, UNREACHABLE } from './node-health.ts';

/** Why a pod is evicted: by a taint that the node's own state made, or by one that somebody set. */
export interface Eviction {
	/** Milliseconds since the epoch. */
	readonly at: number;
	readonly taint: Taint;
}

/** The first eviction that the taints ask for; undefined when the pod tolerates all of them for ever. */
export function evictionOf(pod: Pod, taints: readonly Taint[]): Eviction | undefined {
	let first: Eviction | undefined;
	for (const taint of taints) {
		if (taint.effect !== 'NoExecute') continue;
		const seconds = tolerationSeconds(pod.spec.tolerations ?? [], taint);
		if (seconds === undefined) continue;
		const at = (timeOf(taint.timeAdded) ?? 0) + seconds * 1000;
		if (!first || at < first.at) first = { at, taint };
	}
	return first;
}

export const isOfNodeState = ({ key }: Taint) => key === NOT_READY || key === UNREACHABLE;

/** For how long the tolerations bear the taint: the shortest of them; undefined for ever. */
function tolerationSeconds(tolerations: readonly Toleration[], taint: Taint): number | undefined {
	const fitting = tolerations.filter((toleration) => tolerates(toleration, taint));
	if (fitting.length === 0) return 0;
	const limits = fitting.flatMap((toleration) => toleration.tolerationSeconds ?? []);
	return limits.length > 0 ? Math.max(0, Math.min(...limits)) : undefined;
}
