/** Takes a node's containers and network off its engine, for `driftless down`. */
import pLimit from 'p-limit';
import type { Engine } from './engine/index.ts';
import { releaseDataDir } from './node/identity.ts';
import { NETWORK } from './node/network.ts';
import { labels } from './pods/names.ts';

/** Containers that are removed at once. */
const PARALLEL_REMOVALS = 8;

/**
 * Removes every container of the node, and its pods' network where nobody else uses it; its data directory may become
 * another node's. Gives how many containers there were.
 */
export async function removeNode(engine: Engine, nodeName: string, dataDir: string): Promise<number> {
	const containers = await engine.containers.list({ [labels.node]: nodeName });
	const limit = pLimit(PARALLEL_REMOVALS);
	await Promise.all(containers.map(({ id }) => limit(() => engine.containers.remove(id))));
	const network = await engine.networks.inspect(NETWORK.name);
	if (network?.labels[labels.node] === nodeName && network.containers.length === 0)
		await engine.networks.remove(NETWORK.name);
	await releaseDataDir(dataDir, nodeName);
	return containers.length;
}
