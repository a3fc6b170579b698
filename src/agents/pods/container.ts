/** From a pod's spec to what the engine is asked to create: pure, given what the spec refers to. */
import type * as core from 'kubernetes-types/core/v1.js';
import { type Pod, qosClass } from '../../kinds/index.ts';
import type { Given } from '../devices/index.ts';
import type {
	Confinement,
	ContainerSpec,
	Image,
	Mount,
	Namespaces,
	PortBinding,
	SandboxSpec,
} from '../engine/index.ts';
import { environment, expand, type Objects } from './environment.ts';
import type { Place } from './fields.ts';
import { kernelHostname, type PodFiles } from './files.ts';
import { identityOf, specHash } from './names.ts';
import { members } from './outlook.ts';
import { limitsOf } from './resources.ts';
import { checkUser, securityOf, userOf } from './security.ts';

/** The pod's sandbox. Throws where the name that the pod asks for is too long. */
export function sandboxSpec(
	pod: Pod,
	attempt: number,
	{
		node,
		domain,
		maxPids,
		runtime,
	}: { readonly node: string; readonly domain: string; readonly maxPids: number; readonly runtime?: string },
): SandboxSpec {
	const { hostNetwork, securityContext } = pod.spec;
	// Slashes separate as well as dots do; engines know dots.
	const sysctls = (securityContext?.sysctls ?? []).map(({ name, value }) => [name.replaceAll('/', '.'), value]);
	return {
		pod: identityOf(pod, node),
		qos: qosClass(pod.spec),
		attempt,
		annotations: pod.metadata.annotations ?? {},
		hostname: hostNetwork ? undefined : kernelHostname(pod, domain),
		namespaces: namespacesOf(pod),
		ports: hostNetwork ? [] : hostPorts(pod),
		sysctls: Object.fromEntries(sysctls),
		runtime,
		maxPids,
	};
}

function namespacesOf({ spec: { hostNetwork, hostIPC, hostPID, shareProcessNamespace } }: Pod): Namespaces {
	return {
		network: hostNetwork ? 'node' : 'pod',
		ipc: hostIPC ? 'node' : 'pod',
		pid: hostPID ? 'node' : shareProcessNamespace ? 'pod' : 'container',
	};
}

export interface ContainerContext {
	readonly node: string;
	readonly attempt: number;
	readonly backoff: number;
	readonly sandbox: string;
	readonly image: Image;
	readonly files: PodFiles;
	readonly confinement: Confinement;
	readonly objects: Objects;
	readonly place: Place;
	/** Bytes that the machine has. */
	readonly machineMemory: number;
	readonly maxPids: number;
	readonly runtime?: string;
	/** Id of the container whose processes it sees. */
	readonly target: string | undefined;
	/** With its devices; undefined where it has none. */
	readonly given?: Given;
}

/** A container of the pod's spec, without the mounts of volumes. Throws ConfigError where it cannot be created as it is. */
export function containerSpec(pod: Pod, container: core.Container, context: ContainerContext): ContainerSpec {
	const { given } = context;
	// What the pod says itself goes before what comes with a device.
	const own = environment(pod, container, context.objects, context.place);
	const variables = new Map([...Object.entries(given?.env ?? {}), ...own]);
	const substitute = (text: string) => expand(text, (name) => variables.get(name));
	const security = securityOf(pod, container);
	checkUser(pod, container, security, context.image);
	const terminationPath = container.terminationMessagePath || '/dev/termination-log';
	const mounts: Mount[] = [
		...(given?.mounts ?? []),
		mount(context.files.hosts, '/etc/hosts'),
		mount(context.files.resolv, '/etc/resolv.conf'),
		mount(context.files.terminationMessage(container.name, context.attempt), terminationPath),
	];
	const groups = [
		...(pod.spec.securityContext?.supplementalGroups ?? []),
		...(pod.spec.securityContext?.fsGroup === undefined ? [] : [pod.spec.securityContext.fsGroup]),
	];
	return {
		pod: identityOf(pod, context.node),
		qos: qosClass(pod.spec),
		name: container.name,
		attempt: context.attempt,
		sandbox: context.sandbox,
		hash: specHash(container),
		backoff: context.backoff,
		terminationMessagePath: terminationPath,
		// By id: what was checked or pulled is what runs.
		image: context.image.id,
		command: container.command?.length ? container.command.map(substitute) : undefined,
		args: container.args?.length ? container.args.map(substitute) : undefined,
		env: [...variables].map(([name, value]) => `${name}=${value}`),
		workingDir: container.workingDir,
		user: userOf(security, context.image),
		groups: groups.length > 0 ? groups.map(String) : undefined,
		tty: container.tty,
		stdin: container.stdin,
		stdinOnce: container.stdinOnce,
		namespaces: { ...namespacesOf(pod), ...(context.target === undefined ? {} : { pid: { of: context.target } }) },
		mounts,
		...(given && {
			devices: given.devices,
			gpus: given.gpus,
			cdiDevices: given.cdi,
			annotations: given.annotations,
			deviceIds: given.ids,
		}),
		...limitsOf(pod, container, context.machineMemory),
		maxPids: context.maxPids,
		runtime: context.runtime,
		privileged: security.privileged,
		addCapabilities: security.capabilities?.add,
		dropCapabilities: security.capabilities?.drop,
		readOnlyRoot: security.readOnlyRootFilesystem,
		confinement: context.confinement,
	};
}

function hostPorts(pod: Pod): PortBinding[] {
	return members(pod).flatMap(({ container }) =>
		(container.ports ?? []).flatMap(({ containerPort, protocol = 'TCP', hostPort, hostIP }) =>
			hostPort
				? [{ containerPort, protocol: protocol.toLowerCase() as PortBinding['protocol'], hostPort, hostIp: hostIP }]
				: [],
		),
	);
}

const mount = (source: string, target: string): Mount => ({
	source,
	target,
	readOnly: false,
	propagation: 'rprivate',
});
