/** get and list of kinds whose objects are computed when they are asked for. */
import type { KubeObject } from '../../kinds/object.ts';
import { notFound, notServed, serviceUnavailable } from '../../kinds/status.ts';
import type { Api, Collection, Computing, Listed, ListOptions, Stored, Target } from '../api.ts';
import { StoredObject } from '../storage.ts';
import { untyped } from './read.ts';
import { select } from './selection.ts';

export async function getComputed<T extends KubeObject>(
	api: Api,
	all: readonly Computing[],
	{ kind, namespace, name }: Target<T>,
): Promise<Stored<T>> {
	const [found] = await of(api, all, { kind }).compute(api, { namespace, name });
	if (!found) throw notFound(kind, name);
	return answered<T>(found);
}

/** Everything that is selected, in one page, whatever `limit` says. */
export async function listComputed<T extends KubeObject>(
	api: Api,
	all: readonly Computing[],
	collection: Collection<T>,
	options: ListOptions,
): Promise<Listed<T>> {
	const computing = of(api, all, collection);
	const { matches = () => true, namespace } = select(collection, options);
	const objects = await computing.compute(api, { namespace, labelSelector: options.labelSelector });
	const items = objects.map((object) => answered<T>(object)).filter((stored) => matches(stored));
	return { items, resourceVersion: '' };
}

function of<T extends KubeObject>(api: Api, all: readonly Computing[], { kind }: Collection<T>): Computing {
	if (!api.registry.has(kind)) throw notServed();
	const found = all.find((each) => each.kind === untyped(kind));
	if (!found) throw serviceUnavailable(`this server does not compute ${kind.plural}.${kind.group}`);
	return found;
}

/** What is computed for a kind is of its type. */
const answered = <T extends KubeObject>(object: KubeObject): StoredObject<T> =>
	new StoredObject(Buffer.from(JSON.stringify(object)), 0, object as T);
