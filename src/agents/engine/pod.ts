/**
 * What a pod is made of: a sandbox, which holds its address and its namespaces, and containers in it. The words are those of
 * Kubernetes' Container Runtime Interface. Times are milliseconds since the epoch.
 */

import type { QosClass } from './group.ts';

/** Whose a sandbox or a container is. The engine keeps it with it, also beyond its own end, and gives it back unchanged. */
export interface PodIdentity {
	/** The node that the pod runs on: several agents may share an engine. */
	readonly node: string;
	readonly uid: string;
	readonly namespace: string;
	readonly name: string;
}

/** The namespaces of the kernel that the processes of a pod are in. `node`: the machine's own. */
export interface Namespaces {
	readonly network: 'pod' | 'node';
	readonly ipc: 'pod' | 'node';
	/** `container`: each container has its own; `of`: that of the container with this id. */
	readonly pid: 'container' | 'pod' | 'node' | { readonly of: string };
}

export interface PortBinding {
	readonly containerPort: number;
	readonly protocol: 'tcp' | 'udp' | 'sctp';
	readonly hostPort: number;
	readonly hostIp?: string;
}

/** The addresses of a node's pods. */
export interface PodNetwork {
	readonly node: string;
	/** Of the network in the engine: agents that share one have one each. */
	readonly name: string;
	/** The bridge on the machine that its pods are behind. */
	readonly bridge: string;
	readonly mtu: number;
	/** The range of the node. */
	readonly cidr: string;
}

/** The sandbox to create. What is absent is the engine's default. */
export interface SandboxSpec {
	readonly pod: PodIdentity;
	/** In whose control group it is. */
	readonly qos: QosClass;
	/** How many the pod has had before. */
	readonly attempt: number;
	/** The pod's own: what an engine lets itself be told by them is its own matter. */
	readonly annotations: Readonly<Record<string, string>>;
	readonly hostname?: string;
	readonly namespaces: Namespaces;
	readonly ports: readonly PortBinding[];
	readonly sysctls: Readonly<Record<string, string>>;
	/** One of the engine's runtimes by its name; absent is its default. */
	readonly runtime?: string;
	/** Processes that it may have. */
	readonly maxPids: number;
}

export interface Mount {
	readonly source: string;
	readonly target: string;
	readonly readOnly: boolean;
	readonly propagation: 'rprivate' | 'rslave' | 'rshared';
}

/** A device of the machine in a container. */
export interface DeviceNode {
	/** Its path on the machine. */
	readonly source: string;
	readonly target: string;
	/** Some of r, w and m (mknod). */
	readonly permissions: string;
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

/** What the agent has to find again with a container, also after its own end. The engine keeps it and does not read it. */
export interface Notes {
	/** Name of the container in the pod's spec. */
	readonly name: string;
	/** How many of the name the pod has had before. */
	readonly attempt: number;
	/** Id of the sandbox that it is in. */
	readonly sandbox: string;
	/** Hash of the part of its spec that may change while its pod lives. */
	readonly hash: string;
	/** Seconds that its successor has to wait once it has ended. */
	readonly backoff: number;
	/** Ids of the devices that it has, by resource. Absent: none. */
	readonly deviceIds?: Readonly<Record<string, readonly string[]>>;
}

/** What a container may take, which may change while it runs. As in ContainerSpec. */
export interface Limited {
	readonly cpuShares?: number;
	readonly cpuQuota?: number;
	readonly memory?: number;
}

/** The container to create. What is absent is the engine's or the image's default. */
export interface ContainerSpec extends Notes {
	readonly pod: PodIdentity;
	readonly qos: QosClass;
	/** That of its sandbox. */
	readonly runtime?: string;
	/** Id of the image. */
	readonly image: string;
	/** Replaces the image's entrypoint (and its command). */
	readonly command?: readonly string[];
	/** Replaces the image's command. */
	readonly args?: readonly string[];
	/** `NAME=value`. */
	readonly env?: readonly string[];
	readonly workingDir?: string;
	readonly user?: string;
	readonly groups?: readonly string[];
	readonly tty?: boolean;
	readonly stdin?: boolean;
	readonly stdinOnce?: boolean;
	/** Those of its sandbox. */
	readonly namespaces: Namespaces;
	readonly mounts: readonly Mount[];
	readonly devices?: readonly DeviceNode[];
	/** Ids of GPUs that the runtime of `EngineInfo.gpus` gives. */
	readonly gpus?: readonly string[];
	/** Names of the Container Device Interface, where `EngineInfo.cdi`. */
	readonly cdiDevices?: readonly string[];
	/** For runtimes that let themselves be told by them; an engine that has none ignores them. */
	readonly annotations?: Readonly<Record<string, string>>;
	/** Where in the container it leaves its last words; one of the mounts is there. */
	readonly terminationMessagePath: string;
	readonly cpuShares?: number;
	/** Microseconds of CPU time a period of 100 ms; absent is unlimited. */
	readonly cpuQuota?: number;
	/** Bytes; swap is never added. Absent is unlimited. */
	readonly memory?: number;
	/** Processes that it may have. */
	readonly maxPids: number;
	/** Who goes first when memory runs out: the larger the sooner. One that the machine does not grant is the nearest that it does. */
	readonly oomScore?: number;
	readonly privileged?: boolean;
	readonly addCapabilities?: readonly string[];
	readonly dropCapabilities?: readonly string[];
	readonly readOnlyRoot?: boolean;
	readonly confinement?: Confinement;
}

/** A sandbox as the engine has it. */
export interface Sandbox {
	readonly kind: 'sandbox';
	readonly id: string;
	readonly pod: PodIdentity;
	readonly attempt: number;
	readonly state: 'created' | 'running' | 'exited';
	readonly created: number;
	/** Number of its process on the engine's machine, while it runs there. */
	readonly pid?: number;
	/** The pod's address, while it runs on a network of its own. */
	readonly address?: string;
}

/** A container as the engine has it. */
export interface Container extends Notes {
	readonly kind: 'container';
	readonly id: string;
	/** Its id as statuses name it: `docker://ID`. */
	readonly uri: string;
	readonly pod: PodIdentity;
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
	readonly tty: boolean;
	/** Number of its first process on the engine's machine, while it runs there. */
	readonly pid?: number;
	/** What it may take, as the engine has it now. */
	readonly limits?: Limited;
	/** Where on the engine's machine what it writes lies, and its log: folders or files whose size is its use of the disk. */
	readonly writes?: { readonly layer?: string; readonly log?: string };
	/** Signal that it expects as the wish to stop. */
	readonly stopSignal?: string;
}

/** A part of a pod: its sandbox, or a container in it. No two have the same id. */
export type Part = Sandbox | Container;

/** A part as a list of all tells of it. */
export interface Listed {
	readonly id: string;
	/** Uid of the pod. */
	readonly uid: string;
	readonly state: Part['state'];
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
