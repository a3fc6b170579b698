/** What Docker is asked to create for sandboxes and containers. A sandbox is a container that does nothing but hold namespaces open. */
import type Docker from 'dockerode';
import { podGroupPath, podSlice, type QosClass } from '../group.ts';
import type { Confinement, ContainerSpec, PortBinding, SandboxSpec } from '../pod.ts';
import { containerNames, sandboxNames } from './names.ts';
import { PAUSE_IMAGE } from './pause.ts';

/** What bodies depend on of the engine and its machine. */
export interface Surroundings {
	/** How the engine makes control groups: `systemd`, `cgroupfs`, or `none`. */
	readonly groups: string;
	/** The lowest out-of-memory score that the engine may give; it fails on lower ones. */
	readonly lowestOomScore: number;
}

/** Bound of a container's log on disk, as the kubelet's defaults: files of so many bytes, so many of them. */
const LOG = { Type: 'json-file', Config: { 'max-size': String(10 * 1024 * 1024), 'max-file': '5' } };
/** As the kubelet's: what holds a pod together goes last when memory runs out, and needs no processor. */
const SANDBOX_OOM_SCORE = -998;
const SANDBOX_CPU_SHARES = 2;
/** In microseconds. */
export const CPU_PERIOD = 100_000;

/** The request that creates a sandbox on the network of that name. */
export function sandboxBody(spec: SandboxSpec, network: string, around: Surroundings): Docker.ContainerCreateOptions {
	const { name, labels } = sandboxNames(spec);
	const { namespaces, ports, sysctls } = spec;
	const onNetwork = namespaces.network === 'pod';
	return {
		name,
		Image: PAUSE_IMAGE,
		Labels: labels,
		Hostname: spec.hostname,
		ExposedPorts: Object.fromEntries(ports.map((port) => [portKey(port), {}])),
		NetworkingConfig: onNetwork ? { EndpointsConfig: { [network]: {} } } : undefined,
		HostConfig: {
			...common(spec, around, SANDBOX_OOM_SCORE),
			NetworkMode: onNetwork ? network : 'host',
			IpcMode: namespaces.ipc === 'pod' ? 'shareable' : 'host',
			PidMode: namespaces.pid === 'node' ? 'host' : undefined,
			PortBindings: portBindings(ports),
			CpuShares: SANDBOX_CPU_SHARES,
			Sysctls: Object.keys(sysctls).length > 0 ? { ...sysctls } : undefined,
		},
	};
}

/** The request that creates a container in its sandbox. */
export function containerBody(spec: ContainerSpec, around: Surroundings): Docker.ContainerCreateOptions {
	const { name, labels } = containerNames(spec);
	const { ipc, pid } = spec.namespaces;
	const sandbox = `container:${spec.sandbox}`;
	return {
		name,
		Image: spec.image,
		Labels: labels,
		Entrypoint: spec.command && [...spec.command],
		Cmd: spec.args && [...spec.args],
		Env: spec.env && [...spec.env],
		WorkingDir: spec.workingDir,
		User: spec.user,
		Tty: spec.tty ?? false,
		OpenStdin: spec.stdin ?? false,
		StdinOnce: spec.stdinOnce ?? false,
		// An image's own health check would run beside the pod's probes.
		Healthcheck: { Test: ['NONE'] },
		HostConfig: {
			...common(spec, around, spec.oomScore),
			NetworkMode: sandbox,
			IpcMode: ipc === 'node' ? 'host' : sandbox,
			PidMode:
				typeof pid === 'object' ? `container:${pid.of}` : { node: 'host', pod: sandbox, container: undefined }[pid],
			Mounts: spec.mounts.map((mount) => ({
				Type: 'bind',
				Source: mount.source,
				Target: mount.target,
				ReadOnly: mount.readOnly,
				// Left out it is rprivate; but for what the engine's own files lie in, where the engine insists on rslave.
				BindOptions: mount.propagation === 'rprivate' ? undefined : { Propagation: mount.propagation },
			})),
			CpuShares: spec.cpuShares,
			CpuPeriod: spec.cpuQuota === undefined ? undefined : CPU_PERIOD,
			CpuQuota: spec.cpuQuota,
			Memory: spec.memory,
			MemorySwap: spec.memory,
			Privileged: spec.privileged,
			CapAdd: spec.addCapabilities && [...spec.addCapabilities],
			CapDrop: spec.dropCapabilities && [...spec.dropCapabilities],
			GroupAdd: spec.groups && [...spec.groups],
			ReadonlyRootfs: spec.readOnlyRoot,
			SecurityOpt: spec.confinement && securityOptions(spec.confinement),
			Devices: spec.devices?.map(({ source, target, permissions }) => ({
				PathOnHost: source,
				PathInContainer: target,
				CgroupPermissions: permissions || 'rwm',
			})),
			DeviceRequests: deviceRequests(spec),
			// Known since API 1.43, and ignored before.
			...(spec.annotations && { Annotations: { ...spec.annotations } }),
		},
	};
}

/** What drivers of the engine give: GPUs by `nvidia`, named devices by `cdi`. Source: Docker Engine API, `DeviceRequest`. */
function deviceRequests({ gpus = [], cdiDevices = [] }: ContainerSpec): Docker.DeviceRequest[] | undefined {
	const requests: Docker.DeviceRequest[] = [];
	if (gpus.length > 0) requests.push({ Driver: 'nvidia', DeviceIDs: [...gpus], Capabilities: [['gpu']] });
	if (cdiDevices.length > 0) requests.push({ Driver: 'cdi', DeviceIDs: [...cdiDevices] });
	return requests.length > 0 ? requests : undefined;
}

const common = (
	{ maxPids, pod, qos, runtime }: Pick<SandboxSpec, 'maxPids' | 'pod' | 'qos' | 'runtime'>,
	{ groups, lowestOomScore }: Surroundings,
	oomScore?: number,
) => ({
	Runtime: runtime,
	PidsLimit: maxPids,
	CgroupParent: parentGroup(groups, qos, pod.uid),
	OomScoreAdj: oomScore === undefined ? undefined : Math.max(lowestOomScore, oomScore),
	RestartPolicy: { Name: 'no' },
	LogConfig: LOG,
});

/** Groups of systemd are slices; without a driver (an engine without root) there is none. Source: dockerd, `--cgroup-parent`. */
function parentGroup(driver: string, qos: QosClass, uid: string): string | undefined {
	if (driver === 'systemd') return podSlice(qos, uid);
	return driver === 'cgroupfs' ? podGroupPath(qos, uid) : undefined;
}

/** Source: docker run reference, `--security-opt`. */
function securityOptions({ noNewPrivileges, seccomp, appArmor }: Confinement): string[] {
	const options = noNewPrivileges ? ['no-new-privileges'] : [];
	if (seccomp) options.push(`seccomp=${seccomp === 'unconfined' ? seccomp : seccomp.profile}`);
	if (appArmor) options.push(`apparmor=${appArmor === 'unconfined' ? appArmor : appArmor.name}`);
	return options;
}

const portKey = ({ containerPort, protocol }: PortBinding) => `${containerPort}/${protocol}`;

function portBindings(ports: readonly PortBinding[]) {
	const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
	for (const port of ports) {
		const key = portKey(port);
		bindings[key] = [...(bindings[key] ?? []), { HostIp: port.hostIp ?? '', HostPort: String(port.hostPort) }];
	}
	return bindings;
}
