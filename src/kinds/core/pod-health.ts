/** The health of pods. Source: Argo CD documentation, "Resource Health". */
import type { ContainerStatus } from 'kubernetes-types/core/v1.js';
import type { Health } from '../kind.ts';
import type { Pod } from './pod.ts';
import { conditionStatus } from './pod-columns.ts';

/** Reasons of waiting from which a container does not recover by itself. */
function isHopeless(reason: string): boolean {
	return reason.startsWith('Err') || reason.endsWith('Error') || reason.endsWith('BackOff');
}

export function podHealth(pod: Pod): Health {
	const { status, spec } = pod;
	const containers = status?.containerStatuses ?? [];
	// Pods that are kept running are looked at while their phase still says Running or Pending.
	if (!spec.restartPolicy || spec.restartPolicy === 'Always') {
		const reasons = [...(status?.initContainerStatuses ?? []), ...containers].flatMap((container) => {
			const waiting = container.state?.waiting;
			return waiting?.reason && isHopeless(waiting.reason)
				? [`${container.name}: ${waiting.message || waiting.reason}${lastEnd(container)}`]
				: [];
		});
		if (reasons.length > 0) return { status: 'Degraded', message: reasons.join(', ') };
	}
	switch (status?.phase) {
		case 'Succeeded':
			return { status: 'Healthy', message: status.message };
		case 'Failed':
			return { status: 'Degraded', message: status.message || failure(pod) };
		case 'Running': {
			if (spec.restartPolicy === 'OnFailure' || spec.restartPolicy === 'Never')
				// A pod that is to end is on its way until it has ended.
				return { status: 'Progressing', message: status.message };
			if (conditionStatus(pod, 'Ready') === 'True') return { status: 'Healthy', message: status.message };
			const restarted = containers.find((container) => container.lastState?.terminated);
			return restarted
				? { status: 'Degraded', message: status.message || failure(pod) }
				: { status: 'Progressing', message: status.message };
		}
		case undefined:
		case 'Pending':
			return { status: 'Progressing', message: status?.message };
		default:
			return { status: 'Unknown', message: status?.message };
	}
}

/** Waiting for the next start says nothing of why the last one failed. */
function lastEnd({ state, lastState }: ContainerStatus): string {
	const ended = state?.waiting?.reason === 'CrashLoopBackOff' ? lastState?.terminated : undefined;
	if (!ended) return '';
	return `, after it ended with exit code ${ended.exitCode}${ended.message ? `: ${ended.message.trim()}` : ''}`;
}

/** Why a container has ended, where the pod itself does not say. */
function failure(pod: Pod): string | undefined {
	for (const { name, state, lastState } of pod.status?.containerStatuses ?? []) {
		const ended = state?.terminated ?? lastState?.terminated;
		if (!ended) continue;
		if (ended.message) return `container "${name}": ${ended.message}`;
		if (ended.reason === 'OOMKilled') return `container "${name}" ran out of memory`;
		if (ended.exitCode !== 0) return `container "${name}" failed with exit code ${ended.exitCode}`;
	}
	return undefined;
}
