/** What a container's requests and limits mean to the kernel. Source: Kubernetes documentation, "Pod Quality of Service Classes". */
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { milli, quantity } from '../../kinds/index.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

const counted = ['cpu', 'memory'] as const;

/** The class that decides who goes first when memory runs out. */
export function qosClass(pod: Pod): QosClass {
	const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
	const amount = (list: core.ResourceRequirements['limits'], name: string) => quantity(list?.[name] ?? '0');
	const asks = (container: core.Container) =>
		counted.some((name) => amount(container.resources?.requests, name) + amount(container.resources?.limits, name) > 0);
	if (!containers.some(asks)) return 'BestEffort';
	const guaranteed = containers.every(({ resources }) =>
		counted.every((name) => {
			const limit = amount(resources?.limits, name);
			return limit > 0 && (resources?.requests?.[name] === undefined || amount(resources.requests, name) === limit);
		}),
	);
	return guaranteed ? 'Guaranteed' : 'Burstable';
}

/** CPU time a period of 100 ms, so many microseconds. */
const PERIOD_US = 100_000;
/** The kernel takes no less. */
const MIN_QUOTA_US = 1_000;
const MIN_SHARES = 2;

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
		cpuShares: Math.max(MIN_SHARES, Math.floor((cpuRequest * 1024) / 1000)),
		...(cpuLimit > 0 ? { cpuQuota: Math.max(MIN_QUOTA_US, Math.ceil((cpuLimit * PERIOD_US) / 1000)) } : {}),
		...(memory > 0 ? { memory } : {}),
		oomScore: oomScore(pod, container, machineMemory),
	};
}

/** Who the kernel kills first: the larger the sooner. Source: Kubernetes documentation, "Node out of memory behavior". */
function oomScore(pod: Pod, container: core.Container, machineMemory: number): number {
	const quality = qosClass(pod);
	if (quality === 'Guaranteed') return -997;
	if (quality === 'BestEffort') return 1000;
	const asked = quantity(container.resources?.requests?.memory ?? container.resources?.limits?.memory ?? '0');
	const score = 1000 - Math.floor((1000 * asked) / machineMemory);
	return Math.min(999, Math.max(3, score));
}
