/** What a Node says while its agent cannot run: without it nobody but the agent's own output would. */
import type { Client } from '../../client/index.ts';
import { ApiError, Node, timestamp } from '../../kinds/index.ts';

/**
 * Says on the Node that it cannot run pods, and why; makes the Node where there is none. An agent that runs later takes it
 * over. Said again now and then it keeps the node from being taken for one that is silent.
 */
export async function reportAbsence(client: Client, name: string, why: string, now: number): Promise<void> {
	const time = timestamp(now);
	const ready = { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: why, lastHeartbeatTime: time };
	try {
		const node = await client.get(Node, { name });
		const before = node.status?.conditions?.find(({ type }) => type === 'Ready');
		const since = before?.status === 'False' ? before.lastTransitionTime : undefined;
		const body = { status: { conditions: [{ ...ready, lastTransitionTime: since ?? time }] } };
		await client.patch(Node, { name }, { type: 'strategic', body }, { subresource: 'status' });
	} catch (error) {
		if (!(error instanceof ApiError) || error.code !== 404) throw error;
		const status = { conditions: [{ ...ready, lastTransitionTime: time }] };
		await client.create(Node, { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: {}, status });
	}
}
