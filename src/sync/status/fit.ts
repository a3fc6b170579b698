/** What an Application's status holds is bounded in bytes, since an object is: 1,491,808 bytes in all. Pure. */

/** Bytes of one message: what follows says more of the same. */
export const MAX_MESSAGE_BYTES = 8_192;

/** A message short enough to be kept. */
export function cut(text: string, most = MAX_MESSAGE_BYTES): string {
	if (Buffer.byteLength(text) <= most) return text;
	const whole = Buffer.from(text)
		.subarray(0, most)
		.toString('utf8')
		.replace(/\uFFFD$/, '');
	return `${whole}… (${Buffer.byteLength(text) - most} more bytes)`;
}

/** As many of the items, from the first on, as take `most` bytes as JSON, and how many there was no room for. */
export function fitting<T>(items: readonly T[], most: number): { readonly kept: T[]; readonly leftOut: number } {
	let bytes = 0;
	const kept: T[] = [];
	for (const item of items) {
		bytes += Buffer.byteLength(JSON.stringify(item)) + 1;
		if (bytes > most) break;
		kept.push(item);
	}
	return { kept, leftOut: items.length - kept.length };
}
