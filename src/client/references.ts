/**
 * Single objects that somebody refers to, each followed by a watch of its own for as long as somebody does: what a node needs
 * to know of the Secrets and ConfigMaps of a cluster is those that its pods name. Source: the kubelet's watch-based manager of
 * Secrets and ConfigMaps (Kubernetes documentation, KubeletConfiguration, configMapAndSecretChangeDetectionStrategy).
 */
import type { Kind } from '../kinds/kind.ts';
import { type Key, type KubeObject, keyOf } from '../kinds/object.ts';
import type { Client, Name } from './client.ts';
import { faults } from './fault.ts';
import type { Informer } from './informer.ts';
import { createInformer, type InformerOptions } from './list-watch.ts';

/** Somebody's interest in an object; it ends when it is disposed. */
export interface Reference extends Disposable {
	/** Settles when it is known whether the object is there. Rejects when the following ends before. */
	readonly synced: Promise<void>;
}

export interface References<T extends KubeObject> {
	/** Follows the object from now on. However many hold it, it is followed once. */
	hold(at: Name): Reference;
	/** The object as it is now; undefined where there is none. `known` is false for one that nobody holds, or that has not been listed yet. */
	get(at: Name): { readonly known: boolean; readonly object?: T };
}

interface Held<T extends KubeObject> {
	readonly informer: Informer<T>;
	readonly stop: AbortController;
	holders: number;
}

/** `changed` is called for each change of an object that is held, its first appearance included. All ends when the signal aborts. */
export function followReferences<T extends KubeObject>(
	client: Client,
	kind: Kind<T>,
	options: InformerOptions & { readonly changed: (key: Key) => void },
): References<T> {
	const held = new Map<Key, Held<T>>();
	const log = faults(options.log);

	const follow = (key: Key, { name, namespace }: Name): Held<T> => {
		const stop = new AbortController();
		const signal = AbortSignal.any([options.signal, stop.signal]);
		const selection = { namespace, fieldSelector: `metadata.name=${name}` };
		const { informer, run } = createInformer(client, kind, selection, { ...options, signal }, log);
		informer.on(() => options.changed(key));
		void run();
		return { informer, stop, holders: 0 };
	};

	return {
		hold(at) {
			const key = keyOf({ metadata: at });
			const entry = held.get(key) ?? follow(key, at);
			held.set(key, entry);
			entry.holders++;
			let disposed = false;
			return {
				synced: entry.informer.synced,
				[Symbol.dispose]() {
					if (disposed) return;
					disposed = true;
					if (--entry.holders > 0) return;
					held.delete(key);
					entry.stop.abort();
				},
			};
		},
		get(at) {
			const key = keyOf({ metadata: at });
			const entry = held.get(key);
			return { known: (entry?.informer.revision ?? 0) > 0, object: entry?.informer.get(key) };
		},
	};
}
