/** The cluster's DNS server on a node: its own zone from the caches, everything else from the machine's resolvers. */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import * as packet from 'dns-packet';
import type { Log } from '../../log.ts';
import { type Answer, answer, isOurs, pointers, reverseAddress, TTL, type Zone } from './names.ts';

/** How long a resolver of the machine may take, in ms; then the next one is asked. */
const UPSTREAM_MS = 2_000;
/** Queries that wait for a resolver at once; more are refused with SERVFAIL. */
const MAX_FORWARDED = 1_000;
/** A TCP client that says nothing for so long is cut off, in ms. */
const TCP_IDLE_MS = 10_000;
/** TCP connections at once. */
const MAX_CONNECTIONS = 256;
/** The largest UDP answer without EDNS. Source: RFC 1035. */
const UDP_SIZE = 512;

export interface DnsOptions {
	readonly zone: Zone;
	readonly address: string;
	readonly port?: number;
	/** Resolvers of the machine; default those of /etc/resolv.conf. */
	readonly upstreams?: readonly string[];
	readonly log: Log;
	readonly signal: AbortSignal;
}

/** Serves UDP and TCP until the signal aborts. Rejects where the address or port cannot be had. */
export async function serveDns(options: DnsOptions): Promise<{ readonly port: number; readonly ended: Promise<void> }> {
	const { address, port = 53, signal, log } = options;
	const upstreams = options.upstreams ?? (await resolvers(address));
	const forwarder = createForwarder(upstreams);
	const respond = (query: Buffer, limit: number) =>
		reply(query, limit, options.zone, forwarder).catch((error: Error) => {
			log.debug({ error: error.message }, 'a DNS query could not be answered');
			return undefined;
		});

	const udp = createSocket('udp4');
	udp.on('message', (query: Buffer, from: RemoteInfo) => {
		void respond(query, UDP_SIZE).then((bytes) => {
			if (bytes && !signal.aborted) udp.send(bytes, from.port, from.address);
		});
	});
	udp.on('error', (error) => log.warn({ error: error.message }, 'the DNS socket reported an error'));
	await bound(udp, port, address);
	const { port: actual } = udp.address();

	const sockets = new Set<Socket>();
	const tcp = createServer((socket) => {
		sockets.add(socket);
		socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
		socket.on('error', () => socket.destroy());
		socket.on('close', () => sockets.delete(socket));
		let waiting = Buffer.alloc(0);
		socket.on('data', (chunk: Buffer) => {
			waiting = Buffer.concat([waiting, chunk]);
			while (waiting.length >= 2 && waiting.length >= 2 + waiting.readUInt16BE(0)) {
				const length = waiting.readUInt16BE(0);
				const query = waiting.subarray(2, 2 + length);
				waiting = waiting.subarray(2 + length);
				void respond(query, 65_535).then((bytes) => {
					if (!bytes || socket.destroyed) return;
					const head = Buffer.alloc(2);
					head.writeUInt16BE(bytes.length);
					socket.write(Buffer.concat([head, bytes]));
				});
			}
		});
	});
	tcp.maxConnections = MAX_CONNECTIONS;
	tcp.listen(actual, address);
	await once(tcp, 'listening');

	const ended = new Promise<void>((resolve) => {
		const stop = () => {
			for (const socket of sockets) socket.destroy();
			udp.close();
			tcp.close(() => resolve());
		};
		if (signal.aborted) stop();
		else signal.addEventListener('abort', stop, { once: true });
	});
	return { port: actual, ended };
}

async function bound(socket: UdpSocket, port: number, address: string): Promise<void> {
	socket.bind(port, address);
	await once(socket, 'listening');
}

/** The nameservers of /etc/resolv.conf, less this server itself. */
async function resolvers(self: string): Promise<string[]> {
	const text = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
	return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(([, address]) =>
		address && address !== self && !address.includes(':') ? [address] : [],
	);
}

type Forwarder = (query: Buffer, limit: number) => Promise<Buffer | undefined>;

async function reply(query: Buffer, limit: number, zone: Zone, forward: Forwarder): Promise<Buffer | undefined> {
	const request = packet.decode(query);
	if (request.type !== 'query') return undefined;
	const question = request.questions?.[0];
	if (!question) return encode(request, 'FORMERR', [], limit);
	const name = question.name.toLowerCase().replace(/\.$/, '');
	const address = question.type === 'PTR' ? reverseAddress(name) : undefined;
	if (address) {
		const found = pointers(name, address, zone);
		if (found.length > 0) return encode(request, 'NOERROR', found, limit);
	} else if (isOurs(name, zone)) {
		const found = answer(name, question.type, zone);
		if (!found) return encode(request, 'NXDOMAIN', [], limit, zone);
		const [first] = found;
		if (first?.type === 'CNAME')
			return encode(
				request,
				'NOERROR',
				[...found, ...(await follow(first.target, question.type, zone, forward))],
				limit,
			);
		return encode(request, 'NOERROR', found, limit, zone);
	}
	return (await forward(query, limit)) ?? encode(request, 'SERVFAIL', [], limit);
}

/** What an ExternalName leads to, as far as the resolvers know. */
async function follow(
	target: string,
	type: string,
	zone: Zone,
	forward: Forwarder,
): Promise<(Answer | packet.Answer)[]> {
	if (isOurs(target, zone)) return [...(answer(target, type, zone) ?? [])];
	const query = packet.encode({
		type: 'query',
		id: Math.floor(Math.random() * 65_536),
		flags: packet.RECURSION_DESIRED,
		questions: [{ type: type as 'A', name: target, class: 'IN' }],
	});
	const bytes = await forward(query, 65_535);
	return bytes ? (packet.decode(bytes).answers ?? []) : [];
}

const codes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3 } as const;

function encode(
	request: packet.DecodedPacket,
	code: keyof typeof codes,
	answers: readonly (Answer | packet.Answer)[],
	limit: number,
	zone?: Zone,
): Buffer {
	const edns = request.additionals?.find((each) => each.type === 'OPT');
	const size = Math.max(limit, edns && 'udpPayloadSize' in edns ? Number(edns.udpPayloadSize) : 0);
	const message = (kept: readonly (Answer | packet.Answer)[], truncated: boolean): Buffer =>
		packet.encode({
			type: 'response',
			id: request.id,
			flags:
				packet.RECURSION_AVAILABLE |
				packet.AUTHORITATIVE_ANSWER |
				((request.flags ?? 0) & packet.RECURSION_DESIRED) |
				(truncated ? packet.TRUNCATED_RESPONSE : 0) |
				codes[code],
			questions: request.questions,
			answers: kept.map(record),
			// Says how long a name that is not there may be taken as such.
			authorities: kept.length === 0 && zone ? [soa(zone)] : [],
		});
	const whole = message(answers, false);
	return whole.length <= size ? whole : message([], true);
}

function record(each: Answer | packet.Answer): packet.Answer {
	if ('data' in each) return each;
	const { name } = each as Answer;
	switch (each.type) {
		case 'A':
			return { type: 'A', name, ttl: TTL, data: (each as Answer & { type: 'A' }).ip };
		case 'SRV': {
			const { port, target } = each as Answer & { type: 'SRV' };
			return { type: 'SRV', name, ttl: TTL, data: { port, target, priority: 0, weight: 100 } };
		}
		default: {
			const { type, target } = each as Answer & { type: 'CNAME' };
			return { type, name, ttl: TTL, data: target };
		}
	}
}

const soa = ({ domain }: Zone): packet.Answer => ({
	type: 'SOA',
	name: domain,
	ttl: TTL,
	data: {
		mname: `ns.dns.${domain}`,
		rname: `hostmaster.${domain}`,
		serial: 1,
		refresh: 7_200,
		retry: 1_800,
		expire: 86_400,
		minimum: TTL,
	},
});

/** Asks the resolvers one after the other; undefined where none answers. */
function createForwarder(upstreams: readonly string[]): Forwarder {
	let waiting = 0;
	return async (query, limit) => {
		if (waiting >= MAX_FORWARDED) return undefined;
		waiting++;
		try {
			for (const upstream of upstreams) {
				const response = await (limit > UDP_SIZE ? askTcp(query, upstream) : askUdp(query, upstream));
				if (response) return response;
			}
			return undefined;
		} finally {
			waiting--;
		}
	};
}

function askUdp(query: Buffer, upstream: string): Promise<Buffer | undefined> {
	return new Promise((resolve) => {
		const socket = createSocket('udp4');
		const done = (response?: Buffer) => {
			clearTimeout(timer);
			socket.close();
			resolve(response);
		};
		const timer = setTimeout(done, UPSTREAM_MS);
		socket.once('error', () => done());
		socket.on('message', (response, from) => {
			// Only the one that was asked may answer, and only what was asked.
			if (from.address === upstream && response.length >= 2 && response.readUInt16BE(0) === query.readUInt16BE(0))
				done(response);
		});
		socket.send(query, 53, upstream);
	});
}

function askTcp(query: Buffer, upstream: string): Promise<Buffer | undefined> {
	return new Promise((resolve) => {
		const socket = createConnection({ host: upstream, port: 53 });
		const done = (response?: Buffer) => {
			clearTimeout(timer);
			socket.destroy();
			resolve(response);
		};
		const timer = setTimeout(done, UPSTREAM_MS);
		let received = Buffer.alloc(0);
		socket.once('error', () => done());
		socket.once('end', () => done());
		socket.on('data', (chunk: Buffer) => {
			received = Buffer.concat([received, chunk]);
			if (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0))
				done(received.subarray(2, 2 + received.readUInt16BE(0)));
		});
		const head = Buffer.alloc(2);
		head.writeUInt16BE(query.length);
		socket.write(Buffer.concat([head, query]));
	});
}
