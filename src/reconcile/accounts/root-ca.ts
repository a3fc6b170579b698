/** Puts the certificate authority of the API into each namespace, where pods find it with their service account's token. */
import { ConfigMap, Namespace } from '../../kinds/index.ts';
import { type Controller, controller, watch } from '../runtime/controller.ts';
import { isSettled } from './service-account.ts';

const NAME = 'kube-root-ca.crt';
const FILE = 'ca.crt';
const DESCRIPTION = {
	'kubernetes.io/description': 'The certificate authority of the API server, for clients inside the cluster.',
};

/** `ca` in PEM. */
export function rootCa(ca: string): Controller {
	return controller({
		name: 'root-ca',
		for: Namespace,
		watches: [
			watch(ConfigMap, ({ metadata }) => (metadata.name === NAME && metadata.namespace ? [metadata.namespace] : [])),
		],
		async reconcile(key, { client, cache }) {
			const namespace = cache.informer(Namespace).get(key);
			if (!namespace || namespace.metadata.deletionTimestamp) return;
			const held = cache.informer(ConfigMap).get(`${key}/${NAME}`);
			if (held?.data?.[FILE] === ca && Object.keys(held.data).length === 1) return;
			const metadata = { ...held?.metadata, name: NAME, namespace: key, annotations: DESCRIPTION };
			const next: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [FILE]: ca } };
			try {
				await (held ? client.update(ConfigMap, next) : client.create(ConfigMap, next));
			} catch (error) {
				if (!isSettled(error)) throw error;
			}
			return;
		},
	});
}
