/** The API over HTTPS: listens, and keeps account of its connections. */

import { IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import type { Log } from '../../log.ts';
import type { Family } from '../../metrics.ts';
import type { Api } from '../api.ts';
import type { Authenticator, TokenAuthenticator } from '../auth/authenticator.ts';
import { limits } from '../limits.ts';
import type { Pki } from '../pki.ts';
import type { ServeGit } from './answer.ts';
import type { Bounds } from './flow/index.ts';
import type { Answers } from './given.ts';
import { createHandler } from './handler.ts';
import { keepWhileUsed, Request2, Response2, sendAway } from './http2.ts';
import { cutOffUnread } from './unread.ts';
import { upgrades } from './upgrade.ts';

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
	/** Others that know bearer tokens, asked after the file and the Secret of tokens. */
	readonly tokenAuthenticators?: readonly TokenAuthenticator[];
	/** Others that know users, asked after tokens and client certificates. */
	readonly authenticators?: readonly Authenticator[];
	/** Milliseconds since the epoch. */
	readonly now?: () => number;
	/** Answers subresources that only somebody above the API can answer. */
	readonly answers?: Answers;
	/** Serves the repositories of this process. */
	readonly git?: ServeGit;
	/** The share of requests over HTTP/2 with which their connection is told to go away, so that clients spread over servers. Default 0. */
	readonly goawayChance?: number;
	readonly random?: () => number;
	/** How long (ms) a client may leave unread what is for it. Default: that of limits.ts. */
	readonly unread?: number;
	/** How many requests are in work, and how many wait. */
	readonly fairness?: Partial<Bounds>;
	/** Figures of others in this process, served at /metrics with the server's own. */
	readonly metrics?: () => Iterable<Family>;
	/** Others, each at /metrics/NAME, as the text is made. */
	readonly texts?: ReadonlyMap<string, () => AsyncIterable<string>>;
}

export interface Served {
	readonly port: number;
	/** Shows the server's certificate as it is now to those who connect from now on. */
	renew(): void;
	/** Ends watches and streams, lets other requests finish for a short while, and closes every connection. */
	close(): Promise<void>;
}

/** Serves until closed. Throws where the port cannot be had. */
export async function serveApi(options: ServeOptions): Promise<Served> {
	const { address, pki, log, goawayChance = 0, random = Math.random } = options;
	const closing = new AbortController();
	const server = createSecureServer(serverOptions(options));
	// All else that asks to be upgraded is answered as if it had not, as RFC 9110, 7.8 allows.
	Object.assign(server, { shouldUpgradeCallback: upgrades });
	const handler = createHandler(options, closing.signal);
	const sockets = new Set<Duplex>();
	const streams = new Set<Duplex>();
	server.on('secureConnection', (socket) => {
		sockets.add(socket);
		socket.once('close', () => sockets.delete(socket));
	});
	server.on('session', keepWhileUsed);
	cutOffUnread(server, options.unread ?? limits.watchStall);
	server.on('request', (request: IncomingMessage | Request2, response: ServerResponse | Response2) => {
		// Once the server closes, a connection ends with its answer: it would hold up the close until it is cut off, or bring more.
		if (request instanceof IncomingMessage)
			response.once('close', () => {
				if (closing.signal.aborted && request.socket.writable) request.socket.destroySoon();
			});
		else if (goawayChance > 0 && random() < goawayChance) sendAway(request.stream.session);
		handler.request(request, response);
	});
	server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
		streams.add(socket);
		socket.on('close', () => streams.delete(socket));
		handler.upgrade(request, socket, head);
	});
	server.on('tlsClientError', (cause: Error) => log.debug({ err: cause }, 'a TLS connection was not made'));
	server.on('sessionError', (cause: Error) => log.debug({ err: cause }, 'a connection broke'));
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
			const force = setTimeout(() => {
				for (const socket of sockets) socket.destroy();
			}, limits.drain);
			// Idle connections end at once, those of HTTP/2 are told to go away and end with their last stream.
			server.close(() => {
				clearTimeout(force);
				resolve();
			});
			closing.abort();
			for (const socket of streams) socket.destroy();
		});
		return closed;
	};
	const onAbort = () => {
		void close();
	};
	options.signal?.addEventListener('abort', onAbort, { once: true });
	if (options.signal?.aborted) await close();
	return { port, renew: () => server.setSecureContext(secureContext(pki)), close };
}

const secureContext = ({ server: { cert, key }, authority }: Pki): SecureContextOptions => ({
	cert,
	key,
	ca: authority.cert,
	minVersion: 'TLSv1.2',
});

/** TLS with both versions of HTTP, of which the client chooses one in the handshake (RFC 7301). */
function serverOptions({ pki }: ServeOptions) {
	return {
		...secureContext(pki),
		requestCert: true,
		// Clients without a certificate may have a token.
		rejectUnauthorized: false,
		handshakeTimeout: limits.headers,
		allowHTTP1: true,
		http1Options: {
			headersTimeout: limits.headers,
			requestTimeout: limits.request,
			keepAliveTimeout: limits.keepAlive,
			maxHeaderSize: limits.headerBytes,
		},
		Http2ServerRequest: Request2,
		Http2ServerResponse: Response2,
		settings: {
			maxConcurrentStreams: limits.streams,
			initialWindowSize: limits.streamWindow,
			maxHeaderListSize: limits.headerBytes,
			enablePush: false,
		},
		maxSessionMemory: limits.connectionMemory,
		streamResetBurst: limits.resetBurst,
		streamResetRate: limits.resetRate,
	} as const;
}
