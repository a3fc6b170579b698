/**
 * The streams of pods (log, exec, attach, portforward), proxied to the agent of the pod's node. The agent's paths are those
 * of a kubelet. Upgraded connections are passed through byte by byte, so that every protocol on them works.
 */
import { request as httpRequest, type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import type { Node } from '../../kinds/core/node.ts';
import type { Pod } from '../../kinds/core/pod.ts';
import type { Kind } from '../../kinds/kind.ts';
import { ApiError, badRequest, notFound } from '../../kinds/status.ts';
import type { Api, Caller } from '../api.ts';
import type { KeyPair } from '../certificates.ts';
import { limits } from '../limits.ts';
import { connectAgent } from './agent-connection.ts';
import { checkHasLog, containerOf } from './container.ts';
import type { Answer } from './exchange.ts';
import { flag, integer } from './query.ts';
import type { ResourceRoute } from './route.ts';

export interface Streaming {
	readonly api: Api;
	/** What the server shows to agents, now. */
	readonly client: () => KeyPair;
}

interface Place {
	readonly pod: Pod;
	/** Absent while the pod has none. */
	readonly node?: Node;
}

async function find({ api }: Streaming, kind: Kind, route: ResourceRoute, caller: Caller): Promise<Place> {
	const { namespace, name = '' } = route;
	// Only pods have these subresources.
	const pod = (await api.get({ kind, namespace, name }, {}, caller)).object as Pod;
	const { nodeName } = pod.spec;
	if (!nodeName) return { pod };
	const nodes = api.registry.resource('', 'v1', 'nodes');
	if (!nodes) throw notFound({ group: '', plural: 'nodes' }, nodeName);
	return { pod, node: (await api.get({ kind: nodes, name: nodeName }, {}, caller)).object as Node };
}

/** GET pods/NAME/log: the agent's answer as it comes. Throws ApiError before the first byte. */
export async function serveLog(
	streaming: Streaming,
	{
		response,
		query,
		signal,
	}: { readonly response: Answer; readonly query: URLSearchParams; readonly signal: AbortSignal },
	kind: Kind,
	route: ResourceRoute,
	caller: Caller,
): Promise<void> {
	const options = logOptions(query);
	const { pod, node } = await find(streaming, kind, route, caller);
	const container = containerOf(pod, query.get('container') || undefined);
	if (!node) {
		// As Kubernetes: a pod without a node has written nothing.
		response.setHeader('Content-Type', 'text/plain');
		response.end();
		return;
	}
	checkHasLog(pod, container, options.get('previous') === 'true');
	const socket = await connectAgent(node, streaming.client(), signal);
	try {
		const path = `/containerLogs/${pathOf(pod)}/${encodeURIComponent(container)}?${options}`;
		const answer = await ask(socket, path);
		if (answer.statusCode !== 200) throw await errorOf(answer);
		response.statusCode = 200;
		response.setHeader('Content-Type', 'text/plain');
		response.flushHeaders();
		await pipeline(answer, response, { signal });
	} catch (cause) {
		// The reader went, or the agent did: either way the answer ends where it is.
		if (cause instanceof ApiError || !response.headersSent) throw cause;
		response.destroy();
	} finally {
		socket.destroy();
	}
}

function logOptions(query: URLSearchParams): URLSearchParams {
	const options = new URLSearchParams();
	for (const name of ['follow', 'previous', 'timestamps']) if (flag(query, name)) options.set(name, 'true');
	for (const name of ['tailLines', 'sinceSeconds', 'limitBytes']) {
		const value = integer(query, name);
		if (value !== undefined) options.set(name, String(value));
	}
	const sinceTime = query.get('sinceTime');
	if (sinceTime) {
		if (Number.isNaN(Date.parse(sinceTime)))
			throw badRequest(`sinceTime: Invalid value: ${JSON.stringify(sinceTime)}: must be a time`);
		if (options.has('sinceSeconds')) throw badRequest('at most one of sinceTime or sinceSeconds may be specified');
		options.set('sinceTime', sinceTime);
	}
	return options;
}

const unanswered = (why: string) => new ApiError(502, 'InternalError', `the agent did not answer: ${why}`);

function ask(socket: TLSSocket, path: string): Promise<IncomingMessage> {
	return new Promise((resolve, reject) => {
		const request = httpRequest({
			createConnection: () => socket,
			path,
			headers: { host: 'agent', connection: 'close' },
		});
		const fail = (why: string) => reject(unanswered(why));
		request.on('response', resolve);
		request.on('error', (cause) => fail(cause.message));
		// Also of a change of protocol that nobody asked for.
		request.on('close', () => fail('it has ended the connection'));
		request.end();
	});
}

/** The agent's error: its Status where it sends one, else its text. */
async function errorOf(answer: IncomingMessage): Promise<ApiError> {
	let text = '';
	for await (const chunk of answer.setEncoding('utf8')) {
		text += chunk;
		if (text.length > limits.agentError) break;
	}
	let message = text.slice(0, limits.agentError).trim();
	try {
		const said = (JSON.parse(text) as { message?: unknown }).message;
		if (typeof said === 'string') message = said;
	} catch {
		// Plain text says it as well.
	}
	const { statusCode: said = 0 } = answer;
	const code = said >= 400 && said < 600 ? said : 502;
	return new ApiError(code, code === 404 ? 'NotFound' : code === 400 ? 'BadRequest' : 'InternalError', message);
}

const pathOf = ({ metadata }: Pod) => `${metadata.namespace}/${metadata.name}`;

/** The path and query at the agent for an upgraded stream. Throws ApiError where the pod cannot have one. */
function agentPath(route: ResourceRoute, query: URLSearchParams, pod: Pod): string {
	if (route.subresource === 'portforward') return `/portForward/${pathOf(pod)}${query.size > 0 ? `?${query}` : ''}`;
	const { phase } = pod.status ?? {};
	// Attaching to what has ended gives what it wrote.
	if (route.subresource === 'exec' && (phase === 'Succeeded' || phase === 'Failed'))
		throw badRequest(`cannot exec into a container in a completed pod; current phase is ${phase}`);
	const container = containerOf(pod, query.get('container') || undefined);
	const options = new URLSearchParams();
	for (const [from, to] of [
		['stdin', 'input'],
		['stdout', 'output'],
		['stderr', 'error'],
		['tty', 'tty'],
	] as const)
		if (flag(query, from)) options.set(to, '1');
	for (const part of query.getAll('command')) options.append('command', part);
	return `/${route.subresource}/${pathOf(pod)}/${encodeURIComponent(container)}?${options}`;
}

/** Passes an upgrade on to the agent, and then bytes both ways until either side ends. Throws ApiError before that. */
export async function passUpgrade(
	streaming: Streaming,
	upgrade: {
		readonly request: IncomingMessage;
		readonly socket: Duplex;
		readonly head: Buffer;
		readonly query: URLSearchParams;
		readonly signal: AbortSignal;
	},
	kind: Kind,
	route: ResourceRoute,
	caller: Caller,
): Promise<void> {
	const { request, socket, head, query, signal } = upgrade;
	const { pod, node } = await find(streaming, kind, route, caller);
	if (!node) throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
	const path = agentPath(route, query, pod);
	const agent = await connectAgent(node, streaming.client(), signal);
	// One that was closed meanwhile says so no more.
	if (socket.destroyed || signal.aborted) {
		agent.destroy();
		socket.destroy();
		return;
	}
	const giveUp = () => agent.destroy();
	socket.once('close', giveUp);
	signal.addEventListener('abort', giveUp);
	const switched = await switchAt(agent, request, path).finally(() => {
		socket.off('close', giveUp);
		signal.removeEventListener('abort', giveUp);
	});
	socket.write(switched.answer, 'latin1');
	if (switched.head.length > 0) socket.write(switched.head);
	if (head.length > 0) agent.write(head);
	await new Promise<void>((resolve) => {
		const end = () => {
			signal.removeEventListener('abort', end);
			agent.destroy();
			socket.destroy();
			resolve();
		};
		signal.addEventListener('abort', end);
		for (const side of [agent, socket]) {
			side.on('close', end);
			// A broken connection ends the stream like any other end; the client sees it on its side.
			side.on('error', end);
		}
		socket.pipe(agent);
		agent.pipe(socket);
	});
}

/** Headers that carry the upgrade; credentials of the client stay here. */
const passed = ['upgrade', 'connection', 'x-stream-protocol-version'] as const;

function upgradeHeaders({ headersDistinct }: IncomingMessage): Record<string, readonly string[]> {
	const headers: Record<string, readonly string[]> = {};
	for (const name in headersDistinct)
		if (passed.some((each) => each === name) || name.startsWith('sec-websocket-'))
			headers[name] = headersDistinct[name] ?? [];
	const { 'sec-websocket-protocol': offered = [], ...others } = headers;
	// Browsers send their token as a subprotocol: that is for this server only.
	const protocols = offered
		.flatMap((line) => line.split(','))
		.map((each) => each.trim())
		.filter((each) => !each.startsWith('base64url.bearer.authorization.k8s.io.'));
	return protocols.length > 0 ? { ...others, 'sec-websocket-protocol': [protocols.join(', ')] } : others;
}

/**
 * Asks the agent to change the protocol. The connection is the server's, who may do anything there: the client has it only once
 * it speaks another protocol, and nothing else can be asked on it. Returns the head of the answer, and what came behind it.
 * Throws ApiError with what the agent says where it does not change.
 */
function switchAt(
	agent: TLSSocket,
	request: IncomingMessage,
	path: string,
): Promise<{ readonly answer: string; readonly head: Buffer }> {
	return new Promise((resolve, reject) => {
		const asked = httpRequest({
			createConnection: () => agent,
			method: request.method,
			path,
			headers: { host: 'agent', ...upgradeHeaders(request) },
		});
		const fail = (why: string) => reject(unanswered(why));
		agent.setTimeout(limits.agentConnect, () => agent.destroy());
		asked.on('upgrade', ({ statusMessage, rawHeaders }, _, head) => {
			agent.setTimeout(0);
			const lines = [`HTTP/1.1 101 ${statusMessage}`];
			for (let index = 0; index + 1 < rawHeaders.length; index += 2)
				lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
			resolve({ answer: `${lines.join('\r\n')}\r\n\r\n`, head });
		});
		const ended = () => fail('it has ended the connection');
		asked.on('response', (answer) => {
			asked.off('close', ended);
			errorOf(answer)
				.then(reject, ({ message }: Error) => fail(message))
				.finally(() => agent.destroy());
		});
		asked.on('error', ({ message }) => fail(message));
		asked.on('close', ended);
		asked.end();
	});
}

/** Answers an upgrade that is refused. */
export function refuseUpgrade(socket: Duplex, { status }: ApiError): void {
	const body = JSON.stringify(status);
	const head = [
		`HTTP/1.1 ${status.code} ${STATUS_CODES[status.code] ?? 'Error'}`,
		'Content-Type: application/json',
		`Content-Length: ${Buffer.byteLength(body)}`,
		'Connection: close',
	];
	socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
