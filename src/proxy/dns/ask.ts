/**
 * Questions to one resolver. Over UDP few sockets carry many questions, and an answer counts only where it comes from the resolver,
 * to the port, with the number and the question of one that waits: who forges it must guess them all. So both are random, a socket
 * takes so many questions and no more, and it lives as long as one waits. Source: RFC 5452, "Measures for Making DNS More Resilient".
 */
import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { createConnection, isIPv6 } from 'node:net';
import { framed, numbered, questionOf } from './message.ts';

/** How long a resolver may take, in ms. */
const PATIENCE_MS = 2_000;

/** Sockets that take questions of one resolver; more questions share them. */
const MAX_SOCKETS = 32;
/** Questions of one socket; then another, at another port, takes its place. */
const QUESTIONS_OF_SOCKET = 100;

export interface Resolver {
	readonly address: string;
	/** Default 53. */
	readonly port?: number;
}

/** Asks one resolver; rejects where it does not answer in time, or is not there. */
export type Ask = (query: Buffer) => Promise<Buffer>;

interface Line {
	readonly socket: Socket;
	/** It may send. */
	readonly connected: Promise<void>;
	readonly waiting: Map<
		number,
		{ readonly question: string; answer(response: Buffer): void; fail(error: Error): void }
	>;
	asked: number;
}

export function createUdp({ address, port = 53 }: Resolver): Ask {
	/** Those that take questions. */
	const lines: Line[] = [];

	const open = (): Line => {
		const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
		const { promise: connected, resolve } = Promise.withResolvers<void>();
		const line: Line = { socket, connected, waiting: new Map(), asked: 0 };
		const broken = (error: Error) => {
			retire(line);
			for (const { fail } of [...line.waiting.values()]) fail(error);
		};
		socket.on('error', broken);
		socket.on('message', (response) => {
			const one = response.length >= 12 && line.waiting.get(response.readUInt16BE(0));
			if (one && questionOf(response) === one.question) one.answer(response);
		});
		// Other senders do not get through to a connected socket. Where there is no way to the resolver the callback is told.
		socket.connect(port, address, (error?: Error) => {
			if (error) broken(error);
			else resolve();
		});
		lines.push(line);
		return line;
	};
	const retire = (line: Line) => {
		const at = lines.indexOf(line);
		if (at >= 0) lines.splice(at, 1);
	};
	const pick = () => (lines.length < MAX_SOCKETS ? open() : lines[randomInt(lines.length)]) ?? open();

	return async (query) => {
		const line = pick();
		if (++line.asked >= QUESTIONS_OF_SOCKET) retire(line);
		let id = randomInt(65_536);
		while (line.waiting.has(id)) id = randomInt(65_536);
		const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
		const timer = setTimeout(() => reject(late(address)), PATIENCE_MS);
		line.waiting.set(id, { question: questionOf(query) ?? '', answer: resolve, fail: reject });
		void line.connected.then(() => {
			if (line.waiting.has(id)) line.socket.send(numbered(query, id), (error) => error && reject(error));
		});
		try {
			return numbered(await promise, query.readUInt16BE(0));
		} finally {
			clearTimeout(timer);
			line.waiting.delete(id);
			if (line.waiting.size === 0) {
				retire(line);
				line.socket.close();
			}
		}
	};
}

/** Asks a resolver over a connection of its own. */
export function askTcp(query: Buffer, { address, port = 53 }: Resolver): Promise<Buffer> {
	const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
	const socket = createConnection({ host: address, port });
	const timer = setTimeout(() => reject(late(address)), PATIENCE_MS);
	let received = Buffer.alloc(0);
	socket.on('error', reject);
	socket.on('end', () => reject(new Error(`the resolver ${address} has hung up`)));
	socket.on('data', (chunk: Buffer) => {
		received = Buffer.concat([received, chunk]);
		const length = received.length >= 2 ? received.readUInt16BE(0) : Number.POSITIVE_INFINITY;
		if (received.length < 2 + length) return;
		const response = received.subarray(2, 2 + length);
		if (questionOf(response) === questionOf(query)) resolve(response);
		else reject(new Error(`the resolver ${address} has answered another question`));
	});
	socket.write(framed(query));
	return promise.finally(() => {
		clearTimeout(timer);
		socket.destroy();
	});
}

const late = (address: string) => new Error(`the resolver ${address} has not answered within ${PATIENCE_MS / 1_000} s`);
