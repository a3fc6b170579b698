/**
 * What has become, and is to become, of each container of a pod: the one reading of restart policies and backoff, by
 * which planPod acts and podStatus speaks. Source: Kubernetes documentation, "Pod Lifecycle".
 */
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import { ended, type Instance, type Observed } from './observed.ts';

/** Seconds that the second restart of a container waits; each further one waits twice as long. The first does not wait. */
const BACKOFF_FIRST_S = 10;
const BACKOFF_MAX_S = 300;
/** A container that ran so long starts over with its backoff. */
const BACKOFF_RESET_MS = 600_000;
/** What a container counts as whose end nobody has seen. */
export const VANISHED_EXIT_CODE = 137;

/** What a container is to its pod. All that tells the one from the other stands here: a further role is a further entry. */
export interface Role {
	/** What those after it in the pod wait for before they start. */
	readonly gate?: 'end' | 'start';
	/** Not run again once the containers that it is for have started. */
	readonly preparatory?: boolean;
	/** The pod is over when all of these are; their exit codes say how. */
	readonly decisive?: boolean;
	/** Probed, and with a say in whether the pod is ready. */
	readonly serving?: boolean;
	/** Stopped after the others, the last one first. */
	readonly stopsLast?: boolean;
	/** Its resources may change while it runs. */
	readonly resizable?: boolean;
	restarts(policy: string, exitCode: number): boolean;
}

export const roles = {
	init: { gate: 'end', preparatory: true, restarts: (policy, exitCode) => exitCode !== 0 && policy !== 'Never' },
	/** Somebody looks into the pod with it: as it is now, whatever state that is. */
	ephemeral: { restarts: () => false },
	sidecar: { gate: 'start', serving: true, stopsLast: true, resizable: true, restarts: () => true },
	main: {
		decisive: true,
		serving: true,
		resizable: true,
		restarts: (policy, exitCode) => policy === 'Always' || (policy === 'OnFailure' && exitCode !== 0),
	},
} as const satisfies Record<string, Role>;

/** The lists of a pod's containers in the order in which they start, and where the status of each stands. */
export const lists = [
	{ spec: 'ephemeralContainers', status: 'ephemeralContainerStatuses', role: (): Role => roles.ephemeral },
	{
		spec: 'initContainers',
		status: 'initContainerStatuses',
		role: ({ restartPolicy }: core.Container): Role => (restartPolicy === 'Always' ? roles.sidecar : roles.init),
	},
	{ spec: 'containers', status: 'containerStatuses', role: (): Role => roles.main },
] as const;

type List = (typeof lists)[number];

export interface Member {
	readonly container: core.Container;
	readonly role: Role;
	readonly list: List;
}

export type Outlook =
	/** Not started yet. */
	| { readonly is: 'waiting' }
	/** Created or running. */
	| { readonly is: 'live'; readonly instance: Instance }
	/** Ended, and that is that. */
	| { readonly is: 'done'; readonly exitCode: number; readonly instance?: Instance }
	/** Ended, and is started again at `at` (milliseconds since the epoch). */
	| { readonly is: 'restart'; readonly at: number; readonly backoff: number; readonly instance?: Instance };

/** The pod's containers in the order in which they start. */
export function members(pod: Pod): readonly Member[] {
	return lists.flatMap((list) =>
		(pod.spec[list.spec] ?? []).map(
			(container: core.Container): Member => ({ container, role: list.role(container), list }),
		),
	);
}

const memberOf = (pod: Pod, name: string) => members(pod).find(({ container }) => container.name === name);

/** The container of the pod's spec with this name. */
export const containerOf = (pod: Pod, name: string): core.Container | undefined => memberOf(pod, name)?.container;

/** Where a container stands in the pod, as the events about it say it. */
export const fieldPath = (pod: Pod, name: string): string =>
	`spec.${memberOf(pod, name)?.list.spec ?? 'containers'}{${name}}`;

/** What the pod's status says of the container so far. */
export const statusOf = (pod: Pod, name: string): core.ContainerStatus | undefined =>
	lists.flatMap(({ status }) => pod.status?.[status] ?? []).find((status) => status.name === name);

export const newest = (observed: Observed, name: string): Instance | undefined =>
	observed.instances.find((instance) => instance.name === name);

export function outlook(pod: Pod, { container, role }: Member, observed: Observed): Outlook {
	const instance = newest(observed, container.name);
	if (!instance) return afterVanishing(pod, container.name, role);
	if (!ended(instance)) return { is: 'live', instance };
	// A new sandbox runs its init containers again, unless the containers that need them are up already.
	if (role.preparatory && instance.exitCode === 0) {
		const sandbox = observed.sandboxes[0]?.id;
		const current = sandbox === undefined || instance.sandbox === sandbox || mainStarted(pod, observed);
		return current ? { is: 'done', exitCode: 0, instance } : { is: 'restart', at: 0, backoff: 0, instance };
	}
	if (!restarts(pod, role, instance.exitCode)) return { is: 'done', exitCode: instance.exitCode, instance };
	const end = instance.finishedAt ?? instance.created;
	const steady = end - (instance.startedAt ?? end) >= BACKOFF_RESET_MS;
	const backoff = steady ? 0 : instance.backoff;
	return { is: 'restart', at: end + backoff * 1000, backoff, instance };
}

/** Whether the container runs and has passed its startup probe. */
export const isStarted = (view: Outlook, { health }: Observed): boolean =>
	view.is === 'live' && view.instance.state === 'running' && health.get(view.instance.id)?.started === true;

/** Seconds that the successor of a restarted container will have to wait. */
export const nextBackoff = (backoff: number) => Math.min(backoff === 0 ? BACKOFF_FIRST_S : backoff * 2, BACKOFF_MAX_S);

/** Whether a container that the pod is about (no init container or sidecar) has been started in the present sandbox. */
export function mainStarted(pod: Pod, observed: Observed): boolean {
	const sandbox = observed.sandboxes[0]?.id;
	const names = new Set(
		members(pod)
			.filter(({ role }) => role.decisive)
			.map(({ container }) => container.name),
	);
	return observed.instances.some(
		(instance) => instance.sandbox === sandbox && names.has(instance.name) && instance.state !== 'created',
	);
}

/** The reason of pods that their node has evicted, or has not taken because it runs short. */
export const EVICTED = 'Evicted';

/** The end of a pod, once it has one. */
export interface Outcome {
	readonly phase: 'Succeeded' | 'Failed';
	readonly reason?: string;
	readonly message?: string;
}

/** Whether the pod is over, by what its containers did or because its time is up. An end is for ever. */
export function outcome(pod: Pod, observed: Observed, now: number): Outcome | undefined {
	const { phase, reason, message, startTime } = pod.status ?? {};
	if (phase === 'Succeeded' || phase === 'Failed') return { phase, reason, message };
	if (observed.eviction) return { phase: 'Failed', reason: EVICTED, message: observed.eviction.message };
	const limit = pod.spec.activeDeadlineSeconds;
	if (limit !== undefined && startTime && now >= Date.parse(startTime) + limit * 1000) {
		return {
			phase: 'Failed',
			reason: 'DeadlineExceeded',
			message: 'Pod was active on the node longer than the specified deadline',
		};
	}
	const all = members(pod).map((member) => ({ member, outlook: outlook(pod, member, observed) }));
	const unprepared = all.some(
		({ member, outlook }) => member.role.preparatory && outlook.is === 'done' && outlook.exitCode !== 0,
	);
	if (unprepared) return { phase: 'Failed' };
	const codes: number[] = [];
	for (const { member, outlook } of all) {
		if (!member.role.decisive) continue;
		if (outlook.is !== 'done') return undefined;
		codes.push(outlook.exitCode);
	}
	return { phase: codes.every((code) => code === 0) ? 'Succeeded' : 'Failed' };
}

const restarts = (pod: Pod, role: Role, exitCode: number) =>
	role.restarts(pod.spec.restartPolicy ?? 'Always', exitCode);

/**
 * The engine has no container of the name. If the pod's status says that one ran, it was removed behind our back: it
 * counts as killed, so that a pod that must not run twice does not.
 */
function afterVanishing(pod: Pod, name: string, role: Role): Outlook {
	const status = statusOf(pod, name);
	if (!status?.containerID) return { is: 'waiting' };
	const exitCode = status.state?.terminated?.exitCode ?? VANISHED_EXIT_CODE;
	if (role.preparatory && exitCode === 0) return { is: 'done', exitCode };
	return restarts(pod, role, exitCode) ? { is: 'restart', at: 0, backoff: 0 } : { is: 'done', exitCode };
}
