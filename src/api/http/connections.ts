/**
 * What the requests of one connection know of each other. Over HTTP/1.1 each waits until the one before it is answered, since what
 * one asks may rest on what that does. Source: RFC 9112, 9.3.2, which lets only safe ones go beside each other.
 */
import type { Duplex } from 'node:stream';
import { tooManyRequests } from '../../kinds/status.ts';
import { limits } from '../limits.ts';
import type { Response } from './exchange.ts';

export interface Connection {
	/**
	 * Whether it had a request before. The first is answered at once: where a client certificate is of another authority, what
	 * OpenSSL has left behind of that ends the connection with the turn that brought both, and the answer would be lost.
	 */
	met: boolean;
	unanswered: number;
	/** The newest of its requests, over HTTP/1.1: when that is done, and its answer. */
	last: { readonly done: Promise<void>; readonly response: Response } | undefined;
	/** One of its answers says that it is the last. What comes behind that is not done. Source: RFC 9112, 9.6. */
	ending: boolean;
}

/** Returns what is known of the connection of a socket, the same for all its requests. */
export function createConnections(): (socket: Duplex) => Connection {
	const connections = new WeakMap<Duplex, Connection>();
	return (socket) => {
		const known = connections.get(socket);
		if (known) return known;
		const connection = { met: false, unanswered: 0, last: undefined, ending: false };
		connections.set(socket, connection);
		return connection;
	};
}

/**
 * Settles when it is the turn of what comes now: when its client has read the answers to all before it, which would pile up here.
 * Undefined where that is so already. Only then does an answer learn of the end of its connection.
 */
export function turn({ last }: Connection, socket: Duplex): Promise<void> | undefined {
	if (!last || last.response.closed) return undefined;
	return last.done.then(() => sent(socket, last.response));
}

/** Throws 429 where more wait than may, and ends the connection with that: in the order of its answers there is no place for more. */
export function checkWaiting(connection: Connection, response: Response): void {
	if (!connection.ending && connection.unanswered <= limits.streams) return;
	connection.ending = true;
	response.setHeader('Connection', 'close');
	throw tooManyRequests(`more than ${limits.streams} requests of this connection wait for their answers`, 1);
}

/** Settles when an answer has been sent, or cannot be any more. */
function sent(socket: Duplex, response: Response): Promise<void> {
	return new Promise((resolve) => {
		const done = () => {
			response.off('close', done);
			socket.off('close', done);
			resolve();
		};
		response.on('close', done);
		socket.on('close', done);
		if (response.closed || socket.destroyed) done();
	});
}
