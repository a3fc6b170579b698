/** One server's view of a store that several share, with the faults of a network: a watch that lags, answers that are lost. */
import { type Change, type Event, type Revision, type Store, Unavailable } from '../../src/store/index.ts';

export interface Shaky {
	/** What the server gets; the store itself stays its owner's. */
	readonly store: Store;
	/** Holds back what the watch brings, until `flow`. */
	lag(): void;
	flow(): void;
	/** The answer to the next commit is lost: `after` it was made, or `before` it reached the store. */
	loseAnswer(when: 'after' | 'before'): void;
	/** Ends every watch with an error; with `staysDown` new ones, and lists, fail alike until `mend`. */
	break(fault: Error, staysDown?: boolean): void;
	mend(): void;
	/** Called before each page of a list is handed over. */
	onPage: () => Promise<void>;
	/** How many pages were listed, and with how many entries. */
	readonly read: { pages: number; entries: number };
}

export function shaky(inner: Store): Shaky {
	const breaks = new Set<(fault: Error) => void>();
	let down: Error | undefined;
	let lost: 'after' | 'before' | undefined;
	let lagging: PromiseWithResolvers<void> | undefined;
	const read = { pages: 0, entries: 0 };

	async function* watch(prefix: string, after: Revision, signal: AbortSignal): AsyncGenerator<readonly Event[]> {
		if (down) throw down;
		const ended = new AbortController();
		let fault: Error | undefined;
		const onBreak = (error: Error) => {
			fault = error;
			ended.abort();
		};
		const onAbort = () => ended.abort();
		const stopped = new Promise<void>((resolve) => ended.signal.addEventListener('abort', () => resolve()));
		breaks.add(onBreak);
		signal.addEventListener('abort', onAbort);
		try {
			for await (const events of inner.watch(prefix, after, ended.signal)) {
				await Promise.race([lagging?.promise, stopped]);
				if (ended.signal.aborted) break;
				yield events;
			}
			if (fault) throw fault;
		} finally {
			breaks.delete(onBreak);
			signal.removeEventListener('abort', onAbort);
		}
	}

	const view: Shaky = {
		read,
		onPage: async () => {},
		store: {
			get: (key) => inner.get(key),
			async list(prefix, page) {
				if (down) throw down;
				const listing = await inner.list(prefix, page);
				read.pages++;
				read.entries += listing.entries.length;
				await view.onPage();
				return listing;
			},
			async commit(change: Change) {
				const losing = lost;
				lost = undefined;
				if (losing === 'before') throw new Unavailable('the request was lost');
				const revision = await inner.commit(change);
				if (losing === 'after') throw new Unavailable('the answer was lost; the commit may have been made or not');
				return revision;
			},
			revision: () => inner.revision(),
			compact: (upTo) => inner.compact(upTo),
			watch,
			[Symbol.asyncDispose]: async () => {},
		},
		lag() {
			lagging ??= Promise.withResolvers<void>();
		},
		flow() {
			lagging?.resolve();
			lagging = undefined;
		},
		loseAnswer(when) {
			lost = when;
		},
		break(fault, staysDown = false) {
			down = staysDown ? fault : undefined;
			for (const each of breaks) each(fault);
		},
		mend() {
			down = undefined;
		},
	};
	return view;
}
