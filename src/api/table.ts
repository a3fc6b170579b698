/**
 * Objects as kubectl prints them: meta.k8s.io/v1 Table, and PartialObjectMetadata for clients that want only the metadata.
 * Source: Kubernetes documentation, "Kubernetes API Concepts", "Receiving resources as Tables".
 */
import { age, column } from '../kinds/declare.ts';
import type { Column, Kind } from '../kinds/kind.ts';
import type { KubeObject, Meta } from '../kinds/object.ts';
import type { Scale } from './patch/index.ts';

/** What each row carries beside its cells. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface ListMeta {
	readonly resourceVersion?: string;
	readonly continue?: string;
	readonly remainingItemCount?: number;
}

export interface TableOptions extends ListMeta {
	/** Default Metadata. */
	readonly includeObject?: IncludeObject;
	/** Milliseconds since the epoch, for ages. */
	readonly now: number;
	/** False leaves the column definitions out: the events of a watch carry them only once. Default true. */
	readonly columns?: boolean;
}

export interface Table {
	readonly kind: 'Table';
	readonly apiVersion: 'meta.k8s.io/v1';
	readonly metadata: ListMeta;
	readonly columnDefinitions: readonly ColumnDefinition[] | null;
	readonly rows: readonly Row[];
}

export interface ColumnDefinition {
	readonly name: string;
	readonly type: string;
	readonly format: string;
	readonly description: string;
	readonly priority: number;
}

export interface Row {
	readonly cells: readonly (string | number | boolean | null)[];
	readonly object: PartialObject | KubeObject | null;
}

export interface PartialObject {
	readonly kind: 'PartialObjectMetadata';
	readonly apiVersion: 'meta.k8s.io/v1';
	readonly metadata: Meta;
}

const nameColumn: ColumnDefinition = {
	name: 'Name',
	type: 'string',
	format: 'name',
	description: 'The name of the object, which no other object of its kind has in the same namespace.',
	priority: 0,
};

/** A kind with a column of its own for the name has it there, and not first (Events). */
const namesItself = ({ columns }: { readonly columns: readonly { readonly name: string }[] }) =>
	columns.some(({ name }) => name === 'Name');

/** What has a table: a kind, or what a subresource answers. */
export type Tabular<T extends KubeObject = KubeObject> = Pick<Kind<T>, 'columns'>;

/** A Scale, which the scale subresource of every kind answers. */
export const scaleTable: Tabular<KubeObject & Pick<Scale, 'spec' | 'status'>> = {
	columns: [
		column('Desired', 'integer', 'How many replicas there shall be.', ({ spec }) => spec.replicas),
		column('Available', 'integer', 'How many replicas there are.', ({ status }) => status.replicas),
		age,
	],
};

const definitions = new WeakMap<object, readonly ColumnDefinition[]>();

function definitionsOf<T extends KubeObject>(kind: Tabular<T>): readonly ColumnDefinition[] {
	const known = definitions.get(kind);
	if (known) return known;
	const columns = kind.columns.map((column: Column<T>) => ({
		name: column.name,
		type: column.type,
		format: column.format ?? '',
		description: column.description,
		priority: column.priority,
	}));
	const made = namesItself(kind) ? columns : [nameColumn, ...columns];
	definitions.set(kind, made);
	return made;
}

/** A table of objects of one kind. For an event of a watch: of one object, with the resourceVersion of the object. */
export function toTable<T extends KubeObject>(kind: Tabular<T>, objects: readonly T[], options: TableOptions): Table {
	const { columns = true } = options;
	return {
		kind: 'Table',
		apiVersion: 'meta.k8s.io/v1',
		metadata: listMeta(options),
		columnDefinitions: columns ? definitionsOf(kind) : null,
		rows: objects.map((object) => toRow(kind, object, options)),
	};
}

/** The row of one object. */
export function toRow<T extends KubeObject>(
	kind: Tabular<T>,
	object: T,
	{ includeObject = 'Metadata', now }: Pick<TableOptions, 'includeObject' | 'now'>,
): Row {
	const cells = kind.columns.map((column) => column.cell(object, now));
	return {
		cells: namesItself(kind) ? cells : [object.metadata.name, ...cells],
		object: includeObject === 'Object' ? object : includeObject === 'Metadata' ? toPartial(object) : null,
	};
}

/** Only the metadata of an object. */
export function toPartial(object: KubeObject): PartialObject {
	return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

/** Only the metadata of a list of objects. */
export function toPartialList(objects: readonly KubeObject[], meta: ListMeta) {
	return {
		kind: 'PartialObjectMetadataList',
		apiVersion: 'meta.k8s.io/v1',
		metadata: listMeta(meta),
		items: objects.map(toPartial),
	};
}

function listMeta({ resourceVersion, continue: next, remainingItemCount }: ListMeta): ListMeta {
	return {
		...(resourceVersion !== undefined && { resourceVersion }),
		...(next && { continue: next }),
		...(remainingItemCount !== undefined && { remainingItemCount }),
	};
}
