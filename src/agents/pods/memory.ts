/** What the agent remembers of one pod beyond its containers. Losing it costs a retry or a probe, never a container. */
import type { Eviction } from '../pressure/evictor.ts';
import type { Failure, Stopping, VolumeFailure, Volumes } from './observed.ts';

export interface Memory {
	volumes: Volumes;
	/** Counts the changes of what the volumes are made of, so that one during their setting up is not missed. */
	contents: number;
	sandboxFailure: Failure | undefined;
	/** By container name. */
	readonly failures: Map<string, Failure>;
	/** By container id. */
	readonly stopping: Map<string, Stopping>;
	/** Since when the pod as a whole is being stopped; a file remembers it as well (see stop.ts). */
	stoppingSince: number | undefined;
	/** Ids of containers whose postStart hook runs, and of those whose hook has failed. */
	readonly hooking: Set<string>;
	readonly hookFailed: Set<string>;
	/** Why the pod is evicted; a file remembers it as well (see eviction-record.ts). */
	eviction: Eviction | undefined;
	/** The resources of the pod could not be changed. */
	resizeFailure: Failure | undefined;
	/** By container name: what an event has told of it last, so that it is not told again. */
	readonly told: Map<string, string>;
	/** The API was asked to forget the pod. */
	deleted: boolean;
}

export const newMemory = (): Memory => ({
	volumes: 'unmounted',
	contents: 0,
	sandboxFailure: undefined,
	failures: new Map(),
	stopping: new Map(),
	stoppingSince: undefined,
	hooking: new Set(),
	hookFailed: new Set(),
	eviction: undefined,
	resizeFailure: undefined,
	told: new Map(),
	deleted: false,
});

/** A failure after `before`: each in a row waits twice as long as the one before it. */
export function failure(
	reason: string,
	message: string,
	before: Failure | undefined,
	now: number,
	{ firstMs, mostMs }: { readonly firstMs: number; readonly mostMs: number },
): Failure {
	const count = (before?.count ?? 0) + 1;
	return { reason, message, at: now, until: now + Math.min(firstMs * 2 ** (count - 1), mostMs), count };
}

export const asFailure = (volumes: Memory['volumes']): VolumeFailure | undefined =>
	typeof volumes === 'object' ? volumes : undefined;
