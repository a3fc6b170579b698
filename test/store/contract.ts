/** What every store must do. The suites of SQLite and etcd call it, each with the real thing. */
import type { TestFn } from 'ava';
import { ChangeTooLarge, MAX_CHANGE_BYTES, MAX_CHANGE_KEYS } from '../../src/store/change.ts';
import {
	Compacted,
	Conflict,
	type Event,
	type Expectation,
	type Revision,
	type Store,
	Unavailable,
} from '../../src/store/store.ts';

/** Opens a store that holds no keys (its revision may be above 0). */
export type Open = () => Promise<Store>;

const text = new TextEncoder();
export const bytes = (value: string): Uint8Array => text.encode(value);
const put = (...keys: string[]) => ({ puts: keys.map((key) => ({ key, value: bytes(`value of ${key}`) })) });

/** Reads a watch until an event has the revision `last` (and with it all of that commit), or the watch ends. */
export async function readUntil(
	store: Store,
	prefix: string,
	after: Revision,
	last: Revision,
): Promise<(readonly Event[])[]> {
	const abort = new AbortController();
	const batches: (readonly Event[])[] = [];
	for await (const batch of store.watch(prefix, after, abort.signal)) {
		batches.push(batch);
		if ((batch.at(-1)?.revision ?? 0) >= last) abort.abort();
	}
	return batches;
}

async function keysOf(store: Store, prefix: string): Promise<string[]> {
	const { entries } = await store.list(prefix);
	return entries.map(({ key }) => key);
}

export function contract(test: TestFn, open: Open): void {
	test.serial('a stored value is read back with the revisions that made it', async (t) => {
		await using store = await open();
		const created = await store.commit(put('/a'));
		const modified = await store.commit({ puts: [{ key: '/a', value: bytes('second') }] });
		t.deepEqual(await store.get('/a'), { key: '/a', value: bytes('second'), created, modified });
		t.true(modified > created);
		t.is(await store.revision(), modified);
		t.is(await store.get('/b'), undefined);
		t.is(await store.get(''), undefined);
	});

	test.serial('a key that is deleted and put again is created anew', async (t) => {
		await using store = await open();
		await store.commit(put('/a'));
		await store.commit({ deletes: ['/a'] });
		t.is(await store.get('/a'), undefined);
		const again = await store.commit(put('/a'));
		t.is((await store.get('/a'))?.created, again);
	});

	test.serial('all changes of a commit share its revision', async (t) => {
		await using store = await open();
		const before = await store.commit(put('/old'));
		const revision = await store.commit({ ...put('/a', '/b'), deletes: ['/old'] });
		const { entries } = await store.list('/');
		t.deepEqual(
			entries.map(({ key, modified }) => [key, modified]),
			[
				['/a', revision],
				['/b', revision],
			],
		);
		const [batch] = await readUntil(store, '/', before, revision);
		t.deepEqual(
			batch?.map((event) => [event.type, event.key, event.revision]),
			[
				['put', '/a', revision],
				['put', '/b', revision],
				['delete', '/old', revision],
			],
		);
	});

	test.serial('a commit whose expectation fails is a Conflict that names the key, and changes nothing', async (t) => {
		await using store = await open();
		const revision = await store.commit(put('/a', '/b'));
		const attempts = [
			[{ key: '/a', modified: 'absent' }],
			[{ key: '/a', modified: revision + 1 }],
			[
				{ key: '/b', modified: revision },
				{ key: '/a', modified: revision - 1 },
			],
		] as const;
		for (const expect of attempts) {
			const error = await t.throwsAsync(store.commit({ ...put('/c'), deletes: ['/b'], expect }), {
				instanceOf: Conflict,
			});
			t.is((error as Conflict).key, '/a');
		}
		const missing = store.commit({ ...put('/c'), expect: [{ key: '/z', modified: revision }] });
		t.is(((await t.throwsAsync(missing, { instanceOf: Conflict })) as Conflict).key, '/z');
		t.deepEqual(await keysOf(store, '/'), ['/a', '/b']);
		t.is(await store.revision(), revision);
		const next = await store.commit({
			...put('/c'),
			expect: [
				{ key: '/a', modified: revision },
				{ key: '/z', modified: 'absent' },
			],
		});
		t.is(next, revision + 1);
	});

	test.serial('of commits made at once, each has its own outcome, and one alone wins a race', async (t) => {
		await using store = await open();
		let modified: Revision | 'absent' = 'absent';
		for (let round = 0; round < 5; round++) {
			const expect: Expectation[] = [{ key: '/counter', modified }];
			const outcomes: PromiseSettledResult<Revision>[] = await Promise.allSettled(
				Array.from({ length: 20 }, (_, racer) =>
					store.commit(
						racer % 4 === 3
							? put(`/bystander/${racer}`)
							: { puts: [{ key: '/counter', value: bytes(`${round}.${racer}`) }], expect },
					),
				),
			);
			const winners = outcomes.flatMap((outcome, racer) =>
				outcome.status === 'fulfilled' ? [{ racer, revision: outcome.value }] : [],
			);
			const racing = winners.filter(({ racer }) => racer % 4 !== 3);
			t.is(racing.length, 1);
			t.is(winners.length, 6);
			t.is(new Set(winners.map(({ revision }) => revision)).size, 6);
			for (const outcome of outcomes) if (outcome.status === 'rejected') t.true(outcome.reason instanceof Conflict);
			const entry = await store.get('/counter');
			t.deepEqual(entry?.value, bytes(`${round}.${racing[0]?.racer}`));
			modified = racing[0]?.revision ?? 'absent';
			t.true(entry?.modified === modified);
		}
	});

	test.serial('a commit that changes nothing takes no revision, and makes no event', async (t) => {
		await using store = await open();
		const first = await store.commit(put('/a'));
		t.is(await store.commit({ deletes: ['/nothing'] }), first);
		t.is(await store.commit({ expect: [{ key: '/a', modified: first }] }), first);
		await t.throwsAsync(store.commit({ expect: [{ key: '/a', modified: 'absent' }] }), { instanceOf: Conflict });
		const last = await store.commit(put('/b'));
		t.is(last, first + 1);
		t.deepEqual(
			(await readUntil(store, '/', first, last)).flat().map(({ key }) => key),
			['/b'],
		);
	});

	test.serial('a change that no store can make is refused, and says why', async (t) => {
		await using store = await open();
		const before = await store.revision();
		const many = Array.from({ length: MAX_CHANGE_KEYS + 1 }, (_, index) => `/${index}`);
		const huge = new Uint8Array(MAX_CHANGE_BYTES);
		await t.throwsAsync(store.commit(put(...many)), { instanceOf: ChangeTooLarge, message: /129 keys.*at most 128/ });
		await t.throwsAsync(store.commit({ puts: [{ key: '/huge', value: huge }] }), {
			instanceOf: ChangeTooLarge,
			message: /1500005 bytes \(\/huge\)/,
		});
		await t.throwsAsync(store.commit({ ...put('/a'), deletes: ['/a'] }), { message: '/a occurs twice in one commit' });
		for (const key of ['', '/nul\0', '/half\ud800'])
			await t.throwsAsync(store.commit(put(key)), { instanceOf: RangeError });
		t.is(await store.revision(), before);
	});

	test.serial('the largest commits are made and read back', async (t) => {
		await using store = await open();
		const value = new Uint8Array(MAX_CHANGE_BYTES - 4).map((_, index) => index % 251);
		const large = await store.commit({ puts: [{ key: '/big', value }] });
		const many = Array.from({ length: MAX_CHANGE_KEYS }, (_, index) => `/many/${String(index).padStart(3, '0')}`);
		const last = await store.commit({ ...put(...many), expect: many.map((key) => ({ key, modified: 'absent' })) });
		t.true(Buffer.from(value).equals((await store.get('/big'))?.value ?? new Uint8Array()));
		t.deepEqual(await keysOf(store, '/many/'), many);
		const batches = await readUntil(store, '/', large - 1, last);
		t.is(batches.flat().length, 1 + MAX_CHANGE_KEYS);
		t.true(batches.some((batch) => batch.filter(({ revision }) => revision === last).length === MAX_CHANGE_KEYS));
	});

	test.serial('keys are listed in the order of their UTF-8 bytes, under exactly their prefix', async (t) => {
		await using store = await open();
		const keys = [
			'/a',
			'/a/',
			'/a/b',
			'/a0',
			'/a\ud7ff',
			'/a\ue000',
			'/a\uffff',
			'/a\u{1f600}',
			'/a\u{10ffff}',
			'/a\u{10ffff}z',
			'/b',
		];
		await store.commit(put(...keys.toReversed()));
		t.deepEqual(await keysOf(store, ''), keys);
		t.deepEqual(await keysOf(store, '/a'), keys.slice(0, -1));
		for (const prefix of ['/a/', '/a\ud7ff', '/a\uffff', '/a\u{1f600}', '/a\u{10ffff}', '\u{10ffff}', '/c']) {
			t.deepEqual(
				await keysOf(store, prefix),
				keys.filter((key) => key.startsWith(prefix)),
				prefix,
			);
		}
	});

	test.serial(
		'pages agree with one another and with the revision of the first, whatever is written meanwhile',
		async (t) => {
			await using store = await open();
			const keys = Array.from({ length: 25 }, (_, index) => `/p/${String(index).padStart(2, '0')}`);
			const revision = await store.commit(put(...keys));
			const whole = await store.list('/p/');
			t.is(whole.more, false);
			const seen: string[] = [];
			for (let after: string | undefined, page = 0; ; page++) {
				const listing = await store.list('/p/', { limit: 10, after, revision });
				t.is(listing.revision, revision);
				seen.push(...listing.entries.map(({ key }) => key));
				t.is(listing.more, seen.length < 25);
				t.deepEqual(listing.entries, whole.entries.slice(seen.length - listing.entries.length, seen.length));
				after = seen.at(-1);
				if (!listing.more) break;
				await store.commit({ ...put(`/p/${page}new`, `/p/0${page}`), deletes: [`/p/1${page}`, `/p/2${page}`] });
			}
			t.deepEqual(seen, keys);
			const newest = await store.list('/p/', { limit: 0 });
			t.deepEqual(newest, { entries: [], revision: await store.revision(), more: true });
			t.deepEqual((await store.list('/p/', { limit: 2, after: '/o' })).entries.length, 2);
			t.deepEqual((await store.list('/p/', { after: '/q' })).entries, []);
		},
	);

	test.serial('a listing at a revision that is yet to come is refused', async (t) => {
		await using store = await open();
		const revision = await store.commit(put('/a'));
		await t.throwsAsync(store.list('/', { revision: revision + 1 }), { instanceOf: RangeError });
		await t.throwsAsync(store.compact(revision + 1), { instanceOf: RangeError });
	});

	test.serial('a watch sees what was, then what comes, and ends when its signal aborts', async (t) => {
		await using store = await open();
		const before = await store.revision();
		const first = await store.commit(put('/w/1', '/other'));
		const abort = new AbortController();
		const watch = store.watch('/w/', before, abort.signal)[Symbol.asyncIterator]();
		t.deepEqual((await watch.next()).value, [
			{ type: 'put', key: '/w/1', value: bytes('value of /w/1'), created: first, revision: first },
		]);
		const pending = watch.next();
		await store.commit(put('/other'));
		const second = await store.commit({ deletes: ['/w/1', '/other'] });
		t.deepEqual((await pending).value, [{ type: 'delete', key: '/w/1', revision: second }]);
		const last = watch.next();
		abort.abort();
		t.deepEqual(await last, { done: true, value: undefined });
		const ended = store.watch('/w/', before, abort.signal)[Symbol.asyncIterator]();
		t.true((await ended.next()).done);
	});

	test.serial('a watch that is far behind sees each commit whole, in one batch', async (t) => {
		await using store = await open();
		const before = await store.revision();
		let last = before;
		for (let index = 0; index < 30; index++) {
			last = await store.commit(put(...Array.from({ length: 97 }, (_, part) => `/${index}/${part}`)));
		}
		const batches = await readUntil(store, '/', before, last);
		t.is(batches.flat().length, 30 * 97);
		for (const batch of batches) t.is(batch.length % 97, 0);
	});

	test.serial('a watch that starts at a revision to come sees nothing before it', async (t) => {
		await using store = await open();
		const now = await store.commit(put('/a'));
		const read = readUntil(store, '/', now + 2, now + 3);
		for (const key of ['/b', '/c', '/d']) await store.commit(put(key));
		t.deepEqual(
			(await read).flat().map(({ key }) => key),
			['/d'],
		);
	});

	test.serial('a reader that breaks off in the middle leaves nothing behind, and others go on', async (t) => {
		await using store = await open();
		const before = await store.revision();
		await store.commit(put('/a'));
		const signal = new AbortController().signal;
		for await (const batch of store.watch('/', before, signal)) {
			t.is(batch.length, 1);
			break;
		}
		const last = await store.commit(put('/b'));
		t.is((await readUntil(store, '/', before, last)).flat().length, 2);
	});

	test.serial('compaction forgets the history before a revision and keeps the state', async (t) => {
		await using store = await open();
		const before = await store.revision();
		await store.commit(put('/a', '/b'));
		await store.commit(put('/a'));
		const kept = await store.commit({ ...put('/c'), deletes: ['/b'] });
		const last = await store.commit(put('/d'));
		await store.compact(kept);
		await store.compact(kept);
		await store.compact(before);
		const tooOld = { instanceOf: Compacted, message: new RegExp(`oldest kept is ${kept}$`) };
		await t.throwsAsync(store.list('/', { revision: kept - 1 }), tooOld);
		await t.throwsAsync(readUntil(store, '/', kept - 1, last), tooOld);
		await t.throwsAsync(readUntil(store, '/', before, last), tooOld);
		t.deepEqual(
			(await store.list('/', { revision: kept })).entries.map(({ key }) => key),
			['/a', '/c'],
		);
		t.deepEqual(
			(await readUntil(store, '/', kept, last)).flat().map(({ key }) => key),
			['/d'],
		);
		t.deepEqual(await keysOf(store, '/'), ['/a', '/c', '/d']);
	});

	test.serial('a closed store rejects calls, ends its watches, and may be closed again', async (t) => {
		const store = await open();
		const revision = await store.commit(put('/a'));
		const watch = store.watch('/', revision, new AbortController().signal)[Symbol.asyncIterator]();
		const pending = t.throwsAsync(watch.next(), { instanceOf: Unavailable, message: /closed/ });
		await store[Symbol.asyncDispose]();
		await store[Symbol.asyncDispose]();
		await pending;
		const closed = { instanceOf: Unavailable, message: /closed/ };
		await t.throwsAsync(store.get('/a'), closed);
		await t.throwsAsync(store.commit(put('/b')), closed);
		await t.throwsAsync(store.list('/'), closed);
		await t.throwsAsync(store.revision(), closed);
	});
}
