/** Which container a request means. */
import type { Pod } from '../../kinds/index.ts';
import { ApiError, badRequest } from '../../kinds/index.ts';
import type { Container } from '../engine/index.ts';
import type { Mirror } from '../pods/mirror.ts';
import { uidOf } from '../pods/names.ts';
import { members, statusOf } from '../pods/outlook.ts';

export interface Found {
	readonly pod: Pod;
	readonly container: Container;
}

/** What the server reads from: the pods of this node, and their containers. */
export interface Pods {
	find(namespace: string, name: string): Pod | undefined;
	all(): Iterable<Pod>;
}

/** The newest instance of a container, or the one before it. Throws ApiError with the kubelet's words. */
export function findContainer(pods: Pods, mirror: Mirror, path: Target, previous = false): Found {
	const pod = podOf(pods, path);
	const instances = [...mirror.of(uidOf(pod))]
		.filter((part) => part.kind === 'container')
		.filter(({ name }) => name === path.container)
		.sort((a, b) => b.attempt - a.attempt);
	const quoted = `"${path.container}" in pod "${path.name}"`;
	const [newest] = instances;
	if (!newest) {
		if (previous) throw badRequest(`previous terminated container ${quoted} not found`);
		const waiting = statusOf(pod, path.container)?.state?.waiting;
		const reason = waiting?.reason ?? 'ContainerCreating';
		const why =
			reason === 'ErrImagePull' || reason === 'ImagePullBackOff' ? `trying and failing to pull image` : reason;
		throw badRequest(`container ${quoted} is waiting to start: ${why}`);
	}
	if (!previous) return { pod, container: newest };
	// While the container waits for its restart, the one that has ended is the one before.
	const dead = instances.find((one) => one.state !== 'running');
	if (!dead) throw badRequest(`previous terminated container ${quoted} not found`);
	return { pod, container: dead };
}

/**
 * The instance to attach to: the newest one, running or ended. Throws ApiError where it has not been started.
 * `exclusive`: it takes the input of one caller only, who comes for all that it writes.
 */
export function findAttachable(pods: Pods, mirror: Mirror, path: Target): Found & { readonly exclusive: boolean } {
	const found = findContainer(pods, mirror, path);
	if (found.container.state === 'created') throw notRunning(path);
	const spec = members(found.pod).find(({ container }) => container.name === path.container)?.container;
	return { ...found, exclusive: spec?.stdin === true && spec.stdinOnce === true };
}

/** The running instance of a container. Throws ApiError where it does not run. */
export function findRunning(pods: Pods, mirror: Mirror, path: Target): Found {
	const pod = podOf(pods, path);
	for (const part of mirror.of(uidOf(pod)))
		if (part.kind === 'container' && part.state === 'running' && part.name === path.container)
			return { pod, container: part };
	throw notRunning(path);
}

const notRunning = ({ container }: Target) =>
	new ApiError(500, 'InternalError', `container not found ("${container}")`);

export interface Target {
	readonly namespace: string;
	readonly name: string;
	readonly container: string;
}

function podOf(pods: Pods, { namespace, name, container }: Target): Pod {
	const pod = pods.find(namespace, name);
	if (!pod) throw new ApiError(404, 'NotFound', `pod "${name}" does not exist on this node`);
	if (!members(pod).some((member) => member.container.name === container)) {
		throw badRequest(`container ${container} is not valid for pod ${name}`);
	}
	return pod;
}
