/** Takes a node's containers and network off its engine, for `driftless down`. */
import pLimit from 'p-limit';
import type { Engine } from './engine/index.ts';
import { releaseDataDir } from './node/identity.ts';
import { NETWORK } from './node/network.ts';

/** Containers that are removed at once. */
const PARALLEL_REMOVALS = 8;

/**
 * Removes every container of the node, and its pods' network where nobody else uses it; its data directory may become
 * another node's. Gives how many containers there were.
 */
export async function removeNode(engine: Engine, nodeName: string, dataDir: string): Promise<number> {
	const parts = await engine.parts.list(nodeName);
	const limit = pLimit(PARALLEL_REMOVALS);
	await Promise.all(parts.map(({ id }) => limit(() => engine.parts.remove(id))));
	await engine.release({ node: nodeName, name: NETWORK.name });
	await releaseDataDir(dataDir, nodeName);
	return parts.length;
}
