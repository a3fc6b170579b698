/** Writing to a stream no faster than it takes. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';

/** Settles when more may be written. */
export async function write(stream: Writable, chunk: Uint8Array | string): Promise<void> {
	if (!stream.write(chunk) && !stream.destroyed) await once(stream, 'drain');
}
