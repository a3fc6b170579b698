/** What all sources share: looking at once, again and again, and telling readers when the answer has changed. */
import type { Log } from '../../log.ts';
import { type Commit, type Source, SourceError, type SourceState } from './source.ts';
import type { Tree } from './tree.ts';

/** First wait after a failed look, in milliseconds; it doubles up to the poll interval. */
const FIRST_RETRY = 5_000;
/** Longest wait after failures where nothing is polled otherwise. */
const LONGEST_RETRY = 60_000;

/** One kind of source. Throws SourceError (or anything, which is then told as one). */
export interface Reader {
	readonly url: string;
	/** What the followed revision is now; undefined where there is none. */
	look(signal: AbortSignal): Promise<string | undefined>;
	tree(revision: string): Promise<Tree>;
	resolve(revision: string): Promise<string | undefined>;
	commit(revision: string): Promise<Commit | undefined>;
	blame(revision: string, file: string, line: number): Promise<Commit | undefined>;
	/** Calls `changed` whenever it is worth a look; what it waits on ends with the signal. */
	watch?(changed: () => Promise<void>, signal: AbortSignal, log: Log): void;
	/** Milliseconds between looks; absent where watch() tells all. */
	readonly poll?: () => number;
	close(): Promise<void>;
}

/** Starts at once. */
export function follow(reader: Reader, log: Log): Source {
	const life = new AbortController();
	let state: SourceState = { known: false };
	let version = 0;
	let failures = 0;
	let timer: NodeJS.Timeout | undefined;
	let looking: Promise<void> | undefined;
	let again: Promise<void> | undefined;
	let wake: PromiseWithResolvers<void> = Promise.withResolvers();

	async function lookOnce(): Promise<void> {
		clearTimeout(timer);
		try {
			const revision = await reader.look(life.signal);
			if (life.signal.aborted) return;
			if (state.error) log.info({ source: reader.url, revision }, 'the source can be read again');
			failures = 0;
			if (!state.known || state.error || state.revision !== revision) become({ known: true, revision });
		} catch (cause) {
			if (life.signal.aborted) return;
			const error = asSourceError(reader.url, cause);
			failures++;
			if (state.error?.message !== error.message) {
				log.warn(
					{ source: reader.url, error: error.message },
					'the source cannot be read; what is applied stays as it is',
				);
				become({ known: true, revision: state.revision, error });
			}
		}
		const regular = reader.poll?.();
		const wait = failures ? Math.min(FIRST_RETRY * 2 ** (failures - 1), regular ?? LONGEST_RETRY) : regular;
		if (wait !== undefined) timer = setTimeout(() => void look(), wait);
	}

	/** A look that begins after the call: one that is under way may have missed what the caller knows. */
	function look(): Promise<void> {
		if (life.signal.aborted) return Promise.resolve();
		if (!looking) {
			looking = lookOnce().finally(() => {
				looking = undefined;
			});
			return looking;
		}
		again ??= looking.then(() => {
			again = undefined;
			return look();
		});
		return again;
	}

	function become(next: SourceState): void {
		state = next;
		version++;
		wake.resolve();
		wake = Promise.withResolvers();
	}

	const source: Source = {
		url: reader.url,
		get state() {
			return state;
		},
		async current() {
			if (!state.known) await looking;
			if (state.error) throw state.error;
			return state.revision === undefined ? undefined : source.tree(state.revision);
		},
		tree: (revision) => reader.tree(revision).catch((cause) => Promise.reject(asSourceError(reader.url, cause))),
		resolve: (revision) => reader.resolve(revision),
		commit: (revision) => reader.commit(revision),
		blame: (revision, file, line) => reader.blame(revision, file, line),
		refresh: look,
		async *changes(signal) {
			const ended = AbortSignal.any([signal, life.signal]);
			let seen = 0;
			const aborted = Promise.withResolvers<void>();
			const stop = () => aborted.resolve();
			ended.addEventListener('abort', stop, { once: true });
			try {
				while (!ended.aborted) {
					if (version > seen) {
						seen = version;
						yield state;
					} else await Promise.race([wake.promise, aborted.promise]);
				}
			} finally {
				ended.removeEventListener('abort', stop);
			}
		},
		async [Symbol.asyncDispose]() {
			life.abort();
			clearTimeout(timer);
			await (again ?? looking);
			clearTimeout(timer);
			await reader.close();
		},
	};
	reader.watch?.(look, life.signal, log);
	void look();
	return source;
}

function asSourceError(url: string, cause: unknown): SourceError {
	if (cause instanceof SourceError) return cause;
	return new SourceError(url, `${url}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
