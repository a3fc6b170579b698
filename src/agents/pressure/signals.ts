/** What this machine has left, as the signals of eviction name it. */

import type { Engine, EngineInfo } from '../engine/index.ts';
import { readFileSystem, readMachine } from '../figures/index.ts';
import type { Observations } from './judge.ts';

/**
 * Reads them. Where the engine's files are on another machine, nothing is said of them.
 *
 * @param root - where the engine keeps images and containers; @param dataDir - where the files of pods lie
 */
export function observeMachine(dataDir: string, root: string, now: number): Observations {
	const { memoryTotal, workingSet, maxTasks, tasks } = readMachine(now);
	const [node, image] = [readFileSystem(dataDir, now), root ? readFileSystem(root, now) : undefined];
	return {
		...(memoryTotal > 0 ? { 'memory.available': { available: memoryTotal - workingSet, capacity: memoryTotal } } : {}),
		...(node
			? {
					'nodefs.available': { available: node.available, capacity: node.capacity },
					// Some file systems make inodes as they need them, and count none.
					...(node.inodes > 0 ? { 'nodefs.inodesFree': { available: node.inodesFree, capacity: node.inodes } } : {}),
				}
			: {}),
		...(image
			? {
					'imagefs.available': { available: image.available, capacity: image.capacity },
					...(image.inodes > 0
						? { 'imagefs.inodesFree': { available: image.inodesFree, capacity: image.inodes } }
						: {}),
				}
			: {}),
		...(maxTasks !== undefined && tasks !== undefined
			? { 'pid.available': { available: maxTasks - tasks, capacity: maxTasks } }
			: {}),
	};
}

/** The same of a node, which may have less than its machine: one whose engine runs nothing has memory of its own, and no disk. */
export async function observeNode(
	engine: Engine,
	info: EngineInfo,
	dataDir: string,
	now: number,
): Promise<Observations> {
	const used = await engine.nodeUsage?.();
	if (!used) return observeMachine(dataDir, info.root, now);
	return { 'memory.available': { available: info.memory - used.workingSet, capacity: info.memory } };
}
