/** The API over HTTPS: authenticates, authorizes and counts each request, and hands it to what answers it. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Kind } from '../../kinds/kind.ts';
import { type FieldTerm, parseFieldSelector } from '../../kinds/selectors.ts';
import { ApiError, badRequest, notFound, notServed, tooManyRequests, unauthorized } from '../../kinds/status.ts';
import type { Log } from '../../log.ts';
import type { Family } from '../../metrics.ts';
import type { Api, Caller } from '../api.ts';
import {
	type Authenticator,
	authenticate,
	bearer,
	certificate,
	type TokenAuthenticator,
	tokenChain,
} from '../auth/authenticator.ts';
import { type Attributes, forbiddenBy } from '../auth/authorizer.ts';
import { impersonated } from '../auth/impersonate.ts';
import { reviewOf } from '../auth/reviews.ts';
import { openTokenFile } from '../auth/token-file.ts';
import { anonymous, type User } from '../auth/user.ts';
import { isObject } from '../json.ts';
import { limits } from '../limits.ts';
import type { Pki } from '../pki.ts';
import { namedSubresource, subresourceOf } from '../subresources.ts';
import { readObject } from './body.ts';
import { createCohort } from './cohort.ts';
import { type Answers, serveGiven } from './given.ts';
import { passUpgrade, refuseUpgrade, serveLog } from './kubelet.ts';
import { createMetrics } from './metrics.ts';
import { negotiate } from './negotiate.ts';
import { type Paths, servePath } from './paths.ts';
import { checkTimeout } from './query.ts';
import { methodNotAllowed, serveResource, serveWatch, verbOf } from './resource.ts';
import { type Answer, sendError, sendJson } from './respond.ts';
import { type ResourceRoute, type Route, routeOf } from './route.ts';
import { isWebSocket, socketAnswer } from './socket.ts';

export interface ServeOptions {
	readonly api: Api;
	readonly pki: Pki;
	/** The address to listen on. */
	readonly address: string;
	/** 0 takes a free one. */
	readonly port: number;
	readonly log: Log;
	/** Aborting it closes the server. */
	readonly signal?: AbortSignal;
	/** The file of bearer tokens (DATA/tokens). It need not exist. */
	readonly tokens?: string;
	/** Others that know bearer tokens, asked after the file. */
	readonly tokenAuthenticators?: readonly TokenAuthenticator[];
	/** Others that know users, asked after tokens and client certificates. */
	readonly authenticators?: readonly Authenticator[];
	/** Milliseconds since the epoch. */
	readonly now?: () => number;
	/** Answers subresources that only somebody above the API can answer. */
	readonly answers?: Answers;
	/** Answers what lies below /git/, for whom the authorizer lets there: `path` is the rest, with its leading slash. Never rejects. */
	readonly git?: (
		request: IncomingMessage,
		response: ServerResponse,
		path: string,
		query: string,
		user: string,
	) => Promise<void>;
	/** Figures of others in this process, served at /metrics with the server's own. */
	readonly metrics?: () => Iterable<Family>;
}

export interface Served {
	readonly port: number;
	/** Ends watches and streams, lets other requests finish for a short while, and closes every connection. */
	close(): Promise<void>;
}

const noQuery = new URLSearchParams();

/** Serves until closed. Throws where the port cannot be had. */
export async function serveApi(options: ServeOptions): Promise<Served> {
	const { pki, address, log } = options;
	const closing = new AbortController();
	const server = createServer({
		cert: pki.server.cert,
		key: pki.server.key,
		ca: pki.authority.cert,
		requestCert: true,
		// Clients without a certificate may have a token.
		rejectUnauthorized: false,
		minVersion: 'TLSv1.2',
		ALPNProtocols: ['http/1.1'],
		handshakeTimeout: limits.headers,
		headersTimeout: limits.headers,
		requestTimeout: limits.request,
		keepAliveTimeout: limits.keepAlive,
		maxHeaderSize: limits.headerBytes,
		// All else that asks to be upgraded is answered as if it had not, as RFC 9110, 7.8 allows.
		shouldUpgradeCallback: upgrades,
	});
	const serve = createHandler(options, closing.signal);
	const streams = new Set<Duplex>();
	server.on('request', (request, response) => {
		// Once the server closes, a connection ends with its answer: it would hold up the close until it is cut off, or bring more.
		response.once('close', () => {
			if (closing.signal.aborted) request.socket.destroySoon();
		});
		serve.request(request, response);
	});
	server.on('upgrade', (request, socket, head) => {
		streams.add(socket);
		socket.on('close', () => streams.delete(socket));
		serve.upgrade(request, socket, head);
	});
	server.on('tlsClientError', (cause: Error) => log.debug({ err: cause }, 'a TLS connection was not made'));
	await new Promise<void>((resolve, reject) => {
		server.once('error', reject);
		server.listen(options.port, address, () => {
			server.off('error', reject);
			resolve();
		});
	});
	server.on('error', (cause) => log.error({ err: cause }, 'the API server has a fault'));
	const { port } = server.address() as AddressInfo;

	let closed: Promise<void> | undefined;
	const close = () => {
		closed ??= new Promise<void>((resolve) => {
			const force = setTimeout(() => server.closeAllConnections(), limits.drain);
			server.close(() => {
				clearTimeout(force);
				resolve();
			});
			closing.abort();
			for (const socket of streams) socket.destroy();
			server.closeIdleConnections();
		});
		return closed;
	};
	const onAbort = () => {
		void close();
	};
	options.signal?.addEventListener('abort', onAbort, { once: true });
	if (options.signal?.aborted) await close();
	return { port, close };
}

interface Asked {
	readonly route: Route;
	/** Of the resource, where it is served. */
	readonly kind: Kind | undefined;
	readonly query: URLSearchParams;
	readonly verb: string;
	readonly user: User;
	readonly caller: Caller;
}

function createHandler(options: ServeOptions, closing: AbortSignal) {
	const { api, log, pki, now = Date.now } = options;
	const tokens = tokenChain([
		...(options.tokens ? [openTokenFile(options.tokens, log)] : []),
		...(options.tokenAuthenticators ?? []),
	]);
	const authenticators = [bearer(tokens), certificate, ...(options.authenticators ?? [])];
	const { authorizer } = api;
	const metrics = createMetrics(options.metrics);
	const cohort = createCohort();
	/**
	 * Connections that had a request before. The first is answered at once: where a client certificate is of another authority,
	 * what OpenSSL has left behind of that ends the connection with the turn that brought both, and the answer would be lost.
	 */
	const met = new WeakSet<Duplex>();
	const streaming = { api, client: pki.kubelet };
	const serving = { api, log, now };
	const paths: Paths = {
		registry: api.registry,
		metrics,
		checks: {
			store: async () => {
				const namespaces = api.registry.resource('', 'v1', 'namespaces');
				if (!namespaces) return 'there are no namespaces';
				try {
					await api.list({ kind: namespaces }, { limit: 1 }, systemUser);
					return undefined;
				} catch (cause) {
					return cause instanceof Error ? cause.message : String(cause);
				}
			},
			shutdown: async () => (closing.aborted ? 'the server is closing' : undefined),
		},
	};

	const ask = async (request: IncomingMessage): Promise<Asked> => {
		const { route, query } = locate(request);
		checkTimeout(query);
		const user = await impersonated(request, await authenticate(request, authenticators), authorizer);
		const verb =
			route.type === 'resource' ? verbOf(request.method, route, query) : (request.method ?? '').toLowerCase();
		const attributes = attributesOf(route, verb, query);
		const decision = authorizer.authorize(user, attributes);
		const { allowed, missing, reason } = decision instanceof Promise ? await decision : decision;
		if (!allowed) {
			if (missing && route.type === 'resource') throw notFound(route, route.name ?? '');
			if (user === anonymous) throw unauthorized();
			throw forbiddenBy(user, attributes, reason);
		}
		const caller = { ...user, userAgent: request.headers['user-agent'] ?? '' };
		const kind =
			route.type === 'resource' ? api.registry.resource(route.group, route.version, route.plural) : undefined;
		return { route, kind, query, verb, user, caller };
	};

	/** Runs what goes on until it is told to end: its signal is aborted when the answer's connection or the server closes. */
	const whileOpen = async (response: Answer, run: (signal: AbortSignal) => Promise<void>): Promise<void> => {
		const gone = new AbortController();
		const end = () => gone.abort();
		response.on('close', end);
		closing.addEventListener('abort', end);
		try {
			if (closing.aborted || response.destroyed) end();
			await run(gone.signal);
		} finally {
			closing.removeEventListener('abort', end);
		}
	};

	const answer = async (request: IncomingMessage, response: ServerResponse, asked: Asked): Promise<void> => {
		const { route, kind, query, verb, caller, user } = asked;
		if (route.type === 'path' && options.git && route.path.startsWith('/git/'))
			return options.git(request, response, route.path.slice('/git'.length), query.toString(), user.name);
		if (route.type === 'path') return servePath(paths, request, response, route.path, query);
		const review = reviewOf(route.group, route.version, route.plural);
		if (review && !route.name && (route.namespace !== undefined) === review.namespaced) {
			if (request.method !== 'POST') throw methodNotAllowed();
			const form = negotiate(request.headers.accept, 'other');
			const { value: body } = await readObject(request, api.registry.schemas);
			if (!isObject(body)) throw badRequest(`the body is no ${review.kind}: it must be a JSON object`);
			const { namespace } = route;
			const answered = await review.answer({ body, user, tokens, authorizer, namespace, now: now() });
			return sendJson(request, response, 201, answered, form);
		}
		if (!kind) throw notServed();
		const stream = namedSubresource(route.subresource)?.answer === 'stream';
		const given = subresourceOf(kind, route.subresource ?? '')?.answer === 'given';
		if (verb !== 'watch' && !stream && !given)
			return serveResource(serving, { request, response, query, caller, signal: closing }, kind, route, verb);
		return whileOpen(response, async (signal) => {
			const exchange = { request, response, query, caller, signal };
			if (given) return serveGiven({ api, answers: options.answers }, exchange, kind, route, verb);
			if (!stream) return serveResource(serving, exchange, kind, route, verb);
			const subresource = subresourceOf(kind, route.subresource ?? '');
			if (!subresource || !route.name) throw notServed();
			if (subresource.upgrade) throw badRequest('Upgrade request required');
			if (verb !== 'get') throw methodNotAllowed();
			return serveLog(streaming, exchange, kind, route, caller);
		});
	};

	const failed = (request: IncomingMessage, response: ServerResponse, cause: unknown): void => {
		const error = asApiError(cause, request, log);
		if (response.destroyed) return;
		// In the middle of an answer an error can only be told by its end.
		if (response.headersSent) response.destroy();
		else sendError(request, response, error);
	};

	const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
		const started = performance.now();
		let label = { verb: (request.method ?? '').toLowerCase(), resource: '' };
		let long = false;
		let counted = false;
		try {
			if (metrics.inFlight >= limits.requests) throw tooManyRequests('too many requests, please try again later', 1);
			metrics.inFlight++;
			counted = true;
			if (met.has(request.socket)) await cohort();
			else met.add(request.socket);
			const asked = await ask(request);
			const { route, kind, verb } = asked;
			// Only names of kinds become labels: a client must not make new ones.
			if (route.type === 'resource') label = { verb, resource: kind?.plural ?? '' };
			long = verb === 'watch' || (route.type === 'resource' && route.subresource === 'log');
			if (long) {
				metrics.inFlight--;
				counted = false;
				metrics.watches++;
			}
			await answer(request, response, asked);
		} catch (cause) {
			failed(request, response, cause);
		} finally {
			if (counted) metrics.inFlight--;
			if (long) metrics.watches--;
			else metrics.observe(label.verb, label.resource, response.statusCode, (performance.now() - started) / 1000);
		}
	};

	/** A log or a watch in frames. Throws ApiError before the first of them. */
	const readOverSocket = async (
		request: IncomingMessage,
		socket: Duplex,
		head: Buffer,
		{ query, caller, verb }: Asked,
		kind: Kind,
		route: ResourceRoute,
	): Promise<void> => {
		const response = socketAnswer(request, socket, head, verb === 'watch');
		try {
			await whileOpen(response, async (signal) => {
				const exchange = { request, response, query, caller, signal };
				if (verb === 'watch') await serveWatch(serving, exchange, kind, route);
				else {
					if (!route.name || !subresourceOf(kind, 'log')) throw notServed();
					await serveLog(streaming, exchange, kind, route, caller);
				}
				if (!response.closed) await once(response, 'close');
			});
		} catch (cause) {
			if (!response.headersSent) throw cause;
			response.destroy();
		}
	};

	const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
		// Before anything is awaited: a connection that breaks meanwhile must not end the process.
		socket.on('error', (cause) => log.debug({ err: cause }, 'a stream broke'));
		metrics.watches++;
		try {
			const asked = await ask(request);
			const { route, kind, verb } = asked;
			if (!kind || route.type !== 'resource') throw notServed();
			if (isReadOverSocket(route, verb)) return await readOverSocket(request, socket, head, asked, kind, route);
			if (!route.name) throw notServed();
			const { name, namespace, subresource = '' } = route;
			if (!subresourceOf(kind, subresource)?.upgrade) throw notServed();
			await api.connect({ kind, namespace, name }, subresource, Object.fromEntries(asked.query), asked.caller);
			await passUpgrade(
				streaming,
				{ request, socket, head, query: asked.query, signal: closing },
				kind,
				route,
				asked.caller,
			);
		} catch (cause) {
			if (!socket.destroyed) refuseUpgrade(socket, asApiError(cause, request, log));
		} finally {
			metrics.watches--;
		}
	};

	return {
		request: (request: IncomingMessage, response: ServerResponse) => {
			void handle(request, response);
		},
		upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => {
			void upgrade(request, socket, head);
		},
	};
}

const isReadOverSocket = ({ subresource }: ResourceRoute, verb: string) =>
	verb === 'watch' || (subresource === 'log' && verb === 'get');

/** Whether a request is for a stream of a pod that becomes a connection of its own. */
function upgrades(request: IncomingMessage): boolean {
	try {
		const { route, query } = locate(request);
		if (route.type !== 'resource') return false;
		if (namedSubresource(route.subresource)?.upgrade) return true;
		return isWebSocket(request) && isReadOverSocket(route, verbOf(request.method, route, query));
	} catch {
		return false;
	}
}

const systemUser: Caller = { name: 'system:apiserver', groups: [], userAgent: 'driftless-server' };

function locate(request: IncomingMessage): { route: Route; query: URLSearchParams } {
	const url = request.url ?? '/';
	const mark = url.indexOf('?');
	const path = mark < 0 ? url : url.slice(0, mark);
	try {
		return { route: routeOf(path), query: mark < 0 ? noQuery : new URLSearchParams(url.slice(mark + 1)) };
	} catch {
		throw badRequest(`the path ${JSON.stringify(path)} is not properly escaped`);
	}
}

/** What is asked for; connections are created, whatever method opens them. */
function attributesOf(route: Route, verb: string, query: URLSearchParams): Attributes {
	if (route.type === 'path') return { type: 'path', verb, path: route.path };
	const { group, version, plural: resource, subresource, namespace } = route;
	const fields = verb === 'list' || verb === 'watch' || verb === 'deletecollection' ? selectedFields(query) : undefined;
	// Whoever may read one object may select that one.
	const name = route.name ?? fields?.find(({ path, negated }) => path === 'metadata.name' && !negated)?.value;
	const asked = namedSubresource(subresource)?.upgrade ? 'create' : verb;
	return { type: 'resource', verb: asked, group, version, resource, subresource, namespace, name, fields };
}

/** Undefined where nothing is selected, or what is no selector: that is told later, to those who may ask. */
function selectedFields(query: URLSearchParams): readonly FieldTerm[] | undefined {
	const text = query.get('fieldSelector');
	if (!text) return undefined;
	try {
		return parseFieldSelector(text);
	} catch {
		return undefined;
	}
}

function asApiError(cause: unknown, { method, url }: IncomingMessage, log: Log): ApiError {
	if (cause instanceof ApiError) return cause;
	log.error({ err: cause, method, url }, 'a request met a defect');
	return new ApiError(500, 'InternalError', 'Internal error occurred: see the log of the server');
}
