/** What a controller reads: the kinds it declares, so that each is complete before the first reconcile and the picture of them is true. */
import type { Cache, Informer } from '../../client/informer.ts';
import { apiVersionOf, type Kind, type KubeObject } from '../../kinds/index.ts';
import type { Controller } from './controller.ts';

/** The kinds that a controller declares by name, each once. */
export function declaredKinds(controller: Controller): Kind[] {
	const kinds = new Map<string, Kind>();
	const declared = [
		...(controller.for ? [controller.for] : []),
		...(controller.owns ?? []),
		...(controller.watches ?? []).map((watch) => watch.kind),
		...(controller.indexes ?? []).map((index) => index.kind),
	];
	for (const kind of declared) kinds.set(nameOf(kind), kind);
	return [...kinds.values()];
}

/**
 * The cache as one controller sees it. Reading a kind that is not declared throws: its informer might not be complete. A
 * controller of `everything` reads every kind.
 */
export function declaredCache(cache: Cache, controller: Controller): Cache {
	const kinds = new Set(declaredKinds(controller).map(nameOf));
	return {
		informer<T extends KubeObject>(kind: Kind<T>): Informer<T> {
			if (!controller.everything && !kinds.has(nameOf(kind))) {
				throw new Error(
					`controller ${controller.name} reads ${kind.plural} without declaring them: add the kind to its owns, watches or indexes`,
				);
			}
			return cache.informer(kind);
		},
		synced: () => cache.synced(),
		// The cache belongs to the caller of the runtime.
		[Symbol.asyncDispose]: () => Promise.resolve(),
	};
}

export const nameOf = (kind: Pick<Kind, 'group' | 'version' | 'kind'>) => `${apiVersionOf(kind)}/${kind.kind}`;
