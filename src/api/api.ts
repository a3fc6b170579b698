/**
 * The API in process: every verb of the Kubernetes API on every kind, without HTTP. `server.ts` speaks REST over it; the
 * in-process client calls it directly. All rules (admission, validation, ownership, concurrency) hold for both alike.
 */
import type { Lease } from '../kinds/coordination/lease.ts';
import type { Kind } from '../kinds/kind.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { Registry } from '../kinds/registry.ts';
import type { Authorizer } from './auth/authorizer.ts';
import type { User } from './auth/user.ts';
import type { ObjectSubresource } from './subresources.ts';

/** Who asks. */
export interface Caller extends User {
	/** Default field manager: its part before the first `/`. */
	readonly userAgent: string;
	/** Its writes are made only while this holds, to the commit: see `Api.fence`. */
	readonly fence?: Fence;
}

/** That a term of leadership goes on, as the store can tell. */
export interface Fence {
	/** For messages: the name of the Lease. */
	readonly lease: string;
	readonly key: string;
	readonly modified: number;
}

/** A stored object: deeply frozen, with its JSON bytes (resourceVersion included), which are served as they are. */
export interface Stored<T extends KubeObject = KubeObject> {
	readonly object: T;
	readonly bytes: Uint8Array;
	readonly revision: number;
}

/** What came of a write that may create the object: `created` tells 201 from 200. */
export type Written<T extends KubeObject = KubeObject> = Stored<T> & { readonly created: boolean };

/** What a request is about. `namespace` is absent for cluster-scoped kinds, and for lists over all namespaces. */
export interface Collection<T extends KubeObject = KubeObject> {
	readonly kind: Kind<T>;
	readonly namespace?: string;
}
export interface Target<T extends KubeObject = KubeObject> extends Collection<T> {
	readonly name: string;
	readonly subresource?: ObjectSubresource;
}

export interface ReadOptions {
	/** Unset: as fresh as every earlier write. "0": whatever the cache has. Otherwise at least as fresh (get, list by default). */
	readonly resourceVersion?: string;
}

export interface ListOptions extends ReadOptions {
	readonly labelSelector?: string;
	readonly fieldSelector?: string;
	readonly limit?: number;
	readonly continue?: string;
	readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan';
}

export interface WatchOptions {
	readonly labelSelector?: string;
	readonly fieldSelector?: string;
	readonly resourceVersion?: string;
	readonly allowWatchBookmarks?: boolean;
	readonly sendInitialEvents?: boolean;
	readonly signal: AbortSignal;
	/** Called when the reader has taken what there was when the watch began. */
	readonly begun?: () => void;
}

export type WatchEvent<T extends KubeObject = KubeObject> =
	| { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly stored: Stored<T> }
	| { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly initialEventsEnd: boolean };

export interface Listed<T extends KubeObject = KubeObject> {
	readonly items: readonly Stored<T>[];
	readonly resourceVersion: string;
	readonly continue?: string;
	readonly remainingItemCount?: number;
}

export interface WriteOptions {
	readonly dryRun?: boolean;
	readonly fieldManager?: string;
	/** Unknown and duplicate fields: dropped silently, dropped with a warning (default), or refused. */
	readonly fieldValidation?: 'Ignore' | 'Warn' | 'Strict';
	/** Receives each warning, for the Warning header. */
	readonly warn?: (message: string) => void;
}

/** A patch by its media type; `apply` creates the object where it does not exist. */
export type Patch =
	| { readonly type: 'json'; readonly body: unknown }
	| { readonly type: 'merge'; readonly body: unknown }
	| { readonly type: 'strategic'; readonly body: unknown }
	| { readonly type: 'apply'; readonly body: unknown; readonly force?: boolean };

export interface DeleteOptions {
	readonly dryRun?: boolean;
	readonly gracePeriodSeconds?: number;
	readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
	readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

/** Who computes the objects of a kind (Kind.computed) when they are asked for. */
export interface Computing<T extends KubeObject = KubeObject> {
	readonly kind: Kind<T>;
	/**
	 * The objects of a namespace, or of all; with a `name` that one or none. It may leave out what the selector does not match, and
	 * need not: selectors are applied to what it returns. Throws ApiError, 503 where it cannot know.
	 */
	compute(api: Api, asked: { namespace?: string; name?: string; labelSelector?: string }): Promise<readonly T[]>;
}

/** All verbs throw ApiError (kinds/status.ts), and nothing else on purpose. */
export interface Api {
	readonly registry: Registry;
	/** Asked about each request from outside; the verbs ask it about what a write does beside what it says. */
	readonly authorizer: Authorizer;
	/** How many objects there are, about: what the server has seen of it. */
	count(collection: Collection): number;
	get<T extends KubeObject>(target: Target<T>, options: ReadOptions, caller: Caller): Promise<Stored<T>>;
	list<T extends KubeObject>(collection: Collection<T>, options: ListOptions, caller: Caller): Promise<Listed<T>>;
	/** Batches of events. Ends when the signal aborts; throws 410 Expired when the resourceVersion is too old or the reader too slow. */
	watch<T extends KubeObject>(
		collection: Collection<T>,
		options: WatchOptions,
		caller: Caller,
	): AsyncIterable<readonly WatchEvent<T>[]>;
	create<T extends KubeObject>(
		target: Collection<T> & { readonly name?: string; readonly subresource?: Target['subresource'] },
		body: unknown,
		options: WriteOptions,
		caller: Caller,
	): Promise<Stored<T>>;
	update<T extends KubeObject>(
		target: Target<T>,
		body: unknown,
		options: WriteOptions,
		caller: Caller,
	): Promise<Written<T>>;
	/** Creates with an apply only. */
	patch<T extends KubeObject>(
		target: Target<T>,
		patch: Patch,
		options: WriteOptions,
		caller: Caller,
	): Promise<Written<T>>;
	/** The object as last stored: gone, or still there with a deletionTimestamp when it has finalizers or a grace period. */
	delete<T extends KubeObject>(
		target: Target<T>,
		options: DeleteOptions,
		caller: Caller,
	): Promise<{ readonly stored: Stored<T>; readonly gone: boolean }>;
	/**
	 * The fence of a term of leadership: while the Lease is held as `lease` says, writes of a caller with this fence are made;
	 * after that none, whatever the caller believes. Throws 409 where the term is over already.
	 */
	fence(lease: Lease): Promise<Fence>;
	/** Admits a connection to an object, which is then made elsewhere. `options` are those of the connection. */
	connect(
		target: Target,
		subresource: string,
		options: Readonly<Record<string, string>>,
		caller: Caller,
	): Promise<void>;
	deleteCollection<T extends KubeObject>(
		collection: Collection<T>,
		list: ListOptions,
		options: DeleteOptions,
		caller: Caller,
	): Promise<readonly Stored<T>[]>;
}
