/** What Docker answers, in our shapes. */
import { dirname } from 'node:path';
import type Docker from 'dockerode';
import type { Image } from '../image.ts';
import type { Limited, Part, Usage } from '../pod.ts';
import { isSandbox, notesOf, podOf } from './names.ts';

/** The name of the runtime, as the scheme of ids in statuses. */
export const SCHEME = 'docker';

/** As cri-dockerd names images, so that tools find what they look for. */
export const imageUri = (id: string, digest: string | undefined): string =>
	digest ? `${SCHEME}-pullable://${digest}` : `${SCHEME}://${id}`;

/** Undefined where the container is no pod's. */
export function toPart(body: Docker.ContainerInspectInfo): Part | undefined {
	const { State: state, Config: config } = body;
	const labels = config.Labels ?? {};
	const pod = podOf(labels);
	if (!pod) return undefined;
	const shared = { id: body.Id, pod, state: stateOf(state.Status), created: Date.parse(body.Created) };
	const notes = notesOf(labels);
	if (isSandbox(labels)) {
		const networks = Object.values(body.NetworkSettings.Networks ?? {});
		const address = networks.find((network) => network.IPAddress)?.IPAddress;
		return { kind: 'sandbox', ...shared, attempt: notes.attempt, pid: state.Pid || undefined, address };
	}
	const [startedAt, finishedAt] = [time(state.StartedAt), time(state.FinishedAt)];
	return {
		kind: 'container',
		...shared,
		...notes,
		uri: `${SCHEME}://${body.Id}`,
		image: config.Image,
		imageId: body.Image,
		// Docker notes the start when it hears of it, and the end as the runtime has it: a short one may end before it began.
		startedAt: shared.state === 'exited' ? earlier(startedAt, finishedAt) : startedAt,
		finishedAt,
		exitCode: state.ExitCode,
		oomKilled: state.OOMKilled,
		error: state.Error ?? '',
		tty: config.Tty,
		pid: state.Pid || undefined,
		writes: writesOf(body),
		limits: limitsOf(body),
		stopSignal: (config as { StopSignal?: string }).StopSignal,
	};
}

/** Zero is none. */
function limitsOf({ HostConfig }: Docker.ContainerInspectInfo): Limited {
	const { CpuShares, CpuQuota, Memory } = HostConfig ?? {};
	return { cpuShares: CpuShares || undefined, cpuQuota: CpuQuota || undefined, memory: Memory || undefined };
}

/** What a storage driver of layers keeps apart: overlay2, and those like it. The log is in a folder with those that were rotated. */
function writesOf(body: Docker.ContainerInspectInfo) {
	const { LogPath, GraphDriver } = body as unknown as {
		readonly LogPath?: string;
		readonly GraphDriver?: { readonly Data?: { readonly UpperDir?: string } | null };
	};
	return { layer: GraphDriver?.Data?.UpperDir || undefined, log: LogPath ? dirname(LogPath) : undefined };
}

/**
 * Docker's words: created, running, paused, restarting, removing, exited, dead. A paused one runs, for it holds what it has.
 * One that restarts does not occur: it is the agent that restarts.
 */
export function stateOf(status: string): Part['state'] {
	if (status === 'created') return 'created';
	return status === 'running' || status === 'paused' ? 'running' : 'exited';
}

export function toImage(body: Docker.ImageInspectInfo): Image {
	const config = body.Config as { User?: string } | undefined;
	return {
		id: body.Id,
		tags: body.RepoTags ?? [],
		digests: body.RepoDigests ?? [],
		size: body.Size,
		user: config?.User ?? '',
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

const earlier = (a: number | undefined, b: number | undefined) => (a && b ? Math.min(a, b) : a);

/** Docker's zero time, `0001-01-01T00:00:00Z`, is none. */
function time(text: string | undefined): number | undefined {
	const ms = text ? Date.parse(text) : Number.NaN;
	return ms > 0 ? ms : undefined;
}
