/** Gives each namespace the ServiceAccount that pods have when they name none. */
import { Namespace, ServiceAccount } from '../../kinds/index.ts';
import { type Controller, controller, watch } from '../runtime/controller.ts';
import { isAlreadyThere, isNotFound, isTerminating } from '../runtime/refusal.ts';

const NAME = 'default';

export const serviceAccount: Controller = controller({
	name: 'serviceaccount',
	for: Namespace,
	watches: [
		watch(ServiceAccount, ({ metadata }) => (metadata.name === NAME && metadata.namespace ? [metadata.namespace] : [])),
	],
	async reconcile(key, { client, cache }) {
		const namespace = cache.informer(Namespace).get(key);
		if (!namespace || namespace.metadata.deletionTimestamp) return;
		if (cache.informer(ServiceAccount).get(`${key}/${NAME}`)) return;
		const metadata = { name: NAME, namespace: key };
		try {
			await client.create(ServiceAccount, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
		} catch (error) {
			if (!isSettled(error)) throw error;
		}
		return;
	},
});

/** Somebody else made the object meanwhile, or its namespace is going or gone. */
export const isSettled = (error: unknown): boolean =>
	isAlreadyThere(error) || isNotFound(error) || isTerminating(error);
