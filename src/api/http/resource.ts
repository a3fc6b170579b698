/** Requests about resources: each HTTP method as the verb it means. */
import { apiVersionOf, type Kind } from '../../kinds/kind.ts';
import { badRequest, methodNotAllowed, notServed } from '../../kinds/status.ts';
import type { Log } from '../../log.ts';
import type { Api, Listed, Patch, Stored, Target, WriteOptions } from '../api.ts';
import { limits } from '../limits.ts';
import { subresourceOf } from '../subresources.ts';
import { type IncludeObject, scaleTable, type Tabular, toPartial, toPartialList, toRow, toTable } from '../table.ts';
import { mediaType, parseBody, readBody, readObject, unsupported } from './body.ts';
import type { Answer, Exchange } from './exchange.ts';
import { type Form, negotiate } from './negotiate.ts';
import { deleteOptions, flag, listOptions, watchQuery, writeOptions } from './query.ts';
import { addWarning, sendBytes, sendJson, sendPieces } from './respond.ts';
import type { ResourceRoute } from './route.ts';
import { streamEvents } from './watch.ts';
import { yamlItem, yamlOf } from './yaml-answer.ts';

export interface Serving {
	readonly api: Api;
	readonly log: Log;
	readonly now: () => number;
}

/** Throws 404 for what a kind does not have. */
function checkRoute(kind: Kind, { namespace, name, subresource }: ResourceRoute): void {
	if (namespace !== undefined && !kind.namespaced) throw notServed();
	if (subresource !== undefined && subresourceOf(kind, subresource)?.answer !== 'object') throw notServed();
	if (name !== undefined && kind.namespaced && namespace === undefined) throw notServed();
}

/** Answers a request about objects of a kind. Throws ApiError. */
export async function serveResource(
	serving: Serving,
	exchange: Exchange,
	kind: Kind,
	route: ResourceRoute,
	verb: string,
): Promise<void> {
	const { query } = exchange;
	const { namespace, name, subresource } = route;
	checkRoute(kind, route);
	const form = negotiate(exchange.request.headers.accept, 'object');
	const { schemas } = serving.api.registry;
	const collection = { kind, namespace };
	// Over all namespaces objects are listed and watched, and nothing else.
	const everywhere = kind.namespaced && namespace === undefined;

	switch (verb) {
		case 'list':
			return serveList(
				serving,
				exchange,
				kind,
				form,
				await serving.api.list(collection, listOptions(query), exchange.caller),
			);
		case 'watch':
			return serveWatch(serving, exchange, kind, route);
		case 'deletecollection': {
			if (!kind.deleteCollection || everywhere) throw methodNotAllowed();
			const removed = await serving.api.deleteCollection(
				collection,
				listOptions(query),
				deleteOptions(query, (await readObject(exchange.request, schemas)).value),
				exchange.caller,
			);
			return serveList(serving, exchange, kind, form, { items: removed, resourceVersion: '' });
		}
		case 'create': {
			if (everywhere || (name !== undefined && !subresource)) throw methodNotAllowed();
			const { body, options } = await writeBody(serving, exchange, kind, 'CreateOptions');
			const target = { ...collection, name, subresource: subresource as Target['subresource'] };
			return serveObject(
				serving,
				exchange,
				kind,
				form,
				201,
				await serving.api.create(target, body, options, exchange.caller),
			);
		}
	}
	if (name === undefined) throw methodNotAllowed();
	const target: Target = { ...collection, name, subresource: subresource as Target['subresource'] };
	switch (verb) {
		case 'get': {
			const resourceVersion = query.get('resourceVersion') || undefined;
			return serveObject(
				serving,
				exchange,
				kind,
				form,
				200,
				await serving.api.get(target, { resourceVersion }, exchange.caller),
			);
		}
		case 'update': {
			const { body, options } = await writeBody(serving, exchange, kind, 'UpdateOptions');
			const updated = await serving.api.update(target, body, options, exchange.caller);
			return serveObject(serving, exchange, kind, form, updated.created ? 201 : 200, updated);
		}
		case 'patch': {
			const { patch, options } = await patchBody(exchange, kind);
			const patched = await serving.api.patch(target, patch, options, exchange.caller);
			return serveObject(serving, exchange, kind, form, patched.created ? 201 : 200, patched);
		}
		case 'delete': {
			if (subresource) throw methodNotAllowed();
			const options = deleteOptions(query, (await readObject(exchange.request, schemas)).value);
			const { stored, gone } = await serving.api.delete(target, options, exchange.caller);
			if (!gone || kind.returnsDeleted) return serveObject(serving, exchange, kind, form, 200, stored);
			const details = { name, group: kind.group || undefined, kind: kind.plural, uid: stored.object.metadata.uid };
			const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
			return sendJson(exchange.request, exchange.response, 200, status, form);
		}
		default:
			throw methodNotAllowed();
	}
}

function includeObject(query: URLSearchParams): IncludeObject | undefined {
	const value = query.get('includeObject') || undefined;
	if (value === undefined || value === 'None' || value === 'Metadata' || value === 'Object') return value;
	throw badRequest(
		`includeObject: Unsupported value: ${JSON.stringify(value)}: supported values: "None", "Metadata", "Object"`,
	);
}

function serveObject(
	{ now }: Serving,
	{ request, response, query }: Exchange,
	kind: Kind,
	form: Form,
	code: number,
	stored: Stored,
): Promise<void> {
	const { object } = stored;
	// A Status is what it is.
	const shape = object.kind === kind.kind ? kind : object.kind === 'Scale' ? (scaleTable as Tabular) : undefined;
	if (form.as && shape) {
		if (form.as === 'Table') {
			const { resourceVersion } = object.metadata;
			const table = toTable(shape, [object], { now: now(), includeObject: includeObject(query), resourceVersion });
			return sendJson(request, response, code, table, form);
		}
		return sendJson(request, response, code, toPartial(object), form);
	}
	return sendBytes(request, response, code, stored.bytes, form);
}

function serveList(
	{ now }: Serving,
	{ request, response, query }: Exchange,
	kind: Kind,
	form: Form,
	listed: Listed,
): Promise<void> {
	const { items, resourceVersion, continue: token, remainingItemCount } = listed;
	const metadata = { resourceVersion, continue: token, remainingItemCount };
	const head = { kind: `${kind.kind}List`, apiVersion: apiVersionOf(kind), metadata };
	if (form.media === 'yaml') return sendPieces(request, response, 'application/yaml', yamlPieces(head, items));
	const options = { ...metadata, now: now(), includeObject: includeObject(query) };
	const pieces =
		form.as === 'Table'
			? jsonPieces(toTable(kind, [], options), items, ({ object }) => json(toRow(kind, object, options)))
			: form.as
				? jsonPieces(toPartialList([], metadata), items, ({ object }) => json(toPartial(object)))
				: jsonPieces({ ...head, items: [] }, items, ({ bytes }) => bytes);
	return sendPieces(request, response, 'application/json', pieces);
}

const json = (value: object) => Buffer.from(JSON.stringify(value));
const comma = Buffer.from(',');
const closing = Buffer.from(']}');

/** The JSON of `empty`, whose last member is an empty list, with the items in that list. */
function* jsonPieces(
	empty: object,
	items: Listed['items'],
	write: (item: Stored) => Uint8Array,
): Generator<Uint8Array> {
	yield json(empty).subarray(0, -closing.byteLength);
	for (const [index, item] of items.entries()) {
		if (index > 0) yield comma;
		yield write(item);
	}
	yield closing;
}

function* yamlPieces(head: object, items: Listed['items']): Generator<Uint8Array> {
	yield Buffer.from(yamlOf(head));
	yield Buffer.from(items.length > 0 ? 'items:\n' : 'items: []\n');
	for (const { object } of items) yield Buffer.from(yamlItem(object));
}

/** Answers a watch. Throws ApiError before its first event. */
export async function serveWatch(
	{ api, log, now }: Serving,
	{ request, response, query, caller, signal, begun }: Exchange<Answer>,
	kind: Kind,
	route: ResourceRoute,
): Promise<void> {
	checkRoute(kind, route);
	const form = negotiate(request.headers.accept, 'object');
	const { namespace, name } = route;
	const options = watchQuery(query);
	// A watch of one object is one of the collection with a selector.
	const byName = name === undefined ? undefined : `metadata.name=${name}`;
	const fieldSelector = [options.fieldSelector, byName].filter(Boolean).join(',') || undefined;
	const timeout = options.timeoutSeconds ? options.timeoutSeconds * 1000 : limits.watchMin * (1 + Math.random());
	const ended = new AbortController();
	const end = () => ended.abort();
	const timer = setTimeout(end, Math.min(timeout, 2 ** 31 - 1));
	signal.addEventListener('abort', end);
	try {
		const events = api.watch({ kind, namespace }, { ...options, fieldSelector, signal: ended.signal, begun }, caller);
		await streamEvents(response, events, {
			kind,
			apiVersion: apiVersionOf(kind),
			form,
			includeObject: includeObject(query),
			now,
			log,
		});
	} finally {
		clearTimeout(timer);
		signal.removeEventListener('abort', end);
	}
}

async function writeBody(
	{ api }: Serving,
	{ request, response, query }: Exchange,
	kind: Kind,
	optionsKind: string,
): Promise<{ readonly body: unknown; readonly options: WriteOptions }> {
	const options = writeOptions(query, optionsKind, (message) => addWarning(response, message));
	const { value: body, duplicates } = await readObject(request, api.registry.schemas);
	refuseDuplicates(kind, duplicates, options);
	return { body, options };
}

const patchTypes: ReadonlyMap<string, Patch['type']> = new Map(
	Object.entries({
		'application/json-patch+json': 'json',
		'application/merge-patch+json': 'merge',
		'application/strategic-merge-patch+json': 'strategic',
		'application/apply-patch+yaml': 'apply',
	}),
);

async function patchBody(
	{ request, response, query }: Exchange,
	kind: Kind,
): Promise<{ readonly patch: Patch; readonly options: WriteOptions }> {
	const options = writeOptions(query, 'PatchOptions', (message) => addWarning(response, message));
	const media = mediaType(request);
	// A strategic merge needs what only the types of Kubernetes itself say of their lists.
	const taken = (type: Patch['type'] | undefined) => type !== undefined && (type !== 'strategic' || !kind.custom);
	const type = patchTypes.get(media);
	if (!type || !taken(type))
		throw unsupported(
			media,
			[...patchTypes.keys()].filter((name) => taken(patchTypes.get(name))),
		);
	const { value: body, duplicates } = await parseBody(await readBody(request), type === 'apply');
	refuseDuplicates(kind, duplicates, options);
	return { patch: type === 'apply' ? { type, body, force: flag(query, 'force') } : { type, body }, options };
}

function refuseDuplicates(kind: Kind, duplicates: readonly string[], options: WriteOptions): void {
	if (duplicates.length === 0 || options.fieldValidation === 'Ignore') return;
	if (options.fieldValidation === 'Strict')
		throw badRequest(
			`${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: strict decoding error: ${duplicates.join(', ')}`,
		);
	for (const message of duplicates) options.warn?.(message);
}
