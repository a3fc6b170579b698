/** Empties namespaces that are being deleted, then lets them go. */
import type { Client } from '../../client/index.ts';
import { ApiError, type Kind, Namespace } from '../../kinds/index.ts';
import { type Context, type Controller, controller } from '../runtime/controller.ts';
import { deletionStages, type Remains, remainsConditions, saysAlready } from './namespace-deletion.ts';

/** The finalizer in spec.finalizers that is ours to take away. */
const KUBERNETES = 'kubernetes';
/** What goes is noticed by the watch; this is for what changes without one. */
const LOOK_AGAIN_MS = 15_000;

export const namespace: Controller = controller({
	name: 'namespace',
	for: Namespace,
	// The last object of its kind has left a namespace that is being deleted.
	*everything({ kind, object, old }, cache) {
		const within = old?.metadata.namespace;
		if (object || !within || cache.informer(kind).count('namespace', within) > 0) return;
		if (cache.informer(Namespace).get(within)?.metadata.deletionTimestamp) yield within;
	},
	async reconcile(key, context) {
		const { client, cache } = context;
		const namespace = cache.informer(Namespace).get(key);
		if (!namespace?.metadata.deletionTimestamp || !namespace.spec.finalizers?.includes(KUBERNETES)) return;
		for (const kinds of deletionStages(client.registry.stored())) {
			const remains: Remains[] = [];
			for (const kind of kinds) remains.push(await empty(kind, key, client));
			if (remains.every(({ objects, error }) => objects.length === 0 && !error)) continue;
			await say(namespace, remains, context);
			const errors = remains.flatMap(({ error }) => error ?? []);
			if (errors.length > 0) throw new AggregateError(errors, errors.map(({ message }) => message).join(', '));
			return { after: LOOK_AGAIN_MS };
		}
		const finalizers = namespace.spec.finalizers.filter((finalizer) => finalizer !== KUBERNETES);
		// One that stays for somebody else does not say any more that it waits for its content.
		const stays = finalizers.length > 0 || namespace.metadata.finalizers?.length;
		const told = stays ? await say(namespace, [], context) : namespace;
		await client.update(Namespace, { ...told, spec: { ...told.spec, finalizers } }, { subresource: 'finalize' });
		return;
	},
});

/** Says in the status what remains, where it does not say so yet. */
async function say(namespace: Namespace, remains: readonly Remains[], { client, now }: Context): Promise<Namespace> {
	const conditions = remainsConditions(namespace, remains, now());
	if (saysAlready(namespace, conditions)) return namespace;
	const status = { ...namespace.status, conditions };
	return client.update(Namespace, { ...namespace, status }, { subresource: 'status' });
}

/** Deletes the namespace's objects of a kind. Returns those that are still there: they have finalizers or a grace period. */
async function empty(kind: Kind, namespace: string, client: Client): Promise<Remains> {
	try {
		const { items } = await client.list(kind, { namespace });
		if (items.every(({ metadata }) => metadata.deletionTimestamp)) return { kind, objects: items };
		await client.deleteCollection(kind, { namespace }, { propagationPolicy: 'Background' });
		return { kind, objects: (await client.list(kind, { namespace })).items };
	} catch (error) {
		// A kind that is only created, or that is gone, has no objects.
		if (error instanceof ApiError && (error.code === 404 || error.code === 405)) return { kind, objects: [] };
		return { kind, objects: [], error: error instanceof Error ? error : new Error(String(error)) };
	}
}
