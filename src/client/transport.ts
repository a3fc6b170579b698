/** HTTP to an API server: connections that are kept, credentials, and errors as the API's own Status. */
import http from 'node:http';
import https from 'node:https';
import { ApiError, type Reason, type Status, serviceUnavailable } from '../kinds/index.ts';
import type { FollowedKubeconfig, KubeConfig } from './kubeconfig.ts';

/** Connections for requests that end; more wait. Watches and other streams have their own, without a limit. */
const MOST_CONNECTIONS = 64;
/** How long a server may take to begin its answer. */
export const ANSWER_TIMEOUT_MS = 60_000;
/** After so long without traffic the kernel asks whether the peer still lives. */
const KEEP_ALIVE_MS = 15_000;
/** An error's body beyond this is not read: a Status is far smaller. */
const LONGEST_ERROR_BYTES = 1 << 20;

export interface Asking {
	readonly method?: string;
	/** Path and query. */
	readonly path: string;
	readonly headers?: Readonly<Record<string, string>>;
	readonly body?: Uint8Array | string;
	readonly signal?: AbortSignal;
	/** The answer is long-lived: it gets a connection of its own. */
	readonly stream?: boolean;
	/** The longest silence of the peer, in milliseconds, before the answer breaks off. Default ANSWER_TIMEOUT_MS. */
	readonly silenceMs?: number;
}

export interface Answer {
	readonly status: number;
	readonly headers: http.IncomingHttpHeaders;
	/** Destroy it where it is not read to its end. */
	readonly body: http.IncomingMessage;
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

/** The connections of one configuration. */
interface Connections {
	readonly config: KubeConfig;
	readonly requests: http.Agent;
	readonly streams: http.Agent;
}

function connectionsOf(config: KubeConfig): Connections {
	const agent = (maxSockets: number) => {
		const options = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, maxSockets, noDelay: true };
		return isSecure(config) ? new https.Agent({ ...options, ...tlsOf(config) }) : new http.Agent(options);
	};
	return { config, requests: agent(MOST_CONNECTIONS), streams: agent(Number.POSITIVE_INFINITY) };
}

const isSecure = ({ server }: KubeConfig) => server.startsWith('https:');

/** Lets what is under way come to its end, and keeps no connection beyond that. */
function retire({ requests, streams }: Connections): void {
	for (const agent of [requests, streams]) {
		agent.maxFreeSockets = 0;
		for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
	}
}

/** With a kubeconfig that is followed, what begins after it has changed goes by the new one. */
export function createTransport(source: KubeConfig | FollowedKubeconfig): Transport {
	const followed = 'refresh' in source ? source : undefined;
	let connections = connectionsOf('refresh' in source ? source.config : source);
	const retired: Connections[] = [];
	const refresh = async (): Promise<void> => {
		const config = await followed?.refresh();
		if (!config || config === connections.config) return;
		retire(connections);
		retired.push(connections);
		connections = connectionsOf(config);
	};

	const once = (asking: Asking) => {
		const { promise, resolve, reject } = Promise.withResolvers<Answer>();
		const silence = asking.silenceMs ?? ANSWER_TIMEOUT_MS;
		const { config, streams, requests } = connections;
		const send = isSecure(config) ? https.request : http.request;
		const authorization = config.token ? { authorization: `Bearer ${config.token}` } : {};
		const request = send(config.server + asking.path, {
			method: asking.method ?? 'GET',
			headers: { accept: 'application/json', ...authorization, ...length(asking.body), ...asking.headers },
			agent: asking.stream ? streams : requests,
			signal: asking.signal,
			timeout: silence,
		});
		request.on('timeout', () => request.destroy(new Error(`no answer for ${silence / 1000} s`)));
		request.on('error', (error) => reject(broken(error, request, config, asking)));
		request.on('response', (body) => resolve({ status: body.statusCode ?? 0, headers: body.headers, body }));
		request.end(asking.body);
		return promise;
	};
	const ask = async (asking: Asking): Promise<Answer> => {
		asking.signal?.throwIfAborted();
		await refresh();
		for (;;) {
			try {
				return await check(await once(asking));
			} catch (error) {
				// The server had closed a kept connection just as we used it. Reading again is harmless, and each try uses one up.
				if (!(error instanceof Stale) || (asking.method ?? 'GET') !== 'GET') throw error;
			}
		}
	};
	return {
		get config() {
			return connections.config;
		},
		ask,
		[Symbol.dispose]() {
			for (const { requests, streams } of [...retired, connections]) {
				requests.destroy();
				streams.destroy();
			}
		},
	};
}

/** Said always: Node frames the body of a DELETE only where its length is given. */
const length = (body: Asking['body']) =>
	body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };

/** The connection broke before the answer, and had served other requests before. */
class Stale extends ApiError {}

/** What a failed request throws: the abort's reason, or ServiceUnavailable with the cause. */
function broken(
	error: NodeJS.ErrnoException,
	request: http.ClientRequest,
	config: KubeConfig,
	asking: Asking,
): unknown {
	if (asking.signal?.aborted) return asking.signal.reason;
	const failure = unreachable(error, config);
	if (!request.reusedSocket || (error.code !== 'ECONNRESET' && error.code !== 'EPIPE')) return failure;
	return Object.assign(new Stale(failure.code, failure.reason, failure.message), { cause: error });
}

/** The ApiError for a connection that failed. */
export function unreachable(error: unknown, config: KubeConfig): ApiError {
	const why =
		error instanceof Error ? error.message || ('code' in error ? String(error.code) : error.name) : String(error);
	return Object.assign(serviceUnavailable(`the API server at ${config.server} cannot be reached: ${why}`), {
		cause: error,
	});
}

async function check(answer: Answer): Promise<Answer> {
	if (answer.status < 400) return answer;
	const body = await readError(answer.body);
	throw errorOf(answer.status, body);
}

async function readError(body: http.IncomingMessage): Promise<string> {
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

const reasons: Readonly<Record<number, Reason>> = {
	400: 'BadRequest',
	401: 'Unauthorized',
	403: 'Forbidden',
	404: 'NotFound',
	405: 'MethodNotAllowed',
	406: 'NotAcceptable',
	409: 'Conflict',
	410: 'Gone',
	413: 'RequestEntityTooLarge',
	415: 'UnsupportedMediaType',
	422: 'Invalid',
	429: 'TooManyRequests',
	500: 'InternalError',
	501: 'NotImplemented',
	503: 'ServiceUnavailable',
	504: 'Timeout',
};

/** The error of a body that is a Status, or that is whatever a proxy on the way has to say. */
export function errorOf(code: number, body: string): ApiError {
	const status = statusOf(body);
	if (status) return fromStatus(status, code);
	const said = body.trim().slice(0, 500);
	return new ApiError(
		code,
		reasons[code] ?? '',
		said || `the server answered ${code} ${http.STATUS_CODES[code] ?? ''}`.trim(),
	);
}

/** A Status that came over the wire, as the error that it is. */
export function fromStatus(status: Status, code = 500): ApiError {
	const at = status.code ?? code;
	return new ApiError(
		at,
		status.reason ?? reasons[at] ?? '',
		status.message ?? `the server answered ${at}`,
		status.details,
	);
}

function statusOf(body: string): Status | undefined {
	try {
		const value: unknown = JSON.parse(body);
		return isStatus(value) ? value : undefined;
	} catch {
		return undefined;
	}
}

export const isStatus = (value: unknown): value is Status =>
	typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status';
