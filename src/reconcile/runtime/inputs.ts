/**
 * What a controller reads beside objects: readings of something, a file. Declared, as the kinds are, so that it can be drawn,
 * and level-triggered as they are: a change queues keys, and reconcile asks for what is there now.
 */
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { watch as watchFiles } from 'chokidar';
import { type Clock, type Faults, pause } from '../../client/index.ts';
import type { Cache } from '../../client/informer.ts';
import type { Key } from '../../kinds/index.ts';

/** Something that has a value which changes. */
export interface Input<T = unknown> {
	/** What the picture of the controllers calls it. */
	readonly name: string;
	/** The keys to look at when it has changed. */
	keys(value: T, cache: Cache): Iterable<Key>;
	/** Tells the value, at first and whenever it has changed, until the signal aborts. Rejects with what is a defect only. */
	follow(tell: (value: T) => void, surroundings: Surroundings): Promise<void>;
}

export interface Surroundings {
	readonly clock: Clock;
	readonly signal: AbortSignal;
	/** Logs what cannot be read once, and when it can again. */
	readonly faults: Faults;
}

/** The inputs of one run of a controller: `input` is what its reconcile asks by, `follow` goes on until the signal aborts. */
export function inputsOf(
	{ name, inputs = [] }: { readonly name: string; readonly inputs?: readonly Input[] },
	cache: Cache,
	queue: (key: Key) => void,
) {
	const told = new Map<Input, unknown>();
	return {
		input<T>(asked: Input<T>): T | undefined {
			if (!inputs.includes(asked as Input))
				throw new Error(`controller ${name} reads ${asked.name} without declaring it: add it to its inputs`);
			return told.get(asked as Input) as T | undefined;
		},
		async follow(surroundings: Surroundings): Promise<void> {
			const tell = (input: Input) => (value: unknown) => {
				told.set(input, value);
				for (const key of input.keys(value, cache)) queue(key);
			};
			await Promise.all(inputs.map((input) => input.follow(tell(input), surroundings)));
		},
	};
}

/** A reading and when it was taken, in ms of the runtime's clock: readings that stay away grow old. */
export interface Reading<T> {
	readonly value: T;
	readonly at: number;
}

/** Reads every so many ms, from the end of one reading to the next. What cannot be read leaves the last reading as it was. */
export function readings<T>(options: {
	readonly name: string;
	readonly everyMs: number;
	read(signal: AbortSignal): Promise<T>;
	keys(reading: Reading<T>, cache: Cache): Iterable<Key>;
}): Input<Reading<T>> {
	const { name, everyMs, read } = options;
	return {
		name,
		keys: (reading, cache) => options.keys(reading, cache),
		async follow(tell, { clock, signal, faults }) {
			while (!signal.aborted) {
				try {
					tell({ value: await read(signal), at: clock.now() });
					faults.healed(name, 'it can be read again', { input: name });
				} catch (error) {
					if (!signal.aborted)
						faults.failed(name, error, 'it cannot be read; the last reading counts', { input: name });
				}
				await pause(everyMs, signal, clock);
			}
		},
	};
}

/** The bytes of a file, also where it is replaced as a whole; undefined while there is none. */
export function watchedFile(options: {
	readonly path: string;
	keys(bytes: Buffer | undefined, cache: Cache): Iterable<Key>;
}): Input<Buffer | undefined> {
	const path = resolve(options.path);
	const name = basename(path);
	return {
		name,
		keys: (bytes, cache) => options.keys(bytes, cache),
		async follow(tell, { signal, faults }) {
			let known: Buffer | undefined | 'nothing yet' = 'nothing yet';
			let reading = Promise.resolve();
			const read = async () => {
				if (signal.aborted) return;
				try {
					const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
						if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
						throw error;
					});
					faults.healed(name, 'it can be read again', { path });
					if (known !== 'nothing yet' && (bytes && known ? bytes.equals(known) : bytes === known)) return;
					known = bytes;
					tell(bytes);
				} catch (error) {
					faults.failed(name, error, 'it cannot be read; what it was counts', { path });
				}
			};
			const look = () => {
				reading = reading.then(read);
			};
			// Its folder: the file may come later, and come anew under its name.
			const watcher = watchFiles(dirname(path), {
				depth: 0,
				ignored: (each) => each !== path && each !== dirname(path),
			});
			watcher
				.on('all', look)
				.on('ready', look)
				.on('error', (error) => faults.failed(name, error, 'it cannot be watched', { path }));
			const { promise, resolve: end } = Promise.withResolvers<void>();
			if (signal.aborted) end();
			else signal.addEventListener('abort', () => end(), { once: true });
			await promise;
			await watcher.close();
			await reading;
		},
	};
}
