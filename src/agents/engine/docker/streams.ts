/**
 * Docker's multiplexed stream: frames of a header (stream number, three zeros, length in 32 bits big endian) and a payload.
 * Source: Docker Engine API, "Attach to a container", stream format.
 */
import { type Duplex, PassThrough, type Readable } from 'node:stream';
import type { Chunk, Output, Streams } from '../process.ts';

/** Once a container has ended, its stream may be silent for so long before it counts as one that never ends. */
const DRAIN_MS = 2_000;
const HEADER = 8;

/**
 * The frames of a stream, in order. `tty` streams are not multiplexed: all of it is stdout. A long frame comes in the
 * pieces in which it arrives, so that nothing is held back or copied together.
 */
async function* frames(stream: Readable, tty: boolean): AsyncGenerator<Chunk> {
	let header: Buffer = Buffer.alloc(0);
	let channel: Chunk['channel'] = 'stdout';
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

/** What comes on a stream, for whoever reads it. */
export function outputOf(stream: Readable, tty: boolean): Output {
	return {
		[Symbol.asyncIterator]: () => frames(stream, tty),
		destroy: (error) => void stream.destroy(error),
	};
}

/** The input and the output of a process on one connection. */
export const streamsOf = (duplex: Duplex, tty: boolean): Streams => ({ input: duplex, output: outputOf(duplex, tty) });

/** What is left of a process that has ended: nothing comes, and what is sent to it is dropped. */
export const endedStreams = (): Streams => streamsOf(new PassThrough().end(), true);

/**
 * Ends a stream once its container has ended and nothing more comes: the engine ends the streams that it knows by then, and
 * one that it got to know later stays open for ever. What a slow reader has not taken yet is left to it.
 */
export function endWithContainer(stream: Duplex, ended: (signal: AbortSignal) => Promise<void>): void {
	const closed = new AbortController();
	stream.once('close', () => closed.abort());
	ended(closed.signal).then(
		() => endSilent(stream, closed.signal),
		// Without the engine's word the stream's own end decides.
		() => undefined,
	);
}

function endSilent(stream: Duplex, signal: AbortSignal): void {
	const end = () => {
		if (stream.readableLength > 0) timer.refresh();
		else stream.push(null);
	};
	const timer = setTimeout(end, DRAIN_MS);
	const more = () => timer.refresh();
	stream.on('readable', more);
	const stop = () => {
		clearTimeout(timer);
		stream.off('readable', more);
	};
	stream.once('end', stop);
	signal.addEventListener('abort', stop, { once: true });
	if (signal.aborted || stream.readableEnded) stop();
}
