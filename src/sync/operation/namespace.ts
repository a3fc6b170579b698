/** The namespace of an application's destination, where a sync option asks for it. Source: Argo CD, "Sync Options", CreateNamespace. */
import { type Application, Namespace } from '../../kinds/index.ts';
import type { Context } from '../../reconcile/index.ts';
import { type Desired, managerOf } from '../want/desired.ts';
import { optionOf } from '../want/options.ts';

/** Makes it, and gives it the labels and annotations of spec.syncPolicy.managedNamespaceMetadata. A manifest of its own goes before. */
export async function createNamespace(
	application: Application,
	options: readonly string[],
	desired: ReadonlyMap<string, Desired>,
	{ client, cache }: Context,
): Promise<void> {
	const name = application.spec.destination.namespace;
	if (!name || optionOf('CreateNamespace', options) !== 'true' || desired.has(`-/Namespace/-/${name}`)) return;
	const wanted = application.spec.syncPolicy?.managedNamespaceMetadata;
	const live = cache.informer(Namespace).get(name);
	const has = (kind: 'labels' | 'annotations') =>
		Object.entries(wanted?.[kind] ?? {}).every(([key, value]) => live?.metadata[kind]?.[key] === value);
	if (live && has('labels') && has('annotations')) return;
	const { labels, annotations } = wanted ?? {};
	await client.patch(
		Namespace,
		{ name },
		{
			type: 'apply',
			body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, annotations } },
			force: true,
		},
		{ fieldManager: managerOf(application) },
	);
}
