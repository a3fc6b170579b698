/**
 * Which pod goes first when a node runs out of something: pure. Source: Kubernetes documentation, "Pod selection for kubelet
 * eviction": whether the use exceeds the requests, priority, how far it exceeds them.
 */
import { MIRROR_ANNOTATION, type Pod, requestsOf } from '../../kinds/index.ts';
import { binary, type Signal } from './thresholds.ts';

/** What a pod uses; absent is not known, and counts as nothing. */
export interface Use {
	/** Bytes of its working set. */
	readonly memory?: number;
	/** Bytes of the node's disk: what its containers write, their logs, its local volumes. */
	readonly disk?: number;
	readonly inodes?: number;
	readonly tasks?: number;
	/** By container: of memory, and of the disk. */
	readonly containers?: ReadonlyMap<string, { readonly memory?: number; readonly disk?: number }>;
}

export interface Candidate {
	readonly pod: Pod;
	readonly use: Use;
}

/** Pods of this priority or more are the system's. Source: Kubernetes documentation, "Guaranteed Scheduling For Critical Add-On Pods". */
const SYSTEM_CRITICAL = 2_000_000_000;

/** Whether no pressure of the node evicts the pod. */
export const isCritical = ({ metadata, spec }: Pod): boolean =>
	metadata.annotations?.[MIRROR_ANNOTATION] !== undefined || (spec.priority ?? 0) >= SYSTEM_CRITICAL;

/** The resource that a signal is about, as requests name it. */
export const resourceOf = (signal: Signal): string => {
	if (signal === 'memory.available') return 'memory';
	if (signal === 'pid.available') return 'pids';
	return signal.endsWith('inodesFree') ? 'inodes' : 'ephemeral-storage';
};

/** The pods in the order in which they go; critical ones are left out. */
export function rank(candidates: readonly Candidate[], signal: Signal): readonly Candidate[] {
	const resource = resourceOf(signal);
	const used = ({ use }: Candidate) =>
		({ memory: use.memory, 'ephemeral-storage': use.disk, inodes: use.inodes, pids: use.tasks })[resource] ?? 0;
	const requested = ({ pod }: Candidate) => requestsOf(pod)[resource] ?? 0;
	const weighed = candidates
		.filter(({ pod }) => !isCritical(pod))
		.map((candidate) => ({
			candidate,
			exceeds: used(candidate) > requested(candidate),
			priority: candidate.pod.spec.priority ?? 0,
			beyond: used(candidate) - requested(candidate),
		}));
	// Of processes and inodes pods request none: there the requests say nothing.
	const counts = resource === 'memory' || resource === 'ephemeral-storage';
	return weighed
		.sort(
			(a, b) => (counts ? Number(b.exceeds) - Number(a.exceeds) : 0) || a.priority - b.priority || b.beyond - a.beyond,
		)
		.map(({ candidate }) => candidate);
}

/** Why a pod goes, in the kubelet's words. */
export function evictionMessage(
	{ pod, use }: Candidate,
	signal: Signal,
	{ threshold, available }: { readonly threshold: string; readonly available: number },
): string {
	const resource = resourceOf(signal);
	const left =
		resource === 'memory' || resource === 'ephemeral-storage' ? `${Math.floor(available / 1024)}Ki` : String(available);
	const start = `The node was low on resource: ${resource}. Threshold quantity: ${threshold}, available: ${left}. `;
	const larger = [...(use.containers ?? [])].flatMap(([name, own]) => {
		const used = resource === 'memory' ? own.memory : resource === 'ephemeral-storage' ? own.disk : undefined;
		const request = pod.spec.containers.find((one) => one.name === name)?.resources?.requests?.[resource] ?? '0';
		if (
			used === undefined ||
			used <=
				(requestsOf({ ...pod, spec: { containers: [{ name, resources: { requests: { [resource]: request } } }] } })[
					resource
				] ?? 0)
		)
			return [];
		return [
			`Container ${name} was using ${binary(Math.floor(used / 1024) * 1024)}, request is ${request}, has larger consumption of ${resource}. `,
		];
	});
	return start + larger.join('');
}
