/** The sockets of the cluster's DNS server. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { describe } from '../../client/index.ts';
import type { Log } from '../../log.ts';
import { framed } from './message.ts';
import { type Responder, respond, type Transport } from './reply.ts';

/** Queries of one client in a second; more are dropped. */
const MAX_QUERIES_PER_SECOND = 5_000;
/** TCP connections at once, in all and of one client. */
const MAX_CONNECTIONS = 256;
const MAX_CONNECTIONS_OF_CLIENT = 32;
/** A TCP client that says nothing for so long is cut off, in ms. */
const TCP_IDLE_MS = 10_000;

/** How long questions under way are waited for at the end, in ms. */
const DRAIN_MS = 2_500;

export interface DnsOptions extends Responder {
	readonly address: string;
	/** Default 53; 0 takes any free one. */
	readonly port?: number;
	readonly log: Log;
}

export interface DnsServer extends AsyncDisposable {
	readonly port: number;
}

/** Serves UDP and TCP until it is disposed. Rejects where the address or the port cannot be had. */
export async function serveDns(options: DnsOptions): Promise<DnsServer> {
	const { address, port = 53, log } = options;
	await using stack = new AsyncDisposableStack();
	const spent = createQuota();
	const answer = async (query: Buffer, client: string, transport: Transport) => {
		try {
			return await respond(query, client, transport, options);
		} catch (error) {
			log.error({ cause: describe(error) }, 'a DNS query could not be answered; that is a defect');
			return undefined;
		}
	};

	// Several processes may serve for a moment: one that relieves another begins before that ends.
	const udp = createSocket({ type: 'udp4', reusePort: port !== 0 });
	let open = true;
	let pending = 0;
	stack.defer(async () => {
		// Questions that have come are answered first: where another process serves as well, none is lost.
		const late = performance.now() + DRAIN_MS;
		do await new Promise(setImmediate);
		while (pending > 0 && performance.now() < late);
		open = false;
		udp.close();
	});
	udp.on('message', (query, from) => {
		// Port 0 is that of a sender who wants no answer (RFC 768), and nothing can be sent to it.
		if (from.port === 0 || spent(from.address)) return;
		pending++;
		void answer(query, from.address, 'udp').then((bytes) => {
			pending--;
			if (!bytes || !open) return;
			// A client that is gone is its own loss.
			udp.send(
				bytes,
				from.port,
				from.address,
				(error) => error && log.debug({ cause: error.message }, 'DNS answer not sent'),
			);
		});
	});
	await listen(udp, port, address);
	udp.on('error', (error) => log.warn({ cause: error.message }, 'the DNS socket reports an error'));

	const tcp = createServer();
	const ended = serveTcp(tcp, (query, client) =>
		spent(client) ? Promise.resolve(undefined) : answer(query, client, 'tcp'),
	);
	stack.defer(ended);
	tcp.listen({ port: udp.address().port, host: address, reusePort: port !== 0 });
	await once(tcp, 'listening');
	const owned = stack.move();
	return { port: udp.address().port, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function listen(socket: UdpSocket, port: number, address: string): Promise<void> {
	socket.bind(port, address);
	await once(socket, 'listening');
}

/** Whether a client has asked too much in this second. */
function createQuota(): (client: string) => boolean {
	const counts = new Map<string, number>();
	let second = 0;
	return (client) => {
		const now = Math.floor(performance.now() / 1_000);
		if (now !== second) counts.clear();
		second = now;
		const count = (counts.get(client) ?? 0) + 1;
		counts.set(client, count);
		return count > MAX_QUERIES_PER_SECOND;
	};
}

/** Returns what closes it all. */
function serveTcp(
	server: Server,
	answer: (query: Buffer, client: string) => Promise<Buffer | undefined>,
): () => Promise<void> {
	const sockets = new Map<Socket, string>();
	server.maxConnections = MAX_CONNECTIONS;
	server.on('connection', (socket) => {
		const client = socket.remoteAddress ?? '';
		const others = [...sockets.values()].filter((each) => each === client).length;
		socket.on('error', () => socket.destroy());
		if (others >= MAX_CONNECTIONS_OF_CLIENT) return socket.destroy();
		sockets.set(socket, client);
		socket.on('close', () => sockets.delete(socket));
		socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
		// A connection that breaks off is the client's matter.
		converse(socket, (query) => answer(query, client)).catch(() => socket.destroy());
	});
	return async () => {
		for (const socket of sockets.keys()) socket.destroy();
		server.close();
		if (server.listening) await once(server, 'close');
	};
}

/** Answers the queries of a connection one after the other; does not read on before its answers are taken. */
async function converse(socket: Socket, answer: (query: Buffer) => Promise<Buffer | undefined>): Promise<void> {
	let waiting = Buffer.alloc(0);
	for await (const chunk of socket) {
		waiting = Buffer.concat([waiting, chunk]);
		while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE(0)) {
			const end = 2 + waiting.readUInt16BE(0);
			const bytes = await answer(waiting.subarray(2, end));
			waiting = waiting.subarray(end);
			if (bytes && !socket.write(framed(bytes))) await once(socket, 'drain');
		}
	}
}
