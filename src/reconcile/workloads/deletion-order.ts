/**
 * Which pods of a ReplicaSet go first when it has too many.
 * Source: Kubernetes documentation, "ReplicaSet", section "Scaling a ReplicaSet", and KEP-2185 (random-pod-select-on-replicaset-downscale).
 */
import type { Pod, ScaleDown } from '../../kinds/index.ts';
import { isActive, isReady, readySince, restarts, timeOf } from './pod-state.ts';

const deletionCost = 'controller.kubernetes.io/pod-deletion-cost';

/**
 * The pods in the order in which they are to be deleted: without a node, pending, of unknown phase, not ready, newer or older as
 * `first` says, of lower pod-deletion-cost, on nodes with more pods of the same owner, ready for a shorter time, restarted more often, younger.
 * Times are compared by their order of magnitude, so that among pods of about one age chance (the uid) decides.
 * `related` are the pods that count as doubled up on a node: those of all ReplicaSets of one Deployment. `now` in milliseconds.
 */
export function deletionOrder(
	pods: readonly Pod[],
	now: number,
	related: Iterable<Pod> = pods,
	first?: ScaleDown,
): readonly Pod[] {
	if (pods.length < 2) return pods;
	const perNode = new Map<string, number>();
	for (const pod of related) {
		const node = pod.spec.nodeName;
		if (node && isActive(pod)) perNode.set(node, (perNode.get(node) ?? 0) + 1);
	}
	return pods
		.map((pod) => ({
			uid: pod.metadata.uid ?? '',
			pod,
			ranks: [
				pod.spec.nodeName ? 1 : 0,
				phaseRank[pod.status?.phase ?? ''] ?? 1,
				isReady(pod) ? 1 : 0,
				ageRank(pod, first),
				costOf(pod),
				-(perNode.get(pod.spec.nodeName ?? '') ?? 0),
				magnitude(readySince(pod), now),
				-restarts(pod),
				magnitude(timeOf(pod.metadata.creationTimestamp), now),
			],
		}))
		.sort((a, b) => firstDifference(a.ranks, b.ranks) || (a.uid < b.uid ? -1 : 1))
		.map(({ pod }) => pod);
}

const phaseRank: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

/** By the whole second, as creation times are: who says which age goes first means the age. */
function ageRank({ metadata }: Pod, first: ScaleDown | undefined): number {
	const created = timeOf(metadata.creationTimestamp) ?? 0;
	return first === 'newer' ? -created : first === 'older' ? created : 0;
}

/** The documented annotation; one that is no 32-bit integer counts as 0. */
function costOf(pod: Pod): number {
	const text = pod.metadata.annotations?.[deletionCost];
	return text && /^(0|-?[1-9]\d*)$/.test(text) && Math.abs(Number(text)) <= 0x7fffffff ? Number(text) : 0;
}

/** Power of two of the seconds that have passed; a time that is not known sorts first. */
function magnitude(since: number | undefined, now: number): number {
	if (since === undefined) return -1;
	const seconds = Math.floor((now - since) / 1000);
	return seconds < 1 ? 0 : Math.floor(Math.log2(seconds)) + 1;
}

function firstDifference(a: readonly number[], b: readonly number[]): number {
	for (const [index, rank] of a.entries()) {
		const difference = rank - (b[index] ?? 0);
		if (difference !== 0) return difference;
	}
	return 0;
}
