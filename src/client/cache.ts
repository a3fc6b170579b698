/** The informers of a process: one for each kind and selection, shared by all that ask for it. */
import { apiVersionOf, type Kind } from '../kinds/kind.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { Client } from './client.ts';
import { faults } from './fault.ts';
import type { Cache, Informer, Selection } from './informer.ts';
import { createInformer, type InformerOptions } from './list-watch.ts';

export type CacheOptions = InformerOptions;

/** A cache whose informers run until the signal aborts or the cache is disposed. */
export function createCache(client: Client, options: CacheOptions): Cache {
	const stop = new AbortController();
	const signal = AbortSignal.any([options.signal, stop.signal]);
	const started = new Map<string, { readonly informer: Informer<never>; readonly ended: Promise<void> }>();
	const log = faults(options.log);
	return {
		informer<T extends KubeObject>(kind: Kind<T>, { namespace, labelSelector, fieldSelector }: Selection = {}) {
			const name = JSON.stringify([apiVersionOf(kind), kind.plural, namespace, labelSelector, fieldSelector]);
			const running = started.get(name);
			// One kind has one informer, whichever of its equal declarations it was asked for by.
			if (running) return running.informer as unknown as Informer<T>;
			const selection = { namespace, labelSelector, fieldSelector };
			const { informer, run } = createInformer(client, kind, selection, { ...options, signal }, log);
			started.set(name, { informer: informer as unknown as Informer<never>, ended: run() });
			return informer;
		},
		async synced() {
			await Promise.all([...started.values()].map(({ informer }) => informer.synced));
		},
		async [Symbol.asyncDispose]() {
			stop.abort();
			await Promise.all([...started.values()].map(({ ended }) => ended));
		},
	};
}
