/**
 * GET /stats/summary: what the node, its pods and their containers use. Source: the kubelet's stats API, v1alpha1 (k8s.io/kubelet,
 * pkg/apis/stats/v1alpha1), as documented under "Node metrics data".
 */
import type { Pod } from '../../kinds/index.ts';
import type { Engine, EngineInfo } from '../engine/index.ts';
import {
	type DiskMeter,
	type FigureReader,
	type Figures,
	type Interface,
	type MachineFigures,
	readFileSystem,
	readMachine,
} from '../figures/index.ts';
import type { Mirror } from '../pods/mirror.ts';
import { uidOf } from '../pods/names.ts';
import {
	type ContainerDisk,
	containerDisk,
	type FileSystemStats,
	fileSystemStats,
	podDisk,
	type VolumeStats,
} from './summary-disk.ts';

interface CpuStats {
	readonly time: string;
	/** Of the time since the reading before; absent at the first. */
	readonly usageNanoCores?: number;
	readonly usageCoreNanoSeconds: number;
}

interface MemoryStats {
	readonly time: string;
	readonly availableBytes?: number;
	readonly usageBytes: number;
	readonly workingSetBytes: number;
	readonly rssBytes?: number;
	readonly pageFaults?: number;
	readonly majorPageFaults?: number;
}

interface SwapStats {
	readonly time: string;
	readonly swapAvailableBytes?: number;
	readonly swapUsageBytes: number;
}

export interface Amounts {
	readonly cpu: CpuStats;
	readonly memory: MemoryStats;
	readonly swap?: SwapStats;
}

interface InterfaceStats {
	readonly name: string;
	readonly rxBytes: number;
	readonly rxErrors?: number;
	readonly txBytes: number;
	readonly txErrors?: number;
}

interface NetworkStats extends InterfaceStats {
	readonly time: string;
	readonly interfaces?: readonly InterfaceStats[];
}

export interface ContainerSummary extends Amounts, ContainerDisk {
	readonly name: string;
	readonly startTime?: string;
}

export interface PodSummary extends Amounts {
	readonly podRef: { readonly name: string; readonly namespace: string; readonly uid: string };
	readonly startTime?: string;
	readonly containers: readonly ContainerSummary[];
	readonly network?: NetworkStats;
	readonly volume?: readonly VolumeStats[];
	readonly 'ephemeral-storage'?: FileSystemStats;
	readonly process_stats?: { readonly process_count: number };
}

export interface NodeSummary extends Amounts {
	readonly nodeName: string;
	readonly startTime?: string;
	readonly systemContainers: readonly (Amounts & { readonly name: string; readonly startTime?: string })[];
	readonly network?: NetworkStats;
	readonly fs?: FileSystemStats;
	readonly runtime?: { readonly imageFs?: FileSystemStats; readonly containerFs?: FileSystemStats };
	readonly rlimit?: { readonly time: string; readonly maxpid: number; readonly curproc: number };
}

export interface Summary {
	readonly node: NodeSummary;
	readonly pods: readonly PodSummary[];
}

/** What is read to sum up. */
export interface Sources {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly figures: FigureReader;
	readonly disk: DiskMeter;
	readonly node: string;
	/** Where the files of pods lie. */
	readonly dataDir: string;
	/** Milliseconds since the epoch. */
	readonly now: () => number;
}

/** `brief`: of processor and memory alone, as `?only_cpu_and_memory=true` asks for it. */
export async function summary(
	sources: Sources,
	mirror: Mirror,
	pods: Iterable<Pod>,
	{ brief = false }: { readonly brief?: boolean } = {},
): Promise<Summary> {
	const all = [...pods];
	const perPod = await Promise.all(all.map((pod) => podSummary(sources, mirror, pod, brief)));
	const running = perPod.filter((one) => one !== undefined);
	const parts = all.flatMap((pod) => [uidOf(pod), ...Array.from(mirror.of(uidOf(pod)), ({ id }) => id)]);
	sources.figures.keep(new Set([...parts, 'node', 'kubelet', 'pods']));
	return { node: await nodeSummary(sources, running, brief), pods: running };
}

/** The summary of one pod; undefined where nothing of it runs. */
async function podSummary(sources: Sources, mirror: Mirror, pod: Pod, brief: boolean): Promise<PodSummary | undefined> {
	const { figures, now } = sources;
	const uid = uidOf(pod);
	const annotations = pod.metadata.annotations ?? {};
	const parts = [...mirror.of(uid)].filter(({ state }) => state === 'running');
	if (parts.length === 0) return undefined;
	const read = await Promise.all(parts.map(async (part) => ({ part, found: await figures.read(part, annotations) })));
	const sandbox = read.find(({ part }) => part.kind === 'sandbox');
	const containers = read.flatMap(({ part, found }): ContainerSummary[] => {
		if (part.kind !== 'container' || !found) return [];
		const disk = brief ? {} : containerDisk(sources.disk, part, now());
		const startTime = part.startedAt === undefined ? {} : { startTime: text(part.startedAt) };
		return [{ name: part.name, ...startTime, ...amounts(figures, part.id, found), ...disk }];
	});
	// Of the pod's own group, where it has one: what its volumes in memory take is in there as well.
	const together =
		(sandbox && figures.pod(sandbox.part)?.figures) ??
		sum(
			read.map(({ found }) => found),
			now(),
		);
	const { name, namespace = '' } = pod.metadata;
	const network = !pod.spec.hostNetwork && sandbox?.found ? networkOf(sandbox.found) : undefined;
	return {
		podRef: { name, namespace, uid },
		...(pod.status?.startTime ? { startTime: pod.status.startTime } : {}),
		containers,
		...amounts(figures, uid, together),
		...(brief ? {} : podDisk(sources, pod, containers)),
		...(network && !brief ? { network } : {}),
		...(together.tasks !== undefined && !brief ? { process_stats: { process_count: together.tasks } } : {}),
	};
}

function sum(all: readonly (Figures | undefined)[], at: number): Figures {
	const found = all.filter((one) => one !== undefined);
	const add = (of: (one: Figures) => number | undefined) => found.reduce((total, one) => total + (of(one) ?? 0), 0);
	const maybe = (of: (one: Figures) => number | undefined) =>
		found.some((one) => of(one) !== undefined) ? add(of) : undefined;
	return {
		at,
		cpuNanoseconds: add((one) => one.cpuNanoseconds),
		memory: add((one) => one.memory),
		workingSet: add((one) => one.workingSet),
		rss: maybe((one) => one.rss),
		pageFaults: maybe((one) => one.pageFaults),
		majorPageFaults: maybe((one) => one.majorPageFaults),
		swap: maybe((one) => one.swap),
		tasks: maybe((one) => one.tasks),
	};
}

function amounts(figures: FigureReader, key: string, found: Figures, total = found.memoryLimit): Amounts {
	const time = text(found.at);
	return {
		cpu: {
			time,
			usageNanoCores: figures.rate(key, found.at, found.cpuNanoseconds),
			usageCoreNanoSeconds: found.cpuNanoseconds,
		},
		memory: {
			time,
			...(total === undefined ? {} : { availableBytes: Math.max(0, total - found.workingSet) }),
			usageBytes: found.memory,
			workingSetBytes: found.workingSet,
			rssBytes: found.rss,
			pageFaults: found.pageFaults,
			majorPageFaults: found.majorPageFaults,
		},
		...(found.swap === undefined ? {} : { swap: { time, swapUsageBytes: found.swap } }),
	};
}

async function nodeSummary(sources: Sources, pods: readonly PodSummary[], brief: boolean): Promise<NodeSummary> {
	const { engine, info, figures, node, dataDir, now } = sources;
	const at = now();
	const machine = readMachine(at);
	const whole: Figures = (await engine.nodeUsage?.()) ?? machine;
	const time = text(at);
	const { maxTasks, tasks, startedAt } = machine;
	return {
		nodeName: node,
		...(startedAt === undefined ? {} : { startTime: text(startedAt) }),
		systemContainers: systemContainers(sources, pods, at),
		...amounts(figures, 'node', whole, engine.nodeUsage ? info.memory : machine.memoryTotal),
		...(brief
			? {}
			: {
					network: networkOf({ ...whole, interfaces: machine.interfaces }, machine),
					fs: fileSystemStats(readFileSystem(dataDir, at)),
					runtime: runtimeDisk(info.root, at),
					...(maxTasks !== undefined && tasks !== undefined
						? { rlimit: { time, maxpid: maxTasks, curproc: tasks } }
						: {}),
				}),
	};
}

/** Images and containers lie together, as the engine has them. */
function runtimeDisk(root: string, at: number): NodeSummary['runtime'] {
	const found = root ? fileSystemStats(readFileSystem(root, at)) : undefined;
	return found && { imageFs: found, containerFs: found };
}

/** The agent's process, under the kubelet's name, and all pods together. */
function systemContainers(
	{ figures }: Sources,
	pods: readonly PodSummary[],
	at: number,
): NodeSummary['systemContainers'] {
	const { user, system } = process.cpuUsage();
	const { rss } = process.memoryUsage();
	const agent: Figures = { at, cpuNanoseconds: (user + system) * 1000, memory: rss, workingSet: rss, rss };
	const together = sum(
		pods.map(({ cpu, memory }) => ({
			at,
			cpuNanoseconds: cpu.usageCoreNanoSeconds,
			memory: memory.usageBytes,
			workingSet: memory.workingSetBytes,
			rss: memory.rssBytes,
		})),
		at,
	);
	const startTime = text(at - process.uptime() * 1000);
	return [
		{ name: 'kubelet', startTime, ...amounts(figures, 'kubelet', agent) },
		{ name: 'pods', ...amounts(figures, 'pods', together) },
	];
}

function networkOf(
	{ at, interfaces, received, sent }: Figures,
	{ main }: Pick<MachineFigures, 'main'> = {},
): NetworkStats | undefined {
	const first = main ?? interfaces?.[0];
	if (!first)
		return received === undefined ? undefined : { time: text(at), name: 'eth0', rxBytes: received, txBytes: sent ?? 0 };
	return { time: text(at), ...interfaceStats(first), interfaces: interfaces?.map(interfaceStats) };
}

const interfaceStats = ({ name, receivedBytes, receivedErrors, sentBytes, sentErrors }: Interface): InterfaceStats => ({
	name,
	rxBytes: receivedBytes,
	rxErrors: receivedErrors,
	txBytes: sentBytes,
	txErrors: sentErrors,
});

const text = (at: number) => new Date(at).toISOString();
