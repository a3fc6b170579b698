import test from 'ava';
import fc from 'fast-check';
import { ResourceCache, rangeOf } from '../../src/api/cache/resource.ts';
import { Change, Ring } from '../../src/api/cache/ring.ts';
import { copy, freeze } from '../../src/api/json.ts';
import { decode, draft, parseStorageKey, removedAt, storageKey } from '../../src/api/storage.ts';
import { deepEqual } from '../../src/kinds/equal.ts';
import type { KubeObject } from '../../src/kinds/index.ts';
import { textOf } from './objects.ts';

const object = (name: string, extra: object = {}): KubeObject => ({
	...extra,
	metadata: { name, labels: { a: '"metadata":{"resourceVersion":"9' } },
	kind: 'Thing',
	apiVersion: 'example.com/v1',
});

test('an object is stored with an empty resourceVersion at its head, and comes back with its revision there', (t) => {
	const drafted = draft(object('a', { spec: { x: 'ü' } }));
	const head = '{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"resourceVersion":"","name":"a"';
	t.true(textOf(drafted.value).startsWith(head), textOf(drafted.value));
	const own = drafted.finish(1234);
	const back = decode(drafted.value, 1234);
	t.is(textOf(back.bytes), textOf(own.bytes));
	t.deepEqual(back.object, own.object);
	t.is(back.object.metadata.resourceVersion, '1234');
	t.is(drafted.finish(1234), own, 'one object, however often it is asked for');
	const gone = removedAt(back, 98_765);
	t.deepEqual(gone.object, { ...back.object, metadata: { ...back.object.metadata, resourceVersion: '98765' } });
	t.throws(() => decode(Buffer.from('{"a":1}'), 1), { message: /was not written by this program/ });
});

test('keys of the store name kind, namespace and object', (t) => {
	for (const [kind, key, storeKey] of [
		[{ group: '', plural: 'pods' }, 'ns/a', '/registry/core/pods/ns/a'],
		[{ group: 'apps', plural: 'deployments' }, 'ns/a', '/registry/apps/deployments/ns/a'],
		[{ group: '', plural: 'nodes' }, 'n1', '/registry/core/nodes/n1'],
	] as const) {
		t.is(storageKey(kind, key), storeKey);
		t.deepEqual(parseStorageKey(storeKey), { resource: `${kind.group || 'core'}/${kind.plural}`, key });
	}
	t.is(parseStorageKey('/registry/progress'), undefined);
});

test('a ring remembers the newest changes, and says when it does not reach back', (t) => {
	const ring = new Ring(3, 10);
	const change = (revision: number) => new Change(`k${revision}`, revision, undefined, undefined);
	t.is(ring.after(9), undefined);
	t.is(ring.after(10), 0);
	for (const revision of [11, 12, 12, 15]) ring.push(change(revision));
	t.is(ring.after(10), undefined, 'the change at 11 is forgotten');
	t.is(ring.at(ring.after(11) ?? -1)?.revision, 12);
	t.is(ring.at(ring.after(12) ?? -1)?.revision, 15);
	t.is(ring.after(15), ring.end);
	t.is(ring.after(99), ring.end);
	const reader = ring.start;
	ring.reset(20);
	t.true(reader < ring.start, 'a reader from before has fallen behind');
	t.is(ring.after(15), undefined);
	ring.push(change(21));
	t.is(ring.at(ring.after(20) ?? -1)?.revision, 21);
});

test('a ring of any history hands out exactly the changes after a revision', (t) => {
	fc.assert(
		fc.property(fc.array(fc.nat(3), { maxLength: 40 }), fc.nat(60), (steps, from) => {
			const ring = new Ring(8, 0);
			const all: number[] = [];
			let revision = 0;
			for (const step of steps) {
				revision += step;
				if (revision === 0) continue;
				all.push(revision);
				ring.push(new Change('k', revision, undefined, undefined));
			}
			const start = ring.after(from);
			const wanted = all.filter((each) => each > from);
			if (start === undefined) return wanted.length >= 8 || all.length > 8;
			const read: (number | undefined)[] = [];
			for (let at = start; at < ring.end; at++) read.push(ring.at(at)?.revision);
			return deepEqual(read, wanted);
		}),
	);
	t.pass();
});

test('a cache lists what a sorted map would, whatever comes and goes', (t) => {
	const name = fc.constantFrom('a', 'b', 'a-b', 'a.b', 'ab', 'b0');
	const step = fc.tuple(name, name, fc.boolean());
	fc.assert(
		fc.property(fc.array(step, { maxLength: 60 }), name, (steps, namespace) => {
			const cache = new ResourceCache(0);
			const model = new Map<string, number>();
			for (const [index, [ns, own, put]] of steps.entries()) {
				const key = `${ns}/${own}`;
				const revision = index + 1;
				if (put) {
					cache.put(key, draft({ ...object(own), metadata: { name: own, namespace: ns } }).finish(revision));
					model.set(key, revision);
				} else {
					cache.remove(key, revision);
					model.delete(key);
				}
			}
			const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
			const inside = sorted.filter(([key]) => key.startsWith(`${namespace}/`));
			const revisions = (objects: readonly { revision: number }[]) => objects.map(({ revision }) => revision);
			const { keys } = cache.snapshot(99, 0);
			const { from, to } = rangeOf(keys, namespace, undefined);
			return (
				deepEqual(
					revisions(cache.list(undefined)),
					sorted.map(([, revision]) => revision),
				) &&
				deepEqual(
					revisions(cache.list(namespace)),
					inside.map(([, revision]) => revision),
				) &&
				deepEqual(
					keys.slice(from, to),
					inside.map(([key]) => key),
				) &&
				cache.count(namespace) === inside.length
			);
		}),
	);
	t.pass();
});

test('copies, freezing and equality agree with JSON', (t) => {
	fc.assert(
		fc.property(fc.jsonValue(), fc.jsonValue(), (left, right) => {
			const text = JSON.stringify(left);
			return (
				JSON.stringify(copy(left)) === text &&
				deepEqual(left, JSON.parse(text)) &&
				JSON.stringify(freeze(copy(left))) === text &&
				deepEqual(left, right) === deepEqual(right, left)
			);
		}),
	);
	t.true(deepEqual({ a: 1, b: undefined }, { a: 1 }));
	t.false(deepEqual({ a: 1 }, { a: 1, b: null }));
	t.false(deepEqual([], {}));
	t.false(deepEqual({ a: 1, b: 2 }, { a: 1, c: 2 }));
});
