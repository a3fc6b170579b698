/** A pod's status as its node reports it, computed from what is observed. Source: Kubernetes documentation, "Pod Lifecycle". */
import type * as core from 'kubernetes-types/core/v1.js';
import { type Pod, qosClass, timestamp } from '../../kinds/index.ts';
import { containerStatus } from './container-status.ts';
import type { Observed } from './observed.ts';
import { isStarted, lists, mainStarted, members, outcome, outlook } from './outlook.ts';
import { conditions } from './pod-conditions.ts';

/** The whole status; `pod.status` is the last known one, of which times of transition and others' conditions are kept. */
export function podStatus(pod: Pod, observed: Observed, now: number): core.PodStatus {
	const before = pod.status ?? {};
	const all = members(pod).map((member) => ({ member, view: outlook(pod, member, observed) }));
	// What has been once is not undone by a sidecar that ends or starts again.
	const initialized =
		mainStarted(pod, observed) ||
		all.every(({ member: { role }, view }) => {
			if (role.gate === 'end') return view.is === 'done' && view.exitCode === 0;
			return role.gate !== 'start' || isStarted(view, observed);
		});
	const statuses = all.map(({ member, view }) => ({
		...member,
		status: containerStatus(pod, member, view, observed, initialized, now),
	}));
	const decisive = statuses.filter(({ role }) => role.decisive).map(({ status }) => status);
	const { phase, reason, message } = phaseOf(pod, observed, decisive, initialized, now);
	const listed = lists.map((list) => [list.status, statuses.filter((one) => one.list === list)] as const);
	const sandbox = observed.sandboxes[0];
	const address = pod.spec.hostNetwork ? observed.hostAddresses[0] : sandbox?.address;
	// The address of a pod that has ended is kept as a trace.
	const podIP = address ?? (phase === 'Running' && sandbox?.state === 'exited' ? undefined : before.podIP);
	const told = conditions(pod, observed, { phase, statuses, initialized }, now);
	return {
		...(before.nominatedNodeName ? { nominatedNodeName: before.nominatedNodeName } : {}),
		phase,
		...resizeWord(told),
		...(reason ? { reason } : {}),
		...(message ? { message } : {}),
		conditions: told,
		hostIP: observed.hostAddresses[0],
		hostIPs: observed.hostAddresses.map((ip) => ({ ip })),
		...(podIP ? { podIP, podIPs: [{ ip: podIP }] } : {}),
		startTime: before.startTime ?? timestamp(now),
		...Object.fromEntries(
			listed.filter(([, of]) => of.length > 0).map(([name, of]) => [name, of.map(({ status }) => status)]),
		),
		qosClass: before.qosClass ?? qosClass(pod.spec),
	};
}

/** The one word of clients that do not know the conditions yet. */
function resizeWord(conditions: readonly core.PodCondition[]): { readonly resize?: string } {
	const pending = conditions.find(({ type }) => type === 'PodResizePending');
	if (pending?.reason) return { resize: pending.reason };
	return conditions.some(({ type }) => type === 'PodResizeInProgress') ? { resize: 'InProgress' } : {};
}

function phaseOf(
	pod: Pod,
	observed: Observed,
	main: readonly core.ContainerStatus[],
	initialized: boolean,
	now: number,
): { phase: string; reason?: string; message?: string } {
	const running = observed.instances.some((instance) => instance.state === 'running');
	const end = outcome(pod, observed, now);
	// A pod is over when nothing of it runs any more; until then it keeps the phase it had.
	if (end && (!running || pod.status?.phase === end.phase)) return end;
	if (pod.metadata.deletionTimestamp && !running && observed.instances.length > 0) {
		const good = main.every((status) => (status.state?.terminated ?? status.lastState?.terminated)?.exitCode === 0);
		return { phase: good ? 'Succeeded' : 'Failed' };
	}
	const waiting = main.some((status) => status.state?.waiting && !status.lastState?.terminated);
	const phase = (waiting || !initialized) && pod.status?.phase !== 'Running' ? 'Pending' : 'Running';
	return { phase };
}
