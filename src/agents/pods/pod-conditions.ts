/** A pod's conditions. Source: Kubernetes documentation, "Pod Lifecycle", Pod conditions. */
import type * as core from 'kubernetes-types/core/v1.js';
import { type Pod, timestamp } from '../../kinds/index.ts';
import type { Observed } from './observed.ts';
import type { Role } from './outlook.ts';
import { resizeOf } from './resize.ts';

/** A container's status and what it is to its pod. */
export interface Roled {
	readonly role: Role;
	readonly status: core.ContainerStatus;
}

/** The pod's conditions: those of the node computed, those of others as they are. */
export function conditions(
	pod: Pod,
	observed: Observed,
	{ phase, statuses, initialized }: { phase: string; statuses: readonly Roled[]; initialized: boolean },
	now: number,
): core.PodCondition[] {
	const before = pod.status?.conditions ?? [];
	const completed = phase === 'Succeeded';
	const ours: Condition[] = [];
	const sandbox = observed.sandboxes[0];
	const reachable = sandbox?.state === 'running' && (pod.spec.hostNetwork || sandbox.address !== undefined);
	const { volumes } = observed;
	// Kubernetes says it in an event only, which is gone after an hour.
	const unmounted = typeof volumes === 'object' && !volumes.standing ? volumes : undefined;
	ours.push(
		reachable === true || !unmounted
			? { type: 'PodReadyToStartContainers', ok: reachable === true }
			: { type: 'PodReadyToStartContainers', ok: false, reason: unmounted.reason, message: unmounted.message },
	);
	ours.push(
		initialized
			? { type: 'Initialized', ok: true, reason: completed ? 'PodCompleted' : undefined }
			: {
					type: 'Initialized',
					ok: false,
					reason: 'ContainersNotInitialized',
					message: `containers with incomplete status: ${list(statuses.filter(({ role, status }) => role.gate && !(role.gate === 'end' ? status.ready : status.started)))}`,
				},
	);
	const unready = statuses.filter(({ role, status }) => role.serving && !status.ready);
	const containersReady: Omit<Condition, 'type'> = completed
		? { ok: false, reason: 'PodCompleted' }
		: phase === 'Failed'
			? { ok: false, reason: 'PodFailed' }
			: unready.length > 0
				? { ok: false, reason: 'ContainersNotReady', message: `containers with unready status: ${list(unready)}` }
				: { ok: true };
	ours.push({ type: 'Ready', ...(containersReady.ok ? readinessGates(pod) : containersReady) });
	ours.push({ type: 'ContainersReady', ...containersReady });
	ours.push(...resizing(pod, observed));
	if (observed.eviction)
		ours.push({
			type: 'DisruptionTarget',
			ok: true,
			reason: 'TerminationByKubelet',
			message: observed.eviction.message,
		});
	if (!before.some(({ type }) => type === 'PodScheduled')) ours.push({ type: 'PodScheduled', ok: true });

	const types = new Set(ours.map(({ type }) => type));
	return [
		...ours.map((condition) => written(condition, before, now)),
		...before.filter(({ type }) => !types.has(type) && !PASSING.has(type)),
	];
}

/** Conditions of the node's that are there only while something goes on. */
export const PASSING: ReadonlySet<string> = new Set(['PodResizePending', 'PodResizeInProgress']);

/** While its resources change; they go when that is done. Source: KEP-1287. */
function resizing(pod: Pod, { resize, instances, machineMemory }: Observed): Condition[] {
	const { pending, failure } = resize ?? {};
	if (pending) return [{ type: 'PodResizePending', ok: true, ...pending }];
	const changes = pod.spec.containers.some((container) => {
		const instance = instances.find(({ name, state }) => name === container.name && state === 'running');
		return instance && resizeOf(pod, container, instance, machineMemory) !== undefined;
	});
	if (!changes) return [];
	return [{ type: 'PodResizeInProgress', ok: true, ...(failure ? { reason: 'Error', message: failure.message } : {}) }];
}

interface Condition {
	readonly type: string;
	readonly ok: boolean;
	readonly reason?: string;
	readonly message?: string;
}

function written(
	{ type, ok, reason, message }: Condition,
	before: readonly core.PodCondition[],
	now: number,
): core.PodCondition {
	const status = ok ? 'True' : 'False';
	const last = before.find((condition) => condition.type === type);
	return {
		type,
		status,
		...(reason ? { reason } : {}),
		...(message ? { message } : {}),
		lastTransitionTime: last?.status === status && last.lastTransitionTime ? last.lastTransitionTime : timestamp(now),
	};
}

function readinessGates(pod: Pod): Omit<Condition, 'type'> {
	const faults: string[] = [];
	const conditions = new Map((pod.status?.conditions ?? []).map((condition) => [condition.type, condition]));
	for (const { conditionType } of pod.spec.readinessGates ?? []) {
		const condition = conditions.get(conditionType);
		if (!condition) faults.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`);
		else if (condition.status !== 'True') {
			faults.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${condition.status}`);
		}
	}
	return faults.length > 0 ? { ok: false, reason: 'ReadinessGatesNotReady', message: faults.join(', ') } : { ok: true };
}

const list = (statuses: readonly Roled[]) => `[${statuses.map(({ status }) => status.name).join(' ')}]`;
