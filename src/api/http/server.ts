/** The API over HTTPS: listens, and keeps account of its connections. */

import { createServer } from 'node:https';
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
	/** How many requests are in work, and how many wait. */
	readonly fairness?: Partial<Bounds>;
	/** Figures of others in this process, served at /metrics with the server's own. */
	readonly metrics?: () => Iterable<Family>;
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
	const { pki, address, log } = options;
	const closing = new AbortController();
	const server = createServer({
		...secureContext(pki),
		requestCert: true,
		// Clients without a certificate may have a token.
		rejectUnauthorized: false,
		ALPNProtocols: ['http/1.1'],
		handshakeTimeout: limits.headers,
		headersTimeout: limits.headers,
		requestTimeout: limits.request,
		keepAliveTimeout: limits.keepAlive,
		maxHeaderSize: limits.headerBytes,
		// All else that asks to be upgraded is answered as if it had not, as RFC 9110, 7.8 allows.
		shouldUpgradeCallback: upgrades,
	});
	const serve = createHandler(options, closing.signal);
	const streams = new Set<Duplex>();
	server.on('request', (request, response) => {
		// Once the server closes, a connection ends with its answer: it would hold up the close until it is cut off, or bring more.
		response.once('close', () => {
			if (closing.signal.aborted) request.socket.destroySoon();
		});
		serve.request(request, response);
	});
	server.on('upgrade', (request, socket, head) => {
		streams.add(socket);
		socket.on('close', () => streams.delete(socket));
		serve.upgrade(request, socket, head);
	});
	server.on('tlsClientError', (cause: Error) => log.debug({ err: cause }, 'a TLS connection was not made'));
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
			const force = setTimeout(() => server.closeAllConnections(), limits.drain);
			server.close(() => {
				clearTimeout(force);
				resolve();
			});
			closing.abort();
			for (const socket of streams) socket.destroy();
			server.closeIdleConnections();
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
