/**
 * Docker's multiplexed stream: frames of a header (stream number, three zeros, length in 32 bits big endian) and a payload.
 * Source: Docker Engine API, "Attach to a container", stream format.
 */
import type { Readable } from 'node:stream';

export type Channel = 'stdout' | 'stderr';

export interface Frame {
	readonly channel: Channel;
	readonly payload: Uint8Array;
}

const HEADER = 8;

/**
 * The frames of a stream, in order. `tty` streams are not multiplexed: all of it is stdout. A long frame comes in the
 * pieces in which it arrives, so that nothing is held back or copied together.
 */
export async function* frames(stream: Readable, tty: boolean): AsyncGenerator<Frame> {
	let header: Buffer = Buffer.alloc(0);
	let channel: Channel = 'stdout';
	let left = 0;
	for await (const chunk of stream as AsyncIterable<Buffer>) {
		if (tty) {
			yield { channel: 'stdout', payload: chunk };
			continue;
		}
		let at = 0;
		while (at < chunk.length) {
			if (left > 0) {
				const payload = chunk.subarray(at, at + left);
				at += payload.length;
				left -= payload.length;
				yield { channel, payload };
				continue;
			}
			const part = chunk.subarray(at, at + HEADER - header.length);
			at += part.length;
			header = header.length > 0 ? Buffer.concat([header, part]) : part;
			if (header.length < HEADER) break;
			channel = header[0] === 2 ? 'stderr' : 'stdout';
			left = header.readUInt32BE(4);
			header = Buffer.alloc(0);
		}
	}
}

/** All output of a stream as text, stdout and stderr in the order they came, cut after `limit` bytes. */
export async function collect(stream: Readable, tty: boolean, limit: number): Promise<string> {
	const parts: Uint8Array[] = [];
	let length = 0;
	for await (const { payload } of frames(stream, tty)) {
		if (length < limit) parts.push(payload.subarray(0, limit - length));
		length += payload.length;
	}
	return Buffer.concat(parts).toString();
}
