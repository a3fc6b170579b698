/**
 * The control groups of pods and of their classes: made and limited before the engine puts a pod's sandbox into them, removed when
 * nothing of the pod is left. Where they cannot be made (no right to, another machine), the engine makes them without limits.
 */
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Faults } from '../../client/index.ts';
import { type Pod, qosClass, requestsOf } from '../../kinds/index.ts';
import { classGroup, podGroupPath, QOS_CLASSES } from '../engine/group.ts';
import { type Hierarchies, parseHierarchies } from '../figures/groups.ts';
import { type GroupLimits, PERIOD_US, podLimits, sharesOf } from './limits.ts';

/** A group whose last process has just ended is busy for a moment. */
const LETTING_GO = { attempts: 40, pauseMs: 25 };
/** Controllers that are handed down to the groups of pods in version 2. */
const HANDED_DOWN = ['cpuset', 'cpu', 'io', 'memory', 'pids', 'hugetlb'];

export interface PodGroups {
	/** The pod's group is there, with its limits as they are now. What keeps it from that is said once. */
	ensure(pod: Pod): Promise<void>;
	/** Writes the limits of a group that is there; `atLeast`: where they are larger than those that it has. Throws where the kernel refuses one. */
	limit(pod: Pod, how: 'atLeast' | 'exactly'): Promise<void>;
	/** The pod's group goes, which nobody is in any more. Throws where somebody is. */
	remove(uid: string): Promise<void>;
}

export interface PodGroupsOptions {
	/** How the engine makes groups; undefined where it is on another machine. */
	readonly driver: string | undefined;
	/** Processes and threads that each pod may have. Default as many as its containers. */
	readonly maxTasks?: number;
	/** The pods that the node has. */
	readonly pods: () => Iterable<Pod>;
	readonly faults: Faults;
	/** As /proc/self/mountinfo. Default that of this process. */
	readonly mountinfo?: string;
}

/** Beyond this a limit of version 1 is none. */
const NO_LIMIT = 2 ** 62;
const WHAT = 'groups';

export async function podGroups(options: PodGroupsOptions): Promise<PodGroups> {
	const { driver, maxTasks, pods, faults } = options;
	const mountinfo = options.mountinfo ?? (await readFile('/proc/self/mountinfo', 'utf8').catch(() => ''));
	const hierarchies = driver === 'cgroupfs' ? parseHierarchies(mountinfo) : undefined;
	if (!hierarchies) return { ensure: async () => {}, limit: async () => {}, remove: async () => {} };

	const weigh = async () => {
		let burstable = 0;
		for (const pod of pods()) if (qosClass(pod.spec) === 'Burstable') burstable += requestsOf(pod).cpu ?? 0;
		await writeLimits(hierarchies, classGroup('Burstable'), { cpuShares: sharesOf(burstable) }, ['cpu']);
		await writeLimits(hierarchies, classGroup('BestEffort'), { cpuShares: sharesOf(0) }, ['cpu']);
	};
	const limit = async (pod: Pod, how: 'atLeast' | 'exactly') => {
		const wanted = podLimits(pod, maxTasks);
		const limits = how === 'exactly' ? wanted : larger(wanted, await readLimits(hierarchies, groupOf(pod)));
		await writeLimits(hierarchies, groupOf(pod), limits, ['cpu', 'memory', 'pids']);
		await weigh();
	};
	return {
		limit,
		async ensure(pod) {
			try {
				for (const qos of QOS_CLASSES) await make(hierarchies, classGroup(qos));
				await make(hierarchies, groupOf(pod));
				await limit(pod, 'exactly');
				faults.healed(WHAT, 'the control groups of pods are made again');
			} catch (error) {
				faults.failed(WHAT, error, 'the control group of a pod cannot be made: pods have no limits as a whole');
			}
		},
		async remove(uid) {
			// Of a pod that the API has forgotten nobody knows the class any more.
			for (const qos of QOS_CLASSES) await removeGroup(hierarchies, podGroupPath(qos, uid));
			// Nothing was made where it may not be: then there is nothing to weigh.
			await weigh().catch((error: unknown) =>
				faults.failed(WHAT, error, 'the control groups of pods cannot be weighed'),
			);
		},
	};
}

const groupOf = (pod: Pod) => podGroupPath(qosClass(pod.spec), pod.metadata.uid ?? '');

type Limited = 'cpu' | 'memory' | 'pids';

/** Folders of a group: that of each hierarchy in version 1, the one in version 2. A hierarchy that does not show the root is left out. */
function foldersOf({ version, mounts, all }: Hierarchies, group: string): string[] {
	const mounted = version === 2 ? [mounts.unified] : all;
	return mounted.flatMap((one) => {
		const below = one && relative(one.root, group);
		return one && below !== undefined && !below.startsWith('..') ? [join(one.point, below)] : [];
	});
}

function folderOf({ version, mounts }: Hierarchies, controller: Limited, group: string): string | undefined {
	const mounted = mounts[version === 2 ? 'unified' : controller];
	const below = mounted && relative(mounted.root, group);
	return mounted && below !== undefined && !below.startsWith('..') ? join(mounted.point, below) : undefined;
}

async function make(hierarchies: Hierarchies, group: string): Promise<void> {
	if (hierarchies.version === 1) {
		// The engine makes those of the other controllers, with what they need.
		for (const controller of ['cpu', 'memory', 'pids'] as const) {
			const folder = folderOf(hierarchies, controller, group);
			if (folder) await mkdir(folder, { recursive: true });
		}
		return;
	}
	const folder = folderOf(hierarchies, 'cpu', group);
	if (!folder) return;
	const above = join(folder, '..');
	const controllers = (await readFile(join(above, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/);
	const wanted = HANDED_DOWN.filter((name) => controllers.includes(name)).map((name) => `+${name}`);
	await writeFile(join(above, 'cgroup.subtree_control'), wanted.join(' '));
	await mkdir(folder, { recursive: true });
}

async function writeLimits(
	hierarchies: Hierarchies,
	group: string,
	limits: GroupLimits,
	controllers: readonly Limited[],
): Promise<void> {
	for (const controller of controllers) {
		const folder = folderOf(hierarchies, controller, group);
		if (!folder) continue;
		for (const [file, text] of settings(hierarchies.version, controller, limits))
			await writeFile(join(folder, file), text);
	}
}

/** The larger one of each. */
function larger(wanted: GroupLimits, now: Pick<GroupLimits, 'cpuQuota' | 'memory'>): GroupLimits {
	const most = (a: number | undefined, b: number | undefined) =>
		a === undefined || b === undefined ? undefined : Math.max(a, b);
	return { ...wanted, cpuQuota: most(wanted.cpuQuota, now.cpuQuota), memory: most(wanted.memory, now.memory) };
}

/** What a group may take now; what cannot be read is no limit. */
async function readLimits(hierarchies: Hierarchies, group: string): Promise<Pick<GroupLimits, 'cpuQuota' | 'memory'>> {
	const read = async (controller: Limited, file: string) => {
		const folder = folderOf(hierarchies, controller, group);
		const text = folder && (await readFile(join(folder, file), 'utf8').catch(() => ''));
		const value = Number.parseInt(text || '', 10);
		return value > 0 && value < NO_LIMIT ? value : undefined;
	};
	const [cpu, memory] =
		hierarchies.version === 1 ? ['cpu.cfs_quota_us', 'memory.limit_in_bytes'] : ['cpu.max', 'memory.max'];
	return { cpuQuota: await read('cpu', cpu ?? ''), memory: await read('memory', memory ?? '') };
}

/** What to write into which file. Source: Linux kernel documentation, "Control Group v2", "CFS Bandwidth Control". */
export function settings(
	version: 1 | 2,
	controller: Limited,
	limits: GroupLimits,
): readonly (readonly [string, string])[] {
	const { cpuShares, cpuQuota, memory, tasks } = limits;
	if (controller === 'pids') return [['pids.max', tasks === undefined ? 'max' : String(tasks)]];
	if (controller === 'memory')
		return version === 1
			? [['memory.limit_in_bytes', String(memory ?? -1)]]
			: [['memory.max', memory === undefined ? 'max' : String(memory)]];
	if (version === 2)
		return [
			// From 2..262144 to 1..10000. Source: KEP-2254.
			['cpu.weight', String(1 + Math.floor(((cpuShares - 2) * 9_999) / 262_142))],
			['cpu.max', `${cpuQuota ?? 'max'} ${PERIOD_US}`],
		];
	return [
		['cpu.shares', String(cpuShares)],
		['cpu.cfs_period_us', String(PERIOD_US)],
		['cpu.cfs_quota_us', String(cpuQuota ?? -1)],
	];
}

async function removeGroup(hierarchies: Hierarchies, group: string): Promise<void> {
	for (const folder of foldersOf(hierarchies, group)) {
		for (let attempt = 1; ; attempt++) {
			try {
				await rmdir(folder);
				break;
			} catch (error) {
				const { code } = error as NodeJS.ErrnoException;
				if (code === 'ENOENT') break;
				if (code !== 'EBUSY' || attempt === LETTING_GO.attempts) throw error;
				await delay(LETTING_GO.pauseMs);
			}
		}
	}
}
