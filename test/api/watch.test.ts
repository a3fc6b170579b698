/** What a watch promises when something goes wrong: readers that are slow, a store that breaks, a history that is gone. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { mock } from 'node:test';
import test, { type ExecutionContext } from 'ava';
import { WatchCache } from '../../src/api/cache/cache.ts';
import { watch } from '../../src/api/cache/watch.ts';
import { openApi, type WatchEvent } from '../../src/api/index.ts';
import { limits } from '../../src/api/limits.ts';
import type { StoredObject } from '../../src/api/storage.ts';
import { select } from '../../src/api/verbs/selection.ts';
import { ApiError, ConfigMap, loadRegistry, Pod } from '../../src/kinds/index.ts';
import { Compacted, Unavailable } from '../../src/store/index.ts';
import { admin, openTestApi, serveTestApi } from '../testbed/api.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { configMap, names, pod, take } from './objects.ts';
import { shaky } from './shaky.ts';

const maps = { kind: ConfigMap, namespace: 'default' };

/** An object of a megabyte, and how many versions of it are more than a kind remembers. */
const big = (round: number) => configMap('a', { round: String(round), big: 'x'.repeat(1_000_000) });
const rounds = Math.ceil(limits.changeBytes / 1_000_000) + 10;

test('a watcher that falls behind what is kept is cut off with 410', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	const { signal } = new AbortController();
	const events = api.watch(maps, { resourceVersion: '1', signal }, admin)[Symbol.asyncIterator]();
	await api.create(maps, configMap('a'), {}, admin);
	t.like((await events.next()).value?.[0], { type: 'ADDED' });
	for (let round = 0; round < rounds; round++) await api.update({ ...maps, name: 'a' }, big(round), {}, admin);
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
	await api.create(maps, configMap('a'), {}, admin);
	for (let round = 0; round < rounds; round++) await api.update({ ...maps, name: 'a' }, big(round), {}, admin);
	const { object } = await api.get({ ...maps, name: 'a' }, {}, admin);
	t.is(object.data?.round, String(rounds - 1), 'writers and readers go on');
	paused.resume();
	t.regex(await paused.ended, /"type":"ERROR".*"code":410/);
});

test('a store that breaks for a while costs a watch no event', async (t) => {
	await using plain = await openTestApi();
	const broken = shaky(plain.store);
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

/** A server whose connection to the store a test can break, and another one on the same store. */
async function pair(t: ExecutionContext) {
	const plain = await openTestApi();
	const link = shaky(plain.store);
	const log = { ...silentLog, warn: () => {} };
	const behind = await openApi({ store: link.store, registry: loadRegistry(), log });
	t.teardown(async () => {
		link.flow();
		await behind[Symbol.asyncDispose]();
		await plain[Symbol.asyncDispose]();
	});
	return { link, behind, sound: plain.api };
}

/** Events in short, with the data of the object: `MODIFIED a 1`. */
async function collect(events: AsyncIterable<readonly WatchEvent[]>, seen: string[]): Promise<void> {
	for await (const batch of events)
		for (const event of batch)
			if (event.type !== 'BOOKMARK') {
				const { metadata, data } = event.stored.object as ConfigMap;
				seen.push(`${event.type} ${metadata.name} ${data?.k ?? ''}`);
			}
}

test('when the history of the store is gone, watchers are told what came of it, and miss nothing', async (t) => {
	const { link, behind, sound } = await pair(t);
	for (const name of ['changed', 'gone', 'anew', 'same'])
		await sound.create(maps, configMap(name, { k: '1' }), {}, admin);
	const { resourceVersion } = await behind.list(maps, {}, admin);
	const stop = new AbortController();
	t.teardown(() => stop.abort());
	const seen: string[] = [];
	const watching = collect(behind.watch(maps, { resourceVersion, signal: stop.signal }, admin), seen);
	link.break(new Compacted(1), true);
	await sound.update({ ...maps, name: 'changed' }, configMap('changed', { k: '2' }), {}, admin);
	const between = await sound.update({ ...maps, name: 'changed' }, configMap('changed', { k: '3' }), {}, admin);
	await sound.delete({ ...maps, name: 'gone' }, {}, admin);
	await sound.delete({ ...maps, name: 'anew' }, {}, admin);
	await sound.create(maps, configMap('anew', { k: '2' }), {}, admin);
	await sound.create(maps, configMap('new', { k: '1' }), {}, admin);
	link.mend();
	t.deepEqual(names((await behind.list(maps, {}, admin)).items), ['anew', 'changed', 'new', 'same']);
	await behind.create(maps, configMap('after', { k: '1' }), {}, admin);
	while (!seen.includes('ADDED after 1')) await new Promise((resolve) => setImmediate(resolve));
	t.deepEqual(seen, [
		'MODIFIED changed 3',
		'DELETED anew 1',
		'ADDED anew 2',
		'ADDED new 1',
		'DELETED gone 1',
		'ADDED after 1',
	]);
	stop.abort();
	await watching;

	// Who comes from another server, with a state that this one jumped over, cannot be told what came after it.
	const { signal } = new AbortController();
	const error = await t.throwsAsync(
		take(behind.watch(maps, { resourceVersion: String(between.revision), signal }, admin), 1),
		{ instanceOf: ApiError },
	);
	t.is(error?.status.code, 410);
});

test('who comes with a later state from another server is told what came after it, and not what led to it', async (t) => {
	const { link, behind, sound } = await pair(t);
	await behind.list(maps, {}, admin);
	link.lag();
	await sound.create(maps, configMap('before'), {}, admin);
	await sound.delete({ ...maps, name: 'before' }, {}, admin);
	const { revision } = await sound.create(maps, configMap('known'), {}, admin);
	const { signal } = new AbortController();
	const seen = take(behind.watch(maps, { resourceVersion: String(revision), signal }, admin), 1);
	link.flow();
	await sound.create(maps, configMap('after'), {}, admin);
	t.deepEqual(await seen, ['ADDED after']);
});

test('while the state is read anew, readers see the old one whole, and who begins to watch misses nothing', async (t) => {
	const { link, behind, sound } = await pair(t);
	const count = limits.page + 50;
	let made = 0;
	const work = async () => {
		while (made < count) await sound.create(maps, configMap(`m-${made++}`), {}, admin);
	};
	await Promise.all(Array.from({ length: 32 }, work));
	await behind.list(maps, {}, admin);
	const [reading, resume] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
	link.onPage = () => {
		reading.resolve();
		return resume.promise;
	};
	link.break(new Compacted(1), true);
	await sound.create(maps, configMap('z-new'), {}, admin);
	link.mend();
	await reading.promise;
	t.is((await behind.list(maps, { resourceVersion: '0' }, admin)).items.length, count);
	const stop = new AbortController();
	t.teardown(() => stop.abort());
	const seen: string[] = [];
	void collect(behind.watch(maps, { resourceVersion: '0', signal: stop.signal }, admin), seen);
	resume.resolve();
	while (!seen.includes('ADDED z-new ')) await new Promise((resolve) => setImmediate(resolve));
	t.is(new Set(seen).size, count + 1);
	t.is(seen.length, count + 1, 'and none of it twice');
});

test('a change wakes those whom it may concern: one of a pod of a node, the watcher of that node', async (t) => {
	const { sound: api, link } = await pair(t);
	await using cache = await WatchCache.open({ store: link.store, log: silentLog });
	const resource = cache.of(Pod);
	const stop = new AbortController();
	t.teardown(() => stop.abort());
	const nodes = Array.from({ length: 300 }, (_, index) => {
		const selection = select({ kind: Pod }, { fieldSelector: `spec.nodeName=n${index}` });
		const node = { name: `n${index}`, asked: 0, seen: [] as string[] };
		const matches = (stored: StoredObject) => {
			node.asked++;
			return selection.matches?.(stored) ?? true;
		};
		const from = { revision: cache.position };
		const options = { ...selection, matches, from, bookmarks: false, markInitialEnd: false, signal: stop.signal };
		void collect(watch(cache, resource, options), node.seen);
		return node;
	});
	const busy = nodes[7];
	for (let index = 0; index < 20; index++) {
		const name = `p-${index}`;
		await api.create({ kind: Pod, namespace: 'default' }, pod(name), {}, admin);
		const binding = { metadata: { name }, target: { kind: 'Node', name: 'n7' } };
		await api.create({ kind: Pod, namespace: 'default', name, subresource: 'binding' }, binding, {}, admin);
		const status = { status: { message: 'busy' } };
		const target = { kind: Pod, namespace: 'default', name, subresource: 'status' } as const;
		await api.patch(target, { type: 'merge', body: status }, {}, admin);
	}
	await api.delete({ kind: Pod, namespace: 'default', name: 'p-0' }, { gracePeriodSeconds: 0 }, admin);
	while (!busy?.seen.includes('DELETED p-0 ')) await new Promise((resolve) => setImmediate(resolve));
	const asked = nodes.filter((node) => node.asked > 0).map(({ name }) => name);
	t.deepEqual(asked, ['n7']);
	t.is(busy.seen.length, 20 * 2 + 1, 'bound, changed, removed');
});

test('a watcher of one object that falls behind what is kept for it goes on with what is kept of the kind', async (t) => {
	await using opened = await openTestApi();
	const { api } = opened;
	await api.create(maps, configMap('a'), {}, admin);
	await api.create(maps, configMap('b'), {}, admin);
	const stop = new AbortController();
	t.teardown(() => stop.abort());
	const events = api.watch(maps, { fieldSelector: 'metadata.name=a', signal: stop.signal }, admin);
	const seen: string[] = [];
	const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
	const reading = (async () => {
		for await (const batch of events) {
			for (const event of batch)
				if (event.type !== 'BOOKMARK')
					seen.push(`${event.type} ${(event.stored.object as unknown as ConfigMap).data?.round ?? 'first'}`);
			if (seen.at(-1) === 'MODIFIED 0') {
				gates[0]?.resolve();
				await gates[1]?.promise;
			}
			if (seen.includes('MODIFIED 12')) return;
		}
	})();
	let ended = false;
	const until = async (count: number) => {
		while (seen.length < count && !ended) await new Promise((resolve) => setImmediate(resolve));
		if (ended) await reading;
	};
	const end = () => {
		ended = true;
	};
	reading.then(end, end);
	const wanted = ['ADDED first'];
	const write = async (round: number) => {
		await api.update({ ...maps, name: 'a' }, big(round), {}, admin);
		await api.update({ ...maps, name: 'b' }, configMap('b', { round: String(round) }), {}, admin);
		wanted.push(`MODIFIED ${round}`);
	};
	await until(1);
	await write(0);
	await gates[0]?.promise;
	// More bytes than are kept for one object, while its watcher is busy.
	for (let round = 1; round <= 8; round++) await write(round);
	gates[1]?.resolve();
	await until(9);
	for (let round = 9; round <= 12; round++) await write(round);
	await reading;
	t.deepEqual(seen, wanted);
});

test('a closed API ends its watches', async (t) => {
	const opened = await openTestApi();
	const { signal } = new AbortController();
	const seen = take(opened.api.watch(maps, { signal }, admin), 1);
	await opened[Symbol.asyncDispose]();
	t.deepEqual(await seen, []);
});

test.serial(
	'a server that closes waits for no client that keeps its connection after its watch has ended',
	async (t) => {
		await using server = await serveTestApi();
		const agent = new Agent({ keepAlive: true });
		// Time stands still for the server: it never comes to cut off what is left.
		mock.timers.enable({ apis: ['setTimeout'] });
		try {
			const request = httpsRequest({ ...server.tls, path: '/api/v1/namespaces?watch=true', agent }).end();
			const [response] = (await once(request, 'response')) as [IncomingMessage];
			response.resume();
			const ended = once(response, 'end');
			await server.served.close();
			await ended;
			t.true(response.complete, 'the watch has ended in an orderly way');
		} finally {
			mock.timers.reset();
			agent.destroy();
		}
	},
);
