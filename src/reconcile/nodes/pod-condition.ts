import type { Client } from '../../client/index.ts';
import { Pod } from '../../kinds/index.ts';
import { unlessGone } from '../runtime/refusal.ts';

/** Sets a condition of a pod, and its phase where one is given. A pod that has gone needs none. */
export async function patchCondition(client: Client, pod: Pod, condition: object, phase?: string): Promise<void> {
	const { name, namespace, uid } = pod.metadata;
	const body = { metadata: { uid }, status: { phase, conditions: [condition] } };
	await unlessGone(client.patch(Pod, { name, namespace }, { type: 'strategic', body }, { subresource: 'status' }));
}
