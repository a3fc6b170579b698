/** The actions of probes and of life cycle hooks: run a command, ask over HTTP or gRPC, open a connection. */
import { addAbortListener } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type * as core from 'kubernetes-types/core/v1.js';
import type { Engine } from '../engine/index.ts';
import { collect } from '../engine/index.ts';
import { grpcHealth } from './grpc.ts';

/** What is kept of a command's output or a response's body. */
const OUTPUT_BYTES = 10 * 1024;
/** As the kubelet: a redirection to the same host is followed so often. */
const MAX_REDIRECTS = 10;
/** The longest delay that Node's timers take: a longer one would be over at once. A hook may have as long as its pod's grace. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface Result {
	readonly ok: boolean;
	/** The output, or why it failed, in the kubelet's words. */
	readonly output: string;
	/** It succeeded, but not as it should have. */
	readonly warning?: boolean;
	/** Settles when what was begun has ended, or cannot be: the next one waits for it. Absent: nothing goes on. */
	readonly over?: Promise<void>;
}

export interface Handler {
	readonly exec?: core.ExecAction;
	readonly httpGet?: core.HTTPGetAction;
	readonly tcpSocket?: core.TCPSocketAction;
	readonly grpc?: core.GRPCAction;
	readonly sleep?: { readonly seconds: number };
}

export interface Where {
	readonly engine: Engine;
	readonly id: string;
	readonly container: core.Container;
	/** The pod's address. */
	readonly address: string;
	readonly timeoutMs: number;
	/** A life cycle hook: whatever a server answers, it has been told. */
	readonly hook?: boolean;
	readonly signal: AbortSignal;
}

/** Runs a handler once. Never throws: whatever goes wrong is a failed result. */
export async function runHandler(handler: Handler, where: Where): Promise<Result> {
	const timeout = AbortSignal.timeout(Math.min(where.timeoutMs, LONGEST_TIMER_MS));
	const signal = AbortSignal.any([where.signal, timeout]);
	const { answer } = where.engine.containers;
	try {
		if (answer && !handler.sleep) return await stoodFor(answer, where);
		if (handler.exec) return await runCommand(handler.exec.command ?? [], where, signal);
		if (handler.httpGet) return await get(handler.httpGet, where, signal);
		if (handler.tcpSocket) return await open(handler.tcpSocket, where, signal);
		if (handler.sleep) return await rest(handler.sleep.seconds * 1000, signal);
		if (handler.grpc) return await askHealth(handler.grpc, where, signal);
		return { ok: false, output: 'missing probe handler' };
	} catch (error) {
		if (timeout.aborted && handler.exec) return timedOut(handler.exec.command);
		return { ok: false, output: (error as Error).message };
	}
}

/** Where there is no process: a hook has been told to nobody, a probe is answered by the engine. */
async function stoodFor(answer: (id: string) => Promise<string | undefined>, { id, hook }: Where): Promise<Result> {
	const wrong = hook ? undefined : await answer(id);
	return { ok: wrong === undefined, output: wrong ?? '' };
}

async function runCommand(command: readonly string[], where: Where, signal: AbortSignal): Promise<Result> {
	const running = where.engine.containers.exec(where.id, { command, stdin: false, tty: false, signal: where.signal });
	const end = async () => {
		const { output, exitCode } = await running;
		const text = await collect(output, OUTPUT_BYTES);
		return { ok: (await exitCode()) === 0, output: text };
	};
	const cut = async () => {
		const execution = await running;
		execution.output.destroy(new Error('timed out'));
		// When only the agent ends, a hook goes on.
		if (!where.signal.aborted) await execution.kill();
	};
	const late = Promise.withResolvers<undefined>();
	using _cutting = addAbortListener(signal, () => late.resolve(undefined));
	const result = await Promise.race([end(), late.promise]);
	if (result) return result;
	// An engine that does not answer now has no time for the result either: the next probe finds out.
	const over = cut().catch(() => undefined);
	where.signal.throwIfAborted();
	return { ...timedOut(command), over };
}

const timedOut = (command: readonly string[] = []): Result => ({
	ok: false,
	output: `command ${JSON.stringify(command.join(' '))} timed out`,
});

async function get(action: core.HTTPGetAction, where: Where, signal: AbortSignal): Promise<Result> {
	const scheme = (action.scheme ?? 'HTTP').toLowerCase();
	const host = action.host || where.address;
	const path = action.path ?? '/';
	let url = new URL(
		`${scheme}://${host}:${portOf(action.port, where.container)}${path.startsWith('/') ? path : `/${path}`}`,
	);
	const shown = url.href;
	const headers: Record<string, string | string[]> = {};
	for (const { name, value } of action.httpHeaders ?? []) {
		const key = name.toLowerCase();
		const before = key === 'host' ? undefined : headers[key];
		headers[key] = before === undefined ? value : [before, value].flat();
	}
	for (let redirects = 0; ; redirects++) {
		let response: IncomingMessage;
		try {
			response = await fetchHead(url, headers, signal);
		} catch (error) {
			const why = signal.aborted ? 'context deadline exceeded' : dialError(error, url.host);
			return { ok: false, output: `Get "${shown}": ${why}` };
		}
		const status = response.statusCode ?? 0;
		const location = response.headers.location;
		const body = await firstBytes(response);
		if (status >= 300 && status < 400 && location) {
			const next = new URL(location, url);
			if (next.hostname !== url.hostname) {
				return { ok: true, warning: true, output: `Probe terminated redirects, Response body: ${body}` };
			}
			if (redirects >= MAX_REDIRECTS) return { ok: false, output: `stopped after ${MAX_REDIRECTS} redirects` };
			url = next;
			continue;
		}
		if (where.hook || (status >= 200 && status < 400)) return { ok: true, output: body };
		return { ok: false, output: `HTTP probe failed with statuscode: ${status}` };
	}
}

function fetchHead(
	url: URL,
	headers: Record<string, string | string[]>,
	signal: AbortSignal,
): Promise<IncomingMessage> {
	return new Promise((resolve, reject) => {
		const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
		// A probe asks whether the server answers, not who it is.
		const options = { agent: false, signal, rejectUnauthorized: false } as const;
		const defaults = { 'user-agent': 'kube-probe/1.32', accept: '*/*', connection: 'close' };
		const request = send(url, { ...options, headers: { ...defaults, ...headers } }, resolve);
		request.on('error', reject);
		request.end();
	});
}

async function firstBytes(response: IncomingMessage): Promise<string> {
	const parts: Buffer[] = [];
	let length = 0;
	for await (const chunk of response as AsyncIterable<Buffer>) {
		parts.push(chunk);
		length += chunk.length;
		if (length > OUTPUT_BYTES) break;
	}
	return Buffer.concat(parts).toString('utf8', 0, OUTPUT_BYTES);
}

function open(action: core.TCPSocketAction, where: Where, signal: AbortSignal): Promise<Result> {
	const host = action.host || where.address;
	const port = portOf(action.port, where.container);
	return new Promise((resolve) => {
		const socket = connect({ host, port });
		const end = (result: Result) => {
			signal.removeEventListener('abort', late);
			socket.destroy();
			resolve(result);
		};
		const late = () => end({ ok: false, output: `dial tcp ${host}:${port}: i/o timeout` });
		signal.addEventListener('abort', late, { once: true });
		socket.once('connect', () => end({ ok: true, output: '' }));
		socket.once('error', (error) => end({ ok: false, output: dialError(error, `${host}:${port}`) }));
	});
}

async function askHealth({ port, service }: core.GRPCAction, where: Where, signal: AbortSignal): Promise<Result> {
	const address = `${where.address}:${port}`;
	try {
		const wrong = await grpcHealth(where.address, port, service ?? '', signal);
		return { ok: wrong === undefined, output: wrong ?? 'service healthy' };
	} catch (error) {
		const why = signal.aborted ? 'context deadline exceeded' : dialError(error, address);
		const within = `${where.timeoutMs / 1000}s`;
		return { ok: false, output: `timeout: failed to connect service "${address}" within ${within}: ${why}` };
	}
}

function rest(ms: number, signal: AbortSignal): Promise<Result> {
	return new Promise((resolve) => {
		const end = () => {
			clearTimeout(timer);
			signal.removeEventListener('abort', end);
			resolve({ ok: true, output: '' });
		};
		const timer = setTimeout(end, Math.min(ms, LONGEST_TIMER_MS));
		signal.addEventListener('abort', end, { once: true });
	});
}

/** A port by its number or by its name in the container. */
function portOf(port: core.HTTPGetAction['port'], container: core.Container): number {
	const number = Number(port);
	const found = Number.isInteger(number) ? number : container.ports?.find(({ name }) => name === port)?.containerPort;
	if (!found || found < 1 || found > 65_535) throw new Error(`invalid port: ${port}`);
	return found;
}

function dialError(error: unknown, host: string): string {
	const { code, message } = error as NodeJS.ErrnoException;
	if (code === 'ECONNREFUSED') return `dial tcp ${host}: connect: connection refused`;
	if (code === 'EHOSTUNREACH') return `dial tcp ${host}: connect: no route to host`;
	if (code === 'ECONNRESET') return 'EOF';
	return message;
}
