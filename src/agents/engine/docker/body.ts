/** Between our shapes and the bodies of Docker's API. */
import type Docker from 'dockerode';
import type { Confinement, Container, ContainerSpec, Image, ImageConfig, Usage } from '../engine.ts';

/** The request that creates a container. */
export function createBody(spec: ContainerSpec, driver: string): Docker.ContainerCreateOptions {
	const onNetwork = spec.network !== 'host' && 'name' in spec.network ? spec.network.name : undefined;
	const ports = spec.ports ?? [];
	return {
		name: spec.name,
		Image: spec.image,
		Labels: { ...spec.labels },
		Entrypoint: spec.command && [...spec.command],
		Cmd: spec.args && [...spec.args],
		Env: spec.env && [...spec.env],
		Hostname: spec.hostname,
		WorkingDir: spec.workingDir,
		User: spec.user,
		Tty: spec.tty ?? false,
		OpenStdin: spec.stdin ?? false,
		StdinOnce: spec.stdinOnce ?? false,
		ExposedPorts: Object.fromEntries(ports.map((port) => [`${port.containerPort}/${port.protocol}`, {}])),
		// An image's own health check would run beside the pod's probes.
		Healthcheck: { Test: ['NONE'] },
		NetworkingConfig: onNetwork ? { EndpointsConfig: { [onNetwork]: {} } } : undefined,
		HostConfig: {
			NetworkMode:
				onNetwork ?? (spec.network === 'host' ? 'host' : containerMode(spec.network as { container: string })),
			IpcMode: typeof spec.ipc === 'string' ? spec.ipc : containerMode(spec.ipc),
			PidMode: spec.pid === undefined ? undefined : spec.pid === 'host' ? 'host' : containerMode(spec.pid),
			PortBindings: portBindings(ports),
			Mounts: (spec.mounts ?? []).map((mount) => ({
				Type: 'bind',
				Source: mount.source,
				Target: mount.target,
				ReadOnly: mount.readOnly,
				BindOptions: { Propagation: mount.propagation },
			})),
			CpuShares: spec.cpuShares,
			CpuPeriod: spec.cpuQuota === undefined ? undefined : 100_000,
			CpuQuota: spec.cpuQuota,
			Memory: spec.memory,
			MemorySwap: spec.memory,
			PidsLimit: spec.maxPids,
			CgroupParent: spec.group && parentGroup(spec.group, driver),
			OomScoreAdj: spec.oomScore,
			Privileged: spec.privileged,
			CapAdd: spec.addCapabilities && [...spec.addCapabilities],
			CapDrop: spec.dropCapabilities && [...spec.dropCapabilities],
			GroupAdd: spec.groups && [...spec.groups],
			ReadonlyRootfs: spec.readOnlyRoot,
			SecurityOpt: spec.confinement && securityOptions(spec.confinement),
			Sysctls: spec.sysctls && { ...spec.sysctls },
			RestartPolicy: { Name: 'no' },
			LogConfig: spec.log && {
				Type: 'json-file',
				Config: { 'max-size': String(spec.log.maxBytes), 'max-file': String(spec.log.maxFiles) },
			},
		},
	};
}

/** Groups of systemd are slices; without a driver (an engine without root) there is none. Source: dockerd, `--cgroup-parent`. */
function parentGroup(name: string, driver: string): string | undefined {
	if (driver === 'systemd') return `${name}.slice`;
	return driver === 'cgroupfs' ? `/${name}` : undefined;
}

/** Source: docker run reference, `--security-opt`. */
function securityOptions({ noNewPrivileges, seccomp, appArmor }: Confinement): string[] {
	const options = noNewPrivileges ? ['no-new-privileges'] : [];
	if (seccomp) options.push(`seccomp=${seccomp === 'unconfined' ? seccomp : seccomp.profile}`);
	if (appArmor) options.push(`apparmor=${appArmor === 'unconfined' ? appArmor : appArmor.name}`);
	return options;
}

/** An image's configuration as instructions of a Dockerfile, which is how an import takes it. */
export function instructions({ entrypoint, command, env = {}, workingDir }: ImageConfig): string[] {
	return [
		...(entrypoint ? [`ENTRYPOINT ${JSON.stringify(entrypoint)}`] : []),
		...(command ? [`CMD ${JSON.stringify(command)}`] : []),
		...Object.entries(env).map(([name, value]) => `ENV ${name}=${value}`),
		...(workingDir ? [`WORKDIR ${workingDir}`] : []),
	];
}

/** The name of the runtime, as the scheme of ids in statuses. */
export const SCHEME = 'docker';

/** As cri-dockerd names images, so that tools find what they look for. */
export const imageUri = (id: string, digest: string | undefined): string =>
	digest ? `${SCHEME}-pullable://${digest}` : `${SCHEME}://${id}`;

const containerMode = ({ container }: { readonly container: string }) => `container:${container}`;

function portBindings(ports: NonNullable<ContainerSpec['ports']>) {
	const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
	for (const { containerPort, protocol, hostPort, hostIp } of ports) {
		const key = `${containerPort}/${protocol}`;
		bindings[key] = [...(bindings[key] ?? []), { HostIp: hostIp ?? '', HostPort: String(hostPort) }];
	}
	return bindings;
}

/**
 * From 28 on Docker drops what comes from other machines to a container's own address, before any rule of ours sees it: pods
 * of other nodes, say. This mode lets it through, as all engines did before. Older ones keep the option without a look at it,
 * so that it holds when they are upgraded; only 27 knows gateway modes but not this one, and refuses it. Source: Docker
 * documentation, "Port publishing and mapping", Gateway modes; moby pull request 48597.
 */
export function gatewayMode(version: string): Record<string, string> {
	return version.startsWith('27.') ? {} : { 'com.docker.network.bridge.gateway_mode_ipv4': 'nat-unprotected' };
}

export function toContainer(body: Docker.ContainerInspectInfo): Container {
	const { State: state, Config: config } = body;
	const networks = Object.values(body.NetworkSettings.Networks ?? {});
	return {
		id: body.Id,
		uri: `${SCHEME}://${body.Id}`,
		name: body.Name.replace(/^\//, ''),
		labels: config.Labels ?? {},
		state: stateOf(state.Status),
		image: config.Image,
		imageId: body.Image,
		created: Date.parse(body.Created),
		startedAt: time(state.StartedAt),
		finishedAt: time(state.FinishedAt),
		exitCode: state.ExitCode,
		oomKilled: state.OOMKilled,
		error: state.Error ?? '',
		address: networks.find((network) => network.IPAddress)?.IPAddress,
		tty: config.Tty,
		stopSignal: (config as { StopSignal?: string }).StopSignal,
	};
}

/**
 * Docker's words: created, running, paused, restarting, removing, exited, dead. A paused one runs, for it holds what it has.
 * One that restarts does not occur: it is the agent that restarts.
 */
export function stateOf(status: string): Container['state'] {
	if (status === 'created') return 'created';
	return status === 'running' || status === 'paused' ? 'running' : 'exited';
}

export function toImage(body: Docker.ImageInspectInfo): Image {
	const config = body.Config as { User?: string; StopSignal?: string } | undefined;
	return {
		id: body.Id,
		tags: body.RepoTags ?? [],
		digests: body.RepoDigests ?? [],
		size: body.Size,
		user: config?.User ?? '',
		stopSignal: config?.StopSignal,
	};
}

export function toUsage(body: Docker.ContainerStats): Usage | undefined {
	const at = time(body.read);
	if (at === undefined || !body.memory_stats?.usage) return undefined;
	const details = (body.memory_stats.stats ?? {}) as Record<string, number>;
	// cgroup v1 says total_inactive_file, v2 inactive_file.
	const inactive = details.total_inactive_file ?? details.inactive_file ?? 0;
	const networks = Object.values(body.networks ?? {});
	const sum = (of: (network: Docker.NetworkStats[string]) => number) =>
		networks.length > 0 ? networks.reduce((total, network) => total + of(network), 0) : undefined;
	return {
		at,
		cpuNanoseconds: body.cpu_stats.cpu_usage.total_usage,
		memory: body.memory_stats.usage,
		workingSet: Math.max(0, body.memory_stats.usage - inactive),
		received: sum((network) => network.rx_bytes),
		sent: sum((network) => network.tx_bytes),
	};
}

/** Docker's zero time, `0001-01-01T00:00:00Z`, is none. */
function time(text: string | undefined): number | undefined {
	const ms = text ? Date.parse(text) : Number.NaN;
	return ms > 0 ? ms : undefined;
}
