/**
 * /metrics/cadvisor: what containers and pods use in detail, under cAdvisor's names, for dashboards and rules that are written for
 * them. A pod's own series have an empty label `container`. Source: cAdvisor documentation, "Monitoring cAdvisor with Prometheus".
 */
import type { Pod } from '../../kinds/index.ts';
import { type Family, labelled } from '../../metrics.ts';
import type { Part } from '../engine/index.ts';
import { type Details, type Figures, type Interface, readMachine } from '../figures/index.ts';
import type { Mirror } from '../pods/mirror.ts';
import { uidOf } from '../pods/names.ts';
import { gauge } from './metrics.ts';
import type { Sources } from './summary.ts';

const NANO = 1e9;

/** One container that runs, or a pod's sandbox, with what was read of it. */
interface Seen {
	readonly part: Part;
	/** As text, since many series have them. */
	readonly labels: string;
	readonly figures: Figures;
	readonly details: Details | undefined;
	readonly diskBytes: number | undefined;
}

interface Series {
	readonly name: string;
	readonly help: string;
	readonly type: Family['type'];
	/** Values by further labels. */
	of(seen: Seen): number | undefined | readonly (readonly [Readonly<Record<string, string>>, number])[];
}

const ofDetails = (read: (details: Details) => number | undefined) => (seen: Seen) =>
	seen.details && read(seen.details);

const overInterfaces = (read: (one: Interface) => number) => (seen: Seen) =>
	(seen.figures.interfaces ?? []).map((one) => [{ interface: one.name }, read(one)] as const);

const counted = (name: string, help: string, of: Series['of']): Series => ({ name, help, type: 'counter', of });
const present = (name: string, help: string, of: Series['of']): Series => ({ name, help, type: 'gauge', of });

/** Of processor time there is one series over all processors, as cAdvisor has it without its per-CPU figures. */
const SERIES: readonly Series[] = [
	counted('container_cpu_usage_seconds_total', 'Processor time, in seconds.', ({ figures }) => [
		[{ cpu: 'total' }, figures.cpuNanoseconds / NANO],
	]),
	counted(
		'container_cpu_user_seconds_total',
		'Processor time in programs, in seconds.',
		ofDetails((one) => one.cpuUser / NANO),
	),
	counted(
		'container_cpu_system_seconds_total',
		'Processor time in the kernel, in seconds.',
		ofDetails((one) => one.cpuSystem / NANO),
	),
	counted(
		'container_cpu_cfs_periods_total',
		'Periods in which the limit of processor time was enforced.',
		ofDetails((one) => one.periods),
	),
	counted(
		'container_cpu_cfs_throttled_periods_total',
		'Periods in which it was met.',
		ofDetails((one) => one.throttledPeriods),
	),
	counted(
		'container_cpu_cfs_throttled_seconds_total',
		'Time that was waited because of it, in seconds.',
		ofDetails((one) => one.throttled / NANO),
	),
	present('container_memory_usage_bytes', 'Memory in use, caches included.', ({ figures }) => figures.memory),
	present(
		'container_memory_working_set_bytes',
		'Memory in use without what the kernel can drop.',
		({ figures }) => figures.workingSet,
	),
	present('container_memory_rss', 'Memory that no file is behind, in bytes.', ({ figures }) => figures.rss),
	present(
		'container_memory_cache',
		'Memory that files are behind, in bytes.',
		ofDetails((one) => one.cache),
	),
	present(
		'container_memory_mapped_file',
		'Memory that files are mapped into, in bytes.',
		ofDetails((one) => one.mapped),
	),
	present('container_memory_swap', 'Swap in use, in bytes.', ({ figures }) => figures.swap),
	present(
		'container_memory_max_usage_bytes',
		'The most memory that was in use.',
		ofDetails((one) => one.peak),
	),
	counted(
		'container_memory_failcnt',
		'How often the limit of memory was met.',
		ofDetails((one) => one.failures),
	),
	counted('container_memory_failures_total', 'Page faults.', ({ figures: { pageFaults, majorPageFaults } }) => [
		...(pageFaults === undefined ? [] : [[{ failure_type: 'pgfault', scope: 'hierarchy' }, pageFaults] as const]),
		...(majorPageFaults === undefined
			? []
			: [[{ failure_type: 'pgmajfault', scope: 'hierarchy' }, majorPageFaults] as const]),
	]),
	present('container_threads', 'Processes and threads.', ({ figures }) => figures.tasks),
	present(
		'container_threads_max',
		'Processes and threads that there may be.',
		ofDetails((one) => one.tasksLimit),
	),
	counted(
		'container_fs_reads_bytes_total',
		'Bytes read of disks.',
		ofDetails((one) => one.readBytes),
	),
	counted(
		'container_fs_writes_bytes_total',
		'Bytes written to disks.',
		ofDetails((one) => one.writtenBytes),
	),
	counted(
		'container_fs_reads_total',
		'Reads of disks.',
		ofDetails((one) => one.reads),
	),
	counted(
		'container_fs_writes_total',
		'Writes to disks.',
		ofDetails((one) => one.writes),
	),
	present(
		'container_fs_usage_bytes',
		'Bytes of the disk that the container has written.',
		({ diskBytes }) => diskBytes,
	),
	counted(
		'container_network_receive_bytes_total',
		'Bytes received.',
		overInterfaces((one) => one.receivedBytes),
	),
	counted(
		'container_network_receive_packets_total',
		'Packets received.',
		overInterfaces((one) => one.receivedPackets),
	),
	counted(
		'container_network_receive_errors_total',
		'Packets received with a fault.',
		overInterfaces((one) => one.receivedErrors),
	),
	counted(
		'container_network_receive_packets_dropped_total',
		'Packets received and dropped.',
		overInterfaces((one) => one.receivedDropped),
	),
	counted(
		'container_network_transmit_bytes_total',
		'Bytes sent.',
		overInterfaces((one) => one.sentBytes),
	),
	counted(
		'container_network_transmit_packets_total',
		'Packets sent.',
		overInterfaces((one) => one.sentPackets),
	),
	counted(
		'container_network_transmit_errors_total',
		'Packets that could not be sent.',
		overInterfaces((one) => one.sentErrors),
	),
	counted(
		'container_network_transmit_packets_dropped_total',
		'Packets dropped instead of sent.',
		overInterfaces((one) => one.sentDropped),
	),
	present(
		'container_spec_cpu_shares',
		'Weight of the container among others.',
		ofDetails((one) => one.shares),
	),
	present(
		'container_spec_cpu_quota',
		'Limit of processor time a period, in microseconds.',
		ofDetails((one) => one.quota),
	),
	present(
		'container_spec_cpu_period',
		'The period, in microseconds.',
		ofDetails((one) => one.period),
	),
	present(
		'container_spec_memory_limit_bytes',
		'Limit of memory; 0 is none.',
		({ figures }) => figures.memoryLimit ?? 0,
	),
	present('container_start_time_seconds', 'When it was started, in seconds since the epoch.', ({ part }) => {
		const at = part.kind === 'container' ? part.startedAt : part.created;
		return at === undefined ? undefined : Math.floor(at / 1000);
	}),
	present('container_last_seen', 'When it was last read, in seconds since the epoch.', ({ figures }) =>
		Math.floor(figures.at / 1000),
	),
];

/** The detailed figures of all that runs. */
export async function cadvisorFamilies(sources: Sources, mirror: Mirror, pods: Iterable<Pod>): Promise<Family[]> {
	const seen = (await Promise.all([...pods].map((pod) => look(sources, mirror, pod)))).flat();
	const machine = readMachine(sources.now());
	return [
		...SERIES.map(({ name, help, type, of }) => ({ name, help, type, samples: samplesOf(seen, of) })),
		gauge('machine_cpu_cores', 'Processors of the node.', [['', sources.info.cpus]]),
		gauge('machine_memory_bytes', 'Memory of the node, in bytes.', [['', sources.info.memory]]),
		gauge('machine_swap_bytes', 'Swap of the node, in bytes.', [['', machine.swapTotal ?? 0]]),
		gauge('container_scrape_error', '1 where the figures could not be read, else 0.', [['', 0]]),
	];
}

function* samplesOf(seen: readonly Seen[], of: Series['of']): Generator<readonly [string, number]> {
	for (const one of seen) {
		const value = of(one);
		if (value === undefined) continue;
		if (typeof value === 'number') yield [one.labels, value];
		else for (const [labels, each] of value) yield [`${one.labels},${labelled(labels)}`, each];
	}
}

async function look({ figures, disk }: Sources, mirror: Mirror, pod: Pod): Promise<Seen[]> {
	const annotations = pod.metadata.annotations ?? {};
	const { name, namespace = '' } = pod.metadata;
	const running = [...mirror.of(uidOf(pod))].filter(({ state }) => state === 'running');
	const all = await Promise.all(
		running.map(async (part): Promise<Seen | undefined> => {
			const found = await figures.read(part, annotations);
			if (!found) return undefined;
			const isContainer = part.kind === 'container';
			const whole = isContainer ? undefined : figures.pod(part);
			const layer = isContainer ? part.writes?.layer : undefined;
			const labels = labelled({
				container: isContainer ? part.name : '',
				id: whole?.path ?? figures.path(part) ?? part.id,
				image: isContainer ? part.image : '',
				name: part.id,
				namespace,
				pod: name,
			});
			const { interfaces, ...rest } = found;
			const own = whole?.figures ?? rest;
			return {
				part,
				labels,
				// On the node's network the traffic is not the pod's.
				figures: pod.spec.hostNetwork ? own : { ...own, interfaces },
				details: isContainer ? figures.details(part) : whole?.details(),
				diskBytes: layer === undefined ? undefined : disk.use(layer)?.bytes,
			};
		}),
	);
	return all.filter((one) => one !== undefined);
}
