/**
 * The figures of a control group, from the files of either version.
 * Source: Linux kernel documentation, "Control Group v2", "Memory Resource Controller", "Block IO Controller".
 */
import type { Usage } from '../engine/index.ts';
import type { GroupFiles } from './files.ts';
import type { Interface } from './interfaces.ts';

/** What runs uses so much. Counters begin with the group. */
export interface Figures extends Usage {
	/** Memory that no file is behind, in bytes. */
	readonly rss?: number;
	readonly pageFaults?: number;
	readonly majorPageFaults?: number;
	/** Bytes of it that are in swap; absent where the machine counts none. */
	readonly swap?: number;
	/** Bytes; absent where there is no limit. */
	readonly memoryLimit?: number;
	/** Processes and threads. */
	readonly tasks?: number;
	readonly interfaces?: readonly Interface[];
}

/** What few ask for. Times in nanoseconds, memory in bytes. */
export interface Details {
	readonly cpuUser: number;
	readonly cpuSystem: number;
	readonly periods: number;
	readonly throttledPeriods: number;
	readonly throttled: number;
	readonly cache: number;
	readonly mapped: number;
	/** The most that it has ever had; absent where the kernel does not say. */
	readonly peak?: number;
	/** How often the limit was met. */
	readonly failures: number;
	readonly tasksLimit?: number;
	readonly readBytes: number;
	readonly writtenBytes: number;
	readonly reads: number;
	readonly writes: number;
	readonly shares?: number;
	readonly quota?: number;
	readonly period?: number;
}

/** Beyond this a limit of version 1 is none: it is the largest multiple of a page. */
const UNLIMITED = 2 ** 62;
/** Ticks a second of the processor times of version 1. Source: proc(5), USER_HZ. */
const TICK_NS = 1e7;
const MICROSECOND_NS = 1000;

/** The group's figures now. Undefined where there is no such group, or none any more. `at` in milliseconds since the epoch. */
export const readGroup = (files: GroupFiles, at: number): Figures | undefined =>
	files.group.version === 1 ? readFirst(files.read, at) : readSecond(files.read, at);

/** The details of the group now. Undefined as with `readGroup`. */
export const readDetails = (files: GroupFiles): Details | undefined =>
	files.group.version === 1 ? firstDetails(files.read) : secondDetails(files.read);

type Reader = GroupFiles['read'];

function readFirst(read: Reader, at: number): Figures | undefined {
	const cpu = number(read('cpuacct', 'cpuacct.usage'));
	const memory = number(read('memory', 'memory.usage_in_bytes'));
	const stat = read('memory', 'memory.stat');
	if (cpu === undefined || memory === undefined || stat === undefined) return undefined;
	const limit = field(stat, 'hierarchical_memory_limit');
	return {
		at,
		cpuNanoseconds: cpu,
		memory,
		workingSet: Math.max(0, memory - (field(stat, 'total_inactive_file') ?? 0)),
		rss: field(stat, 'total_rss'),
		pageFaults: field(stat, 'total_pgfault'),
		majorPageFaults: field(stat, 'total_pgmajfault'),
		swap: field(stat, 'total_swap'),
		memoryLimit: limit === undefined || limit > UNLIMITED ? undefined : limit,
		tasks: number(read('pids', 'pids.current')),
	};
}

function readSecond(read: Reader, at: number): Figures | undefined {
	const cpu = field(read('cpu', 'cpu.stat') ?? '', 'usage_usec');
	const memory = number(read('memory', 'memory.current'));
	const stat = read('memory', 'memory.stat');
	if (cpu === undefined || memory === undefined || stat === undefined) return undefined;
	return {
		at,
		cpuNanoseconds: cpu * MICROSECOND_NS,
		memory,
		workingSet: Math.max(0, memory - (field(stat, 'inactive_file') ?? 0)),
		rss: field(stat, 'anon'),
		pageFaults: field(stat, 'pgfault'),
		majorPageFaults: field(stat, 'pgmajfault'),
		swap: number(read('memory', 'memory.swap.current')),
		memoryLimit: number(read('memory', 'memory.max')),
		tasks: number(read('pids', 'pids.current')),
	};
}

function firstDetails(read: Reader): Details | undefined {
	const times = read('cpuacct', 'cpuacct.stat');
	const memory = read('memory', 'memory.stat');
	if (times === undefined || memory === undefined) return undefined;
	const cpu = read('cpu', 'cpu.stat') ?? '';
	const bytes = read('blkio', 'blkio.throttle.io_service_bytes_recursive') ?? '';
	const operations = read('blkio', 'blkio.throttle.io_serviced_recursive') ?? '';
	const quota = number(read('cpu', 'cpu.cfs_quota_us'));
	return {
		cpuUser: (field(times, 'user') ?? 0) * TICK_NS,
		cpuSystem: (field(times, 'system') ?? 0) * TICK_NS,
		periods: field(cpu, 'nr_periods') ?? 0,
		throttledPeriods: field(cpu, 'nr_throttled') ?? 0,
		throttled: field(cpu, 'throttled_time') ?? 0,
		cache: field(memory, 'total_cache') ?? 0,
		mapped: field(memory, 'total_mapped_file') ?? 0,
		peak: number(read('memory', 'memory.max_usage_in_bytes')),
		failures: number(read('memory', 'memory.failcnt')) ?? 0,
		tasksLimit: number(read('pids', 'pids.max')),
		readBytes: perDevice(bytes, / Read (\d+)$/gm),
		writtenBytes: perDevice(bytes, / Write (\d+)$/gm),
		reads: perDevice(operations, / Read (\d+)$/gm),
		writes: perDevice(operations, / Write (\d+)$/gm),
		shares: number(read('cpu', 'cpu.shares')),
		quota: quota !== undefined && quota > 0 ? quota : undefined,
		period: number(read('cpu', 'cpu.cfs_period_us')),
	};
}

function secondDetails(read: Reader): Details | undefined {
	const cpu = read('cpu', 'cpu.stat');
	const memory = read('memory', 'memory.stat');
	if (cpu === undefined || memory === undefined) return undefined;
	const io = read('blkio', 'io.stat') ?? '';
	const [quota, period] = (read('cpu', 'cpu.max') ?? '').trim().split(' ');
	const weight = number(read('cpu', 'cpu.weight'));
	return {
		cpuUser: (field(cpu, 'user_usec') ?? 0) * MICROSECOND_NS,
		cpuSystem: (field(cpu, 'system_usec') ?? 0) * MICROSECOND_NS,
		periods: field(cpu, 'nr_periods') ?? 0,
		throttledPeriods: field(cpu, 'nr_throttled') ?? 0,
		throttled: (field(cpu, 'throttled_usec') ?? 0) * MICROSECOND_NS,
		cache: field(memory, 'file') ?? 0,
		mapped: field(memory, 'file_mapped') ?? 0,
		peak: number(read('memory', 'memory.peak')),
		failures: field(read('memory', 'memory.events') ?? '', 'max') ?? 0,
		tasksLimit: number(read('pids', 'pids.max')),
		readBytes: perDevice(io, / rbytes=(\d+)/g),
		writtenBytes: perDevice(io, / wbytes=(\d+)/g),
		reads: perDevice(io, / rios=(\d+)/g),
		writes: perDevice(io, / wios=(\d+)/g),
		shares: weight === undefined ? undefined : sharesOf(weight),
		quota: number(quota),
		period: number(period),
	};
}

/** Back from the weights of version 2. Source: KEP-2254, the conversion that the runtimes use. */
const sharesOf = (weight: number) => Math.round(2 + ((weight - 1) * 262_142) / 9_999);

/** `max`, which is no limit, is none; so is what is not there. */
const number = (text: string | undefined): number | undefined => {
	const value = Number(text?.trim() || Number.NaN);
	return Number.isNaN(value) ? undefined : value;
};

/** The number after a name that begins a line. */
function field(text: string, name: string): number | undefined {
	for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
		const end = at + name.length;
		if ((at > 0 && text[at - 1] !== '\n') || text[end] !== ' ') continue;
		return Number.parseInt(text.slice(end + 1), 10);
	}
	return undefined;
}

const perDevice = (text: string, each: RegExp) =>
	[...text.matchAll(each)].reduce((sum, [, value]) => sum + Number(value), 0);
