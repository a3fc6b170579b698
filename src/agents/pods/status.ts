/** A pod's status as its node reports it, computed from what is observed. Source: Kubernetes documentation, "Pod Lifecycle". */
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { podTitle } from './names.ts';
import { ended, type Instance, type Observed } from './observed.ts';
import {
	type Member,
	mainStarted,
	members,
	newest,
	type Outlook,
	outcome,
	outlook,
	VANISHED_EXIT_CODE,
} from './outlook.ts';
import { qosClass } from './resources.ts';

/** The whole status; `pod.status` is the last known one, of which times of transition and others' conditions are kept. */
export function podStatus(pod: Pod, observed: Observed, now: number): core.PodStatus {
	const before = pod.status ?? {};
	const all = members(pod).map((member) => ({ member, view: outlook(pod, member, observed) }));
	// What has been once is not undone by a sidecar that ends or starts again.
	const initialized =
		mainStarted(pod, observed) ||
		all.every(
			({ member, view }) =>
				member.role === 'main' ||
				(member.role === 'init' ? view.is === 'done' && view.exitCode === 0 : isStarted(view, observed)),
		);
	const statuses = all.map(({ member, view }) => ({
		role: member.role,
		status: containerStatus(pod, member, view, observed, initialized, now),
	}));
	const init = statuses.filter(({ role }) => role !== 'main').map(({ status }) => status);
	const main = statuses.filter(({ role }) => role === 'main').map(({ status }) => status);
	const { phase, reason, message } = phaseOf(pod, observed, main, initialized, now);
	const sandbox = observed.sandboxes[0];
	const address = pod.spec.hostNetwork ? observed.hostAddresses[0] : sandbox?.address;
	// The address of a pod that has ended is kept as a trace.
	const podIP = address ?? (phase === 'Running' && sandbox?.state === 'exited' ? undefined : before.podIP);
	return {
		...(before.nominatedNodeName ? { nominatedNodeName: before.nominatedNodeName } : {}),
		phase,
		...(reason ? { reason } : {}),
		...(message ? { message } : {}),
		conditions: conditions(pod, observed, { phase, init: statuses, initialized }, now),
		hostIP: observed.hostAddresses[0],
		hostIPs: observed.hostAddresses.map((ip) => ({ ip })),
		...(podIP ? { podIP, podIPs: [{ ip: podIP }] } : {}),
		startTime: before.startTime ?? timestamp(now),
		...(init.length > 0 ? { initContainerStatuses: init } : {}),
		containerStatuses: main,
		qosClass: before.qosClass ?? qosClass(pod),
	};
}

/** Seconds precision, as the API writes times. */
export const timestamp = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

function isStarted(view: Outlook, observed: Observed): boolean {
	return (
		view.is === 'live' && view.instance.state === 'running' && observed.health.get(view.instance.id)?.started === true
	);
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

function containerStatus(
	pod: Pod,
	member: Member,
	view: Outlook,
	observed: Observed,
	initialized: boolean,
	now: number,
): core.ContainerStatus {
	const { container, role } = member;
	const before = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(
		(status) => status.name === container.name,
	);
	const instance = newest(observed, container.name);
	const health = instance && observed.health.get(instance.id);
	const running = instance?.state === 'running';
	const started = running && (health?.started ?? false);
	const ready = role === 'init' ? view.is === 'done' && view.exitCode === 0 : started && (health?.ready ?? false);
	const current = stateOf(pod, member, view, observed, before, initialized, now);
	const last = lastStateOf(current, instance, observed, before, container.name);
	const attempt = instance?.attempt ?? before?.restartCount ?? 0;
	return {
		name: container.name,
		image: container.image ?? '',
		imageID: imageId(container, instance, observed, before),
		restartCount: attempt,
		ready,
		started,
		state: current,
		lastState: last ? { terminated: last } : {},
		...(instance
			? { containerID: `docker://${instance.id}` }
			: before?.containerID
				? { containerID: before.containerID }
				: {}),
	};
}

function stateOf(
	pod: Pod,
	{ container, role }: Member,
	view: Outlook,
	observed: Observed,
	before: core.ContainerStatus | undefined,
	initialized: boolean,
	now: number,
): core.ContainerState {
	if (view.is === 'live' && view.instance.state === 'running') {
		return { running: { startedAt: timestamp(view.instance.startedAt ?? view.instance.created) } };
	}
	if (view.is === 'done') {
		if (view.instance) return { terminated: terminated(view.instance) };
		return before?.state?.terminated ? before.state : { terminated: vanished(before) };
	}
	const over = outcome(pod, observed, now);
	if (view.is === 'restart' && over && view.instance) return { terminated: terminated(view.instance) };
	const failure = observed.failures.get(container.name);
	if (failure) return { waiting: { reason: failure.reason, message: failure.message } };
	const image = observed.images.get(container.name);
	if (image?.state === 'failed') {
		return { waiting: { reason: image.failure.reason, message: image.failure.message } };
	}
	if (view.is === 'restart' && view.instance) {
		// Until its next run begins, even when the time for that has come.
		if (view.at > now || view.backoff > 0) {
			const message = `back-off ${duration(view.backoff)} restarting failed container=${container.name} pod=${podTitle(pod)}`;
			return { waiting: { reason: 'CrashLoopBackOff', message } };
		}
		if (view.instance.state === 'failed') {
			return { waiting: { reason: 'RunContainerError', message: view.instance.error } };
		}
		return { terminated: terminated(view.instance) };
	}
	// A main container waits for the init containers, and each of these for the one before it.
	const reason =
		(role === 'main' ? !initialized : false) || (role !== 'main' && (pod.spec.initContainers?.length ?? 0) > 0);
	return { waiting: { reason: reason ? 'PodInitializing' : 'ContainerCreating' } };
}

function lastStateOf(
	current: core.ContainerState,
	instance: Instance | undefined,
	observed: Observed,
	before: core.ContainerStatus | undefined,
	name: string,
): core.ContainerStateTerminated | undefined {
	if (instance && ended(instance) && current.waiting) return terminated(instance);
	const previous = observed.instances.find((one) => one.name === name && one.id !== instance?.id && ended(one));
	if (previous) return terminated(previous);
	const known = before?.lastState?.terminated;
	if (!instance)
		return current.waiting && before?.containerID ? (before.state?.terminated ?? known ?? vanished(before)) : known;
	// The container before this one is gone from the engine: the status is all that remembers it.
	if (before?.containerID && before.containerID !== `docker://${instance.id}`) {
		return before.state?.terminated ?? known ?? vanished(before);
	}
	return known;
}

function terminated(instance: Instance): core.ContainerStateTerminated {
	const { exitCode, error, message } = instance;
	const text = instance.state === 'failed' || (error && !message) ? error : message;
	return {
		exitCode,
		reason: reasonOf(instance),
		...(text ? { message: text } : {}),
		startedAt: timestamp(instance.startedAt ?? instance.created),
		finishedAt: timestamp(instance.finishedAt ?? instance.created),
		containerID: `docker://${instance.id}`,
	};
}

function reasonOf(instance: Instance): string {
	if (instance.state === 'failed') return 'StartError';
	if (instance.oomKilled) return 'OOMKilled';
	return instance.exitCode === 0 ? 'Completed' : 'Error';
}

function vanished(before: core.ContainerStatus | undefined): core.ContainerStateTerminated {
	return {
		exitCode: VANISHED_EXIT_CODE,
		reason: 'ContainerStatusUnknown',
		message: 'The container could not be located when the pod was looked at.  The container used to be Running',
		...(before?.state?.running?.startedAt ? { startedAt: before.state.running.startedAt } : {}),
		...(before?.containerID ? { containerID: before.containerID } : {}),
	};
}

function imageId(
	{ image = '' }: core.Container,
	instance: Instance | undefined,
	observed: Observed,
	before: core.ContainerStatus | undefined,
): string {
	if (!instance) return before?.imageID ?? '';
	// What was found once stays true, though the image's name may have moved on since.
	if (before?.imageID?.startsWith('docker-pullable:') && before.containerID === `docker://${instance.id}`)
		return before.imageID;
	const digest = observed.digest(instance.imageId, image);
	return digest ? `docker-pullable://${digest}` : `docker://${instance.imageId}`;
}

/** As Go writes durations: `10s`, `1m20s`, `5m0s`. */
function duration(seconds: number): string {
	return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

type Roled = { readonly role: Member['role']; readonly status: core.ContainerStatus };

function conditions(
	pod: Pod,
	observed: Observed,
	{ phase, init: statuses, initialized }: { phase: string; init: readonly Roled[]; initialized: boolean },
	now: number,
): core.PodCondition[] {
	const before = pod.status?.conditions ?? [];
	const completed = phase === 'Succeeded';
	const ours: Condition[] = [];
	const sandbox = observed.sandboxes[0];
	const reachable = sandbox?.state === 'running' && (pod.spec.hostNetwork || sandbox.address !== undefined);
	ours.push({ type: 'PodReadyToStartContainers', ok: reachable === true });
	ours.push(
		initialized
			? { type: 'Initialized', ok: true, reason: completed ? 'PodCompleted' : undefined }
			: {
					type: 'Initialized',
					ok: false,
					reason: 'ContainersNotInitialized',
					message: `containers with incomplete status: ${list(statuses.filter(({ role, status }) => (role === 'init' ? !status.ready : role === 'sidecar' && !status.started)))}`,
				},
	);
	const unready = statuses.filter(({ role, status }) => role !== 'init' && !status.ready);
	const containersReady: Omit<Condition, 'type'> = completed
		? { ok: false, reason: 'PodCompleted' }
		: phase === 'Failed'
			? { ok: false, reason: 'PodFailed' }
			: unready.length > 0
				? { ok: false, reason: 'ContainersNotReady', message: `containers with unready status: ${list(unready)}` }
				: { ok: true };
	ours.push({ type: 'Ready', ...(containersReady.ok ? readinessGates(pod) : containersReady) });
	ours.push({ type: 'ContainersReady', ...containersReady });
	if (!before.some(({ type }) => type === 'PodScheduled')) ours.push({ type: 'PodScheduled', ok: true });

	const types = new Set(ours.map(({ type }) => type));
	return [
		...ours.map((condition) => written(condition, before, now)),
		...before.filter(({ type }) => !types.has(type)),
	];
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
	for (const { conditionType } of pod.spec.readinessGates ?? []) {
		const condition = pod.status?.conditions?.find(({ type }) => type === conditionType);
		if (!condition) faults.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`);
		else if (condition.status !== 'True') {
			faults.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${condition.status}`);
		}
	}
	return faults.length > 0 ? { ok: false, reason: 'ReadinessGatesNotReady', message: faults.join(', ') } : { ok: true };
}

const list = (statuses: readonly Roled[]) => `[${statuses.map(({ status }) => status.name).join(' ')}]`;
