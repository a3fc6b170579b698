import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import type { Collection } from '../../src/api/api.ts';
import { ResourceCache } from '../../src/api/cache/resource.ts';
import { Change, Ring } from '../../src/api/cache/ring.ts';
import { type Item, Sorted } from '../../src/api/cache/sorted.ts';
import { copy, freeze } from '../../src/api/json.ts';
import { limits } from '../../src/api/limits.ts';
import { decode, draft, parseStorageKey, removedAt, StoredObject, storageKey } from '../../src/api/storage.ts';
import { select } from '../../src/api/verbs/selection.ts';
import { deepEqual } from '../../src/kinds/equal.ts';
import { Event, type FieldReaders, type Kind, type KubeObject, Node } from '../../src/kinds/index.ts';
import fc from '../testbed/fast-check.ts';
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

test('what an update shares with what it replaces is stored as if it were written anew', (t) => {
	const value = fc.oneof(fc.jsonValue({ noUnicodeString: false }), fc.constant(undefined));
	const members = fc.dictionary(fc.oneof(fc.constantFrom('spec', 'status', 'data', '7', 'ü'), fc.string()), value, {
		noNullPrototype: true,
	});
	const annotation = fc.string({ unit: 'binary' });
	fc.assert(
		fc.property(fc.array(fc.tuple(members, fc.boolean(), annotation), { minLength: 2, maxLength: 6 }), (steps) => {
			let before: StoredObject | undefined;
			for (const [index, [own, sharing, text]] of steps.entries()) {
				const { apiVersion, kind, metadata, ...more } = own;
				const shared = sharing && before ? before.object : {};
				const next = {
					...more,
					...shared,
					...object('a'),
					metadata: { name: 'a', annotations: { text } },
				} as KubeObject;
				const drafted = draft(next, before);
				t.is(textOf(drafted.value), textOf(draft(copy(next)).value));
				// Of more and more digits, so that what follows the revision moves.
				before = drafted.finish(10 ** (index + 1));
				t.deepEqual(JSON.parse(textOf(before.bytes)), JSON.parse(JSON.stringify(before.object)));
			}
		}),
	);
});

test('an update shares members with an object that was parsed anew, too, and that has no members without a value', async (t) => {
	setFlagsFromString('--expose_gc');
	const collect = runInNewContext('gc') as () => void;
	const held = () => {
		const stored = draft(object('a', { spec: undefined, data: { a: 1 }, more: { b: 2 } })).finish(1);
		stored.release();
		return stored;
	};
	const stored = held();
	// A weak reference is kept to the end of the turn that made or read it.
	for (let turn = 0; turn < 3; turn++) {
		await nextTurn();
		collect();
	}
	const { object: parsed } = stored;
	t.false('spec' in parsed, 'it is not the one that was written');
	t.is(textOf(draft({ ...parsed }, stored).value), textOf(draft(copy(parsed)).value));
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

const bounds = { changes: 3, changeBytes: 1_000, changeAge: 10, changesLeast: 2 };
const changeAt = (revision: number, at = 0, old?: StoredObject) =>
	new Change(`k${revision}`, revision, old, undefined, at);

test('a ring remembers the newest changes, and says when it does not reach back', (t) => {
	const ring = new Ring(10, bounds);
	t.is(ring.after(9), undefined);
	t.is(ring.after(10), 0);
	for (const revision of [11, 12, 12, 15]) ring.push(changeAt(revision));
	t.is(ring.after(10), undefined, 'the change at 11 is forgotten');
	t.is(ring.at(ring.after(11) ?? -1)?.revision, 12);
	t.is(ring.at(ring.after(12) ?? -1)?.revision, 15);
	t.is(ring.after(15), ring.end);
	t.is(ring.after(99), ring.end);
});

test('a ring is bounded by the bytes that it keeps in memory, and by age beyond a few changes', (t) => {
	const big = new StoredObject(Buffer.alloc(600), 1);
	const heavy = new Ring(0, bounds);
	heavy.push(changeAt(1, 0, big));
	heavy.push(changeAt(2, 0, big));
	t.deepEqual([heavy.start, heavy.end, heavy.floor], [1, 2, 1]);
	heavy.push(changeAt(3, 0, new StoredObject(Buffer.alloc(2_000), 1)));
	t.deepEqual([heavy.start, heavy.end], [3, 3], 'also of one change alone');
	t.is(heavy.after(2), undefined);

	const aging = new Ring(0, bounds);
	for (const [revision, at] of [
		[1, 0],
		[2, 1],
		[3, 11],
	] as const)
		aging.push(changeAt(revision, at));
	t.is(aging.after(1), 1, 'what is older than 10 ms has gone');
	t.is(aging.after(0), undefined);
	aging.push(changeAt(4, 1_000));
	t.is(aging.end - aging.start, 2, 'the last two stay, however old');
});

test('a ring that skipped a span leads on from its ends, and not from within', (t) => {
	const ring = new Ring(10, bounds);
	ring.push(changeAt(12));
	ring.skip(12, 20);
	ring.push(changeAt(18));
	t.is(ring.after(12), 1);
	t.is(ring.after(20), 2);
	t.is(ring.after(15), undefined);
	t.true(ring.skips(13));
	t.false(ring.skips(12));
});

test('a ring of any history hands out exactly the changes after a revision', (t) => {
	fc.assert(
		fc.property(fc.array(fc.nat(3), { maxLength: 40 }), fc.nat(60), (steps, from) => {
			const ring = new Ring(0, { ...bounds, changes: 8, changesLeast: 8 });
			const all: number[] = [];
			let revision = 0;
			for (const step of steps) {
				revision += step;
				if (revision === 0) continue;
				all.push(revision);
				ring.push(changeAt(revision));
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

test('a feed of some objects keeps what one of its readers has yet to read, and no more', (t) => {
	const cache = new ResourceCache(0);
	const read = (_: StoredObject, key: string) => key;
	using part = cache.read({ field: 'key', value: 'a', read });
	using _ = cache.read({ field: 'key', value: 'b', read });
	const { feed } = part;
	let revision = 0;
	const change = () => cache.put('a', new StoredObject(Buffer.alloc(1_000), ++revision));
	const kept = () => feed.ring.end - feed.ring.start;
	let wait = feed.wait(() => {});
	change();
	change();
	t.is(kept(), 2, 'of one turn, which nobody has been told of');
	cache.wake();
	change();
	cache.wake();
	t.is(kept(), 3, 'the reader is at work');
	wait = feed.wait(() => {});
	change();
	t.is(kept(), 1, 'the reader had come back for more');
	t.is(part.settled, 3);
	cache.wake();
	wait = feed.wait(() => {});
	using second = cache.read({ field: 'key', value: 'a', read });
	t.is(second.feed, feed);
	change();
	change();
	t.is(kept(), 3, 'one of two waits');
	wait[Symbol.dispose]();
});

test('a cache lists what a sorted map would, now and as of each revision, whatever comes and goes', (t) => {
	const name = fc.constantFrom('a', 'b', 'a-b', 'a.b', 'ab', 'b0');
	const step = fc.tuple(name, name, fc.boolean());
	const within = fc.option(name, { nil: undefined });
	fc.assert(
		fc.property(fc.array(step, { maxLength: 60 }), within, fc.nat(60), fc.nat(20), (steps, namespace, past, skip) => {
			const cache = new ResourceCache(0);
			const model = new Map<string, number>();
			const states: [string, number][][] = [[]];
			// Found by an index that lives through all changes, or by one that is made at the end.
			if (past % 2)
				cache.find({ field: 'name', value: 'b', read: (_, key) => key.slice(key.indexOf('/') + 1) }, undefined);
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
				states.push([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
			}
			const inside = (state: [string, number][] = []) =>
				state.filter(([key]) => namespace === undefined || key.startsWith(`${namespace}/`));
			const now = inside(states.at(-1));
			const revision = Math.min(past, steps.length);
			const then = inside(states[revision]);
			const after = then[skip % (then.length + 1)]?.[0];
			const wanted = then.filter(([key]) => after === undefined || key > after);
			const undone = cache.since(revision);
			const common = {
				field: 'name',
				value: 'a',
				read: (_: StoredObject, key: string) => key.slice(key.indexOf('/') + 1),
			};
			const walked = [...cache.walk(namespace, after, undone)].map(([key, stored]) => [key, stored.revision]);
			return (
				deepEqual(
					cache.list(namespace).map((stored) => stored.revision),
					now.map(([, at]) => at),
				) &&
				cache.count(namespace) === now.length &&
				deepEqual(
					cache.find(common, namespace).map((stored) => stored.revision),
					now.filter(([key]) => key.endsWith('/a')).map(([, at]) => at),
				) &&
				undone !== undefined &&
				deepEqual(walked, wanted) &&
				cache.count(namespace, after, undone) === wanted.length
			);
		}),
	);
	t.pass();
});

test('items stay in the order of their keys over many blocks, in whatever order they come and go', (t) => {
	const key = (number: number) => `ns-${number % 7}/${String(number).padStart(5, '0')}`;
	// Ascending, as what is loaded; and shuffled by a factor without a common divisor.
	for (const step of [1, 1_237]) {
		const keys = Array.from({ length: 5_000 }, (_, index) => key((index * step) % 5_000));
		if (step === 1) keys.sort();
		const sorted = new Sorted<string>();
		for (const each of keys) sorted.add({ key: each, value: each });
		const removed = new Set(keys.filter((_, index) => index % 3 === 0));
		const check = (there: readonly string[]) => {
			const keysOf = (items: Iterable<Item<string>>) => [...items].map((item) => item.key);
			t.deepEqual(keysOf(sorted.range('')), there);
			t.deepEqual(sorted.values(''), there);
			t.is(sorted.size, there.length);
			for (const [from, to] of [
				['ns-2/', 'ns-20'],
				[key(77), key(1_234)],
				['ns-9', undefined],
				['ns-3/00400', 'ns-3/00200'],
			] as const) {
				const wanted = there.filter((each) => each >= from && (to === undefined || each < to));
				t.deepEqual(keysOf(sorted.range(from, to)), wanted, `${from} ${to}`);
				t.deepEqual(sorted.values(from, to), wanted);
				t.is(sorted.count(from, to), wanted.length);
			}
		};
		check(keys.toSorted());
		for (const each of removed) sorted.remove(each);
		sorted.remove('nothing/like-this');
		const left = keys.filter((each) => !removed.has(each)).sort();
		check(left);
		t.deepEqual(new Sorted(left.map((each) => ({ key: each, value: each }))).values(''), left);
		for (const each of left) sorted.remove(each);
		check([]);
	}
});

test('what selectors see of an object is read once, and the object held by those who use it', (t) => {
	const original = JSON.parse;
	let parses = 0;
	JSON.parse = (...args: Parameters<typeof original>) => {
		parses++;
		return original(...args);
	};
	try {
		const readers: FieldReaders = { 'metadata.name': ({ metadata }) => metadata.name };
		const size = limits.parsed / 4;
		const value = draft({
			...object('big'),
			metadata: { name: 'big', labels: { l: '1' }, annotations: { big: 'x'.repeat(size) } },
		}).value;
		const all = Array.from({ length: 8 }, (_, index) => decode(value, index + 1));
		const held = all[0]?.object;
		for (let round = 0; round < 3; round++) {
			for (const stored of all) {
				const { labels, fields } = stored.attributes(readers);
				t.deepEqual([labels, fields], [{ l: '1' }, { 'metadata.name': 'big' }]);
			}
		}
		t.is(parses, all.length, 'each was parsed once');
		t.is(all[0]?.object, held, 'the same object while somebody has it');
		t.is(parses, all.length);
	} finally {
		JSON.parse = original;
	}
});

test('of several fields the one that identifies tells which changes wake a watcher', (t) => {
	const trigger = (fieldSelector: string, of: Collection = { kind: Event as Kind, namespace: 'ns' }) => {
		const found = select(of, { fieldSelector }).trigger;
		return found && `${found.field} ${found.value}`;
	};
	t.is(trigger('involvedObject.kind=Pod,involvedObject.name=p,involvedObject.uid=u'), 'involvedObject.uid u');
	t.is(trigger('type!=Normal,involvedObject.name=p'), 'involvedObject.name p');
	t.is(trigger('type!=Normal'), 'metadata.namespace ns');
	t.is(trigger('metadata.name=a'), 'key ns/a');
	t.is(trigger('metadata.name=a', { kind: Event as Kind }), 'metadata.name a');
	t.is(trigger('metadata.name=n1', { kind: Node as Kind }), 'key n1');
	t.is(trigger('', { kind: Node as Kind }), undefined);
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
