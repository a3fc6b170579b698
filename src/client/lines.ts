/** Lines of a byte stream. A line is cut at its newline byte, which no other UTF-8 character contains, and only then decoded. */

/** An unfinished line has grown over the limit. */
export class LineTooLong extends Error {
	override readonly name = 'LineTooLong';
	constructor(most: number) {
		super(`a line of the stream is longer than ${most} bytes`);
	}
}

/**
 * For each chunk that finishes lines, those lines, without their newlines. What follows the last newline comes at the end, if
 * anything does. Holds one unfinished line at most, of at most `most` bytes.
 */
export async function* lines(chunks: AsyncIterable<Uint8Array>, most: number): AsyncIterable<string[]> {
	let unfinished: Uint8Array[] = [];
	let size = 0;
	for await (const chunk of chunks) {
		const whole: string[] = [];
		let from = 0;
		for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
			if (size + end - from > most) throw new LineTooLong(most);
			whole.push(text([...unfinished, chunk.subarray(from, end)]));
			unfinished = [];
			size = 0;
			from = end + 1;
		}
		if (from < chunk.length) {
			unfinished.push(chunk.subarray(from));
			size += chunk.length - from;
			if (size > most) throw new LineTooLong(most);
		}
		if (whole.length > 0) yield whole;
	}
	if (size > 0) yield [text(unfinished)];
}

const text = (pieces: readonly Uint8Array[]) => Buffer.concat(pieces).toString('utf8');
