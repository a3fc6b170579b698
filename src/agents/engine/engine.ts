/**
 * What runs pods, as the agent needs it and no more: sandboxes and containers in them, images, logs, commands, figures and
 * events. How it is done (a container that holds the namespaces open, networks, names and labels) is the engine's own matter;
 * each is one folder beside this file, and docs/extend.md has the rules. Every call has a deadline, throws EngineError and
 * nothing else on purpose, and may be made again: a second create of a name finds what the first has made.
 */
import type { ImageStore } from './image.ts';
import type { ContainerSpec, Limited, Listed, Part, PodIdentity, PodNetwork, SandboxSpec, Usage } from './pod.ts';
import type { AttachOptions, ExecOptions, Execution, LogOptions, Output, Streams } from './process.ts';

export interface EngineInfo {
	/** `docker`. */
	readonly name: string;
	/** `20.10.24`. */
	readonly version: string;
	/** As images name it: amd64, arm64, ... */
	readonly architecture: string;
	readonly operatingSystem: string;
	readonly kernelVersion: string;
	readonly cpus: number;
	/** Bytes. */
	readonly memory: number;
	/** Where the engine keeps images and containers. */
	readonly root: string;
	/** How it makes control groups on this machine: `cgroupfs` or `systemd`. Absent where it makes none, or on another machine. */
	readonly groups?: string;
	/** It has a runtime of NVIDIA's, and gives containers the GPUs that they name. */
	readonly gpus?: boolean;
	/** It knows devices by their names of the Container Device Interface. */
	readonly cdi?: boolean;
}

export type EngineEvent =
	/** Events flow from here on: list anew, since there was a gap. */
	| { readonly type: 'connected' }
	| { readonly type: 'disconnected'; readonly cause: string }
	/** A sandbox or a container. */
	| {
			readonly type: 'part';
			readonly change: 'started' | 'ended' | 'removed';
			readonly id: string;
			readonly pod: PodIdentity;
	  }
	/** A reference means another image than before, or none. `id` and `name` say of which image or reference, where they say. */
	| { readonly type: 'image'; readonly change: 'added' | 'removed'; readonly id: string; readonly name?: string };

export interface Created {
	readonly id: string;
	/** There was this one already: it was made before an interruption. */
	readonly existed: boolean;
}

export interface Engine extends AsyncDisposable {
	/** Where it listens, for messages. */
	readonly address: string;
	info(): Promise<EngineInfo>;
	/**
	 * Makes what pods of a node need before the first sandbox, and finds it made: their network, and what is the engine's own.
	 * A network of another range goes, and with it the sandboxes on it that are this node's. Throws why it
	 * cannot be made: it is another's, somebody else is on it, a range or a bridge is taken.
	 */
	prepare(network: PodNetwork): Promise<void>;
	/** Takes down what `prepare` has made, where it is the node's and nobody uses it. */
	release(network: Pick<PodNetwork, 'node' | 'name'>): Promise<void>;
	readonly images: ImageStore;
	/** What sandboxes and containers have in common. */
	readonly parts: {
		/** All of the node, dead ones included. */
		list(node: string): Promise<readonly Listed[]>;
		/** Undefined where there is none, or where it is not a pod's. */
		inspect(id: string): Promise<Part | undefined>;
		start(id: string): Promise<void>;
		/** Sends a signal; one that is dead or gone already is no error. A sandbox knows SIGKILL only. */
		kill(id: string, signal: string): Promise<void>;
		/** Kills it where it runs. One that is gone already is no error. */
		remove(id: string): Promise<void>;
		/**
		 * Undefined where it does not run. The figures of the network are with the sandbox. `annotations` are those of its pod as they
		 * are now, for an engine that lets itself be told by them.
		 */
		usage(id: string, annotations?: Readonly<Record<string, string>>): Promise<Usage | undefined>;
	};
	readonly sandboxes: {
		create(spec: SandboxSpec): Promise<Created>;
	};
	readonly containers: {
		create(spec: ContainerSpec): Promise<Created>;
		/** Changes what a running container may take. */
		limit(id: string, limits: Limited): Promise<void>;
		logs(id: string, options: LogOptions): Promise<Output>;
		exec(id: string, options: ExecOptions): Promise<Execution>;
		/** The container's own input and output, which ends with it. `late`: it had ended before, and nothing comes. */
		attach(id: string, options: AttachOptions): Promise<Streams & { readonly late: boolean }>;
		resize(id: string, columns: number, rows: number): Promise<void>;
		/** Where no process can be asked: answers probes in its stead, with why it is not well. Absent where processes run. */
		answer?(id: string): Promise<string | undefined>;
	};
	/** What the node as a whole uses, where that is not what this machine does. */
	nodeUsage?(): Promise<Usage>;
	/** Every event from now on; reconnects with backoff until the signal aborts. */
	events(signal: AbortSignal): AsyncIterable<EngineEvent>;
	/** Ends a supervised engine and all its containers' supervision for good; nothing on one that we only use. */
	stop(): Promise<void>;
}
