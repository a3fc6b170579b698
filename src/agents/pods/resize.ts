/**
 * What of its node a pod has when its resources change while it runs: all that it asks for, or, where there is no room, what it had.
 * Pure. Source: Kubernetes documentation, "Resize CPU and Memory Resources assigned to Containers", and KEP-1287.
 */
import { isDeepStrictEqual } from 'node:util';
import type * as core from 'kubernetes-types/core/v1.js';
import { allocatedPod, amounts, type Pod, requestsOf, resizePolicyOf } from '../../kinds/index.ts';
import type { Limited } from '../engine/index.ts';
import type { Instance } from './observed.ts';
import { limitsOf } from './resources.ts';

/** Why a pod does not get what it asks for now; `Infeasible` says that it never will on this node. */
export interface Pending {
	readonly reason: 'Deferred' | 'Infeasible';
	readonly message: string;
}

export interface Allocation {
	/** The pod with the resources that it has of the node. */
	readonly pod: Pod;
	readonly pending?: Pending;
}

export interface Room {
	/** The other pods that the node has taken and that are not over. */
	readonly others: () => Iterable<Pod>;
	readonly allocatable: Readonly<Record<string, string>>;
}

/** What of the node the pod has from now on, when it asks for other resources than its status says it has. */
export function allocate(pod: Pod, { others, allocatable }: Room): Allocation {
	const before = allocatedPod(pod);
	if (isDeepStrictEqual(resourcesOf(pod), resourcesOf(before))) return { pod };
	const wanted = requestsOf({ ...pod, status: undefined });
	const had = requestsOf({ ...before, status: undefined });
	const has = amounts(allocatable);
	const grows = ['cpu', 'memory'].filter((name) => (wanted[name] ?? 0) > (had[name] ?? 0) && has[name] !== undefined);
	for (const name of grows) {
		const [requested, capacity] = [wanted[name] ?? 0, has[name] ?? 0];
		if (requested <= capacity) continue;
		const message = `Node didn't have enough capacity: ${name}, requested: ${requested}, capacity: ${capacity}`;
		return { pod: before, pending: { reason: 'Infeasible', message } };
	}
	const present = grows.length > 0 ? [...others()] : [];
	for (const name of grows) {
		const [requested, capacity] = [wanted[name] ?? 0, has[name] ?? 0];
		const used = present.reduce(
			(sum, other) => sum + (requestsOf({ ...allocatedPod(other), status: undefined })[name] ?? 0),
			0,
		);
		if (used + requested <= capacity) continue;
		const message = `Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`;
		return { pod: before, pending: { reason: 'Deferred', message } };
	}
	return { pod };
}

const resourcesOf = ({ spec }: Pod) =>
	[...spec.containers, ...(spec.initContainers ?? [])].map(({ resources }) => resources ?? {});

/** What is to become of a running container whose limits are not those that it is to have; undefined where they are. */
export function resizeOf(
	pod: Pod,
	container: core.Container,
	instance: Pick<Instance, 'limits'>,
	machineMemory: number,
): 'update' | 'restart' | undefined {
	const { limits: now } = instance;
	if (!now) return undefined;
	const wanted = wantedLimits(pod, container, machineMemory);
	const changed = [
		...(now.cpuShares !== wanted.cpuShares || now.cpuQuota !== wanted.cpuQuota ? ['cpu'] : []),
		...(now.memory !== wanted.memory ? ['memory'] : []),
	];
	if (changed.length === 0) return undefined;
	return changed.some((name) => resizePolicyOf(container, name) === 'RestartContainer') ? 'restart' : 'update';
}

/** The limits that the container is to have. */
export function wantedLimits(pod: Pod, container: core.Container, machineMemory: number): Limited {
	const { cpuShares, cpuQuota, memory } = limitsOf(pod, container, machineMemory);
	return { cpuShares, cpuQuota, memory };
}
