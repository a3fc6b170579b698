/**
 * What the agent knows of a pod besides its object: what planPod and podStatus decide by. It is derived anew from the
 * engine's sandboxes and containers each time; only what the engine cannot know (pulls, probes, failures) is remembered.
 * All times are milliseconds since the epoch.
 */

import type { Container, Part } from '../engine/index.ts';
import type { Eviction } from '../pressure/evictor.ts';
import type { Pending } from './resize.ts';

/** What holds the pod's namespaces. */
export type Sandbox = Omit<Extract<Part, { readonly kind: 'sandbox' }>, 'kind' | 'pod'>;

/** One run of one of the pod's containers. */
export interface Instance extends Omit<Container, 'kind' | 'pod' | 'state' | 'tty' | 'stopSignal'> {
	/** `created`: not started yet; `failed`: could not be started. */
	readonly state: Container['state'] | 'failed';
	/** What it left at its terminationMessagePath. */
	readonly message?: string;
}

/** Something that went wrong and is tried again at `until`. */
export interface Failure {
	/** As in a container's waiting state: ErrImagePull, CreateContainerConfigError, ... */
	readonly reason: string;
	readonly message: string;
	readonly at: number;
	readonly until: number;
	/** How often in a row. */
	readonly count: number;
}

/** Whether a container's image is there for its next start. */
export type ImageState =
	| { readonly state: 'present'; readonly digest?: string }
	| { readonly state: 'absent' }
	| { readonly state: 'pulling' }
	| { readonly state: 'failed'; readonly failure: Failure };

/** What the probes of a running container have found. */
export interface Health {
	/** Its startup probe has succeeded, or it has none. */
	readonly started: boolean;
	/** Its readiness probe's last verdict; true where it has none and is started. */
	readonly ready: boolean;
	/** Set when a liveness or startup probe has failed for good. */
	readonly unhealthy?: { readonly probe: 'Liveness' | 'Startup'; readonly graceSeconds?: number };
	/** The postStart hook has failed. */
	readonly hookFailed?: boolean;
}

/** `standing`: they are set up, but could not be brought up to date. */
export interface VolumeFailure extends Failure {
	readonly standing?: boolean;
}

/** `stale`: their content has to be brought up to date. */
export type Volumes = 'unmounted' | 'mounted' | 'stale' | 'removed' | VolumeFailure;

/** A container that was asked to stop. */
export interface Stopping {
	readonly since: number;
	readonly deadline: number;
	/** When the stop signal was sent; undefined while its preStop hook runs. */
	readonly signalled?: number;
}

export interface Observed {
	/** Since when the API has no such pod any more, or another one of its name. */
	readonly gone?: number;
	/** Since when the pod as a whole is being stopped: its one period of grace began then. */
	readonly stoppingSince?: number;
	/** Newest first. */
	readonly sandboxes: readonly Sandbox[];
	/** Newest first within each name. */
	readonly instances: readonly Instance[];
	readonly volumes: Volumes;
	/** By container name. */
	readonly images: ReadonlyMap<string, ImageState>;
	/** By container name: its creation failed. */
	readonly failures: ReadonlyMap<string, Failure>;
	readonly sandboxFailure?: Failure;
	/** By container id. */
	readonly health: ReadonlyMap<string, Health>;
	/** By container id. */
	readonly stopping: ReadonlyMap<string, Stopping>;
	/** Ids of containers whose postStart hook still runs. */
	readonly hooking: ReadonlySet<string>;
	/** An image as statuses name it: by its digest where it came from a registry; `reference` is the container's name of it. */
	imageUri(imageId: string, reference: string): string;
	readonly hostAddresses: readonly string[];
	/** Bytes that the machine has. */
	readonly machineMemory: number;
	/** It has to go: the node runs short, or it takes more than it may. */
	readonly eviction?: Eviction;
	/** Where its resources are not those that it asks for. */
	readonly resize?: {
		readonly pending?: Pending;
		/** Its last attempt has failed. */
		readonly failure?: Failure;
	};
}

/** Whether an instance is over. */
export const ended = (instance: Instance) => instance.state === 'exited' || instance.state === 'failed';

/** The parts of one pod as sandboxes and instances, newest first. */
export function arrange(parts: Iterable<Part>, message: (id: string) => string | undefined) {
	const sandboxes: Sandbox[] = [];
	const instances: Instance[] = [];
	for (const part of parts) {
		if (part.kind === 'sandbox') sandboxes.push(part);
		else instances.push({ ...toInstance(part), message: message(part.id) });
	}
	const newestFirst = (a: { attempt: number }, b: { attempt: number }) => b.attempt - a.attempt;
	return { sandboxes: sandboxes.sort(newestFirst), instances: instances.sort(newestFirst) };
}

function toInstance(container: Container): Instance {
	const failed = container.state === 'created' && container.error !== '';
	return {
		...container,
		state: failed ? 'failed' : container.state,
		// A start that fails leaves no time behind; it follows the creation at once.
		finishedAt: failed ? container.created : container.finishedAt,
		// 128: it never ran, as containerd's StartError says it.
		exitCode: failed ? 128 : container.exitCode,
	};
}
