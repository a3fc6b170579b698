import test from 'ava';
import { limits } from '../../../src/api/limits.ts';
import { applyJsonPatch } from '../../../src/api/patch/index.ts';
import type { Dynamic } from '../../../src/kinds/object.ts';
import { ApiError } from '../../../src/kinds/status.ts';
import { frozen } from './deployment.ts';

const patched = (before: object, ops: unknown) => applyJsonPatch(frozen(before) as Dynamic, frozen(ops)) as object;

/** The examples of RFC 6902, appendix A, by their numbers. */
const examples: Record<string, [before: object, ops: unknown, after: object]> = {
	'A.1 adding an object member': [
		{ foo: 'bar' },
		[{ op: 'add', path: '/baz', value: 'qux' }],
		{ baz: 'qux', foo: 'bar' },
	],
	'A.2 adding an array element': [
		{ foo: ['bar', 'baz'] },
		[{ op: 'add', path: '/foo/1', value: 'qux' }],
		{ foo: ['bar', 'qux', 'baz'] },
	],
	'A.3 removing an object member': [{ baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
	'A.4 removing an array element': [
		{ foo: ['bar', 'qux', 'baz'] },
		[{ op: 'remove', path: '/foo/1' }],
		{ foo: ['bar', 'baz'] },
	],
	'A.5 replacing a value': [
		{ baz: 'qux', foo: 'bar' },
		[{ op: 'replace', path: '/baz', value: 'boo' }],
		{ baz: 'boo', foo: 'bar' },
	],
	'A.6 moving a value': [
		{ foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
		[{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
		{ foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
	],
	'A.7 moving an array element': [
		{ foo: ['all', 'grass', 'cows', 'eat'] },
		[{ op: 'move', from: '/foo/1', path: '/foo/3' }],
		{ foo: ['all', 'cows', 'eat', 'grass'] },
	],
	'A.8 testing a value: success': [
		{ baz: 'qux', foo: ['a', 2, 'c'] },
		[
			{ op: 'test', path: '/baz', value: 'qux' },
			{ op: 'test', path: '/foo/1', value: 2 },
		],
		{ baz: 'qux', foo: ['a', 2, 'c'] },
	],
	'A.10 adding a nested member object': [
		{ foo: 'bar' },
		[{ op: 'add', path: '/child', value: { grandchild: {} } }],
		{ foo: 'bar', child: { grandchild: {} } },
	],
	'A.11 ignoring unrecognized elements': [
		{ foo: 'bar' },
		[{ op: 'add', path: '/baz', value: 'qux', xyz: 123 }],
		{ foo: 'bar', baz: 'qux' },
	],
	'A.14 ~ escape ordering': [{ '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
	'A.16 adding an array value': [
		{ foo: ['bar'] },
		[{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }],
		{ foo: ['bar', ['abc', 'def']] },
	],
	'copying, then changing one of the two': [
		{ a: { x: 1 } },
		[
			{ op: 'replace', path: '/a/x', value: 2 },
			{ op: 'copy', from: '/a', path: '/b' },
			{ op: 'replace', path: '/a/x', value: 3 },
		],
		{ a: { x: 3 }, b: { x: 2 } },
	],
	'a test of a missing member against null': [{ a: 1 }, [{ op: 'test', path: '/b', value: null }], { a: 1 }],
	'a member named __proto__ is a member like any': [
		{ a: {} },
		[{ op: 'add', path: '/a/__proto__', value: { polluted: true } }],
		JSON.parse('{"a":{"__proto__":{"polluted":true}}}'),
	],
};
for (const [what, [before, ops, after]] of Object.entries(examples))
	test(`JSON Patch: ${what}`, (t) => {
		t.is(JSON.stringify(sortedKeys(patched(before, ops))), JSON.stringify(sortedKeys(after)));
		t.false('polluted' in {});
	});

const sortedKeys = (value: object) => Object.fromEntries(Object.entries(value).sort());

test('what a patch does not touch is shared with the object', (t) => {
	const before = frozen({ a: { deep: {} }, b: { deep: {} } });
	const after = patched(before, [{ op: 'add', path: '/a/x', value: 1 }]);
	t.is(Reflect.get(after, 'b'), before.b);
	t.is(Reflect.get(Reflect.get(after, 'a'), 'deep'), before.a.deep);
});

/** What does not fit the object is 422, what is no patch is 400; the message names the operation. */
const refused: Record<string, [ops: unknown, code: number, message: RegExp]> = {
	'A.9 a failed test': [[{ op: 'test', path: '/baz', value: 'bar' }], 422, /operation 0 \(test \/baz\): test failed/],
	'A.12 adding to a nonexistent target': [[{ op: 'add', path: '/x/bat', value: 1 }], 422, /nothing at \/x/],
	'A.15 comparing strings and numbers': [[{ op: 'test', path: '/n', value: '10' }], 422, /test failed/],
	'removing what is not there': [[{ op: 'remove', path: '/x' }], 422, /nothing to remove/],
	'replacing what is not there': [[{ op: 'replace', path: '/x', value: 1 }], 422, /nothing to replace/],
	'an index after the end': [[{ op: 'add', path: '/list/3', value: 1 }], 422, /outside of the list of 2/],
	'an index with a leading zero': [[{ op: 'remove', path: '/list/01' }], 422, /outside of the list/],
	'moving a value into itself': [[{ op: 'move', from: '/o', path: '/o/x' }], 422, /into itself/],
	'a path through a scalar': [[{ op: 'add', path: '/n/x', value: 1 }], 422, /no object or list at \/n/],
	'no array': [{ op: 'add' }, 400, /array of operations/],
	'an operation that is none': [['x'], 400, /operation 0: not an object/],
	'an unknown op': [[{ op: 'delete', path: '/n' }], 400, /operation 0: unknown op "delete"/],
	'a path without a slash': [[{ op: 'remove', path: 'n' }], 400, /path "n" does not start/],
	'no path': [[{ op: 'remove' }], 400, /path is missing/],
	'no value': [[{ op: 'add', path: '/n' }], 400, /value is missing/],
	'no from': [[{ op: 'copy', path: '/n' }], 400, /from is missing/],
	'a whole that is no object': [[{ op: 'replace', path: '', value: 1 }], 400, /no object/],
	'copies that double what is there, again and again': [
		Array.from({ length: 1000 }, (_, i) => ({ op: 'copy', from: '/o', path: `/o/x${i}` })),
		422,
		new RegExp(`exceed the limit of ${limits.patchCopies} bytes`),
	],
	'copies of a long text that are too long together': [
		[
			{ op: 'add', path: '/text', value: 'x'.repeat(limits.patchCopies / 2) },
			{ op: 'copy', from: '/text', path: '/a' },
			{ op: 'copy', from: '/text', path: '/b' },
		],
		422,
		/operation 2 \(copy \/b\): unable to complete the copy/,
	],
	'moves that nest the object deeper and deeper': [
		Array.from({ length: 5000 }, (_, i) => [
			{ op: 'add', path: `/${i % 2}`, value: {} },
			{ op: 'move', from: `/${(i + 1) % 2}`, path: `/${i % 2}/x` },
		])
			.flat()
			.toSpliced(1, 1),
		400,
		/nests the object too deeply/,
	],
	'a copy of what moves have nested too deeply': [
		[
			...Array.from({ length: 4000 }, (_, i) => [
				{ op: 'add', path: `/${i % 2}`, value: {} },
				{ op: 'move', from: `/${(i + 1) % 2}`, path: `/${i % 2}/x` },
			])
				.flat()
				.toSpliced(1, 1),
			{ op: 'copy', from: '/1', path: '/copy' },
		],
		422,
		/nested deeper than 128 levels/,
	],
	'a path that is deeper than any object': [
		[{ op: 'remove', path: '/a'.repeat(1_000_000) }],
		400,
		/path is deeper than the 128 levels/,
	],
	'insertions that shift a long list again and again': [
		[
			{ op: 'add', path: '/long', value: Array.from({ length: 200_000 }, () => 0) },
			...Array.from({ length: limits.patchOperations - 1 }, () => ({ op: 'add', path: '/long/0', value: 1 })),
		],
		422,
		new RegExp(`shift more than ${limits.patchShifts} items`),
	],
	'too many operations': [
		Array.from({ length: limits.patchOperations + 1 }, () => ({ op: 'test', path: '/n', value: 10 })),
		413,
		/allowed maximum operations in a JSON patch is 10000, got 10001/,
	],
};
for (const [what, [ops, code, message]] of Object.entries(refused))
	test(`JSON Patch refuses: ${what}`, (t) => {
		const error = t.throws(() => patched({ baz: 'qux', n: 10, list: [1, 2], o: {} }, ops), {
			instanceOf: ApiError,
			message,
		});
		t.is(error?.code, code);
	});

test('JSON Patch: a copy and its original change apart from one another', (t) => {
	const before = { a: { list: [{ n: 1 }] } };
	const after = patched(before, [
		{ op: 'add', path: '/a/list/-', value: { n: 2 } },
		{ op: 'copy', from: '/a', path: '/b' },
		{ op: 'replace', path: '/a/list/0/n', value: 3 },
		{ op: 'add', path: '/b/list/1/m', value: 4 },
	]);
	t.deepEqual(after, { a: { list: [{ n: 3 }, { n: 2 }] }, b: { list: [{ n: 1 }, { n: 2, m: 4 }] } });
});
