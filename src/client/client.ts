/**
 * The one way to talk to the API. `inprocess.ts` hands over the API's own frozen objects; `http.ts` speaks REST with a
 * kubeconfig. A caller cannot tell which it has. Objects that come back are frozen: copy before you change one.
 */
import type { DeleteOptions, ListOptions, Patch, ReadOptions } from '../api/api.ts';
import type { Kind } from '../kinds/kind.ts';
import type { KubeObject } from '../kinds/object.ts';
import type { Registry } from '../kinds/registry.ts';

export type { DeleteOptions, ListOptions, Patch, ReadOptions } from '../api/api.ts';

/** What a verb is about; `namespace` is absent for cluster-scoped kinds. */
export interface Name {
	readonly name: string;
	readonly namespace?: string;
}

export interface WriteOptions {
	readonly dryRun?: boolean;
	/** Defaults to the client's own name. */
	readonly fieldManager?: string;
	readonly fieldValidation?: 'Ignore' | 'Warn' | 'Strict';
	readonly subresource?: 'status' | 'scale' | 'finalize';
	readonly warn?: (message: string) => void;
}

export interface List<T extends KubeObject> {
	readonly items: readonly T[];
	readonly resourceVersion: string;
	readonly continue?: string;
}

export type WatchEvent<T extends KubeObject> =
	| { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
	| { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface Client {
	/** The field manager of its writes, and its user agent. */
	readonly name: string;
	/** The kinds the server has. */
	readonly registry: Registry;
	/** The same connection under another name (a controller's). */
	as(name: string): Client;
	/** Throws ApiError NotFound where there is none. */
	get<T extends KubeObject>(kind: Kind<T>, name: Name, options?: ReadOptions): Promise<T>;
	list<T extends KubeObject>(kind: Kind<T>, options?: ListOptions & { namespace?: string }): Promise<List<T>>;
	/** Batches of events after `resourceVersion`. Ends when the signal aborts or the server closes; throws ApiError Expired (410). */
	watch<T extends KubeObject>(
		kind: Kind<T>,
		options: {
			namespace?: string;
			labelSelector?: string;
			fieldSelector?: string;
			resourceVersion?: string;
			signal: AbortSignal;
		},
	): AsyncIterable<readonly WatchEvent<T>[]>;
	create<T extends KubeObject>(kind: Kind<T>, object: T, options?: WriteOptions): Promise<T>;
	/** Replaces; refuses with Conflict when object.metadata.resourceVersion is set and not the stored one. */
	update<T extends KubeObject>(kind: Kind<T>, object: T, options?: WriteOptions): Promise<T>;
	patch<T extends KubeObject>(kind: Kind<T>, name: Name, patch: Patch, options?: WriteOptions): Promise<T>;
	delete<T extends KubeObject>(kind: Kind<T>, name: Name, options?: DeleteOptions): Promise<void>;
	deleteCollection<T extends KubeObject>(
		kind: Kind<T>,
		options: ListOptions & { namespace?: string },
		how?: DeleteOptions,
	): Promise<void>;
	/**
	 * Binds a pod to a node (POST pods/NAME/binding). With a `uid` only that pod: throws ApiError Conflict where another one has
	 * taken its name.
	 */
	bind(pod: Name & { readonly uid?: string }, node: string): Promise<void>;
}
