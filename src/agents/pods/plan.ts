/**
 * The next steps towards a pod's wish, as plain data: what is executed elsewhere, and planned anew from what then is.
 * Nothing here waits; a step that takes time is begun, and shows in what is observed.
 */
import type { Pod } from '../../kinds/index.ts';
import { specHash } from './names.ts';
import { ended, type Instance, type Observed } from './observed.ts';
import {
	EVICTED,
	isStarted,
	type Member,
	mainStarted,
	members,
	newest,
	nextBackoff,
	outcome,
	outlook,
	statusOf,
} from './outlook.ts';
import { resizeOf } from './resize.ts';

export type Step =
	/** Sets the volumes up, or brings their content up to date. */
	| { readonly do: 'mountVolumes' }
	| { readonly do: 'createSandbox'; readonly attempt: number }
	| { readonly do: 'startSandbox'; readonly id: string }
	/** Begins to fetch the image of a container. */
	| { readonly do: 'pullImage'; readonly container: string }
	/** Creates and starts. `backoff`: seconds that its successor has to wait. */
	| {
			readonly do: 'startContainer';
			readonly container: string;
			readonly attempt: number;
			readonly backoff: number;
			readonly sandbox: string;
	  }
	/** Starts what was created but not started, because the agent or the engine was interrupted. */
	| { readonly do: 'resumeContainer'; readonly container: string; readonly id: string }
	/** Asks to stop (preStop hook, then the stop signal); it is killed at `deadline`. `whole`: because all of the pod is. */
	| {
			readonly do: 'stopContainer';
			readonly container: string;
			readonly id: string;
			readonly deadline: number;
			readonly message: string;
			readonly whole: boolean;
	  }
	/** Gives running containers of the pod the limits that they are to have. */
	| { readonly do: 'resize'; readonly containers: readonly { readonly container: string; readonly id: string }[] }
	| { readonly do: 'kill'; readonly id: string }
	| { readonly do: 'remove'; readonly id: string }
	/** Waits until the API has the pod's last status. */
	| { readonly do: 'report' }
	| { readonly do: 'removeVolumes' }
	| { readonly do: 'deletePod' }
	/** Plans again at this time, whatever happens. `backoff`: until then the named container is not restarted. */
	| {
			readonly do: 'wait';
			readonly until: number;
			readonly backoff?: { readonly container: string; readonly after: string };
	  };

/**
 * Milliseconds that a container has at least between its stop signal and its end: also where its pod was deleted by force,
 * where its preStop hook took all of the grace, and where that was over before it could be asked. Source: Kubernetes
 * documentation, "Termination of Pods" (the extension of 2 seconds); the kubelet has the same minimum.
 */
const MINIMUM_GRACE_MS = 2_000;

const SANDBOX_CHANGED = 'Pod sandbox changed, it will be killed and re-created.';

/** The steps to take now, in order. None: all is as it should be until something changes. `now` in milliseconds. */
export function planPod(pod: Pod, observed: Observed, now: number): readonly Step[] {
	if (observed.gone !== undefined || pod.metadata.deletionTimestamp) return planRemoval(pod, observed, now);
	if (outcome(pod, observed, now)) {
		const halt = planHalt(pod, observed, now);
		return halt.some((step) => step.do === 'removeVolumes') ? halt : [...halt, ...planCleaning(observed)];
	}
	return [...planDeadline(pod), ...planRun(pod, observed, now), ...planCleaning(observed)];
}

/** Everything of the pod goes away, and the pod last of all. */
function planRemoval(pod: Pod, observed: Observed, now: number): Step[] {
	const { gone } = observed;
	// Looked at anew each time: a second delete may have shortened it.
	const grace = pod.metadata.deletionGracePeriodSeconds ?? graceOf(pod);
	const latest = gone === undefined ? undefined : gone + MINIMUM_GRACE_MS;
	const stopping = planStopAll(pod, observed, now, { grace, latest });
	if (stopping.length > 0) return stopping;
	const steps: Step[] = gone === undefined ? [{ do: 'report' }] : [];
	for (const { id } of [...observed.instances, ...observed.sandboxes]) steps.push({ do: 'remove', id });
	if (observed.volumes !== 'removed') steps.push({ do: 'removeVolumes' });
	if (gone === undefined) steps.push({ do: 'deletePod' });
	return steps;
}

/** The pod is over: nothing of it runs, and what has ended stays for its logs. */
function planHalt(pod: Pod, observed: Observed, now: number): Step[] {
	const stopping = planStopAll(pod, observed, now, { grace: observed.eviction?.grace ?? graceOf(pod) });
	if (stopping.length > 0) return stopping;
	if (observed.eviction || pod.status?.reason === EVICTED) return planClearing(observed);
	return observed.sandboxes.filter(({ state }) => state === 'running').map(({ id }) => ({ do: 'kill', id }));
}

/** What an evicted pod has taken is what the node needs: nothing of it stays, once the API knows how it ended. */
function planClearing(observed: Observed): Step[] {
	const steps: Step[] = [...observed.instances, ...observed.sandboxes].map(({ id }) => ({ do: 'remove', id }));
	if (observed.volumes !== 'removed') steps.push({ do: 'removeVolumes' });
	return steps.length > 0 ? [{ do: 'report' }, ...steps] : [];
}

function planRun(pod: Pod, observed: Observed, now: number): Step[] {
	const { volumes, sandboxFailure } = observed;
	if (volumes === 'unmounted' || volumes === 'removed') return [{ do: 'mountVolumes' }];
	const steps: Step[] = volumes === 'stale' ? [{ do: 'mountVolumes' }] : [];
	if (typeof volumes === 'object') {
		steps.push(isAhead(volumes, now) ? { do: 'wait', until: volumes.until } : { do: 'mountVolumes' });
		if (!volumes.standing) return steps;
	}

	const sandbox = observed.sandboxes[0];
	if (sandbox?.state !== 'running') {
		// Without the sandbox the containers have no network: they go, and start again in the next one.
		const stopping = planStopAll(pod, observed, now, { grace: graceOf(pod), message: SANDBOX_CHANGED });
		if (stopping.length > 0) return [...steps, ...stopping];
		if (sandboxFailure && isAhead(sandboxFailure, now)) return [...steps, { do: 'wait', until: sandboxFailure.until }];
		if (sandbox?.state === 'created' && !sandboxFailure) return [...steps, { do: 'startSandbox', id: sandbox.id }];
		return [...steps, { do: 'createSandbox', attempt: sandbox ? sandbox.attempt + 1 : 0 }];
	}

	const initialized = mainStarted(pod, observed);
	let hooked = false;
	for (const member of members(pod)) {
		const { container, role } = member;
		if (role.preparatory && initialized) continue;
		const view = outlook(pod, member, observed);
		const next = keep(pod, member, sandbox.id, observed, now);
		// As with the kubelet, what starts next waits until the postStart hook of the one before it has ended.
		steps.push(...(hooked ? next.filter((step) => !starts(step)) : next));
		hooked ||= next.some(starts) && container.lifecycle?.postStart !== undefined;
		hooked ||= view.is === 'live' && observed.hooking.has(view.instance.id);
		if (initialized || !role.gate) continue;
		if (!(role.gate === 'end' ? view.is === 'done' : isStarted(view, observed))) break;
	}
	return [...steps, ...planResize(pod, observed, now)];
}

/** Containers that get other limits without a restart. */
function planResize(pod: Pod, observed: Observed, now: number): Step[] {
	const containers = members(pod).flatMap(({ container, role }) => {
		const instance = newest(observed, container.name);
		if (!role.resizable || instance?.state !== 'running' || observed.stopping.has(instance.id)) return [];
		const wanted = resizeOf(pod, container, instance, observed.machineMemory);
		return wanted === 'update' ? [{ container: container.name, id: instance.id }] : [];
	});
	if (containers.length === 0) return [];
	const { failure } = observed.resize ?? {};
	return failure && isAhead(failure, now) ? [{ do: 'wait', until: failure.until }] : [{ do: 'resize', containers }];
}

const starts = (step: Step) => step.do === 'startContainer' || step.do === 'resumeContainer';

/** The steps that keep one container running. */
function keep(pod: Pod, member: Member, sandbox: string, observed: Observed, now: number): Step[] {
	const { container } = member;
	const view = outlook(pod, member, observed);
	if (view.is === 'done') return [];
	const failure = observed.failures.get(container.name);
	const pause: Step[] = failure && isAhead(failure, now) ? [{ do: 'wait', until: failure.until }] : [];
	if (view.is === 'live') {
		const { instance } = view;
		if (instance.state === 'running') return planReplacement(pod, member, instance, sandbox, observed, now);
		if (instance.sandbox !== sandbox) return [{ do: 'remove', id: instance.id }];
		return pause.length > 0 ? pause : [{ do: 'resumeContainer', container: container.name, id: instance.id }];
	}
	if (view.is === 'restart' && isAhead({ at: view.at - view.backoff * 1000, until: view.at }, now)) {
		const backoff = view.instance && { container: container.name, after: view.instance.id };
		return [{ do: 'wait', until: view.at, backoff }];
	}

	if (pause.length > 0) return pause;
	const image = observed.images.get(container.name) ?? { state: 'absent' };
	if (image.state === 'pulling') return [];
	if (image.state === 'failed' && isAhead(image.failure, now)) return [{ do: 'wait', until: image.failure.until }];
	if (image.state !== 'present') return [{ do: 'pullImage', container: container.name }];
	return [
		{
			do: 'startContainer',
			container: container.name,
			attempt: nextAttempt(pod, container.name, observed),
			backoff: view.is === 'restart' ? nextBackoff(view.backoff) : 0,
			sandbox,
		},
	];
}

/** Whether a wait from `at` to `until` goes on. Where the clock was set back since it began, it is over: nobody knows how long it was. */
const isAhead = ({ at, until }: { readonly at: number; readonly until: number }, now: number) =>
	at <= now && now < until;

/** What a running container has to go for, if anything; it starts again when it has ended. */
function planReplacement(
	pod: Pod,
	{ container, role }: Member,
	instance: Instance,
	sandbox: string,
	observed: Observed,
	now: number,
): Step[] {
	const { unhealthy, hookFailed } = observed.health.get(instance.id) ?? {};
	let message: string | undefined;
	if (instance.sandbox !== sandbox) message = SANDBOX_CHANGED;
	else if (instance.hash !== specHash(container)) {
		message = `Container ${container.name} definition changed, will be restarted`;
	} else if (role.resizable && resizeOf(pod, container, instance, observed.machineMemory) === 'restart') {
		message = `Container ${container.name} resize requires restart`;
	} else if (unhealthy) {
		message = `Container ${container.name} failed ${unhealthy.probe.toLowerCase()} probe, will be restarted`;
	} else if (hookFailed) message = 'FailedPostStartHook';
	else if (!observed.stopping.has(instance.id)) return [];
	const deadline = now + (unhealthy?.graceSeconds ?? graceOf(pod)) * 1000;
	return planStop(instance, observed, now, { deadline, message, whole: false });
}

/** Seconds. */
const graceOf = (pod: Pod) => pod.spec.terminationGracePeriodSeconds ?? 30;

interface StopAll {
	/** Seconds from the beginning of the stop. */
	readonly grace: number;
	/** Not later than this, whatever the grace. */
	readonly latest?: number;
	readonly message?: string;
}

/** Containers first, then sidecars in the reverse of their order: each group once those that may need it have ended. */
function planStopAll(pod: Pod, observed: Observed, now: number, { grace, latest, message }: StopAll): Step[] {
	const running = observed.instances.filter((instance) => instance.state === 'running');
	const last = members(pod)
		.filter(({ role }) => role.stopsLast)
		.map(({ container }) => container.name)
		.reverse();
	const others = running.filter(({ name }) => !last.includes(name));
	const next = last.find((name) => running.some((instance) => instance.name === name));
	const group = others.length > 0 ? others : running.filter(({ name }) => name === next);
	// One period of grace for the whole pod, from when its first container was asked.
	const since = observed.stoppingSince ?? now;
	const deadline = Math.min(since + grace * 1000, latest ?? Number.POSITIVE_INFINITY);
	return group.flatMap((instance) => planStop(instance, observed, now, { deadline, message, whole: true }));
}

interface Stop {
	readonly deadline: number;
	/** Default: that it is being stopped. */
	readonly message: string | undefined;
	readonly whole: boolean;
}

function planStop(instance: Instance, observed: Observed, now: number, { deadline, message, whole }: Stop): Step[] {
	const { id, name: container } = instance;
	const asked = observed.stopping.get(id);
	if (!asked) {
		const ask = { container, id, deadline: Math.max(deadline, now + MINIMUM_GRACE_MS), whole } as const;
		return [{ do: 'stopContainer', ...ask, message: message ?? `Stopping container ${container}` }];
	}
	const end = Math.min(asked.deadline, deadline);
	// A hook that has run until then is still followed by the signal.
	const until = Math.max(end, (asked.signalled ?? end) + MINIMUM_GRACE_MS);
	return [until <= now ? { do: 'kill', id } : { do: 'wait', until }];
}

/** The pod's own deadline is looked at when it comes. */
function planDeadline(pod: Pod): Step[] {
	const limit = pod.spec.activeDeadlineSeconds;
	const start = pod.status?.startTime;
	return limit !== undefined && start ? [{ do: 'wait', until: Date.parse(start) + limit * 1000 }] : [];
}

/** Of each container the last dead instance stays, for its log; of the sandboxes the newest. */
function planCleaning(observed: Observed): Step[] {
	const steps: Step[] = observed.sandboxes.slice(1).map(({ id }) => ({ do: 'remove', id }));
	const kept = new Set<string>();
	for (const instance of observed.instances.filter(ended)) {
		if (kept.has(instance.name)) steps.push({ do: 'remove', id: instance.id });
		kept.add(instance.name);
	}
	return steps;
}

/** One more than the last, which the pod's status remembers where the engine has lost it. */
export function nextAttempt(pod: Pod, name: string, observed: Observed): number {
	const last = newest(observed, name);
	const status = statusOf(pod, name);
	return Math.max(last ? last.attempt + 1 : 0, status?.containerID ? status.restartCount + 1 : 0);
}
