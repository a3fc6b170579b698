/** Takes a node's containers and network off its engine, for `driftless down`. */
import pLimit from 'p-limit';
import { NETWORK } from './agent.ts';
import type { Engine } from './engine/index.ts';
import { labels } from './pods/names.ts';

/** Containers that are removed at once. */
const PARALLEL_REMOVALS = 8;

/** Removes every container of the node, and the pods' network where nobody else uses it. Gives how many containers there were. */
export async function removeNode(engine: Engine, nodeName: string): Promise<number> {
	const ids = await engine.containers.list({ [labels.node]: nodeName });
	const limit = pLimit(PARALLEL_REMOVALS);
	await Promise.all(ids.map((id) => limit(() => engine.containers.remove(id))));
	const network = await engine.networks.inspect(NETWORK.name);
	if (network && network.containers.length === 0) await engine.networks.remove(NETWORK.name);
	return ids.length;
}
