/** From a pod's spec to what the engine is asked to create: pure, given what the spec refers to. */
import type * as core from 'kubernetes-types/core/v1.js';
import type { Pod } from '../../kinds/index.ts';
import type { Confinement, ContainerSpec, Image, Mount, PortBinding } from '../engine/engine.ts';
import { PAUSE_IMAGE } from '../images/pause.ts';
import { environment, expand, type Objects } from './environment.ts';
import type { Place } from './fields.ts';
import { kernelHostname, type PodFiles } from './files.ts';
import { containerName, labels, podLabels, SANDBOX, specHash } from './names.ts';
import { members } from './outlook.ts';
import { limitsOf, type Machine } from './resources.ts';
import { checkUser, securityOf, userOf } from './security.ts';

/** Bound of a container's log on disk, as the kubelet's defaults. */
const LOG = { maxBytes: 10 * 1024 * 1024, maxFiles: 5 };
const OOM_SCORE_SANDBOX = -998;
/** The control group of all pods of the machine, as the kubelet names it. */
const POD_GROUP = 'kubepods';

/** The pause container. */
export function sandboxSpec(
	pod: Pod,
	attempt: number,
	where: {
		readonly node: string;
		readonly network: string;
		readonly domain: string;
		readonly machine: Machine;
		readonly maxPids: number;
	},
): ContainerSpec {
	const { hostNetwork, hostIPC, hostPID, securityContext } = pod.spec;
	const { node, network, domain, machine, maxPids } = where;
	// Slashes separate as well as dots do; the engine knows dots.
	const settings = (securityContext?.sysctls ?? []).map(({ name, value }) => [name.replaceAll('/', '.'), value]);
	const sysctls: Record<string, string> = Object.fromEntries(settings);
	return {
		name: containerName(pod, SANDBOX, attempt),
		image: PAUSE_IMAGE,
		labels: {
			...podLabels(pod, node),
			[labels.container]: SANDBOX,
			[labels.type]: 'podsandbox',
			[labels.restartCount]: String(attempt),
		},
		hostname: hostNetwork ? undefined : kernelHostname(pod, domain),
		network: hostNetwork ? 'host' : { name: network },
		ipc: hostIPC ? 'host' : 'shareable',
		pid: hostPID ? 'host' : undefined,
		ports: hostNetwork ? [] : hostPorts(pod),
		cpuShares: 2,
		maxPids,
		group: POD_GROUP,
		oomScore: Math.max(machine.lowestOomScore, OOM_SCORE_SANDBOX),
		sysctls: Object.keys(sysctls).length > 0 ? sysctls : undefined,
		log: LOG,
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
	readonly machine: Machine;
	readonly maxPids: number;
}

/** A container of the pod's spec, without the mounts of volumes. Throws ConfigError where it cannot be created as it is. */
export function containerSpec(pod: Pod, container: core.Container, context: ContainerContext): ContainerSpec {
	const variables = environment(pod, container, context.objects, context.place);
	const substitute = (text: string) => expand(text, (name) => variables.get(name));
	const security = securityOf(pod, container);
	checkUser(pod, container, security, context.image);
	const terminationPath = container.terminationMessagePath || '/dev/termination-log';
	const own: Mount[] = [
		mount(context.files.hosts, '/etc/hosts'),
		mount(context.files.resolv, '/etc/resolv.conf'),
		mount(context.files.terminationMessage(container.name, context.attempt), terminationPath),
	];
	const groups = [
		...(pod.spec.securityContext?.supplementalGroups ?? []),
		...(pod.spec.securityContext?.fsGroup === undefined ? [] : [pod.spec.securityContext.fsGroup]),
	];
	const { hostPID, hostIPC, shareProcessNamespace } = pod.spec;
	return {
		name: containerName(pod, container.name, context.attempt),
		// By id: what was checked or pulled is what runs.
		image: context.image.id,
		labels: {
			...podLabels(pod, context.node),
			[labels.container]: container.name,
			[labels.type]: 'container',
			[labels.restartCount]: String(context.attempt),
			[labels.sandbox]: context.sandbox,
			[labels.hash]: specHash(container),
			[labels.backoff]: String(context.backoff),
			[labels.terminationMessagePath]: terminationPath,
		},
		command: container.command?.length ? container.command.map(substitute) : undefined,
		args: container.args?.length ? container.args.map(substitute) : undefined,
		env: [...variables].map(([name, value]) => `${name}=${value}`),
		workingDir: container.workingDir,
		user: userOf(security, context.image),
		groups: groups.length > 0 ? groups.map(String) : undefined,
		tty: container.tty,
		stdin: container.stdin,
		stdinOnce: container.stdinOnce,
		network: { container: context.sandbox },
		ipc: hostIPC ? 'host' : { container: context.sandbox },
		pid: hostPID ? 'host' : shareProcessNamespace ? { container: context.sandbox } : undefined,
		mounts: own,
		...limitsOf(pod, container, context.machine),
		maxPids: context.maxPids,
		group: POD_GROUP,
		privileged: security.privileged,
		addCapabilities: security.capabilities?.add,
		dropCapabilities: security.capabilities?.drop,
		readOnlyRoot: security.readOnlyRootFilesystem,
		confinement: context.confinement,
		log: LOG,
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
