import test from 'ava';
import { type Client, createCache, followReferences, type Selection } from '../../src/client/index.ts';
import { ConfigMap, Pod } from '../../src/kinds/index.ts';
import { pod as podOf } from '../api/objects.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { type World, world } from './world.ts';

const configMap = (name: string, key = ''): ConfigMap => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: { name, namespace: 'default' },
	data: { key },
});

/** A client that counts the watches that are open, and the events that they bring, by what they select. */
function counting(inner: Client) {
	const open = new Map<string, number>();
	const events = new Map<string, number>();
	const nameOf = ({ namespace = '', fieldSelector = '', labelSelector = '' }: Selection) =>
		[namespace, fieldSelector, labelSelector].filter(Boolean).join(' ');
	const client: Client = {
		...inner,
		async *watch(kind, options) {
			const name = nameOf(options);
			open.set(name, (open.get(name) ?? 0) + 1);
			try {
				for await (const batch of inner.watch(kind, options)) {
					for (const { type } of batch) if (type !== 'BOOKMARK') events.set(name, (events.get(name) ?? 0) + 1);
					yield batch;
				}
			} finally {
				open.set(name, (open.get(name) ?? 0) - 1);
			}
		},
	};
	const watched = () => [...open].filter(([, count]) => count > 0).map(([name]) => name);
	return { client, events, watched };
}

const until = async (w: World, what: string, condition: () => boolean) => {
	const end = AbortSignal.any([w.signal, AbortSignal.timeout(60_000)]);
	while (!condition()) {
		if (end.aborted) throw new Error(`not within 60 s: ${what}`);
		await new Promise((resolve) => setImmediate(resolve));
	}
};

test('an informer that selects holds what matches, as objects come to match and cease to', async (t) => {
	const w = await world(t);
	const labelled = (name: string, tier: string): ConfigMap => ({
		...configMap(name),
		metadata: { name, namespace: 'default', labels: { tier } },
	});
	await w.client.create(ConfigMap, labelled('a', 'front'));
	await w.client.create(ConfigMap, labelled('b', 'back'));
	const front = w.cache.informer(ConfigMap, { labelSelector: 'tier=front', namespace: 'default' });
	const all = w.cache.informer(ConfigMap);
	t.not(front as unknown, all);
	t.is(w.cache.informer(ConfigMap, { namespace: 'default', labelSelector: 'tier=front' }), front);
	await w.cache.synced();
	const held = () => [...front.list()].map(({ metadata }) => metadata.name).toSorted();
	t.deepEqual(held(), ['a']);
	const seen: string[] = [];
	front.on(({ object, old, key }) => seen.push(`${object ? (old ? '~' : '+') : '-'}${key}`));
	await w.client.update(ConfigMap, labelled('b', 'front'));
	await w.client.update(ConfigMap, labelled('a', 'back'));
	await front.until(() => front.get('default/a') === undefined, w.signal);
	t.deepEqual(held(), ['b']);
	t.deepEqual(seen, ['+default/a', '+default/b', '-default/a']);
	await all.until(() => all.get('default/a')?.metadata.labels?.tier === 'back', w.signal);
	t.is(all.size, 2);
});

test('of a hundred nodes that follow their own pods, the one hears of a pod whose it is', async (t) => {
	const w = await world(t);
	const { client, events, watched } = counting(w.client);
	await using cache = createCache(client, { signal: w.signal, log: silentLog });
	const nodes = Array.from({ length: 100 }, (_, index) => `n${index}`);
	const selection = (node: string) => ({ fieldSelector: `spec.nodeName=${node}` });
	for (const node of nodes) cache.informer(Pod, selection(node));
	await cache.synced();
	await until(w, 'a watch for each node', () => watched().length === nodes.length);
	const template = podOf('p') as unknown as Pod;
	for (let index = 0; index < 10; index++) {
		const name = `p${index}`;
		await w.client.create(Pod, { ...template, metadata: { name, namespace: 'default' } });
		await w.client.bind({ name, namespace: 'default' }, 'n42');
	}
	const own = cache.informer(Pod, selection('n42'));
	await own.until(() => own.size === 10, w.signal);
	t.deepEqual([...events], [['spec.nodeName=n42', 10]]);
});

test('an object is followed once however many refer to it, and as long as one does', async (t) => {
	const w = await world(t);
	for (const name of ['a', 'b']) await w.client.create(ConfigMap, configMap(name, '1'));
	const { client, watched } = counting(w.client);
	const changes: string[] = [];
	const references = followReferences(client, ConfigMap, {
		signal: w.signal,
		log: silentLog,
		changed: (key) => void changes.push(key),
	});
	const at = (name: string) => ({ name, namespace: 'default' });
	t.deepEqual(references.get(at('a')), { known: false, object: undefined });
	const [one, other, missing] = [references.hold(at('a')), references.hold(at('a')), references.hold(at('missing'))];
	await Promise.all([one.synced, other.synced, missing.synced]);
	t.is(references.get(at('a')).object?.data?.key, '1');
	t.deepEqual(references.get(at('missing')), { known: true, object: undefined });
	t.false(references.get(at('b')).known, 'what nobody names is not looked at');
	await until(w, 'two watches', () => watched().length === 2);
	t.deepEqual(watched().toSorted(), ['default metadata.name=a', 'default metadata.name=missing']);

	await w.client.update(ConfigMap, configMap('a', '2'));
	await w.client.update(ConfigMap, configMap('b', '2'));
	await w.client.create(ConfigMap, configMap('missing', '1'));
	await until(w, 'the one that was missing', () => references.get(at('missing')).object !== undefined);
	await until(w, 'the new version', () => references.get(at('a')).object?.data?.key === '2');
	t.deepEqual(changes, ['default/a', 'default/a', 'default/missing']);

	one[Symbol.dispose]();
	one[Symbol.dispose]();
	missing[Symbol.dispose]();
	await until(w, 'one watch', () => watched().length === 1);
	t.deepEqual(watched(), ['default metadata.name=a'], 'the other one still holds it');
	t.true(references.get(at('a')).known);
	other[Symbol.dispose]();
	await until(w, 'no watch', () => watched().length === 0);
	t.deepEqual(references.get(at('a')), { known: false, object: undefined });
	const again = references.hold(at('a'));
	await again.synced;
	t.is(references.get(at('a')).object?.data?.key, '2');
});
