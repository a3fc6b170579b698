/** Turns changes of objects into keys, as a controller declares it. */
import type { Cache, Informer } from '../../client/informer.ts';
import type { Queue } from '../../client/queue.ts';
import { type Key, type Kind, type KubeObject, keyOf, parseApiVersion, type Registry } from '../../kinds/index.ts';
import type { Controller, Watch } from './controller.ts';
import { nameOf } from './declared.ts';
import { sameJson } from './equality.ts';

/** Follows what the controller declares until disposed, and puts the keys into the queue. */
export function follow(controller: Controller, cache: Cache, queue: Pick<Queue, 'add' | 'gather'>): Disposable {
	const subscriptions = new DisposableStack();
	const on = ({ kind, keys, part, gatherMs = 0 }: Watch) => {
		const add = gatherMs > 0 ? (key: Key) => queue.gather(key, gatherMs) : queue.add;
		const subscription = cache.informer(kind).on(({ object, old }) => {
			if (part && object && old && sameJson(part(object), part(old))) return;
			// Each key once: a worker that waits takes a key at once, and would look a second time for the second.
			const found = new Set(old && keys(old, cache));
			if (object) for (const key of keys(object, cache)) found.add(key);
			for (const key of found) add(key);
		});
		subscriptions.use(subscription);
	};
	const owner = controller.for;
	if (owner) {
		on({ kind: owner, keys: (object) => [keyOf(object)] });
		for (const kind of controller.owns ?? []) on({ kind, keys: (object) => controllingOwner(object, owner) });
	}
	for (const watch of controller.watches ?? []) on(watch);
	return subscriptions;
}

/** Follows every kind of the registry; `more` looks for kinds that it has got since and returns their informers. */
export function followEverything(
	controller: Controller,
	cache: Cache,
	registry: Registry,
	add: (key: Key) => void,
): Disposable & { more(): Informer[] } {
	const { everything } = controller;
	const subscriptions = new DisposableStack();
	const followed = new Set<string>();
	return {
		more() {
			const found: Informer[] = [];
			if (!everything) return found;
			for (const kind of registry.stored()) {
				if (followed.has(nameOf(kind)) || isFleeting(kind)) continue;
				followed.add(nameOf(kind));
				const informer = cache.informer(kind);
				found.push(informer);
				subscriptions.use(
					informer.on((delta) => {
						for (const key of everything({ ...delta, kind }, cache, registry)) add(key);
					}),
				);
			}
			return found;
		},
		[Symbol.dispose]: () => subscriptions.dispose(),
	};
}

/** Events are many, own nothing, and are owned by nothing. */
export const isFleeting = (kind: Kind) =>
	kind.kind === 'Event' && (kind.group === '' || kind.group === 'events.k8s.io');

/** The key of the owner that controls the object, where it is of the kind; none otherwise. */
function controllingOwner(object: KubeObject, kind: Kind): Key[] {
	const owner = object.metadata.ownerReferences?.find((reference) => reference.controller);
	if (owner?.kind !== kind.kind || parseApiVersion(owner.apiVersion).group !== kind.group) return [];
	const namespace = kind.namespaced ? object.metadata.namespace : undefined;
	return [keyOf({ metadata: { name: owner.name, namespace } })];
}
