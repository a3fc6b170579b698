/** Random histories, against a model of what a store is. */
import type { TestFn } from 'ava';
import { type Change, Compacted, Conflict, type Event, type Revision, type Store } from '../../src/store/store.ts';
import fc from '../testbed/fast-check.ts';
import { bytes, type Open } from './contract.ts';
import { Model } from './model.ts';

const KEYS = ['/a', '/a/1', '/a/2', '/b/1', '/b/\uffff', '/b/\u{1f600}'];
const PREFIXES = ['', '/', '/a', '/a/', '/b/', '/c'];
const END = '/end';

/** An expectation that is right or wrong as of the state before the step. */
type Guess = { readonly key: string; readonly right: boolean };
type Draft = { readonly puts: string[]; readonly deletes: string[]; readonly guesses: Guess[] };
type Step =
	| { readonly kind: 'commits'; readonly drafts: Draft[] }
	| {
			readonly kind: 'list';
			readonly prefix: string;
			readonly limit: number;
			readonly back: number;
			readonly after: string | undefined;
	  }
	| { readonly kind: 'watch'; readonly prefix: string; readonly back: number; readonly lazy: boolean }
	| { readonly kind: 'compact'; readonly back: number };

const key = fc.constantFrom(...KEYS);
const draft: fc.Arbitrary<Draft> = fc
	.record({
		puts: fc.uniqueArray(key, { maxLength: 3 }),
		deletes: fc.uniqueArray(key, { maxLength: 2 }),
		guesses: fc.array(fc.record({ key, right: fc.boolean() }), { maxLength: 2 }),
	})
	.map(({ puts, deletes, guesses }) => ({ puts, guesses, deletes: deletes.filter((name) => !puts.includes(name)) }));
/** Among commits made at once, each puts something: then each has a revision of its own, which tells their order. */
const drafts = fc.oneof(
	fc.tuple(draft),
	fc.array(
		draft.filter(({ puts }) => puts.length > 0),
		{ minLength: 2, maxLength: 5 },
	),
);
const back = fc.nat(12);
const step: fc.Arbitrary<Step> = fc.oneof(
	{ weight: 5, arbitrary: fc.record({ kind: fc.constant('commits' as const), drafts }) },
	{
		weight: 3,
		arbitrary: fc.record({
			kind: fc.constant('list' as const),
			prefix: fc.constantFrom(...PREFIXES),
			limit: fc.integer({ min: 1, max: 4 }),
			back,
			after: fc.option(key, { nil: undefined }),
		}),
	},
	{
		weight: 3,
		arbitrary: fc.record({
			kind: fc.constant('watch' as const),
			prefix: fc.constantFrom(...PREFIXES),
			back,
			lazy: fc.boolean(),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant('compact' as const), back }) },
);

/** A watch of one run: what it has seen, and whether it was told that it came too late. */
interface Watched {
	readonly prefix: string;
	readonly after: Revision;
	readonly batches: (readonly Event[])[];
	readonly done: Promise<'end' | Compacted>;
}

/** One random history on one store. Throws where store and model differ. */
class Run {
	readonly #store: Store;
	readonly #model = new Model();
	readonly #base: Revision;
	readonly #watched: Watched[] = [];
	readonly #abort = new AbortController();
	#newest: Revision;
	#compacted: Revision = 0;
	#count = 0;

	constructor(store: Store, base: Revision) {
		this.#store = store;
		this.#base = base;
		this.#newest = base;
	}

	async take(step: Step): Promise<void> {
		switch (step.kind) {
			case 'commits':
				return this.#commits(step.drafts);
			case 'list':
				return this.#list(step.prefix, this.#past(step.back), step.limit, step.after);
			case 'watch':
				this.#watch(step.prefix, this.#past(step.back), step.lazy);
				return;
			case 'compact': {
				const upTo = this.#past(step.back);
				await this.#store.compact(upTo);
				this.#compacted = Math.max(this.#compacted, upTo);
			}
		}
	}

	/** A last commit that every watch of its prefix must come to, and then what each has seen. */
	async finish(): Promise<void> {
		const puts = PREFIXES.map((prefix) => `${prefix}${END}`).map((name) => ({ key: name, value: bytes('end') }));
		const last = await this.#store.commit({ puts });
		this.#model.record(last, { puts });
		for (const watched of this.#watched) {
			const outcome = await watched.done;
			const seen = watched.batches.flat();
			const wanted = this.#model.events(watched.prefix, watched.after, last);
			if (outcome === 'end') same(seen, wanted, `watch of "${watched.prefix}" after ${watched.after}`);
			else {
				check(
					watched.after < this.#compacted,
					`watch after ${watched.after} was told of a compaction to ${this.#compacted}`,
				);
				same(seen, wanted.slice(0, seen.length), 'a watch up to its compaction');
			}
			for (const [index, batch] of watched.batches.entries()) {
				const next = watched.batches[index + 1];
				check(!next || batch.at(-1)?.revision !== next[0]?.revision, 'the events of one commit came in two batches');
			}
		}
		this.#abort.abort();
	}

	async #commits(drafts: readonly Draft[]): Promise<void> {
		const before = this.#newest;
		const state = this.#model.stateAt(before);
		const changes = drafts.map(
			({ puts, deletes, guesses }): Change => ({
				puts: puts.map((name) => ({ key: name, value: bytes(`${name} ${this.#count++}`) })),
				deletes,
				expect: guesses.map(({ key, right }) => {
					const modified = state.get(key)?.modified ?? 'absent';
					if (right) return { key, modified };
					return { key, modified: modified === 'absent' ? before : 'absent' };
				}),
			}),
		);
		const outcomes = await Promise.allSettled(changes.map((change) => this.#store.commit(change)));
		const made = changes.flatMap((change, index) => {
			const outcome = outcomes[index];
			return outcome?.status === 'fulfilled' ? [{ change, revision: outcome.value }] : [];
		});
		// One after the other in the order of their revisions: each on the state that the one before left.
		for (const { change, revision } of made.toSorted((a, b) => a.revision - b.revision)) {
			check(this.#model.holds(change, this.#newest), `commit ${revision} was made against its expectation`);
			const alters = this.#model.alters(change, this.#newest);
			same(revision, this.#newest + (alters ? 1 : 0), 'the revision of a commit');
			if (alters) this.#model.record(revision, change);
			this.#newest = revision;
		}
		const states = Array.from({ length: this.#newest - before + 1 }, (_, index) => before + index);
		for (const [index, change] of changes.entries()) {
			const outcome = outcomes[index];
			if (outcome?.status !== 'rejected') continue;
			if (!(outcome.reason instanceof Conflict)) throw outcome.reason;
			const failed = states.some((revision) => !this.#model.holds(change, revision));
			check(failed, 'a commit was refused whose expectations held');
		}
		same(await this.#store.revision(), this.#newest, 'the revision after the commits');
	}

	/** Reads all pages of a listing, and single keys, as of a revision. */
	async #list(prefix: string, revision: Revision, limit: number, from: string | undefined): Promise<void> {
		const seen = [];
		let after = from;
		for (;;) {
			const listing = await this.#store.list(prefix, { limit, after, revision }).catch((error: unknown) => error);
			if (revision < this.#compacted) return check(listing instanceof Compacted, `a compacted listing: ${listing}`);
			if (listing instanceof Error) throw listing;
			const page = listing as Awaited<ReturnType<Store['list']>>;
			seen.push(...page.entries);
			const wanted = [...this.#model.stateAt(revision).values()].filter(
				(entry) =>
					entry.key.startsWith(prefix) &&
					(from === undefined || Buffer.compare(Buffer.from(entry.key), Buffer.from(from)) > 0),
			);
			same(page.more, seen.length < wanted.length, 'whether more remains after a page');
			after = page.entries.at(-1)?.key;
			if (page.more) continue;
			same(seen, wanted, `the listing of "${prefix}" at ${revision}`);
			break;
		}
		const now = this.#model.stateAt(this.#newest);
		for (const name of KEYS) same(await this.#store.get(name), now.get(name), name);
	}

	#watch(prefix: string, after: Revision, lazy: boolean): void {
		const batches: (readonly Event[])[] = [];
		const read = async (): Promise<'end' | Compacted> => {
			try {
				for await (const batch of this.#store.watch(prefix, after, this.#abort.signal)) {
					batches.push(batch);
					if (batch.some((event) => event.key.endsWith(END))) return 'end';
					// A reader with other things to do: the next events come before it asks for them.
					if (lazy) await this.#store.get(KEYS[0] ?? '');
				}
				throw new Error('the watch ended by itself');
			} catch (error) {
				if (error instanceof Compacted) return error;
				throw error;
			}
		};
		const done = read();
		done.catch(() => undefined);
		this.#watched.push({ prefix, after, batches, done });
	}

	#past(revisions: number): Revision {
		return Math.max(this.#base, this.#newest - revisions);
	}
}

function check(holds: boolean, message: string): void {
	if (!holds) throw new Error(message);
}

function same(actual: unknown, expected: unknown, what: string): void {
	const shown = (value: unknown) =>
		JSON.stringify(value, (_, part) => (part instanceof Uint8Array ? String(part) : part));
	if (shown(actual) !== shown(expected)) throw new Error(`${what}: ${shown(actual)} instead of ${shown(expected)}`);
}

export function properties(test: TestFn, open: Open, { runs }: { readonly runs: number }): void {
	test.serial('any history of concurrent commits, pages, watches and compactions is that of the model', async (t) => {
		await fc.assert(
			fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
				await using store = await open();
				const run = new Run(store, await store.revision());
				for (const each of steps) await run.take(each);
				await run.finish();
			}),
			{ numRuns: runs, endOnFailure: false },
		);
		t.pass();
	});
}
