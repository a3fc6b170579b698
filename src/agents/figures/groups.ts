/**
 * Where the kernel keeps the figures of a process' control group, in either of its hierarchies. Pure, given the texts of
 * /proc. Source: cgroups(7), proc_pid_mountinfo(5); Linux kernel documentation, "Control Group v2" and "cgroup-v1".
 */
import { join, relative } from 'node:path';

/** Controllers that figures are read of. */
export const CONTROLLERS = ['cpu', 'cpuacct', 'memory', 'pids', 'blkio'] as const;
export type Controller = (typeof CONTROLLERS)[number];

/** Where a hierarchy is mounted, and which of its groups is shown there. */
interface Mounted {
	readonly point: string;
	readonly root: string;
}

/** The hierarchies of this machine: one for each controller (v1), or one for all (v2). */
export interface Hierarchies {
	readonly version: 1 | 2;
	readonly mounts: Readonly<Partial<Record<Controller | 'unified', Mounted>>>;
	/** Those of version 1, each once. */
	readonly all: readonly Mounted[];
}

/** One group: the folder of each controller. In version 2 they are all the same. */
export interface Group {
	readonly version: 1 | 2;
	readonly folders: Readonly<Record<Controller, string>>;
	/** As the kernel names it, below its hierarchy's root. */
	readonly path: string;
}

/**
 * Reads /proc/self/mountinfo. Undefined where no control groups are mounted. Where both are (hybrid), the controllers are
 * those of version 1, as systemd has it.
 */
export function parseHierarchies(mountinfo: string): Hierarchies | undefined {
	const mounts: Partial<Record<Controller | 'unified', Mounted>> = {};
	const all: Mounted[] = [];
	for (const line of mountinfo.split('\n')) {
		const [before = '', after = ''] = line.split(' - ');
		const [, , , root, point] = before.split(' ');
		const [type, , options = ''] = after.split(' ');
		if (!root || !point) continue;
		const mounted = { root: unquoted(root), point: unquoted(point) };
		if (type === 'cgroup2') mounts.unified ??= mounted;
		if (type !== 'cgroup') continue;
		all.push(mounted);
		for (const option of options.split(','))
			for (const controller of CONTROLLERS) if (option === controller) mounts[controller] ??= mounted;
	}
	if (mounts.memory || mounts.cpuacct) return { version: 1, mounts, all };
	return mounts.unified && { version: 2, mounts, all };
}

/** The group of a process, as its /proc/PID/cgroup says it. Undefined where a hierarchy is missing or does not show it. */
export function groupOf(hierarchies: Hierarchies, membership: string): Group | undefined {
	const { version, mounts } = hierarchies;
	const paths = new Map<string, string>();
	for (const line of membership.split('\n')) {
		const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
		if (controllers === undefined || path === undefined) continue;
		for (const controller of controllers.split(',')) paths.set(controller, path);
	}
	const folder = (controller: Controller | 'unified', named: string): string | undefined => {
		const mounted = mounts[controller];
		const path = paths.get(named);
		if (!mounted || path === undefined) return undefined;
		const below = relative(mounted.root, path);
		return below.startsWith('..') ? undefined : join(mounted.point, below);
	};
	const folders: Partial<Record<Controller, string>> = {};
	for (const controller of CONTROLLERS) {
		const found = version === 2 ? folder('unified', '') : folder(controller, controller);
		if (found === undefined) return undefined;
		folders[controller] = found;
	}
	// Each of them was found.
	return {
		version,
		folders: folders as Record<Controller, string>,
		path: paths.get(version === 2 ? '' : 'memory') ?? '',
	};
}

/** The group above. */
export function parentOf({ version, folders, path }: Group): Group {
	const above = (folder: string) => join(folder, '..');
	const { cpu, cpuacct, memory, pids, blkio } = folders;
	return {
		version,
		path: above(path),
		folders: {
			cpu: above(cpu),
			cpuacct: above(cpuacct),
			memory: above(memory),
			pids: above(pids),
			blkio: above(blkio),
		},
	};
}

/** mountinfo writes blanks and backslashes as octal numbers. */
const unquoted = (text: string) =>
	text.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
