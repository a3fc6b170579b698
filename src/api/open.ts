/** Opens the API over a store: loads the cache, makes the first namespaces, and binds the verbs together. */

import { Service, SYSTEM_PRIORITY_CLASSES } from '../kinds/index.ts';
import { type Kind, storageOf } from '../kinds/kind.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { Registry } from '../kinds/registry.ts';
import {
	ApiError,
	alreadyExists,
	badRequest,
	expired,
	methodNotAllowed,
	notServed,
	serviceUnavailable,
} from '../kinds/status.ts';
import type { Log } from '../log.ts';
import { Compacted, Conflict, type Store, Unavailable } from '../store/store.ts';
import type { Api, Caller, Collection, Computing, ListOptions, Stored, Target, WriteOptions } from './api.ts';
import { type Authorizer, chain } from './auth/authorizer.ts';
import { everybody, masters } from './auth/everybody.ts';
import { nodeAuthorizer } from './auth/node-authorizer.ts';
import { createNodeGraph } from './auth/node-graph.ts';
import { WatchCache } from './cache/cache.ts';
import { WentBack } from './cache/freshness.ts';
import { expireEvents } from './expiry.ts';
import { NewerFormat, resourceOf } from './storage.ts';
import { subresourceOf } from './subresources.ts';
import { bind, connect } from './verbs/actions.ts';
import type { AdmissionPlugin } from './verbs/admission.ts';
import { builtinAdmission } from './verbs/builtin-admission.ts';
import { getComputed, listComputed } from './verbs/computed.ts';
import type { Context } from './verbs/context.ts';
import type { Counter } from './verbs/counts.ts';
import { create } from './verbs/create.ts';
import { remove } from './verbs/delete.ts';
import { removeAll } from './verbs/delete-collection.ts';
import { evict } from './verbs/evict.ts';
import { openFence } from './verbs/fence.ts';
import { createKeyedQueue } from './verbs/keyed-queue.ts';
import { list } from './verbs/list.ts';
import { initialNamespaces } from './verbs/namespaces.ts';
import { patch } from './verbs/patch.ts';
import { get, typed, untyped, written } from './verbs/read.ts';
import { getScale, scaleAnswer, updateScale } from './verbs/scale.ts';
import { createServiceAddresses, defaultServiceRange, type ServiceRange } from './verbs/services.ts';
import { update } from './verbs/update.ts';
import { served, servedEvents, servedList, storedSelection } from './verbs/versions.ts';
import { watch } from './verbs/watch.ts';

export interface ApiOptions {
	readonly store: Store;
	readonly registry: Registry;
	readonly log: Log;
	/** Milliseconds since the epoch. */
	readonly now?: () => number;
	readonly services?: Partial<ServiceRange>;
	/** Run after the built-in ones. */
	readonly admission?: readonly AdmissionPlugin[];
	/** Whether no other server writes to the store, as where it lies in a data directory of one process. Default false. */
	readonly alone?: boolean;
	/** What is counted over objects, in their own commits. */
	readonly counters?: readonly Counter[];
	/** Who computes the objects of the kinds whose objects are computed; a request for another one of them gets 503. */
	readonly computed?: readonly Computing[];
	/** Asked after what needs no rules: masters, discovery, nodes. */
	readonly authorizers?: readonly Authorizer[];
}

/** The server's own writes. */
export const systemCaller: Caller = {
	name: 'system:apiserver',
	groups: ['system:masters'],
	userAgent: 'driftless-server',
};

export interface OpenApi extends Api, AsyncDisposable {
	/** Resolves with the reason when what is served is no longer what the store has, and only another start can mend it. */
	readonly lost: Promise<Error>;
}

/**
 * Loads every stored object and follows the store from there. Closing it ends every watch; the store stays the caller's.
 * Throws what the store throws when it cannot be read.
 */
export async function openApi(options: ApiOptions): Promise<OpenApi> {
	const { store, registry, log, now = Date.now } = options;
	const cache = await WatchCache.open({ store, log });
	const addresses = createServiceAddresses(cache, { ...defaultServiceRange, ...options.services });
	const context: Context = {
		store,
		registry,
		cache,
		log,
		now,
		authorizer: chain([masters, everybody, nodeAuthorizer(createNodeGraph(cache)), ...(options.authorizers ?? [])]),
		admission: [...builtinAdmission, ...(options.admission ?? [])],
		alone: options.alone ?? false,
		counters: options.counters ?? [],
		allocators: new Map([[resourceOf(Service), addresses]]),
		queue: createKeyedQueue(),
	};
	const api: Api = bindVerbs(context, options.computed ?? []);
	try {
		await makeFirst(api);
	} catch (cause) {
		await cache[Symbol.asyncDispose]();
		throw cause;
	}
	const expiry = expireEvents(store, cache, log, now);
	return {
		...api,
		lost: cache.lost,
		[Symbol.asyncDispose]: async () => {
			await expiry[Symbol.asyncDispose]();
			await cache[Symbol.asyncDispose]();
		},
	};
}

function bindVerbs(context: Context, computed: readonly Computing[]): Api {
	const { registry, authorizer } = context;
	/** The stored version of what a request is about. Throws 404 where the kind is not served (any more), 405 where none is stored. */
	const storage = <K extends { readonly kind: unknown }>(target: K): Omit<K, 'kind'> & { readonly kind: Kind } => {
		const kind = target.kind as Kind;
		if (!registry.has(kind)) throw notServed();
		if (kind.computed) throw methodNotAllowed();
		return { ...target, kind: storageOf(kind) };
	};
	const api: Api = {
		registry,
		authorizer,
		fence: (lease) => answering(() => openFence(context, lease)),
		count: (collection) =>
			collection.kind.computed ? 0 : context.cache.of(storage(collection).kind).count(collection.namespace),
		connect: (target, subresource, options, caller) =>
			answering(() => connect(context, target, subresource, options, caller)),
		get: (target, options) =>
			answering(async () => {
				checkSubresource(target, 'get');
				if (target.kind.computed) return getComputed(api, computed, target);
				const stored = storage(target);
				return target.subresource === 'scale'
					? typed(await getScale(context, stored, options))
					: served(target.kind, await get(context, stored, options));
			}),
		list: (collection, options) =>
			answering(async () => {
				if (collection.kind.computed) return listComputed(api, computed, collection, options);
				const selection = storedSelection(untyped(collection.kind), options);
				return servedList(collection.kind, await list(context, storage(collection), selection));
			}),
		watch: (collection, options) => {
			const stored = storage(collection);
			const selection = storedSelection(untyped(collection.kind), options);
			const signal = AbortSignal.any([options.signal, registry.life(stored.kind), registry.life(collection.kind)]);
			const events = watch(context, stored, { ...selection, signal });
			return answeringAll(servedEvents(collection.kind, events));
		},
		create: (target, body, options, caller) =>
			answering(() => {
				storage(target);
				return post(context, target, body, options, caller);
			}),
		update: (target, body, options, caller) =>
			answering(async () => {
				checkSubresource(target, 'update');
				const stored = storage(target);
				return target.subresource === 'scale'
					? written(typed(await updateScale(context, stored, body, options, caller)), false)
					: update(context, target, body, options, caller);
			}),
		patch: (target, body, options, caller) =>
			answering(async () => {
				checkSubresource(target, 'patch');
				const stored = storage(target);
				if (target.subresource !== 'scale') return patch(context, target, body, options, caller);
				const patched = await patch(context, stored, body, options, caller);
				return written(typed(scaleAnswer(stored.kind, patched)), false);
			}),
		delete: (target, options, caller) =>
			answering(() => {
				storage(target);
				return remove(context, target, options, caller);
			}),
		deleteCollection: (collection, selection: ListOptions, options, caller) =>
			answering(async () => {
				const stored = storage(collection);
				const where = storedSelection(untyped(collection.kind), selection);
				const removed = await removeAll(context, stored, where, options, caller);
				return removed.map((each) => served(collection.kind, each));
			}),
	};
	return api;
}

async function post<T extends KubeObject>(
	context: Context,
	target: Collection<T> & { readonly name?: string; readonly subresource?: Target['subresource'] },
	body: unknown,
	options: WriteOptions,
	caller: Caller,
): Promise<Stored<T>> {
	const { name, subresource, namespace } = target;
	if (!subresource) return create(context, target, body, options, caller);
	if (!name) throw badRequest('a subresource belongs to an object: its name is missing');
	const whole: Target = { kind: untyped(target.kind), namespace, name, subresource };
	checkSubresource(whole, 'create');
	const done = subresource === 'binding' ? bind : evict;
	return typed<T>(await done(context, whole, body, options, caller));
}

/** Throws 404 for a subresource that the kind does not have, or that does not have the verb. */
function checkSubresource(
	{
		kind,
		subresource,
	}: { readonly kind: { readonly subresources: Target['kind']['subresources'] }; readonly subresource?: string },
	verb: string,
): void {
	if (!subresource) return;
	const found = subresourceOf(kind, subresource);
	if (found?.answer !== 'object' || !found.verbs.includes(verb)) throw notServed();
}

/** Turns the store's errors into the API's. Others are defects, and stay as they are. */
function asApiError(cause: unknown): unknown {
	if (cause instanceof Unavailable) return serviceUnavailable(`the store is not available: ${cause.message}`);
	if (cause instanceof NewerFormat || cause instanceof WentBack) return serviceUnavailable(cause.message);
	if (cause instanceof Compacted) return expired(cause.message);
	if (cause instanceof Conflict) return new ApiError(409, 'Conflict', `another writer came first: ${cause.message}`);
	return cause;
}

async function answering<R>(verb: () => Promise<R>): Promise<R> {
	try {
		return await verb();
	} catch (cause) {
		throw asApiError(cause);
	}
}

async function* answeringAll<E>(events: AsyncIterable<E>): AsyncGenerator<E> {
	try {
		yield* events;
	} catch (cause) {
		throw asApiError(cause);
	}
}

/** What every cluster has from its beginning: its first namespaces, and the system's classes of priority. */
async function makeFirst(api: Api): Promise<void> {
	const namespaces = initialNamespaces.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
	const classes = SYSTEM_PRIORITY_CLASSES.map(({ name, ...rest }) => ({
		apiVersion: 'scheduling.k8s.io/v1',
		kind: 'PriorityClass',
		metadata: { name },
		...rest,
	}));
	for (const body of [...namespaces, ...classes]) {
		const kind = api.registry.of(body.apiVersion, body.kind);
		if (!kind) continue;
		try {
			await api.create({ kind }, body, {}, systemCaller);
		} catch (cause) {
			const { reason } = alreadyExists(kind, body.metadata.name);
			if (!(cause instanceof ApiError && cause.reason === reason)) throw cause;
		}
	}
}
