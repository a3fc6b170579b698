/**
 * The container engine as the agent needs it, and no more. The folder docker/ implements it; nothing else talks to Docker.
 * Every call has a deadline, and throws EngineError and nothing else on purpose.
 */
import type { Writable } from 'node:stream';

/**
 * `down`: nothing answers, the same call may succeed later. `late`: no answer came in time; what was asked for may have been
 * done or not, or may yet be. `no-network`: the network that a container is to be on is not there.
 */
export type EngineFault = 'down' | 'late' | 'not-found' | 'conflict' | 'no-network' | 'failed';

export class EngineError extends Error {
	override readonly name = 'EngineError';
	readonly fault: EngineFault;
	/** The engine's own words, without what we were doing. */
	readonly detail: string;
	constructor(fault: EngineFault, doing: string, detail: string) {
		super(`${doing}: ${detail}`);
		this.fault = fault;
		this.detail = detail;
	}
}

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
}

export interface Image {
	/** `sha256:...`. */
	readonly id: string;
	readonly tags: readonly string[];
	/** `repository@sha256:...`; empty for an image that never met a registry. */
	readonly digests: readonly string[];
	/** Bytes. */
	readonly size: number;
	/** User that its containers run as where nothing else is said; empty for root. */
	readonly user: string;
	/** Signal that its containers expect as the wish to stop. */
	readonly stopSignal?: string;
}

/** A container as the engine has it. Times in milliseconds since the epoch. */
export interface Container {
	readonly id: string;
	/** Its id as statuses name it: `docker://ID`. */
	readonly uri: string;
	readonly name: string;
	readonly labels: Readonly<Record<string, string>>;
	/** A container whose start failed is `created` and has an error. */
	readonly state: 'created' | 'running' | 'exited';
	readonly image: string;
	readonly imageId: string;
	readonly created: number;
	readonly startedAt?: number;
	readonly finishedAt?: number;
	readonly exitCode: number;
	readonly oomKilled: boolean;
	/** Why it could not be started; empty otherwise. */
	readonly error: string;
	/** Its address on the network it was created in, while it runs. */
	readonly address?: string;
	readonly tty: boolean;
	readonly stopSignal?: string;
}

/** A container as a list of all tells of it. */
export type Listed = Pick<Container, 'id' | 'state' | 'labels'>;

export interface Mount {
	readonly source: string;
	readonly target: string;
	readonly readOnly: boolean;
	readonly propagation: 'rprivate' | 'rslave' | 'rshared';
}

export interface PortBinding {
	readonly containerPort: number;
	readonly protocol: 'tcp' | 'udp' | 'sctp';
	readonly hostPort: number;
	readonly hostIp?: string;
}

/** What keeps a process from more than its user's rights keep it from. */
export interface Confinement {
	/** It gets no more privileges than it begins with. */
	readonly noNewPrivileges?: boolean;
	/** `unconfined`, or a profile as JSON text; absent is the engine's own. */
	readonly seccomp?: 'unconfined' | { readonly profile: string };
	/** `unconfined`, or the name of a profile that is loaded; absent is the engine's own. */
	readonly appArmor?: 'unconfined' | { readonly name: string };
}

/** What containers of an image do where nothing else is said. */
export interface ImageConfig {
	readonly entrypoint?: readonly string[];
	readonly command?: readonly string[];
	readonly env?: Readonly<Record<string, string>>;
	readonly workingDir?: string;
}

/** What to create. What is absent is the engine's or the image's default. */
export interface ContainerSpec {
	readonly name: string;
	readonly image: string;
	readonly labels: Readonly<Record<string, string>>;
	/** Replaces the image's entrypoint (and its command). */
	readonly command?: readonly string[];
	/** Replaces the image's command. */
	readonly args?: readonly string[];
	/** `NAME=value`. */
	readonly env?: readonly string[];
	readonly hostname?: string;
	readonly workingDir?: string;
	readonly user?: string;
	readonly groups?: readonly string[];
	readonly tty?: boolean;
	readonly stdin?: boolean;
	readonly stdinOnce?: boolean;
	/** A network's name, another container's network, or the machine's. */
	readonly network: { readonly name: string } | { readonly container: string } | 'host';
	readonly ipc: 'shareable' | 'host' | { readonly container: string };
	readonly pid?: 'host' | { readonly container: string };
	readonly mounts?: readonly Mount[];
	readonly ports?: readonly PortBinding[];
	readonly cpuShares?: number;
	/** Microseconds of CPU time a period of 100 ms; absent is unlimited. */
	readonly cpuQuota?: number;
	/** Bytes; swap is never added. Absent is unlimited. */
	readonly memory?: number;
	/** Processes that it may have; absent is unlimited. */
	readonly maxPids?: number;
	/** The control group that its own is made in, a single name; absent is the engine's. */
	readonly group?: string;
	readonly oomScore?: number;
	readonly privileged?: boolean;
	readonly addCapabilities?: readonly string[];
	readonly dropCapabilities?: readonly string[];
	readonly readOnlyRoot?: boolean;
	readonly confinement?: Confinement;
	readonly sysctls?: Readonly<Record<string, string>>;
	/** Bound of the container's log on disk: files of so many bytes, so many of them. */
	readonly log?: { readonly maxBytes: number; readonly maxFiles: number };
}

export interface LogOptions {
	readonly follow: boolean;
	/** The last so many lines; all when absent. */
	readonly tail?: number;
	/** Seconds since the epoch, with fractions. */
	readonly since?: number;
	readonly timestamps: boolean;
	/** Whether the container has a terminal. */
	readonly tty: boolean;
	readonly signal?: AbortSignal;
}

/** A piece of what a process has written; with a terminal all of it is stdout. */
export interface Chunk {
	readonly channel: 'stdout' | 'stderr';
	readonly payload: Uint8Array;
}

/** What a process writes, in order and as it comes. It can be read once. */
export interface Output extends AsyncIterable<Chunk> {
	/** Gives it up; whoever reads it gets the error. */
	destroy(error?: Error): void;
}

/** The input and the output of a process. Destroying one gives up both. */
export interface Streams {
	/** Ended, it closes the input while output still comes. */
	readonly input: Writable;
	readonly output: Output;
}

/** A process beside the container's own. */
export interface Execution extends Streams {
	/** After the output has ended: its exit code. */
	exitCode(): Promise<number>;
	/** Ends it, and what it has started, where it still runs and that can be done. */
	kill(): Promise<void>;
	resize(columns: number, rows: number): Promise<void>;
}

export interface ExecOptions {
	readonly command: readonly string[];
	readonly stdin: boolean;
	readonly tty: boolean;
	readonly signal?: AbortSignal;
}

export interface Usage {
	/** Milliseconds since the epoch of the reading. */
	readonly at: number;
	/** CPU time used since the container's start. */
	readonly cpuNanoseconds: number;
	/** Bytes in use, and in use without what the kernel could drop. */
	readonly memory: number;
	readonly workingSet: number;
	readonly received?: number;
	readonly sent?: number;
}

export type EngineEvent =
	/** Events flow from here on: list anew, since there was a gap. */
	| { readonly type: 'connected' }
	| { readonly type: 'disconnected'; readonly cause: string }
	| {
			readonly type: 'container';
			readonly change: 'started' | 'ended' | 'removed';
			readonly id: string;
			readonly labels: Readonly<Record<string, string>>;
	  }
	/** A reference means another image than before, or none. `id` and `name` say of which image or reference, where they say. */
	| { readonly type: 'image'; readonly change: 'added' | 'removed'; readonly id: string; readonly name?: string };

export interface RegistryAuth {
	readonly username?: string;
	readonly password?: string;
	readonly identitytoken?: string;
	readonly serveraddress: string;
}

export interface Engine extends AsyncDisposable {
	/** Where it listens, for messages. */
	readonly address: string;
	info(): Promise<EngineInfo>;
	readonly images: {
		inspect(reference: string): Promise<Image | undefined>;
		list(): Promise<readonly Image[]>;
		/** Fetches from the registry. Throws with the registry's words. */
		pull(reference: string, auth: RegistryAuth | undefined, signal?: AbortSignal): Promise<void>;
		/** Makes an image of one layer from a tar archive of its root. */
		load(reference: string, archive: Uint8Array, config: ImageConfig, signal?: AbortSignal): Promise<void>;
		/** How statuses name an image: by its digest in a repository where it has one, else by its id. */
		uri(id: string, digest: string | undefined): string;
		remove(reference: string): Promise<void>;
	};
	readonly networks: {
		inspect(name: string): Promise<
			| {
					readonly subnet: string;
					readonly gateway: string;
					readonly labels: Readonly<Record<string, string>>;
					readonly containers: readonly string[];
			  }
			| undefined
		>;
		create(network: {
			name: string;
			bridge: string;
			subnet: string;
			gateway: string;
			mtu: number;
			labels: Readonly<Record<string, string>>;
		}): Promise<void>;
		remove(name: string): Promise<void>;
	};
	readonly containers: {
		/** All containers, dead ones included, that carry the labels. */
		list(labels: Readonly<Record<string, string>>): Promise<readonly Listed[]>;
		inspect(id: string): Promise<Container | undefined>;
		/** `existed`: there was one of this name already, and this is its id. */
		create(spec: ContainerSpec): Promise<{ readonly id: string; readonly existed: boolean }>;
		start(id: string): Promise<void>;
		/** Sends a signal; a container that is dead or gone already is no error. */
		kill(id: string, signal: string): Promise<void>;
		/** Kills it where it runs. One that is gone already is no error. */
		remove(id: string): Promise<void>;
		logs(id: string, options: LogOptions): Promise<Output>;
		exec(id: string, options: ExecOptions): Promise<Execution>;
		/** The container's own input and output, which ends with it. `late`: it had ended before, and nothing comes. */
		attach(
			id: string,
			options: { stdin: boolean; tty: boolean; signal?: AbortSignal },
		): Promise<Streams & { readonly late: boolean }>;
		resize(id: string, columns: number, rows: number): Promise<void>;
		usage(id: string): Promise<Usage | undefined>;
	};
	/** Every event from now on; reconnects with backoff until the signal aborts. */
	events(signal: AbortSignal): AsyncIterable<EngineEvent>;
	/** Ends a supervised engine and all its containers' supervision for good; nothing on one that we only use. */
	stop(): Promise<void>;
}
