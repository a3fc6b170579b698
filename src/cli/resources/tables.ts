/** Tables that the server makes of objects (meta.k8s.io/v1 Table), and their lines. */
import { type HttpClient, lines, pathOf } from '../../client/index.ts';
import { ApiError, type Kind, type KubeObject, type Meta, type Status } from '../../kinds/index.ts';
import { tame } from '../terminal.ts';
import { nameOf } from './print.ts';
import { queryOf, request } from './request.ts';

/** The part of a Table that is looked at. Source: Kubernetes API concepts, "Receiving resources as Tables". */
export interface Table {
	readonly kind: string;
	readonly metadata?: { readonly resourceVersion?: string };
	readonly columnDefinitions?: readonly ColumnDefinition[] | null;
	readonly rows?: readonly Row[];
}

export interface ColumnDefinition {
	readonly name: string;
	readonly priority?: number;
}

export interface Row {
	readonly cells: readonly unknown[];
	/** Its metadata, or all of it where the query asks for that. */
	readonly object?: KubeObject | null;
}

export interface Query {
	/** Undefined for all namespaces. */
	readonly namespace: string | undefined;
	/** One object instead of a list. */
	readonly name?: string;
	readonly selector?: string;
	readonly fieldSelector?: string;
	/** Rows with their whole objects. Default: with the metadata. */
	readonly includeObject?: 'Object';
}

const ACCEPT = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
/** The longest line of a watch: a row with the metadata of its object. */
const LONGEST_EVENT_BYTES = 8 << 20;
/** How long a watch is asked to last, in seconds, and how much longer its silence is borne, in milliseconds. */
const WATCH_SECONDS = 600;
const WATCH_GRACE_MS = 30_000;

const parameters = ({ selector, fieldSelector, includeObject }: Query) => ({
	labelSelector: selector,
	fieldSelector,
	includeObject,
});

/** Throws ApiError. */
export async function fetchTable(client: HttpClient, kind: Kind, query: Query): Promise<Table> {
	const path = pathOf(kind, query) + queryOf(parameters(query));
	return asTable(await request(client, { path, accept: ACCEPT }));
}

/** Servers that do not know Tables answer with the objects themselves: of those, their names. */
function asTable(answer: unknown): Table {
	const table = answer as Table;
	if (table.kind === 'Table') return table;
	const { items, metadata } = answer as { items?: KubeObject[]; metadata?: Meta };
	const objects = items ?? [answer as KubeObject];
	const rows = objects.map((object) => ({ cells: [object.metadata.name], object }));
	return {
		kind: 'Table',
		metadata: { resourceVersion: metadata?.resourceVersion },
		columnDefinitions: [{ name: 'Name', priority: 0 }],
		rows,
	};
}

export interface TableEvent {
	readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
	readonly table: Table;
}

/** Events after a revision, until the server closes. Throws ApiError; 410 Expired when the revision is too old. */
export async function* watchTable(
	client: HttpClient,
	kind: Kind,
	query: Query,
	resourceVersion: string | undefined,
	signal: AbortSignal,
): AsyncIterable<TableEvent> {
	const { body } = await client.transport.ask({
		path:
			pathOf(kind, { namespace: query.namespace }) +
			queryOf({
				...parameters(query),
				fieldSelector:
					[query.fieldSelector, query.name && `metadata.name=${query.name}`].filter(Boolean).join(',') || undefined,
				watch: true,
				allowWatchBookmarks: true,
				resourceVersion,
				timeoutSeconds: WATCH_SECONDS,
			}),
		headers: { 'user-agent': client.name, accept: ACCEPT },
		signal,
		stream: true,
		silenceMs: WATCH_SECONDS * 1000 + WATCH_GRACE_MS,
	});
	for await (const batch of lines(body, LONGEST_EVENT_BYTES)) {
		for (const line of batch) {
			if (line.trim() === '') continue;
			const { type, object } = JSON.parse(line) as { type: TableEvent['type'] | 'ERROR'; object: unknown };
			if (type === 'ERROR') {
				const { code, reason, message } = object as Status;
				throw new ApiError(code, reason ?? '', message ?? 'the watch broke');
			}
			yield { type, table: asTable(object) };
		}
	}
}

export interface Shown {
	readonly wide?: boolean;
	/** With the namespace as the first column. */
	readonly namespace?: boolean;
	/** Names as `pod/web`: set where objects of several kinds are shown. */
	readonly kind?: Kind;
	readonly labels?: boolean;
	/** Labels with columns of their own. */
	readonly labelColumns?: readonly string[];
}

/** The header of a table. */
export function headerOf(columns: readonly ColumnDefinition[], shown: Shown): string[] {
	return [
		...(shown.namespace ? ['NAMESPACE'] : []),
		...columns.filter((column) => isShown(column, shown)).map(({ name }) => name.toUpperCase()),
		...(shown.labelColumns ?? []).map((label) => label.slice(label.lastIndexOf('/') + 1).toUpperCase()),
		...(shown.labels ? ['LABELS'] : []),
	];
}

/** The cells of a row that go under that header. */
export function cellsOf({ cells, object }: Row, columns: readonly ColumnDefinition[], shown: Shown): string[] {
	const meta = object?.metadata;
	const named = columns.map((column, index) => {
		const text = cellText(cells[index]);
		return shown.kind && column.name === 'Name' ? nameOf(shown.kind, text) : text;
	});
	return [
		...(shown.namespace ? [meta?.namespace ?? ''] : []),
		...named.filter((_, index) => isShown(columns[index], shown)),
		...(shown.labelColumns ?? []).map((label) => meta?.labels?.[label] ?? ''),
		...(shown.labels ? [labelText(meta?.labels)] : []),
	];
}

const isShown = (column: ColumnDefinition | undefined, { wide }: Shown) => wide || !column?.priority;

/** A cell on one line, as kubectl cuts it. */
function cellText(cell: unknown): string {
	const text = cell === null || cell === undefined ? '' : String(cell);
	const end = text.search(/[\r\n]/);
	return tame(end < 0 ? text : `${text.slice(0, end)}...`);
}

function labelText(labels: Readonly<Record<string, string>> = {}): string {
	const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
	return pairs.map(([key, value]) => `${key}=${value}`).join(',') || '<none>';
}

/** Columns as wide as they ever were, so that rows that come later stand under those before; three spaces between, as kubectl. */
export function createAligner(): (rows: readonly (readonly string[])[]) => string[] {
	const widths: number[] = [];
	return (rows) => {
		for (const row of rows)
			for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
		return rows.map((row) =>
			row
				.map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0)))
				.join('   ')
				.trimEnd(),
		);
	};
}
