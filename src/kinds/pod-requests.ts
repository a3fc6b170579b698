/**
 * What a pod asks of its node. Source: Kubernetes documentation, "Resource Management for Pods and Containers", and "Sidecar
 * Containers", section "Resource sharing within containers".
 */
import type { Container } from 'kubernetes-types/core/v1.js';
import type { Pod } from './builtins.generated.ts';
import { podLevel } from './core/pod-resources.ts';
import { deepEqual } from './equal.ts';
import { milli, quantity } from './quantity.ts';

/** Amounts by resource name: cpu in thousandths of a core, everything else in its unit (bytes, pieces). */
export type Resources = Readonly<Record<string, number>>;

/** A host port as a pod takes it. */
export interface HostPort {
	readonly protocol: string;
	/** 0.0.0.0 takes the port on every address. */
	readonly ip: string;
	readonly port: number;
}

/**
 * Containers add up, and so do sidecars (init containers that restart always), which run beside all that come after them. Other init containers run
 * alone, one after the other, so that the largest counts. A pod takes one of `pods`.
 */
export function requestsOf(pod: Pod): Resources {
	if (!isResized(pod)) return requestsOfSpec(pod);
	const own = requestsOfSpec(allocatedPod(pod));
	// Until its node has said whether it may have more, both count; what it can never have there does not.
	const never = pod.status?.conditions?.some(
		({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible',
	);
	if (never) return own;
	const most: Record<string, number> = { ...requestsOfSpec(pod) };
	raise(most, own);
	return most;
}

/** The pod with the resources of its containers that its node has given it, as its status says; the pod itself where it says none. */
export function allocatedPod(pod: Pod): Pod {
	const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
	const given = new Map(
		[...containerStatuses, ...initContainerStatuses].map((status) => [status.name, status.resources]),
	);
	if (![...given.values()].some((resources) => resources)) return pod;
	const withGiven = (container: Container): Container => {
		const resources = given.get(container.name);
		return resources ? { ...container, resources: { ...container.resources, ...resources } } : container;
	};
	const { containers, initContainers } = pod.spec;
	const spec = { ...pod.spec, containers: containers.map(withGiven) };
	if (initContainers) spec.initContainers = initContainers.map(withGiven);
	return { ...pod, spec };
}

/** Whether a container asks for something else than its node has given it. */
function isResized({ spec, status }: Pod): boolean {
	for (const { name, allocatedResources } of status?.containerStatuses ?? []) {
		if (!allocatedResources) continue;
		const container = spec.containers.find((one) => one.name === name);
		if (container && !deepEqual(container.resources?.requests, allocatedResources)) return true;
	}
	return false;
}

function requestsOfSpec(pod: Pod): Resources {
	const sidecars: Record<string, number> = {};
	const total: Record<string, number> = {};
	for (const container of pod.spec.initContainers ?? []) {
		const own = requests(container);
		if (container.restartPolicy === 'Always') {
			add(sidecars, own);
			raise(total, sidecars);
		} else raise(total, sum(own, sidecars));
	}
	const running = { ...sidecars };
	for (const container of pod.spec.containers) add(running, requests(container));
	raise(total, running);
	// What is said of the pod as a whole goes before the sum of its containers.
	Object.assign(total, amounts(podLevel(pod.spec)?.requests));
	add(total, amounts(pod.spec.overhead));
	return { ...total, pods: 1 };
}

/**
 * What a pod as a whole may take: the sums of its containers' limits, of those resources that each of its containers is limited in,
 * or what is said of the pod itself.
 */
export function limitsOf(pod: Pod): Resources {
	const { containers, initContainers = [], overhead } = pod.spec;
	const all = [...containers, ...initContainers];
	const own = amounts(podLevel(pod.spec)?.limits);
	const names = Object.keys(amounts(containers[0]?.resources?.limits));
	const limited = names.filter((name) => all.every(({ resources }) => quantity(resources?.limits?.[name] ?? '0') > 0));
	const limit = (container: Container) => amounts(container.resources?.limits);
	const total: Record<string, number> = {};
	for (const name of limited) {
		let sidecars = 0;
		let most = 0;
		for (const container of initContainers) {
			const amount = limit(container)[name] ?? 0;
			if (container.restartPolicy === 'Always') sidecars += amount;
			most = Math.max(most, container.restartPolicy === 'Always' ? sidecars : sidecars + amount);
		}
		const together = containers.reduce((sum, container) => sum + (limit(container)[name] ?? 0), sidecars);
		total[name] = Math.max(most, together);
	}
	Object.assign(total, own);
	for (const [name, amount] of Object.entries(amounts(overhead))) if (total[name] !== undefined) total[name] += amount;
	return total;
}

/** The host ports of a pod; on the host's network every container port is one. */
export function hostPortsOf(pod: Pod): readonly HostPort[] {
	const sidecars = (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
	return [...pod.spec.containers, ...sidecars].flatMap(({ ports = [] }) =>
		ports.flatMap(({ hostPort, containerPort, hostIP, protocol }) => {
			const port = hostPort ?? (pod.spec.hostNetwork ? containerPort : undefined);
			return port ? [{ port, protocol: protocol ?? 'TCP', ip: hostIP || '0.0.0.0' }] : [];
		}),
	);
}

/** Amounts as numbers; cpu in thousandths, rounded up. */
export function amounts(list: Readonly<Record<string, string>> | undefined): Resources {
	const parsed: Record<string, number> = {};
	for (const [name, value] of Object.entries(list ?? {}))
		parsed[name] = name === 'cpu' ? milli(value) : quantity(value);
	return parsed;
}

const requests = (container: Container) => amounts(container.resources?.requests);

function add(to: Record<string, number>, more: Resources) {
	for (const name in more) to[name] = (to[name] ?? 0) + (more[name] ?? 0);
}

function sum(a: Resources, b: Resources): Resources {
	const both = { ...a };
	add(both, b);
	return both;
}

function raise(to: Record<string, number>, at: Resources) {
	for (const name in at) to[name] = Math.max(to[name] ?? 0, at[name] ?? 0);
}
