/**
 * SPDY/3.1 as far as remote commands need it: the caller opens streams, both sides send data on them. Like the library that
 * all Kubernetes clients speak it with, it knows no windows: TCP holds a fast side back. Source: SPDY protocol, draft 3.1.
 */
import type { Duplex } from 'node:stream';
import { type HeaderCodec, type Headers, headerCodec } from './spdy-headers.ts';

const VERSION = 3;
const CONTROL = 0x8000;
const HEAD_BYTES = 8;
const FIN = 1;
const type = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goAway: 7, headers: 8 } as const;
/** Data frames of ours are no larger. */
const LARGEST_FRAME = 32 * 1024;
/** One of theirs that is larger is none that a remote command's caller sends. */
const LARGEST_RECEIVED = 1 << 20;

export interface SpdyEvents {
	/** The caller has opened a stream; it is accepted. */
	opened(id: number, headers: Headers): void;
	/** What follows comes once this has settled. */
	data(id: number, payload: Uint8Array): Promise<void> | undefined;
	/** The caller sends no more on the stream. */
	ended(id: number): void;
}

export interface SpdyConnection {
	/** `last`: nothing more comes on the stream. Settles at once, or when a slow caller has caught up. */
	write(id: number, payload: Uint8Array, last?: boolean): Promise<void>;
	/** Says good-bye and ends the connection. */
	close(): Promise<void>;
	/** Settles when the connection is over, however. */
	readonly ended: Promise<void>;
}

/** Speaks over a connection that was upgraded. `head`: what has come of it already. */
export function spdyConnection(socket: Duplex, head: Uint8Array, events: SpdyEvents): SpdyConnection {
	const codec = headerCodec();
	socket.on('error', () => undefined);
	let drained = Promise.withResolvers<void>();
	const release = () => {
		drained.resolve();
		drained = Promise.withResolvers();
	};
	socket.on('drain', release);
	socket.on('close', release);
	const send = async (frame: Uint8Array) => {
		if (socket.writable && !socket.write(frame)) await drained.promise;
	};
	const run = async () => {
		try {
			for await (const frame of framesOf(socket, head)) await receive(frame, codec, events, send);
		} catch {
			// What is no SPDY, or a connection that breaks, ends it; the process learns it by `ended`.
		} finally {
			socket.destroy();
			codec.close();
		}
	};
	return {
		async write(id, payload, last = false) {
			for (let at = 0; at < payload.length; at += LARGEST_FRAME) {
				await send(dataFrame(id, payload.subarray(at, at + LARGEST_FRAME), 0));
			}
			if (last) await send(dataFrame(id, new Uint8Array(), FIN));
		},
		async close() {
			await send(controlFrame(type.goAway, 0, Buffer.alloc(8)));
			socket.end();
		},
		ended: run(),
	};
}

interface Frame {
	readonly control: boolean;
	/** Of a control frame its type, of a data frame its stream. */
	readonly number: number;
	readonly flags: number;
	readonly payload: Buffer;
}

async function* framesOf(socket: Duplex, head: Uint8Array): AsyncGenerator<Frame> {
	let rest: Buffer = Buffer.from(head);
	const whole = function* (): Generator<Frame> {
		while (rest.length >= HEAD_BYTES) {
			const length = rest.readUIntBE(5, 3);
			if (length > LARGEST_RECEIVED) throw new Error(`a frame of ${length} bytes is too large`);
			if (rest.length < HEAD_BYTES + length) return;
			const first = rest.readUInt16BE(0);
			const control = (first & CONTROL) !== 0;
			if (control && (first & ~CONTROL) !== VERSION) throw new Error('this is not SPDY/3.1');
			const number = control ? rest.readUInt16BE(2) : rest.readUInt32BE(0);
			yield { control, number, flags: rest[4] ?? 0, payload: rest.subarray(HEAD_BYTES, HEAD_BYTES + length) };
			rest = rest.subarray(HEAD_BYTES + length);
		}
	};
	yield* whole();
	for await (const chunk of socket as AsyncIterable<Buffer>) {
		rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
		yield* whole();
	}
}

async function receive(
	{ control, number, flags, payload }: Frame,
	codec: HeaderCodec,
	events: SpdyEvents,
	send: (frame: Uint8Array) => Promise<void>,
): Promise<void> {
	if (!control) {
		if (payload.length > 0) await events.data(number, payload);
		if (flags & FIN) events.ended(number);
	} else if (number === type.synStream) {
		const id = payload.readUInt32BE(0);
		const headers = await codec.decode(payload.subarray(10));
		const reply = await codec.encode(new Map());
		await send(controlFrame(type.synReply, 0, Buffer.concat([payload.subarray(0, 4), reply])));
		events.opened(id, headers);
		if (flags & FIN) events.ended(id);
	} else if (number === type.headers) {
		// Nobody needs them, but the compression goes on over them.
		await codec.decode(payload.subarray(4));
	} else if (number === type.ping) {
		await send(controlFrame(type.ping, 0, payload));
	} else if (number === type.rstStream) {
		events.ended(payload.readUInt32BE(0));
	}
}

function controlFrame(kind: number, flags: number, payload: Uint8Array): Buffer {
	const head = Buffer.alloc(HEAD_BYTES);
	head.writeUInt16BE(CONTROL | VERSION, 0);
	head.writeUInt16BE(kind, 2);
	head.writeUInt32BE(payload.length, 4);
	head.writeUInt8(flags, 4);
	return Buffer.concat([head, payload]);
}

function dataFrame(id: number, payload: Uint8Array, flags: number): Buffer {
	const head = Buffer.alloc(HEAD_BYTES);
	head.writeUInt32BE(id, 0);
	head.writeUInt32BE(payload.length, 4);
	head.writeUInt8(flags, 4);
	return Buffer.concat([head, payload]);
}
