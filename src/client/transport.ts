/** HTTP to an API server: connections that are kept, and credentials. */
import http from 'node:http';
import https from 'node:https';
import { ApiError } from '../kinds/index.ts';
import { errorOf, unreachable } from './failure.ts';
import { type Connections, createConnections, wasUnseen, wholeBody } from './http2.ts';
import type { FollowedKubeconfig, KubeConfig } from './kubeconfig.ts';

/** Connections for requests that end; more wait. Watches and other streams have their own, without a limit. */
const MOST_CONNECTIONS = 64;
/** How long a server may take to begin its answer. */
export const ANSWER_TIMEOUT_MS = 60_000;
/** After so long without traffic the kernel asks whether the peer still lives. */
const KEEP_ALIVE_MS = 15_000;
/** How often a request is sent that nobody has seen. */
const MOST_TRIES = 5;
/** An error's body beyond this is not read: a Status is far smaller. */
const LONGEST_ERROR_BYTES = 1 << 20;

export interface Asking {
	readonly method?: string;
	/** Path and query. */
	readonly path: string;
	readonly headers?: Readonly<Record<string, string>>;
	readonly body?: Uint8Array | string;
	readonly signal?: AbortSignal;
	/** The answer is long-lived: with HTTP/1.1 it gets a connection of its own. */
	readonly stream?: boolean;
	/** The longest silence of the peer, in milliseconds, before the answer breaks off. Default ANSWER_TIMEOUT_MS. */
	readonly silenceMs?: number;
}

export interface Answer {
	readonly status: number;
	readonly headers: http.IncomingHttpHeaders;
	/** To be read, or its iteration ended: both let go of the connection. Throws where it breaks off. */
	readonly body: AsyncIterable<Buffer>;
}

export interface Transport extends Disposable {
	readonly config: KubeConfig;
	/** An answer with a good status (below 400). Throws ApiError for others, and ServiceUnavailable with its cause for a broken connection. */
	ask(asking: Asking): Promise<Answer>;
}

/** TLS settings that a kubeconfig asks for. */
export function tlsOf(config: KubeConfig) {
	return {
		ca: config.ca,
		cert: config.cert,
		key: config.key,
		servername: config.serverName,
		rejectUnauthorized: !config.insecure,
	};
}

/** With a kubeconfig that is followed, what begins after it has changed goes by the new one. */
export function createTransport(source: KubeConfig | FollowedKubeconfig): Transport {
	const followed = 'refresh' in source ? source : undefined;
	let wire = createWire('refresh' in source ? source.config : source);
	const retired: Wire[] = [];
	const refresh = async (): Promise<void> => {
		const config = await followed?.refresh();
		if (!config || config === wire.config) return;
		wire.retire();
		retired.push(wire);
		wire = createWire(config);
	};
	const ask = async (asking: Asking): Promise<Answer> => {
		asking.signal?.throwIfAborted();
		if (followed) await refresh();
		for (let tries = 1; ; tries++) {
			try {
				return await check(await wire.send(asking));
			} catch (error) {
				if (!(error instanceof Stale)) throw error;
				// What nobody has seen may be sent again, whatever it is.
				if (error.unseen && tries < MOST_TRIES) continue;
				// The server had closed a kept connection just as we used it. Reading again is harmless, and each try uses one up.
				if (error.unseen || (asking.method ?? 'GET') !== 'GET') throw error;
			}
		}
	};
	return {
		get config() {
			return wire.config;
		},
		ask,
		[Symbol.dispose]() {
			for (const each of [...retired, wire]) each[Symbol.dispose]();
		},
	};
}

/** The connections of one configuration. */
interface Wire extends Disposable {
	readonly config: KubeConfig;
	/** An answer of any status, over HTTP/2 where the server speaks it. */
	send(asking: Asking): Promise<Answer>;
	/** Lets what is under way come to its end, and keeps no connection beyond that. */
	retire(): void;
}

function createWire(config: KubeConfig): Wire {
	const origin = new URL(config.server);
	const secure = origin.protocol === 'https:';
	const connections = secure ? createConnections(origin, tlsOf(config), KEEP_ALIVE_MS) : undefined;
	const agents = createAgents(config, secure);
	/** Whether the server has been found to speak no other. */
	let older = !secure;
	const prefix = origin.pathname.replace(/\/$/, '');
	const authorization: Headers = config.token ? { authorization: `Bearer ${config.token}` } : {};
	return {
		config,
		async send(asking) {
			const headers: Headers = {
				accept: 'application/json',
				...authorization,
				...length(asking.body),
				...asking.headers,
			};
			if (connections && !older) {
				const answer = await over2(connections, config, prefix, asking, headers);
				if (answer) return answer;
				older = true;
			}
			return over1(agents, config, asking, headers);
		},
		retire() {
			connections?.retire();
			for (const agent of [agents.requests, agents.streams]) {
				agent.maxFreeSockets = 0;
				for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
			}
		},
		[Symbol.dispose]() {
			connections?.[Symbol.dispose]();
			agents.requests.destroy();
			agents.streams.destroy();
		},
	};
}

interface Agents {
	readonly requests: http.Agent;
	readonly streams: http.Agent;
	readonly send: typeof http.request;
}

function createAgents(config: KubeConfig, secure: boolean): Agents {
	const agent = (maxSockets: number) => {
		const options = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, maxSockets, noDelay: true };
		return secure ? new https.Agent({ ...options, ...tlsOf(config) }) : new http.Agent(options);
	};
	return {
		requests: agent(MOST_CONNECTIONS),
		streams: agent(Number.POSITIVE_INFINITY),
		send: secure ? https.request : http.request,
	};
}

type Headers = Readonly<Record<string, string>>;

const silent = (ms: number) => new Error(`no answer for ${ms / 1000} s`);

/** An answer over HTTP/1.1. */
function over1(agents: Agents, config: KubeConfig, asking: Asking, headers: Headers): Promise<Answer> {
	const { promise, resolve, reject } = Promise.withResolvers<Answer>();
	const silence = asking.silenceMs ?? ANSWER_TIMEOUT_MS;
	const request = agents.send(config.server + asking.path, {
		method: asking.method ?? 'GET',
		headers,
		agent: asking.stream ? agents.streams : agents.requests,
		signal: asking.signal,
		timeout: silence,
	});
	request.on('timeout', () => request.destroy(silent(silence)));
	request.on('error', (error) => reject(broken(error, request.reusedSocket, config, asking)));
	request.on('response', (body) => resolve({ status: body.statusCode ?? 0, headers: body.headers, body }));
	request.end(asking.body);
	return promise;
}

/** An answer over HTTP/2; undefined where the server does not speak it. */
async function over2(
	connections: Connections,
	config: KubeConfig,
	prefix: string,
	asking: Asking,
	headers: Headers,
): Promise<Answer | undefined> {
	const pseudo = { ':method': asking.method ?? 'GET', ':path': prefix + asking.path };
	const options = { signal: asking.signal, endStream: asking.body === undefined };
	const sent = await connections.request({ ...pseudo, ...headers }, options).catch((error) => {
		throw broken(error, false, config, asking);
	});
	if (!sent) return undefined;
	const { stream, reused } = sent;
	const { promise, resolve, reject } = Promise.withResolvers<Answer>();
	const silence = asking.silenceMs ?? ANSWER_TIMEOUT_MS;
	stream.setTimeout(silence, () => stream.destroy(silent(silence)));
	const fail = (error: Error) => reject(broken(error, reused, config, asking, wasUnseen(stream, error)));
	stream.on('error', fail);
	stream.once('close', () => fail(Object.assign(new Error('the connection ended'), { code: 'ECONNRESET' })));
	stream.on('response', (head) => resolve({ status: head[':status'] ?? 0, headers: head, body: wholeBody(stream) }));
	if (asking.body !== undefined) stream.end(asking.body);
	return promise;
}

/** Said always: Node frames the body of a DELETE only where its length is given. */
const length = (body: Asking['body']): Headers =>
	body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };

/** The connection broke before the answer, and had served other requests before; or the server says that it has not seen this one. */
class Stale extends ApiError {
	unseen = false;
}

/** What a failed request throws: the abort's reason, or ServiceUnavailable with the cause. */
function broken(
	error: NodeJS.ErrnoException,
	reused: boolean,
	config: KubeConfig,
	asking: Asking,
	unseen = false,
): unknown {
	if (asking.signal?.aborted) return asking.signal.reason;
	const failure = unreachable(error, config);
	if (!unseen && !(reused && (error.code === 'ECONNRESET' || error.code === 'EPIPE'))) return failure;
	return Object.assign(new Stale(failure.code, failure.reason, failure.message), { cause: error, unseen });
}

async function check(answer: Answer): Promise<Answer> {
	if (answer.status < 400) return answer;
	const body = await readError(answer.body);
	throw errorOf(answer.status, body);
}

async function readError(body: Answer['body']): Promise<string> {
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of body) {
		chunks.push(chunk);
		size += chunk.length;
		// Leaving the loop destroys the stream.
		if (size > LONGEST_ERROR_BYTES) break;
	}
	return Buffer.concat(chunks).toString('utf8');
}
