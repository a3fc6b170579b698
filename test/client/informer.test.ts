import test from 'ava';
import { type Client, createCache, type Delta, type WatchEvent } from '../../src/client/index.ts';
import { ApiError, ConfigMap, type Kind, type KubeObject, Lease } from '../../src/kinds/index.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { handClock } from './clock.ts';
import { eventually, world } from './world.ts';

const configMap = (name: string, data: Record<string, string> = {}, owner?: string): ConfigMap => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: {
		name,
		namespace: 'default',
		...(owner && { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: owner, uid: `uid-${owner}` }] }),
	},
	data,
});

/** A delta in short: `+name`, `~name`, `-name`. */
const short = ({ key, object, old }: Delta<ConfigMap>) => `${object ? (old ? '~' : '+') : '-'}${key.split('/')[1]}`;

test('an informer holds what the API has, the very same frozen objects, and follows each change', async (t) => {
	const w = await world(t);
	await w.client.create(ConfigMap, configMap('a'));
	const informer = w.cache.informer(ConfigMap);
	await informer.synced;
	const seen: string[] = [];
	informer.on((delta) => seen.push(short(delta)));
	t.deepEqual(seen, ['+a']);

	await w.client.create(ConfigMap, configMap('b'));
	await w.client.update(ConfigMap, configMap('a', { key: 'value' }));
	await w.client.delete(ConfigMap, { name: 'b', namespace: 'default' });
	await eventually(w, [ConfigMap], () => (seen.length >= 4 ? seen : undefined));
	t.deepEqual(seen, ['+a', '+b', '~a', '-b']);
	t.is(informer.size, 1);
	const held = informer.get('default/a');
	t.is(held, await w.client.get(ConfigMap, { name: 'a', namespace: 'default' }));
	t.true(Object.isFrozen(held?.data));
	t.is(w.cache.informer(ConfigMap), informer);
});

test('objects are found by namespace, by owner and by indexes that come later, as they change', async (t) => {
	const w = await world(t);
	const informer = w.cache.informer(ConfigMap);
	await w.client.create(ConfigMap, configMap('a', { colour: 'red' }, 'x'));
	await w.client.create(ConfigMap, configMap('b', { colour: 'red' }));
	const named = (index: string, value: string) => [...informer.by(index, value)].map(({ metadata }) => metadata.name);
	await informer.until(() => informer.size === 2, w.signal);
	informer.addIndex('colour', ({ data }) => (data?.colour ? [data.colour] : []));
	t.deepEqual(named('namespace', 'default'), ['a', 'b']);
	t.deepEqual(named('owner', 'uid-x'), ['a']);
	t.deepEqual(named('colour', 'red'), ['a', 'b']);
	t.is(informer.count('colour', 'red'), 2);

	await w.client.update(ConfigMap, configMap('a', { colour: 'blue' }));
	await w.client.delete(ConfigMap, { name: 'b', namespace: 'default' });
	await informer.until(() => informer.size === 1, w.signal);
	t.deepEqual(named('colour', 'red'), []);
	t.deepEqual(named('colour', 'blue'), ['a']);
	t.deepEqual(named('owner', 'uid-x'), []);
	t.throws(() => [...informer.by('smell', 'sweet')], { message: /configmaps has no index smell/ });
});

/** A client whose watch of ConfigMaps a test can break, and hold back. */
function breakable(inner: Client) {
	let cut = new AbortController();
	let failure: Error | undefined;
	let open = Promise.withResolvers<void>();
	open.resolve();
	const lists: string[] = [];
	const resumed: string[] = [];
	const client: Client = {
		...inner,
		async list(kind, options) {
			await open.promise;
			const list = await inner.list(kind, options);
			lists.push(list.resourceVersion);
			return list;
		},
		async *watch<T extends KubeObject>(
			kind: Kind<T>,
			options: Parameters<Client['watch']>[1],
		): AsyncIterable<readonly WatchEvent<T>[]> {
			await open.promise;
			resumed.push(options.resourceVersion ?? '');
			const signal = AbortSignal.any([options.signal, cut.signal]);
			yield* inner.watch(kind, { ...options, signal });
			if (failure) throw failure;
		},
	};
	return {
		client,
		lists,
		resumed,
		/** Ends the watch and lets no other begin. */
		close(error?: Error) {
			failure = error;
			open = Promise.withResolvers<void>();
			cut.abort();
			cut = new AbortController();
		},
		open: () => {
			failure = undefined;
			open.resolve();
		},
	};
}

test('a broken watch resumes without a gap, without a repetition and without listing again', async (t) => {
	const w = await world(t);
	const broken = breakable(w.client);
	await using cache = createCache(broken.client, { signal: w.signal, log: silentLog, random: () => 0 });
	const informer = cache.informer(ConfigMap);
	await informer.synced;
	const seen: string[] = [];
	informer.on((delta) => seen.push(short(delta)));
	const expected: string[] = [];
	for (let round = 0; round < 5; round++) {
		await w.client.create(ConfigMap, configMap(`before-${round}`));
		await informer.until(() => informer.get(`default/before-${round}`) !== undefined, w.signal);
		broken.close(new Error('connection reset'));
		await w.client.create(ConfigMap, configMap(`while-${round}`));
		await w.client.delete(ConfigMap, { name: `before-${round}`, namespace: 'default' });
		// Another kind moves the revision on.
		await w.client.create(Lease, {
			apiVersion: 'coordination.k8s.io/v1',
			kind: 'Lease',
			metadata: { name: `lease-${round}`, namespace: 'default' },
			spec: {},
		});
		broken.open();
		await informer.until(() => informer.get(`default/before-${round}`) === undefined, w.signal);
		expected.push(`+before-${round}`, `+while-${round}`, `-before-${round}`);
	}
	t.deepEqual(seen, expected);
	t.is(broken.lists.length, 1);
	t.true(broken.resumed.length >= 6);
});

test('after 410 Gone an informer lists anew and hands on the differences only', async (t) => {
	const w = await world(t);
	for (const name of ['same', 'changed', 'gone', 'replaced']) await w.client.create(ConfigMap, configMap(name));
	const broken = breakable(w.client);
	await using cache = createCache(broken.client, { signal: w.signal, log: silentLog, random: () => 0 });
	const informer = cache.informer(ConfigMap);
	await informer.synced;
	const seen: string[] = [];
	informer.on((delta) => seen.push(short(delta)));
	seen.length = 0;
	while (broken.resumed.length < 1) await new Promise((resolve) => setImmediate(resolve));
	broken.close(new ApiError(410, 'Expired', 'too old resource version'));
	await w.client.update(ConfigMap, configMap('changed', { key: 'value' }));
	for (const name of ['gone', 'replaced']) await w.client.delete(ConfigMap, { name, namespace: 'default' });
	await w.client.create(ConfigMap, configMap('replaced'));
	await w.client.create(ConfigMap, configMap('new'));
	broken.open();
	await informer.until(() => informer.get('default/gone') === undefined, w.signal);
	t.deepEqual(seen.toSorted(), ['+new', '+replaced', '-gone', '-replaced', '~changed']);
	t.true(seen.indexOf('-replaced') < seen.indexOf('+replaced'));
	t.is(broken.lists.length, 2);
});

test('a 404 or 405 from something on the way empties no informer', async (t) => {
	const w = await world(t);
	await w.client.create(ConfigMap, configMap('a'));
	let fault: ApiError | undefined;
	let asked = 0;
	const refusing = async () => {
		if (!fault) return;
		asked++;
		throw fault;
	};
	const broken = breakable(w.client);
	const client: Client = {
		...broken.client,
		async list(kind, options) {
			await refusing();
			return broken.client.list(kind, options);
		},
		async *watch<T extends KubeObject>(kind: Kind<T>, options: Parameters<Client['watch']>[1]) {
			await refusing();
			yield* broken.client.watch(kind, options);
		},
	};
	const hand = handClock();
	await using cache = createCache(client, { signal: w.signal, log: silentLog, clock: hand });
	const informer = cache.informer(ConfigMap);
	await informer.synced;
	const seen: string[] = [];
	informer.on((delta) => seen.push(short(delta)));
	for (const [code, reason] of [
		[404, 'NotFound'],
		[405, 'MethodNotAllowed'],
	] as const) {
		while (broken.resumed.length === 0) {
			hand.advance(60_000);
			await new Promise((resolve) => setImmediate(resolve));
		}
		fault = new ApiError(code, reason, 'page not found');
		asked = 0;
		broken.close();
		broken.open();
		while (asked < 3) {
			hand.advance(60_000);
			await new Promise((resolve) => setImmediate(resolve));
		}
		t.is(informer.size, 1);
		broken.resumed.length = 0;
		fault = undefined;
		hand.advance(60_000);
	}
	await w.client.create(ConfigMap, configMap('b'));
	while (informer.size < 2) {
		hand.advance(60_000);
		await new Promise((resolve) => setImmediate(resolve));
	}
	t.deepEqual(seen, ['+a', '+b']);
});

test('a kind that the server serves no more has no objects', async (t) => {
	const w = await world(t);
	await w.client.create(ConfigMap, configMap('a'));
	const broken = breakable(w.client);
	const { registry } = w.client;
	let removed = false;
	const client: Client = {
		...broken.client,
		registry: { ...registry, of: (...args) => (removed ? undefined : registry.of(...args)) },
	};
	await using cache = createCache(client, { signal: w.signal, log: silentLog, random: () => 0 });
	const informer = cache.informer(ConfigMap);
	await informer.synced;
	t.is(informer.size, 1);
	while (broken.resumed.length === 0) await new Promise((resolve) => setImmediate(resolve));
	removed = true;
	broken.close(new ApiError(404, 'NotFound', 'the server could not find the requested resource'));
	await informer.until(() => informer.size === 0, w.signal);
	t.is(informer.size, 0);
});

test('a cache that is disposed ends its informers, and who waits for the first list is told', async (t) => {
	const w = await world(t);
	const broken = breakable(w.client);
	broken.close();
	const cache = createCache(broken.client, { signal: w.signal, log: silentLog });
	const informer = cache.informer(ConfigMap);
	const ended = cache[Symbol.asyncDispose]();
	broken.open();
	await ended;
	await t.throwsAsync(informer.synced);
});

test('many changes at once arrive in order of their revisions, and the newest is held', async (t) => {
	const w = await world(t);
	const informer = w.cache.informer(ConfigMap);
	await informer.synced;
	const revisions: number[] = [];
	informer.on(({ object }) => object && revisions.push(Number(object.metadata.resourceVersion)));
	const names = Array.from({ length: 50 }, (_, at) => `c-${at}`);
	await Promise.all(
		names.map(async (name) => {
			await w.client.create(ConfigMap, configMap(name));
			await w.client.update(ConfigMap, configMap(name, { key: 'last' }));
		}),
	);
	await informer.until(() => revisions.length === 100, w.signal);
	t.deepEqual(
		revisions,
		revisions.toSorted((one, other) => one - other),
	);
	t.true(names.every((name) => informer.get(`default/${name}`)?.data?.key === 'last'));
});
