/** The namespace of an application's destination, where a sync option asks for it. Source: Argo CD, "Sync Options", CreateNamespace. */
import { ApiError, type Application, Namespace } from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import type { Desired } from '../want/desired.ts';
import { managerOf } from '../want/desired.ts';
import { inApplication } from '../want/namespace.ts';
import { optionOf } from '../want/options.ts';

/** Makes it where it is not there, and gives whether it did. A manifest of its own goes before; its managed metadata are applied like a manifest, later. */
export async function createNamespace(
	application: Application,
	options: readonly string[],
	desired: ReadonlyMap<string, Desired>,
	{ client, cache }: Context,
): Promise<boolean> {
	const name = application.spec.destination.namespace;
	if (!name || optionOf('CreateNamespace', options) !== 'true' || cache.informer(Namespace).get(name)) return false;
	const manifest = desired.get(`-/Namespace/-/${name}`)?.manifest;
	if (manifest && manifest.file !== inApplication) return false;
	try {
		const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } } as Namespace;
		await client.create(Namespace, object, { fieldManager: managerOf(application) });
		return true;
	} catch (error) {
		// Another one was faster.
		if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
		return true;
	}
}
