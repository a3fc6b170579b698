/** Each request on its way: who asks, whose turn it is, whether he may, and what is counted of it. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, notFound, unauthorized } from '../../kinds/status.ts';
import type { Log } from '../../log.ts';
import type { Caller } from '../api.ts';
import { authenticate, bearer, clientCertificate, tokenChain } from '../auth/authenticator.ts';
import { forbiddenBy } from '../auth/authorizer.ts';
import { impersonated } from '../auth/impersonate.ts';
import { openTokenFile } from '../auth/token-file.ts';
import { tokenSecret } from '../auth/token-secret.ts';
import { anonymous } from '../auth/user.ts';
import { type Answering, answer } from './answer.ts';
import { type Asked, attributesOf, checkHost, locate, verbOf } from './attributes.ts';
import { createCohort } from './cohort.ts';
import { type Connection, checkWaiting, createConnections, turn } from './connections.ts';
import type { Request, Response } from './exchange.ts';
import { createFairness } from './flow/index.ts';
import type { Checks } from './health.ts';
import { refuseUpgrade } from './kubelet.ts';
import { createMetrics } from './metrics.ts';
import { checkTimeout } from './query.ts';
import { sendError } from './respond.ts';
import type { ServeOptions } from './server.ts';
import { serveUpgrade } from './upgrade.ts';

export interface Handler {
	request(request: Request, response: Response): void;
	upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** Handles the requests of a server until `closing` aborts. */
export function createHandler(options: ServeOptions, closing: AbortSignal): Handler {
	const { api, log, pki, now = Date.now } = options;
	const tokens = tokenChain([
		...(options.tokens ? [openTokenFile(options.tokens, log)] : []),
		tokenSecret(api, systemUser, log),
		...(options.tokenAuthenticators ?? []),
	]);
	const authenticators = [bearer(tokens), clientCertificate(now), ...(options.authenticators ?? [])];
	const { authorizer } = api;
	const fairness = createFairness(countOf, options.fairness);
	const metrics = createMetrics(function* () {
		yield* fairness.metrics();
		yield* options.metrics?.() ?? [];
	});
	const cohort = createCohort();
	const connectionOf = createConnections();
	const answering: Answering = {
		serving: { api, log, now },
		streaming: { api, client: () => pki.kubelet },
		paths: { registry: api.registry, metrics, texts: options.texts ?? new Map(), checks: checks(options, closing) },
		tokens,
		answers: options.answers,
		git: options.git,
		closing,
	};

	function countOf({ kind, route }: Asked): number {
		return kind && route.type === 'resource' ? api.count({ kind, namespace: route.namespace }) : 0;
	}

	/** Who asks, and for what. */
	const identify = async (request: Request): Promise<Asked> => {
		checkHost(request);
		const { route, query } = locate(request);
		checkTimeout(query);
		const user = await impersonated(request, await authenticate(request, authenticators), authorizer);
		const verb = verbOf(request, route, query);
		const kind =
			route.type === 'resource' ? api.registry.resource(route.group, route.version, route.plural) : undefined;
		return { route, kind, query, verb, user, attributes: attributesOf(route, verb, query) };
	};

	/** Throws for what may not be asked for. */
	const authorize = async ({ route, user, attributes }: Asked): Promise<void> => {
		const decision = authorizer.authorize(user, attributes);
		const { allowed, missing, reason } = decision instanceof Promise ? await decision : decision;
		if (allowed) return;
		if (missing && route.type === 'resource') throw notFound(route, route.name ?? '');
		if (user === anonymous) throw unauthorized();
		throw forbiddenBy(user, attributes, reason);
	};

	const failed = (request: Request, response: Response, cause: unknown): void => {
		const error = asApiError(cause, request, log);
		if (response.destroyed) return;
		// In the middle of an answer an error can only be told by its end.
		if (response.headersSent) response.destroy();
		else sendError(request, response, error);
	};

	const handle = async (request: Request, response: Response, connection: Connection): Promise<void> => {
		connection.unanswered++;
		const started = performance.now();
		let label = { verb: (request.method ?? '').toLowerCase(), resource: '' };
		/** Whether how long it takes says anything. */
		let timed = true;
		/** Gives back what the request holds of the server. */
		let leave = () => {};
		try {
			if (request.httpVersionMajor === 1) {
				checkWaiting(connection, response);
				const before = turn(connection, request.socket);
				if (before) await before;
				// Nobody would get the answer: the client has gone, or this server closes. And what goes on until then would not end.
				if (before && !request.socket.writable) {
					timed = false;
					return;
				}
			}
			if (connection.met) await cohort();
			else connection.met = true;
			const asked = await identify(request);
			const { route, kind, verb } = asked;
			// Only names of kinds become labels: a client must not make new ones.
			if (route.type === 'resource') label = { verb, resource: kind?.plural ?? '' };
			const entered = fairness.enter(asked, response);
			const seats = entered instanceof Promise ? await entered : entered;
			metrics.inFlight++;
			let seated = true;
			const stand = () => {
				if (!seated) return;
				seated = false;
				metrics.inFlight--;
				seats.leave();
			};
			leave = stand;
			await authorize(asked);
			if (verb === 'watch' || (route.type === 'resource' && route.subresource === 'log')) {
				const place = fairness.stay(asked);
				timed = false;
				metrics.watches++;
				leave = () => {
					stand();
					metrics.watches--;
					place.leave();
				};
				// A watch goes through a kind until its client has what there is of it. Source: KEP-1040.
				if (verb !== 'watch') stand();
			}
			await answer(answering, request, response, asked, callerOf(request, asked), stand);
		} catch (cause) {
			failed(request, response, cause);
		} finally {
			leave();
			connection.unanswered--;
			if (timed) metrics.observe(label.verb, label.resource, response.statusCode, (performance.now() - started) / 1000);
		}
	};

	const upgrade = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
		// Before anything is awaited: a connection that breaks meanwhile must not end the process.
		socket.on('error', (cause) => log.debug({ err: cause }, 'a stream broke'));
		metrics.watches++;
		using held = new DisposableStack();
		held.defer(() => {
			metrics.watches--;
		});
		try {
			const connection = connectionOf(socket);
			await turn(connection, socket);
			if (!socket.writable || connection.ending) return;
			const asked = await identify(request);
			const seats = asked.verb === 'watch' ? await fairness.enter(asked, socket) : undefined;
			const stand = () => seats?.leave();
			held.defer(stand);
			await authorize(asked);
			const place = fairness.stay(asked);
			held.defer(() => place.leave());
			await serveUpgrade(answering, { request, socket, head }, asked, callerOf(request, asked), stand);
		} catch (cause) {
			if (!socket.destroyed) refuseUpgrade(socket, asApiError(cause, request, log));
		}
	};

	return {
		request: (request, response) => {
			const connection = connectionOf(request.socket);
			const done = handle(request, response, connection);
			if (request.httpVersionMajor === 1) connection.last = { done, response };
		},
		upgrade: (request, socket, head) => {
			void upgrade(request, socket, head);
		},
	};
}

const callerOf = ({ headers }: Request, { user }: Asked): Caller => ({
	...user,
	userAgent: headers['user-agent'] ?? '',
});

const systemUser: Caller = { name: 'system:apiserver', groups: [], userAgent: 'driftless-server' };

/** What makes the server ready. */
function checks({ api }: ServeOptions, closing: AbortSignal): Checks {
	return {
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
	};
}

function asApiError(cause: unknown, { method, url }: Request, log: Log): ApiError {
	if (cause instanceof ApiError) return cause;
	log.error({ err: cause, method, url }, 'a request met a defect');
	return new ApiError(500, 'InternalError', 'Internal error occurred: see the log of the server');
}
