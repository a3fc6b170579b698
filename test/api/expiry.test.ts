import test from 'ava';
import { WatchCache } from '../../src/api/cache/cache.ts';
import { expireEvents } from '../../src/api/expiry.ts';
import { Event } from '../../src/kinds/index.ts';
import type { Change, Store } from '../../src/store/index.ts';
import { admin, type OpenTestApi, openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { names } from './objects.ts';

const MINUTE = 60_000;
const start = Date.parse('2030-01-01T00:00:00Z');
const events = { kind: Event, namespace: 'default' };

const write = ({ api }: OpenTestApi, name: string, at: number) =>
	api.create(
		events,
		{
			metadata: { name },
			involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
			reason: 'Test',
			message: 'x',
			type: 'Normal',
			lastTimestamp: new Date(at).toISOString().replace('.000', ''),
		},
		{},
		admin,
	);
const again = ({ api }: OpenTestApi, name: string) =>
	api.patch({ ...events, name }, { type: 'merge', body: { count: 2 } }, {}, admin);
const left = async ({ api }: OpenTestApi) => names((await api.list(events, {}, admin)).items).toSorted();

/** An API, and an expiry of the test's own whose time it sets; `commit` stands before the store's. */
async function opened(commit?: (change: Change, store: Store) => Promise<number>) {
	const time = { now: start };
	const now = () => time.now;
	const api = await openTestApi({ now });
	const store: Store = Object.create(api.store, {
		commit: { value: (change: Change) => (commit ? commit(change, api.store) : api.store.commit(change)) },
	});
	const expiry = async () => {
		const cache = await WatchCache.open({ store: api.store, log: silentLog });
		const expiring = expireEvents(store, cache, silentLog, now);
		return {
			async sweep() {
				await cache.fresh();
				await expiring.sweep();
			},
			async [Symbol.asyncDispose]() {
				await expiring[Symbol.asyncDispose]();
				await cache[Symbol.asyncDispose]();
			},
		};
	};
	return { api, time, expiry, [Symbol.asyncDispose]: () => api[Symbol.asyncDispose]() };
}

test('events that were there before the start are removed an hour after they were last seen', async (t) => {
	await using place = await opened();
	await write(place.api, 'old', start);
	await write(place.api, 'new', start + 30 * MINUTE);
	place.time.now = start + 61 * MINUTE;
	await using expiry = await place.expiry();
	await expiry.sweep();
	t.deepEqual(await left(place.api), ['new']);
	place.time.now = start + 91 * MINUTE;
	await expiry.sweep();
	t.deepEqual(await left(place.api), []);
});

test('events are removed an hour after they were last written, whatever time they tell', async (t) => {
	await using place = await opened();
	await using expiry = await place.expiry();
	await write(place.api, 'once', 0);
	await write(place.api, 'twice', start + 1e9);
	await expiry.sweep();
	place.time.now += 30 * MINUTE;
	await again(place.api, 'twice');
	await expiry.sweep();
	place.time.now += 31 * MINUTE;
	await expiry.sweep();
	t.deepEqual(await left(place.api), ['twice']);
	place.time.now += 30 * MINUTE;
	await expiry.sweep();
	t.deepEqual(await left(place.api), []);
});

test('hundreds go in a few commits; one that is written meanwhile stays, and keeps no other from going', async (t) => {
	let commits = 0;
	let between = async () => {};
	await using place = await opened(async (change, store) => {
		commits++;
		await between();
		return store.commit(change);
	});
	const all = Array.from({ length: 250 }, (_, at) => `event-${String(at).padStart(3, '0')}`);
	await Promise.all(all.map((name) => write(place.api, name, start)));
	await using expiry = await place.expiry();
	place.time.now += 61 * MINUTE;
	between = async () => {
		between = async () => {};
		await again(place.api, 'event-007');
		await place.api.api.delete({ ...events, name: 'event-042' }, {}, admin);
	};
	await expiry.sweep();
	t.deepEqual(await left(place.api), ['event-007']);
	t.is(commits, 5, 'three of a hundred at most, and two anew');
});

test('what cannot be removed now is removed by a later sweep', async (t) => {
	let away = true;
	await using place = await opened(async (change, store) => {
		if (away) throw new Error('the store is away');
		return store.commit(change);
	});
	await write(place.api, 'old', start);
	await using expiry = await place.expiry();
	place.time.now += 61 * MINUTE;
	await expiry.sweep();
	t.deepEqual(await left(place.api), ['old']);
	away = false;
	await expiry.sweep();
	t.deepEqual(await left(place.api), []);
});
