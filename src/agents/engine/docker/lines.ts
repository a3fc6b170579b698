/** The non-empty lines of a stream of UTF-8 text, as they come. */
export async function* lines(stream: AsyncIterable<string | Buffer>): AsyncGenerator<string> {
	const decoder = new TextDecoder();
	let rest = '';
	for await (const chunk of stream) {
		rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
		const whole = rest.split('\n');
		rest = whole.pop() ?? '';
		for (const line of whole) if (line.trim()) yield line;
	}
	if (rest.trim()) yield rest;
}
