/** The status of one of a pod's containers. Source: Kubernetes documentation, "Pod Lifecycle", Container states. */
import type * as core from 'kubernetes-types/core/v1.js';
import { type Pod, timestamp } from '../../kinds/index.ts';
import { podTitle } from './names.ts';
import { ended, type Instance, type Observed } from './observed.ts';
import { type Member, newest, type Outlook, outcome, statusOf, VANISHED_EXIT_CODE } from './outlook.ts';
import { resizeOf } from './resize.ts';

/** The status of one container, init containers included. `initialized`: whether its pod is. */
export function containerStatus(
	pod: Pod,
	member: Member,
	view: Outlook,
	observed: Observed,
	initialized: boolean,
	now: number,
): core.ContainerStatus {
	const { container, role } = member;
	const before = statusOf(pod, container.name);
	const instance = newest(observed, container.name);
	const health = instance && observed.health.get(instance.id);
	const running = instance?.state === 'running';
	const started = running && (health?.started ?? false);
	const ready = role.preparatory ? view.is === 'done' && view.exitCode === 0 : started && (health?.ready ?? false);
	const current = stateOf(pod, member, view, observed, before, initialized, now);
	const last = lastStateOf(current, instance, observed, before, container.name);
	// The engine may have lost the newest of them.
	const attempt = Math.max(instance?.attempt ?? 0, before?.restartCount ?? 0);
	return {
		name: container.name,
		image: container.image ?? '',
		imageID: imageId(container, instance, observed, before),
		restartCount: attempt,
		ready,
		started,
		state: current,
		...resourcesOf(container, role, instance, observed, before, pod),
		lastState: last ? { terminated: last } : {},
		...(instance ? { containerID: instance.uri } : before?.containerID ? { containerID: before.containerID } : {}),
	};
}

/** What the container has of its node, and what the kernel holds it to: the same, but for while that changes. */
function resourcesOf(
	container: core.Container,
	role: Member['role'],
	instance: Instance | undefined,
	observed: Observed,
	before: core.ContainerStatus | undefined,
	pod: Pod,
): Pick<core.ContainerStatus, 'allocatedResources' | 'resources'> {
	const { resources } = container;
	if (!role.resizable || !resources || Object.keys(resources).length === 0) return {};
	const settled =
		instance?.state !== 'running' || resizeOf(pod, container, instance, observed.machineMemory) === undefined;
	return {
		...(resources.requests ? { allocatedResources: resources.requests } : {}),
		resources: settled ? resources : (before?.resources ?? resources),
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
	// Who stands before others waits for the one before it, and all others for them.
	return { waiting: { reason: role.gate || !initialized ? 'PodInitializing' : 'ContainerCreating' } };
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
	if (before?.containerID && before.containerID !== instance.uri) {
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
		containerID: instance.uri,
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
	if (before?.imageID?.includes('@') && before.containerID === instance.uri) return before.imageID;
	return observed.imageUri(instance.imageId, image);
}

/** As Go writes durations: `10s`, `1m20s`, `5m0s`. */
function duration(seconds: number): string {
	return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
