/** What simulated containers have written, for those who read it. */
import { PassThrough, Writable } from 'node:stream';
import type { Chunk, LogOptions, Output, Streams } from '../process.ts';

interface Line {
	readonly at: number;
	readonly text: string;
}

/** The log of a container. */
export class Log {
	readonly #lines: Line[] = [];
	readonly #followers = new Set<PassThrough>();
	#ended = false;

	write(texts: readonly string[], at: number): void {
		for (const text of texts) {
			this.#lines.push({ at, text });
			for (const follower of this.#followers) follower.write(chunk(text));
		}
	}

	/** Nothing more is written: whoever follows has all. */
	end(): void {
		this.#ended = true;
		for (const follower of this.#followers) follower.end();
	}

	read({ follow, tail, since = 0, timestamps, signal }: LogOptions): Output {
		const wanted = this.#lines.filter(({ at }) => at >= since * 1000);
		const shown = tail === undefined ? wanted : wanted.slice(Math.max(0, wanted.length - tail));
		const stamp = ({ at, text }: Line) => (timestamps ? `${new Date(at).toISOString()} ${text}` : text);
		return this.#stream(shown.map(stamp), follow, signal);
	}

	/** What is written from now on; nothing is read of what is sent. */
	attach(signal: AbortSignal | undefined): Streams & { readonly late: boolean } {
		return { input: sink(), output: this.#stream([], true, signal), late: this.#ended };
	}

	#stream(texts: readonly string[], follow: boolean, signal: AbortSignal | undefined): Output {
		const stream = new PassThrough({ objectMode: true, signal });
		// Whoever reads it hears of it.
		stream.on('error', () => {});
		for (const text of texts) stream.write(chunk(text));
		if (!follow || this.#ended) stream.end();
		else {
			this.#followers.add(stream);
			stream.once('close', () => this.#followers.delete(stream));
		}
		return outputOf(stream);
	}
}

const chunk = (text: string): Chunk => ({ channel: 'stdout', payload: Buffer.from(`${text}\n`) });

const outputOf = (stream: PassThrough): Output => ({
	[Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() as AsyncIterator<Chunk>,
	destroy: (error) => void stream.destroy(error),
});

/** Takes what it is given, and does nothing with it. */
const sink = () => new Writable({ write: (_chunk, _encoding, done) => done() });

/** The streams of a command that has written all that it writes. */
export function said(text: string): Streams {
	const stream = new PassThrough({ objectMode: true });
	stream.on('error', () => {});
	const chunk: Chunk = { channel: 'stdout', payload: Buffer.from(text) };
	stream.end(chunk);
	return { input: sink(), output: outputOf(stream) };
}
