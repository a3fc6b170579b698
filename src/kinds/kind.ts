/**
 * A kind is declared once, and everything else reads the declaration: the API server its paths, schema, defaults,
 * validation and table columns; the client its types; sync and the CLI its health.
 */
import type { Merges } from './merges.ts';
import type { KubeObject } from './object.ts';
import type { Schema, Schemas } from './schema.ts';
import type { FieldError } from './status.ts';

export interface Kind<T extends KubeObject = KubeObject> {
	/** Empty for the core group. */
	readonly group: string;
	readonly version: string;
	readonly kind: string;
	readonly plural: string;
	readonly singular: string;
	readonly shortNames: readonly string[];
	/** For instance `all`. */
	readonly categories: readonly string[];
	readonly namespaced: boolean;
	/** Whether Kubernetes treats the kind as a custom resource: other errors, other patches, and no defaults of its own. */
	readonly custom: boolean;
	/** Name of its schema in the Schemas of the registry. */
	readonly schema: string;
	/** How the lists and maps of the types merge that the kind brings; what another kind has said of a shared type holds here too. */
	readonly merges: Merges;
	/** Fields that driftless adds to the types that are generated for the kind: by OpenAPI name of the type, then by field. */
	readonly additions: Readonly<Record<string, Readonly<Record<string, Schema>>>>;
	/**
	 * The name of its type among the models from which the schema is generated, where it is not the version and the kind
	 * (`V1Pod`). See scripts/generate-schema.ts.
	 */
	readonly model?: string;
	/** The schemas of a kind that has none to be generated from. */
	readonly schemas?: Schemas;
	readonly subresources: Subresources;
	/** Field-selector paths beside metadata.name and metadata.namespace, each with how to read it. */
	readonly selectableFields: Readonly<Record<string, FieldReader<T>>>;
	/**
	 * Table columns after Name, in order. Age is written by the declaration as well. Where one of them is called Name itself
	 * (events), none is put before them.
	 */
	readonly columns: readonly Column<T>[];
	/** Fills in the documented defaults, in place. `object` is the caller's own copy. */
	defaults(object: T): void;
	/**
	 * Runs after decoding and before validation, on writes of the main resource only: drops what a client may not set
	 * (status on create, ...) and keeps what it may not change. In place on `object`. `old` is the stored object on an update.
	 */
	prepare(object: T, old: T | undefined): void;
	/**
	 * The rules beyond the schema, those of metadata included. On an update `old` is the stored object, for immutable fields;
	 * `subresource` is what it is written under.
	 */
	validate(object: T, old: T | undefined, subresource?: string): FieldError[];
	/** What is accepted of an object but hardly meant so, for the user to read. Asked of valid objects only. */
	warnings(object: T, old: T | undefined): readonly string[];
	/** Health as Argo CD assesses it; undefined where a kind has none (it then counts for nothing). */
	health(object: T): Health | undefined;
	/** Whether objects of the kind have a health of their own, so that a missing one counts. */
	readonly assessed: boolean;
	/**
	 * Grace period in seconds of a delete: `wanted` is what the client names, if it does; 0 deletes at once. Only Pods have one.
	 */
	gracePeriod(object: T, wanted?: number): number;
	/** Whether the object stays after its delete for a reason of its own, beside its finalizers. */
	holds(object: T): boolean;
	/** What else changes when the object is marked as being deleted. In place. */
	onDelete(object: T): void;
	/** What becomes of the objects that it owns when a delete does not say (DefaultGarbageCollectionPolicy). */
	readonly propagation: 'Background' | 'Orphan';
	/** What a write of the status may not change beside spec. In place on `object`, whose status is the new one. */
	prepareStatus(object: T, old: T): void;
	/**
	 * Values that only one object of the cluster may hold at a time (`ip/10.96.0.7`): the commit that writes the object claims
	 * them, and fails where another holds one.
	 */
	claims(object: T): readonly string[];
	/** Whether .metadata.generation counts changes of the object outside metadata and status. */
	readonly generation: boolean;
	/** Whether a PUT of an object that does not exist creates it, as AllowCreateOnUpdate of Kubernetes' strategies. */
	readonly createOnUpdate: boolean;
	/** Whether a PUT may leave out the resourceVersion and so overwrite whatever there is (AllowUnconditionalUpdate). */
	readonly unconditionalUpdate: boolean;
	/** Whether all objects of a collection can be deleted by one request. */
	readonly deleteCollection: boolean;
	/** Whether a delete that removes the object answers with it, and not with a Status (ReturnDeletedObject). */
	readonly returnsDeleted: boolean;
	/**
	 * Whether its objects are computed when they are asked for, and never stored: they can be got and listed, and nothing else
	 * (metrics.k8s.io).
	 */
	readonly computed: boolean;
	/** Absent: objects are stored as they are. Else this is another version of the kind that it names, whose objects are stored. */
	readonly storedAs?: Conversion<T>;
	/** Never set: carries the object's type for inference. */
	readonly object?: T;
}

/**
 * How the objects of one version become those that are stored, and back. Pure, and without loss either way: what the
 * stored version cannot say lies in annotations, as Kubernetes' own conversions keep it. Arguments are frozen.
 */
export interface Conversion<T extends KubeObject = KubeObject> {
	/** The stored version; it has no conversion itself. */
	readonly kind: Kind;
	toStored: { convert(object: T): KubeObject }['convert'];
	fromStored: { convert(object: KubeObject): T }['convert'];
	/** Selectable fields by the stored version's name, where it has another. */
	readonly fields?: Readonly<Record<string, string>>;
}

/** The version of a kind whose objects lie in the store. */
export const storageOf = (kind: Kind): Kind => kind.storedAs?.kind ?? kind;

/** Reads a selectable field. Declared as a method, so that a `Kind<Pod>` can stand where any `Kind` is asked for. */
export type FieldReader<T extends KubeObject = KubeObject> = { read(object: T): string }['read'];

export interface Subresources {
	readonly status?: true;
	/** JSON paths without brackets: `.spec.replicas`. `selector` is the path of a label selector (a string or a LabelSelector). */
	readonly scale?: { readonly spec: string; readonly status: string; readonly selector?: string };
	/** Subresources by name under which a part of the object is written that other updates may not change. */
	readonly parts?: Readonly<Record<string, SubresourcePart>>;
	/** Streaming and action subresources that the API server serves for the kind by name (log, exec, attach, portforward, binding, eviction). */
	readonly actions?: readonly string[];
}

export interface SubresourcePart<T extends KubeObject = KubeObject> {
	/** Puts what of `proposed` is written under it into `object`, which is as it is stored. In place. */
	take: { take(object: T, proposed: T): void }['take'];
	/** The rules of such a write, in place of those of other updates. */
	validate: { validate(object: T, old: T): FieldError[] }['validate'];
}

export interface Column<T extends KubeObject = KubeObject> {
	readonly name: string;
	readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
	readonly format?: string;
	readonly description: string;
	/** 0: always shown; 1: with -o wide. */
	readonly priority: 0 | 1;
	/** `now` in milliseconds since the epoch, for ages. */
	cell(object: T, now: number): string | number | boolean | null;
}

export type HealthStatus = 'Healthy' | 'Progressing' | 'Degraded' | 'Suspended' | 'Missing' | 'Unknown';

export interface Health {
	readonly status: HealthStatus;
	readonly message?: string;
}

/** `apps/v1`, or `v1` for the core group. */
export function apiVersionOf(kind: Pick<Kind, 'group' | 'version'>): string {
	return kind.group ? `${kind.group}/${kind.version}` : kind.version;
}

/** The group and version of an apiVersion. */
export function parseApiVersion(apiVersion: string): { group: string; version: string } {
	const slash = apiVersion.indexOf('/');
	return slash < 0
		? { group: '', version: apiVersion }
		: { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}
