/** A node's conditions in the kubelet's words. Source: Kubernetes documentation, "Nodes", Conditions. */
import type * as core from 'kubernetes-types/core/v1.js';
import { timestamp } from '../../kinds/index.ts';
import type { Pressure } from '../pressure/judge.ts';

export interface NodeState {
	/** Why the node cannot run pods; undefined where it can. */
	readonly fault: string | undefined;
	readonly pressure: Pressure;
}

/** The conditions now, with the times of transition of `before` kept, and those of others left as they are. */
export function nodeConditions(
	state: NodeState,
	before: readonly core.NodeCondition[],
	now: number,
): core.NodeCondition[] {
	const { fault, pressure } = state;
	const ours = [
		pressure.memory
			? condition('MemoryPressure', 'True', 'KubeletHasInsufficientMemory', 'kubelet has insufficient memory available')
			: condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
		pressure.disk
			? condition('DiskPressure', 'True', 'KubeletHasDiskPressure', 'kubelet has disk pressure')
			: condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
		pressure.pids
			? condition('PIDPressure', 'True', 'KubeletHasInsufficientPID', 'kubelet has insufficient PID available')
			: condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
		fault === undefined
			? condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status')
			: condition('Ready', 'False', 'KubeletNotReady', fault),
	];
	const types = new Set(ours.map(({ type }) => type));
	const time = timestamp(now);
	return [
		...before.filter(({ type }) => !types.has(type)),
		...ours.map((one) => {
			const last = before.find(({ type }) => type === one.type);
			const kept = last?.status === one.status ? last.lastTransitionTime : undefined;
			return { ...one, lastHeartbeatTime: time, lastTransitionTime: kept ?? time };
		}),
	];
}

const condition = (type: string, status: 'True' | 'False', reason: string, message: string) => ({
	type,
	status,
	reason,
	message,
});
