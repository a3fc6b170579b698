/**
 * Logs and watches over a WebSocket, for clients (browsers above all) that cannot read an answer as it comes: a frame for each
 * event of a watch, and for each piece of a log. Source: Kubernetes API concepts, and the protocols of apimachinery's wsstream.
 */
import type { IncomingMessage } from 'node:http';
import { type Duplex, Writable } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Answer } from './exchange.ts';

const binary = 'binary.k8s.io';
const base64 = 'base64.binary.k8s.io';
const NORMAL_CLOSURE = 1000;
/** Clients of logs and watches have nothing to say. */
const MOST_HEARD = 1024;

const sockets = new WebSocketServer({
	noServer: true,
	maxPayload: MOST_HEARD,
	handleProtocols(offered) {
		for (const name of offered) if (name === binary || name === base64) return name;
		return false;
	},
});

export const isWebSocket = ({ method, headers }: IncomingMessage) =>
	method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';

/**
 * An answer whose body goes out as frames: text of one line each (`lines`), else the bytes as they come, or in base64. The
 * connection becomes a WebSocket with the headers; until then it may be refused.
 */
export function socketAnswer(request: IncomingMessage, connection: Duplex, head: Buffer, lines: boolean): Answer {
	let socket: WebSocket | undefined;
	let rest = '';
	const send = (chunk: Buffer, done: (error?: Error | null) => void) => {
		answer.flushHeaders();
		if (!socket) {
			done(new Error('the WebSocket handshake failed'));
			return;
		}
		if (!lines) {
			const inText = socket.protocol === base64;
			socket.send(inText ? chunk.toString('base64') : chunk, { binary: !inText }, done);
			return;
		}
		const found = (rest + chunk.toString()).split('\n');
		rest = found.pop() ?? '';
		for (const line of found.slice(0, -1)) socket.send(line);
		const last = found.at(-1);
		if (last === undefined) done();
		else socket.send(last, done);
	};
	const body = new Writable({
		write: (chunk: Buffer, _encoding, done) => send(chunk, done),
		final(done) {
			answer.flushHeaders();
			socket?.close(NORMAL_CLOSURE);
			done();
		},
		destroy(error, done) {
			// After an end the closing handshake goes on.
			if (!body.writableFinished) socket?.terminate();
			done(error);
		},
	});
	const answer = Object.assign(body, {
		statusCode: 200,
		headersSent: false,
		setHeader() {},
		flushHeaders() {
			if (answer.headersSent) return;
			answer.headersSent = true;
			sockets.handleUpgrade(request, connection, head, (made) => {
				socket = made;
				// Its end is all that there is to tell.
				made.on('error', () => body.destroy());
			});
		},
	});
	// It may have ended while it was found out who asks: what goes on until its end would not end.
	if (connection.destroyed) body.destroy();
	else connection.once('close', () => body.destroy());
	// A hand that was not shaken, a reader that takes leave: whoever writes sees it by the end of the answer.
	body.on('error', () => {});
	return answer;
}
