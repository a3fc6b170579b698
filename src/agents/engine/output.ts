/** Reading what a process has written. */
import type { Output } from './engine.ts';

/** All output as text, stdout and stderr in the order they came, cut after `limit` bytes. */
export async function collect(output: Output, limit: number): Promise<string> {
	const parts: Uint8Array[] = [];
	let length = 0;
	for await (const { payload } of output) {
		if (length < limit) parts.push(payload.subarray(0, limit - length));
		length += payload.length;
	}
	return Buffer.concat(parts).toString();
}
