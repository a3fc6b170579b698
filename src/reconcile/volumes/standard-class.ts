/**
 * The class `standard`: every cluster has it, so that a claim that names no class gets a volume. What its owner makes of it stays: one
 * that is not the default any more, say. Deleted, it is made again.
 */
import { DEFAULT_CLASS, LOCAL_PROVISIONER, StorageClass } from '../../kinds/index.ts';
import { controller, watch } from '../runtime/controller.ts';
import { isAlreadyThere } from '../runtime/refusal.ts';

const NAME = 'standard';

export const standardClass = controller({
	name: 'standard-class',
	workers: 1,
	watches: [watch(StorageClass, ({ metadata }) => (metadata.name === NAME ? [NAME] : []))],
	triggers: (queue) => queue(NAME),
	async reconcile(_key, { cache, client }) {
		if (cache.informer(StorageClass).get(NAME)) return undefined;
		try {
			await client.create(StorageClass, {
				apiVersion: 'storage.k8s.io/v1',
				kind: 'StorageClass',
				metadata: { name: NAME, annotations: { [DEFAULT_CLASS]: 'true' } },
				provisioner: LOCAL_PROVISIONER,
				reclaimPolicy: 'Delete',
				volumeBindingMode: 'WaitForFirstConsumer',
				allowVolumeExpansion: true,
			});
		} catch (error) {
			if (!isAlreadyThere(error)) throw error;
		}
		return undefined;
	},
});
