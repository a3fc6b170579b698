/** Bookmarks of watches, with the hands of the clock turned by the test. */
import { mock } from 'node:test';
import test from 'ava';
import { bookmarkDelay } from '../../src/api/cache/bookmark.ts';
import { openApi, type WatchEvent } from '../../src/api/index.ts';
import { limits } from '../../src/api/limits.ts';
import { ConfigMap, loadRegistry } from '../../src/kinds/index.ts';
import { admin, openTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { configMap } from './objects.ts';
import { shaky } from './shaky.ts';

const maps = { kind: ConfigMap, namespace: 'default' };

test('watchers get their bookmarks at times of their own, a minute after the last at the latest', (t) => {
	const delays = Array.from({ length: 100 }, (_, index) => bookmarkDelay(index / 100));
	t.is(Math.min(...delays), limits.bookmark / 2);
	t.is(Math.max(...delays), limits.bookmark);
	t.true(limits.bookmark < limits.changeAge, 'a quiet watch can resume where its last one was');
	t.true(new Set(delays).size >= 20);
});

test('a bookmark never lies before the resourceVersion that the client has from another server', async (t) => {
	await using sound = await openTestApi();
	const link = shaky(sound.store);
	await using behind = await openApi({ store: link.store, registry: loadRegistry(), log: silentLog });
	await behind.list(maps, {}, admin);
	link.lag();
	const { revision } = await sound.api.create(maps, configMap('a'), {}, admin);
	const stop = new AbortController();
	mock.timers.enable({ apis: ['setTimeout'] });
	const options = { resourceVersion: String(revision), allowWatchBookmarks: true, signal: stop.signal };
	const events = behind.watch(maps, options, admin)[Symbol.asyncIterator]();
	const next = events.next() as Promise<IteratorResult<readonly WatchEvent[]>>;
	// It begins to wait before the hands move.
	for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
	mock.timers.tick(limits.bookmark);
	const bookmark = (await next).value?.[0];
	mock.timers.reset();
	t.deepEqual(bookmark, { type: 'BOOKMARK', resourceVersion: String(revision), initialEventsEnd: false });
	stop.abort();
	link.flow();
});
