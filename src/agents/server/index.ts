/** The agent's HTTPS server: logs, commands and statistics of this node's pods, for the API server. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';
import { ApiError, badRequest } from '../../kinds/index.ts';
import type { Log } from '../../log.ts';
import { exposition, type Family, TEXT_FORMAT } from '../../metrics.ts';
import type { Engine } from '../engine/index.ts';
import { EngineError } from '../engine/index.ts';
import type { Mirror } from '../pods/mirror.ts';
import { serveAttach } from './attach.ts';
import { cadvisorFamilies } from './cadvisor.ts';
import type { ServingCertificate } from './certificate.ts';
import { type DriverAccess, serveDriverCall } from './drivers.ts';
import { findAttachable, findRunning, type Pods, type Target } from './find.ts';
import { serveLogs } from './logs.ts';
import { agentFamilies, resourceFamilies } from './metrics.ts';
import { type Caller, refuse, serveProcess } from './process.ts';
import { type Announced, acceptSpdy, negotiate, SPDY } from './spdy-caller.ts';
import { type Sources, summary } from './summary.ts';
import { chooseProtocol, protocolNames, webSocketCaller } from './websocket.ts';

export interface ServerOptions {
	readonly certificate: ServingCertificate;
	/** PEM: signs the certificates of those who may call. */
	readonly clientCa: string;
	/** 0: any free one. */
	readonly port: number;
	readonly engine: Engine;
	/** What its figures are read of. */
	readonly sources: Sources;
	/** The storage drivers of the node. */
	readonly drivers: DriverAccess;
	/** Figures of the probes. */
	readonly probes: () => Iterable<Family>;
	readonly pods: Pods;
	readonly mirror: () => Mirror;
	/** Figures beside the agent's own. */
	readonly metrics?: (() => Iterable<Family>) | undefined;
	readonly now: () => number;
	readonly log: Log;
	readonly signal: AbortSignal;
}

export interface AgentServer extends AsyncDisposable {
	readonly port: number;
	/** Shows another certificate to those who connect from now on. */
	show(certificate: ServingCertificate): void;
}

/** The group whose members may call. */
const MASTERS = 'system:masters';

/** Listens on all addresses. Throws, naming the port, when it is taken. */
export async function startServer(options: ServerOptions): Promise<AgentServer> {
	const { certificate, clientCa, log, signal } = options;
	const secureContext = ({ cert, key }: ServingCertificate) => ({ cert, key, ca: clientCa });
	const server = createServer({
		...secureContext(certificate),
		requestCert: true,
		rejectUnauthorized: true,
	});
	const sockets = new WebSocketServer({
		noServer: true,
		handleProtocols: chooseProtocol,
	});
	const tasks = new Set<Promise<void>>();
	const track = (task: Promise<void>) => {
		const settled = task
			.catch((error: unknown) => {
				if (!signal.aborted) log.debug({ cause: (error as Error).message }, 'a call of the agent failed');
			})
			.finally(() => tasks.delete(settled));
		tasks.add(settled);
	};
	server.on('request', (request, response) => track(answer(request, response, options)));
	server.on('upgrade', (request, socket, head) => track(upgrade(request, socket, head, sockets, options)));
	server.listen(options.port);
	await Promise.race([
		once(server, 'listening'),
		once(server, 'error').then(([error]) => {
			throw new Error(`the agent cannot listen on port ${options.port}: ${(error as Error).message}`);
		}),
	]);
	return {
		port: (server.address() as AddressInfo).port,
		show: (next) => server.setSecureContext(secureContext(next)),
		async [Symbol.asyncDispose]() {
			for (const socket of sockets.clients) socket.terminate();
			const closed = once(server, 'close');
			server.close();
			server.closeAllConnections();
			await closed;
			await Promise.all(tasks);
		},
	};
}

/** What a caller may have come for; throws ApiError where it may not. */
function authorize(request: IncomingMessage): void {
	const organizations = (request.socket as TLSSocket).getPeerCertificate().subject?.O as string | string[] | undefined;
	if (![organizations].flat().includes(MASTERS)) {
		throw new ApiError(403, 'Forbidden', `the agent serves members of ${MASTERS} only`);
	}
}

async function answer(request: IncomingMessage, response: ServerResponse, options: ServerOptions): Promise<void> {
	try {
		authorize(request);
		const url = new URL(request.url ?? '/', 'https://agent');
		await route(request, response, url, options);
	} catch (error) {
		const { status } = asApiError(error);
		if (response.headersSent) response.destroy();
		else response.writeHead(status.code, { 'content-type': 'application/json' }).end(JSON.stringify(status));
	}
}

async function route(
	request: IncomingMessage,
	response: ServerResponse,
	url: URL,
	options: ServerOptions,
): Promise<void> {
	const { engine, pods, sources, now, signal } = options;
	const mirror = options.mirror();
	const [, verb, ...rest] = url.pathname.split('/').map(decodeURIComponent);
	const json = (body: object) =>
		void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
	if (verb === 'exec' || verb === 'attach') {
		throw badRequest(
			`${verb} needs an upgrade to a WebSocket of one of the subprotocols ${protocolNames}, or to ${SPDY}`,
		);
	}
	if (verb === 'portForward') throw notImplemented();
	if (verb === 'csi' && request.method === 'POST')
		return serveDriverCall(request, response, options.drivers, rest, signal);
	if (request.method !== 'GET') throw new ApiError(405, 'MethodNotAllowed', `${request.method} is not served here`);
	if (verb === 'healthz') {
		response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
	} else if (verb === 'pods') {
		json({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: [...pods.all()] });
	} else if (verb === 'stats' && rest[0] === 'summary') {
		const brief = url.searchParams.get('only_cpu_and_memory') === 'true';
		json(await summary(sources, mirror, pods.all(), { brief }));
	} else if (verb === 'metrics' && rest.length <= 1 && isExposed(rest[0])) {
		const families = await exposed[rest[0] ?? ''](options, mirror);
		response.writeHead(200, { 'content-type': TEXT_FORMAT }).end(exposition(families));
	} else if (verb === 'containerLogs') {
		await serveLogs(response, { engine, mirror, pods, now, signal }, targetOf(rest), url.searchParams);
	} else {
		throw new ApiError(404, 'NotFound', `the agent does not serve ${url.pathname}`);
	}
}

/** What is served below /metrics. */
const exposed = {
	'': ({ sources, pods, metrics }: ServerOptions, mirror: Mirror) => [
		...agentFamilies(sources.node, mirror, pods.all()),
		...(metrics?.() ?? []),
	],
	resource: async ({ sources, pods }: ServerOptions, mirror: Mirror) =>
		resourceFamilies(await summary(sources, mirror, pods.all(), { brief: true })),
	cadvisor: ({ sources, pods }: ServerOptions, mirror: Mirror) => cadvisorFamilies(sources, mirror, pods.all()),
	probes: ({ probes }: ServerOptions) => probes(),
};
const isExposed = (name: string | undefined): name is keyof typeof exposed | undefined =>
	Object.hasOwn(exposed, name ?? '');

const notImplemented = () => new ApiError(501, 'NotImplemented', 'port forwarding is not supported by this node yet');

async function upgrade(
	request: IncomingMessage,
	socket: Duplex,
	head: Buffer,
	sockets: WebSocketServer,
	options: ServerOptions,
): Promise<void> {
	let accepted = false;
	try {
		authorize(request);
		const url = new URL(request.url ?? '/', 'https://agent');
		const [, verb, ...rest] = url.pathname.split('/').map(decodeURIComponent);
		if (verb === 'portForward') throw notImplemented();
		if (verb !== 'exec' && verb !== 'attach')
			throw new ApiError(404, 'NotFound', `the agent does not serve ${url.pathname}`);
		const { run, streams } = prepare(verb, targetOf(rest), url.searchParams, options);
		if (request.headers.upgrade?.toUpperCase() === SPDY) {
			negotiate(request.headers['x-stream-protocol-version']);
			const stop = () => socket.destroy();
			options.signal.addEventListener('abort', stop, { once: true });
			socket.once('close', () => options.signal.removeEventListener('abort', stop));
			accepted = true;
			return await run(await acceptSpdy(socket, head, streams));
		}
		const webSocket = await handShake(sockets, request, socket, head);
		accepted = true;
		await run(webSocketCaller(webSocket));
	} catch (error) {
		// Once it speaks another protocol, the caller learns over that what has happened, or by the end of the connection.
		if (accepted || socket.destroyed) {
			socket.destroy();
			throw error;
		}
		const { status } = asApiError(error);
		const body = JSON.stringify(status);
		socket.end(
			`HTTP/1.1 ${status.code} ${status.reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
		);
	}
}

/** Rejects where the connection ends before the hand is shaken; a hand that is not taken was answered by then. */
function handShake(
	sockets: WebSocketServer,
	request: IncomingMessage,
	socket: Duplex,
	head: Buffer,
): Promise<WebSocket> {
	return new Promise((resolve, reject) => {
		socket.once('close', () => reject(new Error('the WebSocket handshake failed')));
		sockets.handleUpgrade(request, socket, head, (webSocket) => {
			// What the caller sends before the process is there has to wait; what is no frame ends the connection.
			webSocket.pause();
			webSocket.on('error', () => {});
			resolve(webSocket);
		});
	});
}

/** Checks all that can be checked before the socket is taken over; returns what to do with it then. */
function prepare(
	verb: 'exec' | 'attach',
	target: Target,
	query: URLSearchParams,
	{ engine, pods, mirror, signal }: ServerOptions,
): { readonly run: (caller: Caller) => Promise<void>; readonly streams: Announced } {
	const attachable = verb === 'attach' ? findAttachable(pods, mirror(), target) : undefined;
	const { container } = attachable ?? findRunning(pods, mirror(), target);
	const flag = (...names: string[]) => names.some((name) => ['1', 'true'].includes(query.get(name) ?? ''));
	const command = query.getAll('command');
	const stdin = flag('input', 'stdin');
	const wanted = { stdin, stdout: flag('output', 'stdout'), stderr: flag('error', 'stderr') };
	if (verb === 'exec' && command.length === 0) throw badRequest('you must specify at least 1 command');
	if (!wanted.stdin && !wanted.stdout && !wanted.stderr) {
		throw badRequest('you must specify at least one of stdin, stdout, stderr');
	}
	const tty = flag('tty');
	const run = async (caller: Caller) => {
		try {
			if (attachable) return await serveAttach(caller, { engine, signal, ...attachable }, wanted);
			const execution = await engine.containers.exec(container.id, { command, stdin, tty, signal });
			if (!stdin) execution.input.end();
			await serveProcess(caller, { ...execution, ...wanted });
		} catch (error) {
			await refuse(caller, error instanceof EngineError ? error.detail : (error as Error).message);
		}
	};
	return { run, streams: { ...wanted, tty } };
}

function targetOf(path: readonly string[]): Target {
	// A uid may stand between the pod and the container, as the kubelet allows it.
	const [namespace, name, third, fourth] = path;
	const container = fourth ?? third;
	if (!namespace || !name || !container) throw badRequest('the path must name namespace, pod and container');
	return { namespace, name, container };
}

function asApiError(error: unknown): ApiError {
	if (error instanceof ApiError) return error;
	if (error instanceof EngineError && error.fault === 'down') {
		return new ApiError(503, 'ServiceUnavailable', error.message);
	}
	return new ApiError(500, 'InternalError', (error as Error).message);
}
