/**
 * What stands for static pods in the API, so that it can be seen what they do: it is made, made anew where somebody has deleted it or
 * the file has changed, and removed with the pod. Nothing that happens to it happens to the pod.
 */

import type { Cache, Client, Faults } from '../../client/index.ts';
import { ApiError, CONFIG_HASH_ANNOTATION, MIRROR_ANNOTATION, Node, Pod } from '../../kinds/index.ts';

/** The uid of the static pod that an object of the API stands for; undefined where it is a pod of its own. */
export const mirrored = (pod: Pod): string | undefined => pod.metadata.annotations?.[MIRROR_ANNOTATION];

export interface MirrorPods {
	/** Sees to it that the API shows this static pod, and nothing else under its name. @returns what is there now, if anything. */
	show(pod: Pod): Promise<Pod | undefined>;
	/** The pod has gone, and what stood for it goes. */
	remove(pod: Pod): Promise<void>;
}

export function mirrorPods({
	client,
	cache,
	node,
	faults,
}: {
	readonly client: Client;
	readonly cache: Cache;
	readonly node: string;
	readonly faults: Faults;
}): MirrorPods {
	const find = async ({ metadata: { namespace, name } }: Pod): Promise<Pod | undefined> => {
		try {
			return await client.get(Pod, { namespace, name });
		} catch (error) {
			if (error instanceof ApiError && error.code === 404) return undefined;
			throw error;
		}
	};
	const drop = async (found: Pod) => {
		const { namespace, name, uid } = found.metadata;
		try {
			await client.delete(Pod, { namespace, name }, { gracePeriodSeconds: 0, preconditions: { uid } });
		} catch (error) {
			if (!(error instanceof ApiError) || (error.code !== 404 && error.code !== 409)) throw error;
		}
	};
	return {
		async show(pod) {
			try {
				const found = await find(pod);
				// A pod of the name that is somebody else's stays.
				if (found && mirrored(found) === undefined) throw new Error('another pod has its name');
				if (found && mirrored(found) === pod.metadata.uid && !found.metadata.deletionTimestamp) return found;
				if (found) await drop(found);
				const owner = cache.informer(Node).get(node) ?? (await client.get(Node, { name: node }));
				const { uid: _, resourceVersion: _r, ...metadata } = pod.metadata;
				const made = await client.create(Pod, {
					...pod,
					metadata: {
						...metadata,
						annotations: {
							...metadata.annotations,
							[MIRROR_ANNOTATION]: metadata.annotations?.[CONFIG_HASH_ANNOTATION] ?? '',
						},
						ownerReferences: [
							{ apiVersion: 'v1', kind: 'Node', name: node, uid: owner.metadata.uid ?? '', controller: true },
						],
					},
					status: undefined,
				});
				faults.healed('mirror', 'static pods are shown in the API again');
				return made;
			} catch (error) {
				faults.failed('mirror', error, 'a static pod cannot be shown in the API; it runs on', {
					pod: `${pod.metadata.namespace}/${pod.metadata.name}`,
				});
				return undefined;
			}
		},
		async remove(pod) {
			try {
				const found = await find(pod);
				if (found && mirrored(found) === pod.metadata.uid) await drop(found);
			} catch (error) {
				faults.failed('mirror', error, 'what stood for a static pod cannot be removed');
			}
		},
	};
}
