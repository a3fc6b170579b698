/**
 * Admission: an ordered list of plugins that see every write. In the first phase each may change what is written; then
 * defaults are filled in again, the kind validates, and in the second phase each may only refuse. Deletes, connections and
 * actions (a binding, an eviction) have no object of the kind to change, and yet both phases are asked about them. Source:
 * Kubernetes documentation, "Admission Control in Kubernetes", two phases; "Dynamic Admission Control", matching by operations.
 */
import { type Kind, storageOf } from '../../kinds/kind.ts';
import type { Dynamic, KubeObject } from '../../kinds/object.ts';
import type { Caller } from '../api.ts';
import { thaw } from '../json.ts';
import { latest, placeOf, readStored } from './commit.ts';
import type { Context } from './context.ts';

export interface AdmissionRequest {
	readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
	/** The version whose objects are stored: `object` and `old` are of it. */
	readonly kind: Kind;
	/** The version that the client speaks. */
	readonly requested: Kind;
	readonly subresource?: string;
	readonly namespace?: string;
	readonly name: string;
	/** What is to be written: the request's own copy. On a DELETE there is none, on a CONNECT the options of the connection. */
	readonly object?: Dynamic;
	/** The stored object on an update or a delete. */
	readonly old?: KubeObject;
	readonly caller: Caller;
	readonly dryRun: boolean;
	/** Receives each warning, for the Warning header. */
	readonly warn?: (message: string) => void;
	/** The newest state of an object of any kind; undefined where there is none, or the kind is not known. */
	lookUp(
		resource: { readonly group: string; readonly version: string; readonly plural: string },
		name: { readonly namespace?: string; readonly name: string },
	): Promise<KubeObject | undefined>;
	/** The objects of a kind, of a namespace where one is given, by name, as this server knows them. */
	list(resource: { readonly group: string; readonly plural: string }, namespace?: string): readonly KubeObject[];
}

/**
 * What a plugin did to an object: nothing; `filled` in what is whole and sound of itself; or it has `changed` what defaults
 * are to be filled into, and what is to be pruned and checked again.
 */
export type Mutation = 'nothing' | 'filled' | 'changed';

export interface AdmissionPlugin {
	/** As Kubernetes names it, where it is one of its own. */
	readonly name: string;
	/** Whether it has anything to say of the request; asked before it is called. */
	handles(request: AdmissionRequest): boolean;
	/**
	 * Whether it may wait for somebody outside when it is asked about such writes: then other writers of the same object do
	 * not wait for it. Absent: never.
	 */
	waits?(about: Pick<AdmissionRequest, 'operation' | 'kind' | 'subresource'>): boolean;
	/** May change `object` in place, and says what it did. Throws an ApiError to refuse. */
	mutate?(request: AdmissionRequest): Mutation | Promise<Mutation>;
	/** Throws an ApiError to refuse. */
	validate?(request: AdmissionRequest): void | Promise<void>;
}

/** A request before the verbs add what is the same for all. */
export type Asked = Omit<AdmissionRequest, 'lookUp' | 'list'>;

/** Whether any plugin may wait when it is asked about such writes. */
export const mayWait = ({ admission }: Context, about: Pick<Asked, 'operation' | 'kind' | 'subresource'>): boolean =>
	admission.some((plugin) => plugin.waits?.(about) ?? false);

/** The first phase. Tells what the plugins did to the object. Throws the refusal of the first that refuses. */
export async function mutate(context: Context, asked: Asked): Promise<Mutation> {
	let request: AdmissionRequest | undefined;
	let done: Mutation = 'nothing';
	for (const plugin of context.admission) {
		if (!plugin.mutate) continue;
		request ??= whole(context, asked);
		if (!plugin.handles(request)) continue;
		if (asked.object) thaw(asked.object);
		if (asked.object) thaw(asked.object.metadata);
		const did = plugin.mutate(request);
		const mutation = did instanceof Promise ? await did : did;
		if (mutation !== 'nothing' && done !== 'changed') done = mutation;
	}
	return done;
}

/** The second phase. Throws the refusal of the first that refuses. */
export async function validate(context: Context, asked: Asked): Promise<void> {
	let request: AdmissionRequest | undefined;
	for (const plugin of context.admission) {
		if (!plugin.validate) continue;
		request ??= whole(context, asked);
		if (!plugin.handles(request)) continue;
		const answered = plugin.validate(request);
		if (answered) await answered;
	}
}

const whole = (context: Context, asked: Asked): AdmissionRequest => ({
	...asked,
	lookUp: (resource, name) => lookUp(context, resource, name),
	list: (resource, namespace) =>
		context.cache
			.of(resource)
			.list(namespace)
			.map(({ object }) => object),
});

async function lookUp(
	context: Context,
	{ group, version, plural }: { readonly group: string; readonly version: string; readonly plural: string },
	name: { readonly namespace?: string; readonly name: string },
): Promise<KubeObject | undefined> {
	const kind = context.registry.resource(group, version, plural);
	if (!kind) return undefined;
	const place = placeOf(storageOf(kind), name);
	const known = latest(context, place);
	// The cache may lag behind another server: what it lacks is looked up.
	return known || context.alone ? known?.object : (await readStored(context, place))?.object;
}
