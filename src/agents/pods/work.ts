/** What the parts share that carry out the steps of one pod's plan. */
import { ApiError, PersistentVolume, PersistentVolumeClaim, type Pod } from '../../kinds/index.ts';
import { EngineError } from '../engine/index.ts';
import type { PodView } from '../volumes/index.ts';
import type { PodContext } from './context.ts';
import { type Place, podField, resourceField } from './fields.ts';
import { podFiles } from './files.ts';
import type { Memory } from './memory.ts';
import { uidOf } from './names.ts';
import { arrange } from './observed.ts';
import { fieldPath } from './outlook.ts';

/** Pauses before a container or a sandbox is created again. As the kubelet: what was wrong may have been mended elsewhere. */
export const CREATE_BACKOFF = { firstMs: 1_000, mostMs: 10_000 };

export interface Work {
	readonly context: PodContext;
	readonly memory: Memory;
	/** Aborts when the pod is to end, and with the agent. */
	readonly wanted: AbortSignal;
	/** Something that the plan depends on may have changed. */
	poke(): void;
}

/** Where the pod is now. */
export function placeOf({ mirror, address, allocatable }: PodContext, pod: Pod): Place {
	const { sandboxes } = arrange(mirror.of(uidOf(pod)), () => undefined);
	const podIp = pod.spec.hostNetwork ? address : sandboxes[0]?.address;
	return { podIp: podIp ?? '', hostIp: address, allocatable };
}

/** The pod as its volumes see it. */
export function volumeView(context: PodContext, pod: Pod): PodView {
	const { client, dataDir, objects, localVolumes, csi, signal } = context;
	const { namespace = '' } = pod.metadata;
	const place = placeOf(context, pod);
	return {
		root: podFiles(dataDir, uidOf(pod)).root,
		volumes: pod.spec.volumes ?? [],
		name: pod.metadata.name,
		uid: uidOf(pod),
		group: pod.spec.securityContext?.fsGroup,
		groupChange: pod.spec.securityContext?.fsGroupChangePolicy === 'OnRootMismatch' ? 'OnRootMismatch' : 'Always',
		storage: {
			claim: (name) => found(client.get(PersistentVolumeClaim, { namespace, name })),
			volume: (name) => found(client.get(PersistentVolume, { name })),
			local: localVolumes,
			csi,
		},
		signal,
		configMap: (name) => objects.configMap(namespace, name),
		secret: (name) => objects.secret(namespace, name),
		field: (path) => podField(pod, path, place),
		resource: (selector) => resourceField(pod, selector, '', place),
	};
}

/** What the call gives; undefined where its object is not there. */
const found = <T>(call: Promise<T>): Promise<T | undefined> =>
	call.catch((error: unknown) => {
		if (error instanceof ApiError && error.code === 404) return undefined;
		throw error;
	});

/** An event about one of the pod's containers. */
export function tell(
	{ events }: PodContext,
	pod: Pod,
	container: string,
	type: 'Normal' | 'Warning',
	reason: string,
	message: string,
): void {
	events.event(pod, type, reason, message, fieldPath(pod, container));
}

/** An engine that does not answer is no fault of the pod's. */
export function rethrowIfDown(error: unknown): void {
	if (error instanceof EngineError && error.fault === 'down') throw error;
}
