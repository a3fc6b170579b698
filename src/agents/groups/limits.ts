/**
 * What the control group of a pod as a whole may take: pure. Source: Kubernetes documentation, "Resource Management for Pods and
 * Containers", and the kubelet's ResourceConfigForPod.
 */
import { limitsOf, type Pod, qosClass, requestsOf } from '../../kinds/index.ts';

/** Time of a period of processor time, in microseconds. */
export const PERIOD_US = 100_000;
/** The kernel takes no less. */
const MIN_QUOTA_US = 1_000;
const MIN_SHARES = 2;
const MAX_SHARES = 262_144;

export interface GroupLimits {
	readonly cpuShares: number;
	/** Microseconds a period; absent is unlimited. */
	readonly cpuQuota?: number;
	/** Bytes; absent is unlimited. */
	readonly memory?: number;
	/** Processes and threads; absent is unlimited. */
	readonly tasks?: number;
}

/** Weight of so many thousandths of a core. */
export const sharesOf = (milliCpu: number): number =>
	Math.min(MAX_SHARES, Math.max(MIN_SHARES, Math.floor((milliCpu * 1024) / 1000)));

/** Processor time a period of so many thousandths of a core; undefined for none. */
export const quotaOf = (milliCpu: number): number | undefined =>
	milliCpu > 0 ? Math.max(MIN_QUOTA_US, Math.ceil((milliCpu * PERIOD_US) / 1000)) : undefined;

/** The limits of a pod: the sums of its containers', where each of them has one, or what is said of the pod itself. */
export function podLimits(pod: Pod, maxTasks: number | undefined): GroupLimits {
	const { cpu = 0 } = requestsOf(pod);
	const limits = limitsOf(pod);
	const best = qosClass(pod.spec) === 'BestEffort';
	return {
		cpuShares: best ? MIN_SHARES : sharesOf(cpu),
		cpuQuota: limits.cpu === undefined ? undefined : quotaOf(limits.cpu),
		memory: limits.memory ? Math.ceil(limits.memory) : undefined,
		tasks: maxTasks,
	};
}
