/** Objects that a controller keeps as they must be, whatever becomes of them. */
import { type Kind, type KubeObject, keyOf } from '../../kinds/index.ts';
import type { Context } from './controller.ts';
import { sameJson } from './equality.ts';

/** Creates the object of this name, or mends it where it is not as `make` says; `make` gets what there is. */
export async function keep<T extends KubeObject>(
	kind: Kind<T>,
	name: { readonly namespace?: string; readonly name: string },
	{ cache, client }: Pick<Context, 'cache' | 'client'>,
	make: (old: T | undefined) => T,
): Promise<void> {
	const old = cache.informer(kind).get(keyOf({ metadata: name }));
	const wanted = make(old);
	if (!old) await client.create(kind, wanted);
	else if (!sameJson(wanted, old)) await client.update(kind, wanted);
}
