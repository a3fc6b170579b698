/** The machine's resolvers, which know every name that is not the cluster's. */
import { createSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { createConnection, isIP, isIPv6 } from 'node:net';
import { faults } from '../../client/index.ts';
import type { Log } from '../../log.ts';
import { codes } from './encode.ts';

/** How long a resolver may take, in ms; then the next one is asked. */
const PATIENCE_MS = 2_000;
/** Questions that wait for a resolver at once, in all and of one client; more get no answer from here. */
const MAX_WAITING = 1_000;
const MAX_WAITING_OF_CLIENT = 100;
/** How long the list of resolvers is taken as current, in ms. */
const LIST_AGE_MS = 5_000;

export interface Resolver {
	readonly address: string;
	/** Default 53. */
	readonly port?: number;
}

export interface Resolvers {
	/** The answer to a whole query, as it came; undefined where no resolver has one or too much waits already. */
	ask(query: Buffer, transport: 'udp' | 'tcp', client: string): Promise<Buffer | undefined>;
}

export interface ResolversOptions {
	/** The resolvers to ask, in order; asked for again now and then. */
	readonly list: () => Promise<readonly Resolver[]>;
	readonly log: Log;
	readonly now?: () => number;
}

/** Asks one after the other, first the one that answered last: a dead resolver costs its patience once, not every time. */
export function createResolvers({ list, log, now = Date.now }: ResolversOptions): Resolvers {
	const known = faults(log);
	const waiting = new Map<string, number>();
	let total = 0;
	let order: readonly Resolver[] = [];
	let listed = '';
	let readAt = Number.NEGATIVE_INFINITY;

	const current = async () => {
		if (now() - readAt < LIST_AGE_MS) return order;
		readAt = now();
		const fresh = await list();
		const text = JSON.stringify(fresh);
		if (text !== listed) order = fresh;
		listed = text;
		return order;
	};
	const answered = (resolver: Resolver) => {
		known.healed(resolver.address, 'a resolver answers again', { resolver: resolver.address });
		if (order[0] !== resolver && order.includes(resolver))
			order = [resolver, ...order.filter((each) => each !== resolver)];
	};
	const askAll = async (query: Buffer, transport: 'udp' | 'tcp') => {
		let last: Buffer | undefined;
		for (const resolver of await current()) {
			try {
				const response = await (transport === 'tcp' ? askTcp : askUdp)(query, resolver);
				last = response;
				const code = (response[3] ?? 0) & 0xf;
				// This one cannot tell; the next one may.
				if (code === codes.SERVFAIL || code === codes.REFUSED || code === codes.NOTIMP) continue;
				answered(resolver);
				return response;
			} catch (error) {
				known.failed(resolver.address, error, 'a resolver of this machine does not answer', {
					resolver: resolver.address,
				});
			}
		}
		return last;
	};
	return {
		async ask(query, transport, client) {
			const mine = waiting.get(client) ?? 0;
			if (total >= MAX_WAITING || mine >= MAX_WAITING_OF_CLIENT) return undefined;
			total++;
			waiting.set(client, mine + 1);
			try {
				return await askAll(query, transport);
			} finally {
				total--;
				const left = (waiting.get(client) ?? 1) - 1;
				if (left > 0) waiting.set(client, left);
				else waiting.delete(client);
			}
		},
	};
}

/** The nameservers of a resolv.conf, less this server itself. */
export async function resolversOf(path: string, self: string): Promise<Resolver[]> {
	const text = await readFile(path, 'utf8').catch(() => '');
	return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(([, address = '']) =>
		isIP(address.split('%')[0] ?? '') && address !== self ? [{ address }] : [],
	);
}

function askUdp(query: Buffer, { address, port = 53 }: Resolver): Promise<Buffer> {
	const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
	const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
	const timer = setTimeout(() => reject(late(address)), PATIENCE_MS);
	socket.on('error', reject);
	socket.on('message', (response) => {
		// Late answers to others have another number; other senders do not get through to a connected socket.
		if (response.length >= 12 && response.readUInt16BE(0) === query.readUInt16BE(0)) resolve(response);
	});
	socket.connect(port, address, () => socket.send(query));
	return promise.finally(() => {
		clearTimeout(timer);
		socket.close();
	});
}

function askTcp(query: Buffer, { address, port = 53 }: Resolver): Promise<Buffer> {
	const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
	const socket = createConnection({ host: address, port });
	const timer = setTimeout(() => reject(late(address)), PATIENCE_MS);
	let received = Buffer.alloc(0);
	socket.on('error', reject);
	socket.on('end', () => reject(new Error(`the resolver ${address} has hung up`)));
	socket.on('data', (chunk: Buffer) => {
		received = Buffer.concat([received, chunk]);
		const length = received.length >= 2 ? received.readUInt16BE(0) : Number.POSITIVE_INFINITY;
		if (received.length >= 2 + length) resolve(received.subarray(2, 2 + length));
	});
	socket.write(framed(query));
	return promise.finally(() => {
		clearTimeout(timer);
		socket.destroy();
	});
}

const late = (address: string) => new Error(`the resolver ${address} has not answered within ${PATIENCE_MS / 1_000} s`);

/** A message as TCP carries it: its length before it. */
export function framed(message: Buffer): Buffer {
	const length = Buffer.alloc(2);
	length.writeUInt16BE(message.length);
	return Buffer.concat([length, message]);
}
