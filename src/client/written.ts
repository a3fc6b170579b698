/**
 * Read your own writes: a client that remembers what it wrote, so that its user can wait until the informers have it.
 * Level-triggered code that decides by a cache would otherwise do the same thing twice.
 */
import { apiVersionOf, type Kind } from '../kinds/kind.ts';
import { type KubeObject, keyOf } from '../kinds/object.ts';
import { ApiError } from '../kinds/status.ts';
import type { Client, Name } from './client.ts';
import type { Informer } from './informer.ts';

export interface Writing {
	readonly client: Client;
	/** Remembers writes to the informer's kind from now on as well. */
	follow(informer: Informer): void;
	/** Whether an informer has yet to see one of the writes. */
	readonly pending: boolean;
	/**
	 * Settles when the informers have seen every write that the client had finished before the call. Costs nothing where they have.
	 * Rejects with the signal's reason.
	 */
	seen(signal: AbortSignal): Promise<void>;
}

/** A write that an informer may not have seen yet. */
interface Pending {
	readonly informer: Informer;
	readonly seen: () => boolean;
}

/**
 * Wraps a client. Writes to kinds that have none of the informers are not remembered, nor is deleteCollection, which
 * tells neither names nor revision: read live after it.
 */
export function rememberWrites(client: Client, informers: Iterable<Informer>): Writing {
	const byKind = new Map<string, Informer>();
	for (const informer of informers) byKind.set(nameOf(informer.kind), informer);
	let pending: Pending[] = [];

	const remember = (kind: Pick<Kind, 'group' | 'version' | 'kind'>, seen: (informer: Informer) => boolean) => {
		const informer = byKind.get(nameOf(kind));
		if (informer && !seen(informer)) pending.push({ informer, seen: () => seen(informer) });
	};
	/** A written object is seen when the informer has passed its revision. */
	const written = <T extends KubeObject>(kind: Kind<T>, dryRun: boolean | undefined, object: T): T => {
		const revision = Number(object.metadata.resourceVersion ?? 0);
		if (!dryRun) remember(kind, (informer) => informer.revision >= revision);
		return object;
	};
	/** A deleted object is seen when it is gone or known to be going: the API tells no revision of a delete. */
	const deleted = (kind: Pick<Kind, 'group' | 'version' | 'kind'>, name: Name, uid: string | undefined) =>
		remember(kind, (informer) => {
			const held = informer.get(keyOf({ metadata: name }));
			return !held || held.metadata.uid !== uid || held.metadata.deletionTimestamp !== undefined;
		});

	const wrap = (inner: Client): Client => ({
		name: inner.name,
		registry: inner.registry,
		as: (name) => wrap(inner.as(name)),
		get: (kind, name, options) => inner.get(kind, name, options),
		list: (kind, options) => inner.list(kind, options),
		watch: (kind, options) => inner.watch(kind, options),
		create: async (kind, object, options) => written(kind, options?.dryRun, await inner.create(kind, object, options)),
		update: async (kind, object, options) => written(kind, options?.dryRun, await inner.update(kind, object, options)),
		patch: async (kind, name, patch, options) =>
			written(kind, options?.dryRun, await inner.patch(kind, name, patch, options)),
		async delete(kind, name, options) {
			const held = byKind.get(nameOf(kind))?.get(keyOf({ metadata: name }));
			try {
				await inner.delete(kind, name, options);
			} catch (error) {
				// Somebody else's delete came first; the informer has yet to see that one as well.
				if (!(error instanceof ApiError && error.reason === 'NotFound')) throw error;
				deleted(kind, name, held?.metadata.uid);
				throw error;
			}
			if (!options?.dryRun) deleted(kind, name, held?.metadata.uid);
		},
		deleteCollection: (kind, options, how) => inner.deleteCollection(kind, options, how),
		async bind(pod, node) {
			const kind = { group: '', version: 'v1', kind: 'Pod' };
			const key = keyOf({ metadata: pod });
			const bound = byKind.get(nameOf(kind))?.get(key);
			await inner.bind(pod, node);
			remember(kind, (informer) => {
				const held = informer.get(key);
				// The name may have passed to another pod since, which waits for a node in its turn.
				return !held || held.metadata.uid !== bound?.metadata.uid || isBound(held);
			});
		},
	});

	return {
		client: wrap(client),
		follow: (informer) => void byKind.set(nameOf(informer.kind), informer),
		get pending() {
			pending = pending.filter((write) => !write.seen());
			return pending.length > 0;
		},
		async seen(signal) {
			for (const write of [...pending]) {
				if (!write.seen()) await write.informer.until(write.seen, signal);
			}
		},
	};
}

const nameOf = (kind: Pick<Kind, 'group' | 'version' | 'kind'>) => `${apiVersionOf(kind)}/${kind.kind}`;

const isBound = (pod: KubeObject & { readonly spec?: { readonly nodeName?: string } }) => Boolean(pod.spec?.nodeName);
