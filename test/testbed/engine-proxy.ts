/** An engine's API on another socket, which can be made to answer some requests wrongly, late, or not at all. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';

/** `hang`: never answered; `fail`: answered with 500; a promise: passed on once it settles. */
export type Fault = 'hang' | 'fail' | Promise<void> | undefined;

export interface EngineProxy extends AsyncDisposable {
	/** `unix://...` */
	readonly dockerHost: string;
	/** Says what becomes of each request from now on; `GET /v1.41/containers/json?all=1`, say. */
	fault: (request: string) => Fault;
	/** The requests that hang now: whoever gives one up takes it out. */
	readonly hanging: ReadonlySet<string>;
	/** Every request so far. */
	readonly seen: readonly string[];
}

/** Passes on what comes to `path` to the engine at `socketPath`. */
export async function startEngineProxy(socketPath: string, path: string): Promise<EngineProxy> {
	const sockets = new Set<Duplex>();
	const seen: string[] = [];
	const hanging = new Set<string>();
	const judge = ({ method, url }: IncomingMessage): Fault => {
		const text = `${method} ${url}`;
		seen.push(text);
		return proxy.fault(text);
	};
	const server = createServer(async (incoming: IncomingMessage, response: ServerResponse) => {
		const fault = judge(incoming);
		if (fault === 'hang') {
			const text = `${incoming.method} ${incoming.url}`;
			hanging.add(text);
			response.on('close', () => hanging.delete(text));
			return;
		}
		if (fault === 'fail') {
			response.writeHead(500, { 'content-type': 'application/json' }).end('{"message":"made to fail"}');
			return;
		}
		await fault;
		const { method, url, headers } = incoming;
		const outgoing = request({ socketPath, method, path: url, headers, agent: false }, (answer) => {
			response.writeHead(answer.statusCode ?? 500, answer.headers);
			response.flushHeaders();
			answer.pipe(response);
			answer.on('error', () => response.destroy());
		});
		outgoing.on('error', () => response.destroy());
		response.on('close', () => outgoing.destroy());
		incoming.pipe(outgoing);
	});
	server.on('connection', (socket) => {
		sockets.add(socket);
		socket.on('close', () => sockets.delete(socket));
	});
	server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
		if (judge(incoming)) return;
		const onward = connect(socketPath);
		const lines = incoming.rawHeaders.flatMap((name, index, all) => (index % 2 ? [] : [`${name}: ${all[index + 1]}`]));
		onward.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
		onward.write(head);
		onward.pipe(socket).pipe(onward);
		for (const [one, other] of [
			[onward, socket],
			[socket, onward],
		] as const)
			one.on('error', () => other.destroy());
	});
	const proxy: EngineProxy = {
		dockerHost: `unix://${path}`,
		fault: () => undefined,
		hanging,
		seen,
		async [Symbol.asyncDispose]() {
			for (const socket of sockets) socket.destroy();
			await new Promise((resolve) => server.close(resolve));
		},
	};
	await new Promise<void>((resolve) => server.listen(path, resolve));
	return proxy;
}
