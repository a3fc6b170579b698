/** The shape that every API object shares. Stored and cached objects are deeply frozen: copy before you change one. */

/** `metadata` as the API server keeps it. Source: Kubernetes API conventions, "Metadata". */
export interface Meta {
	name: string;
	generateName?: string;
	/** Absent on cluster-scoped objects. */
	namespace?: string;
	uid?: string;
	resourceVersion?: string;
	generation?: number;
	creationTimestamp?: string;
	deletionTimestamp?: string;
	deletionGracePeriodSeconds?: number;
	labels?: Record<string, string>;
	annotations?: Record<string, string>;
	ownerReferences?: OwnerReference[];
	finalizers?: string[];
	managedFields?: ManagedFieldsEntry[];
}

export interface OwnerReference {
	apiVersion: string;
	kind: string;
	name: string;
	uid: string;
	controller?: boolean;
	blockOwnerDeletion?: boolean;
}

export interface ManagedFieldsEntry {
	manager?: string;
	operation?: 'Apply' | 'Update';
	apiVersion?: string;
	time?: string;
	fieldsType?: 'FieldsV1';
	/** A trie of fields, as Kubernetes writes it: `f:name`, `k:{"key":…}`, `v:value`, `i:index`, `.`. */
	fieldsV1?: FieldsV1;
	subresource?: string;
}

export interface FieldsV1 {
	[field: string]: FieldsV1;
}

/** Any API object. */
export interface KubeObject {
	apiVersion: string;
	kind: string;
	metadata: Meta;
}

/** An API object whose kind is only known at run time, seen as plain data. */
export type Dynamic = KubeObject & { [field: string]: unknown };

/**
 * A type of the package kubernetes-types as the API server returns it: with its apiVersion, kind and metadata, and,
 * where the type has one, its spec.
 */
export type Persisted<T> = Omit<T, 'apiVersion' | 'kind' | 'metadata' | 'spec'> &
	KubeObject &
	(T extends { spec?: infer S } ? { spec: NonNullable<S> } : unknown);

/** `namespace/name`, or `name` for a cluster-scoped object: how queues, caches and logs name an object. */
export type Key = string;

export function keyOf(object: { readonly metadata: { readonly namespace?: string; readonly name: string } }): Key {
	const { namespace, name } = object.metadata;
	return namespace ? `${namespace}/${name}` : name;
}

/** The inverse of keyOf. */
export function splitKey(key: Key): { namespace?: string; name: string } {
	const slash = key.indexOf('/');
	return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
