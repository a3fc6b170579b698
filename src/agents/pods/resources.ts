/** What a container's requests and limits mean to the kernel. Source: Kubernetes documentation, "Pod Quality of Service Classes". */
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { milli, qosClass, quantity } from '../../kinds/index.ts';
import { quotaOf, sharesOf } from '../groups/limits.ts';

export interface Limits {
	readonly cpuShares: number;
	readonly cpuQuota?: number;
	/** Bytes. */
	readonly memory?: number;
	readonly oomScore: number;
}

/** The limits of one container. `machineMemory` in bytes. */
export function limitsOf(pod: Pod, container: core.Container, machineMemory: number): Limits {
	const { requests, limits } = container.resources ?? {};
	const cpuLimit = limits?.cpu === undefined ? 0 : milli(limits.cpu);
	const cpuRequest = requests?.cpu === undefined ? cpuLimit : milli(requests.cpu);
	const memory = limits?.memory === undefined ? 0 : Math.ceil(quantity(limits.memory));
	return {
		cpuShares: sharesOf(cpuRequest),
		...(cpuLimit > 0 ? { cpuQuota: quotaOf(cpuLimit) } : {}),
		...(memory > 0 ? { memory } : {}),
		oomScore: oomScore(pod, container, machineMemory),
	};
}

/** Who the kernel kills first: the larger the sooner. Source: Kubernetes documentation, "Node out of memory behavior". */
function oomScore(pod: Pod, container: core.Container, machineMemory: number): number {
	const quality = qosClass(pod.spec);
	if (quality === 'Guaranteed') return -997;
	if (quality === 'BestEffort') return 1000;
	const asked = quantity(container.resources?.requests?.memory ?? container.resources?.limits?.memory ?? '0');
	const score = 1000 - Math.floor((1000 * asked) / machineMemory);
	return Math.min(999, Math.max(3, score));
}
