/** What a watch promises when something goes wrong: readers that are slow, a store that breaks, a history that is gone. */
import { request as httpsRequest } from 'node:https';
import test from 'ava';
import { openApi } from '../../src/api/index.ts';
import { limits } from '../../src/api/limits.ts';
import { ApiError, ConfigMap, loadRegistry } from '../../src/kinds/index.ts';
import { Compacted, type Event, type Store, Unavailable } from '../../src/store/index.ts';
import { admin, openTestApi, serveTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { configMap, names, take } from './objects.ts';

const maps = { kind: ConfigMap, namespace: 'default' };

test('a watcher that falls behind what is kept is cut off with 410', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const { signal } = new AbortController();
	const events = api.watch(maps, { resourceVersion: '1', signal }, admin)[Symbol.asyncIterator]();
	await api.create(maps, configMap('a'), {}, admin);
	t.like((await events.next()).value?.[0], { type: 'ADDED' });
	let left = limits.events + 10;
	const work = async () => {
		while (left-- > 0) await api.create(maps, { ...configMap(''), metadata: { generateName: 'm-' } }, {}, admin);
	};
	await Promise.all(Array.from({ length: 64 }, work));
	// What was handed out before may still come; then it ends.
	const error = await t.throwsAsync(
		async () => {
			for (let batch = await events.next(); !batch.done; batch = await events.next());
		},
		{ instanceOf: ApiError },
	);
	t.is(error?.status.code, 410);
	t.is(error?.reason, 'Expired');
});

test('a client that does not read its watch holds nobody up, and its watch ends', async (t) => {
	await using server = await serveTestApi();
	const { api } = server;
	const paused = await new Promise<{ resume(): void; ended: Promise<string> }>((resolve, reject) => {
		const path = '/api/v1/namespaces/default/configmaps?watch=1';
		const request = httpsRequest({ ...server.tls, path, agent: false });
		request.on('error', reject);
		request.on('response', (response) => {
			response.pause();
			let last = '';
			const ended = new Promise<string>((done) => {
				response.setEncoding('utf8').on('close', () => done(last));
				response.on('error', () => {});
			});
			resolve({
				ended,
				resume: () => {
					response.on('data', (chunk: string) => {
						last = (last + chunk).slice(-2_000);
					});
					response.resume();
				},
			});
		});
		request.end();
	});
	const big = 'x'.repeat(8_000);
	let left = limits.events * 2;
	const work = async () => {
		while (left-- > 0)
			await api.create(maps, { ...configMap('', { big }), metadata: { generateName: 'm-' } }, {}, admin);
	};
	await Promise.all(Array.from({ length: 64 }, work));
	const { items } = await api.list(maps, {}, admin);
	t.is(items.length, limits.events * 2, 'writers and readers go on');
	paused.resume();
	t.regex(await paused.ended, /"type":"ERROR".*"code":410/);
});

/** A store whose watches can be broken. */
function breakable(store: Store) {
	const breaks = new Set<(fault: Error) => void>();
	let down: Error | undefined;
	const wrapped: Store = {
		get: (key) => store.get(key),
		list: (prefix, page) => store.list(prefix, page),
		commit: (change) => store.commit(change),
		revision: () => store.revision(),
		compact: (upTo) => store.compact(upTo),
		async *watch(prefix, after, signal): AsyncGenerator<readonly Event[]> {
			if (down) throw down;
			const inner = new AbortController();
			let fault: Error | undefined;
			const onBreak = (error: Error) => {
				fault = error;
				inner.abort();
			};
			breaks.add(onBreak);
			const onAbort = () => inner.abort();
			signal.addEventListener('abort', onAbort);
			try {
				yield* store.watch(prefix, after, inner.signal);
				if (fault) throw fault;
			} finally {
				breaks.delete(onBreak);
				signal.removeEventListener('abort', onAbort);
			}
		},
		[Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
	};
	return {
		store: wrapped,
		break(fault: Error, staysDown = false) {
			down = staysDown ? fault : undefined;
			for (const each of breaks) each(fault);
		},
		mend() {
			down = undefined;
		},
	};
}

test('a store that breaks for a while costs a watch no event', async (t) => {
	await using plain = await openTestApi();
	const broken = breakable(plain.store);
	const warnings: string[] = [];
	const log = { ...silentLog, warn: (_: object, message: string) => void warnings.push(message) };
	await using api = await openApi({ store: broken.store, registry: loadRegistry(), log });
	const { signal } = new AbortController();
	const { resourceVersion } = await api.list(maps, {}, admin);
	const seen = take(api.watch(maps, { resourceVersion, signal }, admin), 3);
	await api.create(maps, configMap('a'), {}, admin);
	await api.list(maps, {}, admin);
	broken.break(new Unavailable('test'), true);
	await api.create(maps, configMap('b'), {}, admin);
	broken.mend();
	await api.create(maps, configMap('c'), {}, admin);
	t.deepEqual(await seen, ['ADDED a', 'ADDED b', 'ADDED c']);
	t.is(warnings.length, 1, 'a fault is told once');
});

test('when the history of the store is gone, the state is read anew and watchers list again', async (t) => {
	await using plain = await openTestApi();
	const broken = breakable(plain.store);
	await using api = await openApi({
		store: broken.store,
		registry: loadRegistry(),
		log: { ...silentLog, warn: () => {} },
	});
	await api.create(maps, configMap('a'), {}, admin);
	await api.create(maps, configMap('b'), {}, admin);
	const { resourceVersion } = await api.list(maps, {}, admin);
	const { signal } = new AbortController();
	const watching = take(api.watch(maps, { resourceVersion, signal }, admin), 1);
	const ended = t.throwsAsync(watching, { instanceOf: ApiError });
	// Deleted behind the back of the broken watch, by another server.
	broken.break(new Compacted(1), true);
	await plain.api.delete({ ...maps, name: 'a' }, {}, admin);
	broken.mend();
	t.is((await ended)?.status.code, 410);
	t.deepEqual(names((await api.list(maps, {}, admin)).items), ['b']);
	await api.create(maps, configMap('c'), {}, admin);
	t.deepEqual(names((await api.list(maps, {}, admin)).items), ['b', 'c']);
});

test('a closed API ends its watches', async (t) => {
	const opened = await openTestApi();
	const { signal } = new AbortController();
	const seen = take(opened.api.watch(maps, { signal }, admin), 1);
	await opened[Symbol.asyncDispose]();
	t.deepEqual(await seen, []);
});
