/** The life cycle of namespaces: what may be created in them, and those that every cluster has. */
import { ApiError, forbidden, notFound } from '../../kinds/status.ts';
import { type Expectation, Unavailable } from '../../store/store.ts';
import { storageKey } from '../storage.ts';
import { latest, placeOf, readStored } from './commit.ts';
import type { Context } from './context.ts';

/** Made at the first start. */
export const initialNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'] as const;
const namespaces = { group: '', plural: 'namespaces' };

/**
 * Checks that objects may be created in a namespace. Returns the expectation that makes it hold at the commit, too. Throws
 * 404 where it does not exist, 403 while it is being removed.
 */
export async function openNamespace(
	context: Context,
	resource: { readonly group: string; readonly plural: string },
	namespace: string,
	name: string,
): Promise<Expectation> {
	const kind = context.registry.resource('', 'v1', 'namespaces');
	if (!kind) throw new Unavailable('the kind Namespace is not registered');
	const place = placeOf(kind, { name: namespace });
	// The cache may lag behind another server: what speaks against the request is looked up.
	let stored = latest(context, place);
	if (!stored || stored.object.metadata.deletionTimestamp) stored = await readStored(context, place);
	if (!stored) throw notFound(namespaces, namespace);
	if (stored.object.metadata.deletionTimestamp) {
		const { status } = forbidden(
			resource,
			name,
			`unable to create new content in namespace ${namespace} because it is being terminated`,
		);
		throw new ApiError(status.code, 'Forbidden', status.message ?? '', {
			...status.details,
			causes: [
				{
					reason: 'NamespaceTerminating',
					message: `namespace ${namespace} is being terminated`,
					field: 'metadata.namespace',
				},
			],
		});
	}
	return { key: storageKey(namespaces, namespace), modified: stored.revision };
}
