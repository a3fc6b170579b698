/** The client over HTTP: REST with a kubeconfig. Its objects are frozen like those of the client in process. */

import type { IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import {
	ApiError,
	apiVersionOf,
	type Kind,
	type KubeObject,
	loadRegistry,
	type Registry,
	serviceUnavailable,
} from '../kinds/index.ts';
import type { Client, DeleteOptions, List, ListOptions, Name, Patch, WatchEvent, WriteOptions } from './client.ts';
import { fromStatus, isStatus, unreachable } from './failure.ts';
import { frozen } from './frozen.ts';
import { binding, fieldManagerOf } from './inprocess.ts';
import type { FollowedKubeconfig, KubeConfig } from './kubeconfig.ts';
import { lines } from './lines.ts';
import { createTransport, type Transport } from './transport.ts';

/** How long a watch is asked to last, in seconds; the informer then resumes it. A random half more, so that not all end at once. */
const WATCH_SECONDS = 300;
/** A watch that has passed its end by so much is on a dead connection. */
const WATCH_GRACE_MS = 30_000;
/** The longest event of a watch: objects are at most 3 MiB in a request, and grow a little by what the server adds. */
const LONGEST_EVENT_BYTES = 8 << 20;

export interface HttpClient extends Client, AsyncDisposable {
	/** Requests beside the typed verbs: tables, discovery, logs. Shares the connections. */
	readonly transport: Transport;
	as(name: string): HttpClient;
}

/**
 * A client of the server that `config` names, with `name` as its user agent and field manager. Kinds are the built-in ones,
 * known without asking. Dispose it to close its connections; clients made of it by `as` share them.
 */
export async function overHttp(config: KubeConfig | FollowedKubeconfig, name: string): Promise<HttpClient> {
	return createHttpClient(createTransport(config), loadRegistry(), name);
}

function createHttpClient(transport: Transport, registry: Registry, name: string): HttpClient {
	const agent = { 'user-agent': name };
	const ask = (method: string, path: string, body?: unknown, type = 'application/json', warn?: WriteOptions['warn']) =>
		json(
			transport,
			{ method, path, headers: { ...agent, ...(body !== undefined && { 'content-type': type }) }, body },
			warn,
		);
	const write = (
		method: string,
		path: string,
		body: unknown,
		options: WriteOptions = {},
		type?: string,
		force?: boolean,
	) => ask(method, path + writeQuery(options, name, force), body, type, options.warn);

	return {
		name,
		registry,
		transport,
		as: (other) => createHttpClient(transport, registry, other),
		async get<T extends KubeObject>(kind: Kind<T>, at: Name, options = {}) {
			return object<T>(await ask('GET', pathOf(kind, at) + query(options)));
		},
		async list<T extends KubeObject>(
			kind: Kind<T>,
			{ namespace, ...options }: ListOptions & { namespace?: string } = {},
		) {
			return listOf<T>(kind, await ask('GET', pathOf(kind, { namespace }) + query(options)));
		},
		watch: (kind, options) => watch(transport, agent, kind, options),
		async create<T extends KubeObject>(kind: Kind<T>, body: T, options?: WriteOptions) {
			const { namespace, name } = body.metadata;
			const at = options?.subresource ? { namespace, name } : { namespace };
			return object<T>(await write('POST', pathOf(kind, at, options?.subresource), body, options));
		},
		async update<T extends KubeObject>(kind: Kind<T>, body: T, options?: WriteOptions) {
			return object<T>(await write('PUT', pathOf(kind, body.metadata, options?.subresource), body, options));
		},
		async patch<T extends KubeObject>(kind: Kind<T>, at: Name, patch: Patch, options?: WriteOptions) {
			const force = patch.type === 'apply' ? patch.force : undefined;
			const path = pathOf(kind, at, options?.subresource);
			return object<T>(await write('PATCH', path, patch.body, options, patchTypes[patch.type], force));
		},
		async delete(kind, at, options = {}) {
			await ask('DELETE', pathOf(kind, at), deleteBody(options));
		},
		async deleteCollection(kind, { namespace, ...options }, how = {}) {
			await ask('DELETE', pathOf(kind, { namespace }) + query(options), deleteBody(how));
		},
		async bind(pod, node) {
			const path = `/api/v1/namespaces/${encodeURIComponent(pod.namespace ?? '')}/pods/${encodeURIComponent(pod.name)}/binding`;
			await write('POST', path, binding(pod, node));
		},
		async [Symbol.asyncDispose]() {
			transport[Symbol.dispose]();
		},
	};
}

const patchTypes: Readonly<Record<Patch['type'], string>> = {
	json: 'application/json-patch+json',
	merge: 'application/merge-patch+json',
	strategic: 'application/strategic-merge-patch+json',
	// JSON is YAML, and this is the only media type that servers take.
	apply: 'application/apply-patch+yaml',
};

/** The REST path of a collection, or of an object when `at` has a name. */
export function pathOf(kind: Kind, at: Partial<Name>, subresource?: string): string {
	const root = kind.group ? `/apis/${kind.group}/${kind.version}` : `/api/${kind.version}`;
	const namespace = kind.namespaced && at.namespace ? `/namespaces/${encodeURIComponent(at.namespace)}` : '';
	const object = at.name ? `/${encodeURIComponent(at.name)}` : '';
	return `${root}${namespace}/${kind.plural}${object}${subresource ? `/${subresource}` : ''}`;
}

/** `?a=1&b=2` of what is defined, or nothing. */
function query(parameters: object): string {
	const search = new URLSearchParams();
	for (const [name, value] of Object.entries(parameters)) if (value !== undefined) search.set(name, String(value));
	return search.size > 0 ? `?${search}` : '';
}

const writeQuery = (options: WriteOptions, name: string, force: boolean | undefined) =>
	query({
		dryRun: options.dryRun ? 'All' : undefined,
		fieldManager: options.fieldManager ?? fieldManagerOf(name),
		fieldValidation: options.fieldValidation,
		force,
	});

const deleteBody = ({ dryRun, ...options }: DeleteOptions) => ({
	apiVersion: 'v1',
	kind: 'DeleteOptions',
	...options,
	...(dryRun && { dryRun: ['All'] }),
});

interface JsonAsking {
	readonly method: string;
	readonly path: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body?: unknown;
}

async function json(transport: Transport, asking: JsonAsking, warn?: (message: string) => void): Promise<unknown> {
	const body = asking.body === undefined ? undefined : JSON.stringify(asking.body);
	const answer = await transport.ask({ ...asking, body });
	if (warn) for (const warning of warningsOf(answer.headers)) warn(warning);
	const content = await text(answer.body).catch((error) => {
		throw unreachable(error, transport.config);
	});
	try {
		return JSON.parse(content);
	} catch (error) {
		const what = `${asking.method} ${asking.path} at ${transport.config.server}`;
		throw Object.assign(serviceUnavailable(`the answer to ${what} is not JSON`), { cause: error });
	}
}

/** The texts of `Warning: 299 - "text"` headers. Source: RFC 7234, section 5.5. */
function warningsOf({ warning }: IncomingHttpHeaders): string[] {
	const said = (warning ?? '').matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g);
	return [...said].map((match) => (match[1] ?? '').replace(/\\(.)/g, '$1'));
}

/** Bytes become an object here: the server has validated it against the kind's schema. */
const object = <T extends KubeObject>(value: unknown) => frozen(value) as T;

function listOf<T extends KubeObject>(kind: Kind<T>, value: unknown): List<T> {
	const list = value as {
		readonly items?: readonly T[];
		readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
	};
	// Servers may leave out what the list already says of its items.
	const items = (list.items ?? []).map((item) =>
		frozen<T>(item.kind ? item : { ...item, apiVersion: apiVersionOf(kind), kind: kind.kind }),
	);
	return {
		items,
		resourceVersion: list.metadata?.resourceVersion ?? '0',
		continue: list.metadata?.continue || undefined,
	};
}

async function* watch<T extends KubeObject>(
	transport: Transport,
	headers: Readonly<Record<string, string>>,
	kind: Kind<T>,
	{ namespace, signal, ...options }: Parameters<Client['watch']>[1],
): AsyncIterable<readonly WatchEvent<T>[]> {
	if (signal.aborted) return;
	const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + Math.random() / 2));
	const parameters = query({ ...options, watch: true, allowWatchBookmarks: true, timeoutSeconds });
	try {
		const { body } = await transport.ask({
			path: pathOf(kind, { namespace }) + parameters,
			headers,
			signal,
			stream: true,
			silenceMs: timeoutSeconds * 1000 + WATCH_GRACE_MS,
		});
		for await (const batch of lines(body, LONGEST_EVENT_BYTES)) {
			const events: WatchEvent<T>[] = [];
			let failure: ApiError | undefined;
			for (const line of batch) {
				const event = eventOf<T>(line);
				if (event instanceof ApiError) failure = event;
				else if (event) events.push(event);
			}
			if (events.length > 0) yield events;
			if (failure) throw failure;
		}
	} catch (error) {
		if (signal.aborted) return;
		if (error instanceof ApiError) throw error;
		throw unreachable(error, transport.config);
	}
}

/** One line of a watch. An ERROR event is returned as the error that it is; an empty line is nothing. */
function eventOf<T extends KubeObject>(line: string): WatchEvent<T> | ApiError | undefined {
	if (line.trim() === '') return undefined;
	const event = JSON.parse(line) as { readonly type: string; readonly object: T };
	switch (event.type) {
		case 'ADDED':
		case 'MODIFIED':
		case 'DELETED':
			return { type: event.type, object: frozen(event.object) };
		case 'BOOKMARK':
			return { type: 'BOOKMARK', resourceVersion: event.object.metadata.resourceVersion ?? '0' };
		default: {
			const status: unknown = event.object;
			return isStatus(status) ? fromStatus(status) : serviceUnavailable(`unknown watch event ${event.type}`);
		}
	}
}
