import test from 'ava';
import { applyMergePatch } from '../../../src/api/patch/index.ts';
import type { Dynamic } from '../../../src/kinds/object.ts';
import { frozen } from './deployment.ts';

const patched = (before: object, patch: unknown) => applyMergePatch(frozen(before) as Dynamic, frozen(patch)) as object;

/** The test cases of RFC 7396, appendix A, that patch an object with an object. */
const examples: [before: object, patch: object, after: object][] = [
	[{ a: 'b' }, { a: 'c' }, { a: 'c' }],
	[{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
	[{ a: 'b' }, { a: null }, {}],
	[{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
	[{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
	[{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
	[{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
	[{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
	[{ e: null }, { a: 1 }, { e: null, a: 1 }],
	[{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];
for (const [before, patch, after] of examples)
	test(`merge patch: ${JSON.stringify(before)} with ${JSON.stringify(patch)}`, (t) => {
		t.deepEqual(patched(before, patch), after);
	});

test('a merge patch that changes nothing returns the object itself', (t) => {
	const before = frozen({ a: { b: 1 } });
	t.is(patched(before, { a: { b: 1, c: null } }), before);
});

test('a merge patch that is no object is refused', (t) => {
	for (const patch of [null, 1, 'x', []]) t.throws(() => patched({}, patch), { message: /must be a JSON object/ });
});
