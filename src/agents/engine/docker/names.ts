/**
 * How the containers of pods are named and labelled in Docker, so that the engine's own list is the agent's memory, and tools
 * that know Kubernetes find their way. Source: cri-dockerd naming. Containers live longer than we do: names stay as they are.
 */
import type { ContainerSpec, Notes, PodIdentity, SandboxSpec } from '../pod.ts';

export type Labels = Readonly<Record<string, string>>;

const labels = {
	podName: 'io.kubernetes.pod.name',
	podNamespace: 'io.kubernetes.pod.namespace',
	podUid: 'io.kubernetes.pod.uid',
	container: 'io.kubernetes.container.name',
	restartCount: 'io.kubernetes.container.restartCount',
	type: 'io.kubernetes.docker.type',
	sandbox: 'io.kubernetes.sandbox.id',
	hash: 'io.kubernetes.container.hash',
	terminationMessagePath: 'io.kubernetes.container.terminationMessagePath',
	backoff: 'driftless.io/restart-backoff-seconds',
	node: 'driftless.io/node',
	devices: 'driftless.io/devices',
} as const;

/** What the container that is a pod's sandbox is called. */
const SANDBOX = 'POD';

/** `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`; the sandbox is called POD. */
const nameOf = ({ name, namespace, uid }: PodIdentity, container: string, attempt: number) =>
	['k8s', container, name, namespace, uid, attempt].join('_');

const podLabels = ({ node, uid, namespace, name }: PodIdentity): Labels => ({
	[labels.podName]: name,
	[labels.podNamespace]: namespace,
	[labels.podUid]: uid,
	[labels.node]: node,
});

/** The label of what belongs to a node. */
export const nodeLabel = (node: string): Labels => ({ [labels.node]: node });
export const nodeOf = (found: Labels): string | undefined => found[labels.node];

export function sandboxNames({ pod, attempt }: SandboxSpec) {
	return {
		name: nameOf(pod, SANDBOX, attempt),
		labels: {
			...podLabels(pod),
			[labels.container]: SANDBOX,
			[labels.type]: 'podsandbox',
			[labels.restartCount]: String(attempt),
		},
	};
}

export function containerNames(spec: ContainerSpec) {
	return {
		name: nameOf(spec.pod, spec.name, spec.attempt),
		labels: {
			...podLabels(spec.pod),
			[labels.container]: spec.name,
			[labels.type]: 'container',
			[labels.restartCount]: String(spec.attempt),
			[labels.sandbox]: spec.sandbox,
			[labels.hash]: spec.hash,
			[labels.backoff]: String(spec.backoff),
			[labels.terminationMessagePath]: spec.terminationMessagePath,
			...(spec.deviceIds && { [labels.devices]: JSON.stringify(spec.deviceIds) }),
		},
	};
}

/** Whose container it is; undefined where it is no pod's of a node of driftless. */
export function podOf(found: Labels): PodIdentity | undefined {
	const { [labels.podUid]: uid, [labels.node]: node } = found;
	if (!uid || !node) return undefined;
	return { node, uid, namespace: found[labels.podNamespace] ?? '', name: found[labels.podName] ?? uid };
}

export const isSandbox = (found: Labels) => found[labels.type] === 'podsandbox';

export function notesOf(found: Labels): Notes {
	return {
		name: found[labels.container] ?? '',
		attempt: Number(found[labels.restartCount] ?? 0),
		sandbox: found[labels.sandbox] ?? '',
		hash: found[labels.hash] ?? '',
		backoff: Number(found[labels.backoff] ?? 0),
		...deviceIdsOf(found),
	};
}

/** Labels are ours, but anybody can make a container with some: what is no map of texts is none. */
function deviceIdsOf({ [labels.devices]: text }: Labels): Pick<Notes, 'deviceIds'> {
	if (text === undefined) return {};
	try {
		const read = Object.entries(JSON.parse(text) as object);
		const sound = read.every(([, ids]) => Array.isArray(ids) && ids.every((id) => typeof id === 'string'));
		return sound && read.length > 0 ? { deviceIds: Object.fromEntries(read) as Notes['deviceIds'] } : {};
	} catch {
		return {};
	}
}
