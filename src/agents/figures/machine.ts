/** The figures of the machine as a whole. Source: proc_stat(5), proc_meminfo(5), proc_vmstat(5). */
import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { type Interface, mainInterface, parseInterfaces } from './interfaces.ts';

const TICK_NS = 1e7;

export interface MachineFigures {
	/** Milliseconds since the epoch. */
	readonly at: number;
	readonly startedAt?: number;
	readonly cpuNanoseconds: number;
	readonly cpus: number;
	/** Bytes. */
	readonly memoryTotal: number;
	readonly memory: number;
	/** In use, less what the kernel could drop: what the signal memory.available is the rest of. */
	readonly workingSet: number;
	readonly rss?: number;
	readonly swap?: number;
	readonly swapTotal?: number;
	readonly pageFaults?: number;
	readonly majorPageFaults?: number;
	readonly interfaces: readonly Interface[];
	readonly main?: Interface;
	/** Processes and threads that there may be, and that there are. */
	readonly maxTasks?: number;
	readonly tasks?: number;
}

/** Texts of /proc by their names below it; empty where there is none. */
export type Proc = (file: string) => string;

const proc: Proc = (file) => {
	try {
		return readFileSync(`/proc/${file}`, 'utf8');
	} catch {
		return '';
	}
};

export function readMachine(at: number, read: Proc = proc): MachineFigures {
	const stat = read('stat');
	const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '')
		.split(' ')
		.map(Number);
	const boot = Number(/^btime (\d+)$/m.exec(stat)?.[1] ?? Number.NaN);
	const meminfo = read('meminfo');
	const kib = (name: string) => {
		const found = new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(meminfo)?.[1];
		return found === undefined ? undefined : Number(found) * 1024;
	};
	const vmstat = read('vmstat');
	const count = (name: string) => {
		const found = new RegExp(`^${name} (\\d+)$`, 'm').exec(vmstat)?.[1];
		return found === undefined ? undefined : Number(found);
	};
	const total = kib('MemTotal') ?? 0;
	const used = total - (kib('MemFree') ?? 0);
	const swapTotal = kib('SwapTotal');
	const interfaces = parseInterfaces(read('net/dev'));
	// `running/all` of the fourth column.
	const tasks = /^\S+ \S+ \S+ \d+\/(\d+)/.exec(read('loadavg'))?.[1];
	const maxTasks = Math.min(
		...['sys/kernel/pid_max', 'sys/kernel/threads-max'].map((file) => Number(read(file)) || Number.POSITIVE_INFINITY),
	);
	return {
		at,
		startedAt: Number.isNaN(boot) ? undefined : boot * 1000,
		cpuNanoseconds: (user + nice + system + irq + softirq) * TICK_NS,
		cpus: availableParallelism(),
		memoryTotal: total,
		memory: used,
		workingSet: Math.max(0, used - (kib('Inactive\\(file\\)') ?? 0)),
		rss: kib('AnonPages'),
		swapTotal,
		swap: swapTotal === undefined ? undefined : swapTotal - (kib('SwapFree') ?? 0),
		pageFaults: count('pgfault'),
		majorPageFaults: count('pgmajfault'),
		interfaces,
		main: mainInterface(interfaces, read('net/route')),
		maxTasks: Number.isFinite(maxTasks) ? maxTasks : undefined,
		tasks: tasks === undefined ? undefined : Number(tasks),
	};
}

/** A file system: bytes and inodes. */
export interface FileSystem {
	readonly at: number;
	readonly capacity: number;
	readonly available: number;
	readonly used: number;
	readonly inodes: number;
	readonly inodesFree: number;
}

/** The file system that a path lies on. Undefined where there is no such path here: that of an engine on another machine, say. */
export function readFileSystem(path: string, at: number): FileSystem | undefined {
	try {
		const { bsize, blocks, bfree, bavail, files, ffree } = statfsSync(path);
		return {
			at,
			capacity: blocks * bsize,
			available: bavail * bsize,
			used: (blocks - bfree) * bsize,
			inodes: files,
			inodesFree: ffree,
		};
	} catch {
		return undefined;
	}
}
