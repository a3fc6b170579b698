/** Which of the engine's runtimes a pod runs under. Source: Kubernetes documentation, "Runtime Class". */
import type { Client } from '../../client/index.ts';
import { ApiError, type Pod, RuntimeClass } from '../../kinds/index.ts';

/** The handler of the pod's class; undefined is the engine's own default. Throws where there is no such class (any more). */
export async function runtimeOf({ spec }: Pod, client: Pick<Client, 'get'>): Promise<string | undefined> {
	const { runtimeClassName: name } = spec;
	if (!name) return undefined;
	try {
		return (await client.get(RuntimeClass, { name })).handler;
	} catch (error) {
		if (error instanceof ApiError && error.reason === 'NotFound')
			throw new Error(`failed to get sandbox runtime: RuntimeClass.node.k8s.io "${name}" not found`);
		throw error;
	}
}
