/** What must hold of every sequence of writes. */
import assert from 'node:assert/strict';
import test from 'ava';
import { type PathElement, walk } from '../../../src/kinds/fieldset.ts';
import type { Dynamic, FieldsV1 } from '../../../src/kinds/object.ts';
import { ApiError } from '../../../src/kinds/status.ts';
import fc from '../../testbed/fast-check.ts';
import { applied, apply, deployment, fieldsOf, frozen, t1, t2, updated } from './deployment.ts';
import { equalButTimes } from './equal-but-times.ts';

const text = fc.constantFrom('a', 'b', 'c');
const optional = { requiredKeys: [], noNullPrototype: true };
const map = (key: fc.Arbitrary<string>, constraints: fc.DictionaryConstraints = {}) =>
	fc.dictionary(key, text, { ...constraints, noNullPrototype: true });
const keyed = (key: string, fields: Record<string, fc.Arbitrary<unknown>>) =>
	fc.uniqueArray(fc.record({ [key]: text, ...fields }, { requiredKeys: [key], noNullPrototype: true }), {
		selector: (item) => item[key],
		maxLength: 3,
	});

const container = {
	image: text,
	args: fc.array(text, { maxLength: 2 }),
	env: keyed('name', { value: text }),
	resources: fc.record({ limits: map(fc.constantFrom('cpu', 'memory')) }, optional),
	stdin: fc.boolean(),
};

const spec = fc.record(
	{
		replicas: fc.nat(3),
		paused: fc.boolean(),
		selector: fc.record({ matchLabels: map(text) }, { noNullPrototype: true }),
		strategy: fc.record({ type: text, rollingUpdate: fc.record({ maxSurge: fc.nat(3) }, optional) }, optional),
		template: fc.record(
			{ spec: fc.record({ containers: keyed('name', container), nodeSelector: map(text) }, optional) },
			optional,
		),
	},
	optional,
);

const config: fc.Arbitrary<Dynamic> = fc
	.record(
		{
			spec,
			labels: map(text),
			finalizers: fc.uniqueArray(
				text.map((name) => `x/${name}`),
				{ maxLength: 2 },
			),
		},
		optional,
	)
	.map(({ spec, ...metadata }) => deployment(spec ? { spec } : {}, metadata));

/** Writes in a row: each an apply of a manager (forced) or an update of one. */
const history = fc.array(
	fc.record({ manager: fc.constantFrom('a', 'b', 'c'), config, how: fc.constantFrom('apply', 'update') }),
	{ maxLength: 6 },
);

function replay(writes: readonly { manager: string; config: Dynamic; how: string }[]): Dynamic | undefined {
	let live: Dynamic | undefined;
	for (const { manager, config, how } of writes)
		live = how === 'apply' ? applied(live, manager, config, { force: true }) : updated(live, manager, config);
	return live;
}

const pathsOf = (set: FieldsV1 | undefined) => {
	const paths: string[] = [];
	walk(set ?? {}, (path: readonly PathElement[]) => paths.push(JSON.stringify(path)));
	return paths;
};

test('applying again what was applied changes nothing, whatever happened before', (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(history, config, (writes, mine) => {
				const live = applied(replay(writes), 'me', mine, { force: true });
				const again = apply(live, 'me', structuredClone(mine), { now: t2 });
				assert.equal(again.object, live);
				assert.equal(again.changed, false);
			}),
		),
	);
});

test('what is applied is there afterwards, and what others applied of the rest still is', (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(history, config, config, (writes, theirs, mine) => {
				const before = applied(replay(writes), 'they', theirs, { force: true });
				const live = applied(before, 'me', mine, { force: true });
				assert.equal(apply(live, 'me', mine).changed, false);
				// All that they still own is as they applied it: without force it is no conflict for them.
				const owned = new Set(pathsOf(fieldsOf(live, 'they')));
				const again = conflictsOf(() => apply(live, 'they', theirs));
				for (const path of again) assert.ok(!owned.has(path));
			}),
		),
	);
});

function conflictsOf(run: () => unknown): string[] {
	try {
		run();
		return [];
	} catch (error) {
		if (error instanceof ApiError && error.code === 409)
			return (error.status.details?.causes ?? []).map(({ field }) => field ?? '');
		throw error;
	}
}

test('managers of different fields never conflict, in any order', (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(spec, map(text, { minKeys: 1 }), (spec, labels) => {
				const [a, b] = [deployment({ spec }), deployment({}, { labels })];
				const one = applied(applied(undefined, 'a', a), 'b', b);
				const two = applied(applied(undefined, 'b', b), 'a', a);
				assert.deepEqual(one.spec, two.spec);
				assert.deepEqual(one.metadata.labels, two.metadata.labels);
				assert.deepEqual(one.metadata.managedFields, two.metadata.managedFields);
			}),
		),
	);
});

test('an apply without force refuses or takes nothing from anybody', (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(history, config, (writes, mine) => {
				const before = replay(writes);
				let live: Dynamic;
				try {
					live = applied(before, 'me', mine);
				} catch (error) {
					if (error instanceof ApiError && error.code === 409) return;
					throw error;
				}
				for (const entry of before?.metadata.managedFields ?? [])
					assert.deepEqual(
						live.metadata.managedFields?.find(
							({ manager, operation }) => manager === entry.manager && operation === entry.operation,
						)?.fieldsV1,
						entry.fieldsV1,
					);
			}),
		),
	);
});

/** With every list of the object in one order. */
const inOrder = (object: Dynamic): Dynamic =>
	JSON.parse(JSON.stringify(object), (_, value) =>
		Array.isArray(value) ? value.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : value,
	);

test('a manager that applies nothing any more leaves the object as if it had never been there', (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(config, config, (theirs, mine) => {
				const without = applied(undefined, 'they', theirs);
				let live: Dynamic;
				try {
					live = applied(without, 'me', mine);
				} catch {
					// A conflict: nothing was applied.
					return;
				}
				const { object } = apply(live, 'me', deployment({}));
				assert.deepEqual(fieldsOf(object, 'they'), fieldsOf(without, 'they'));
				assert.equal(fieldsOf(object, 'me'), undefined);
				// But for the order of list items, which is the last applier's.
				assert.ok(equalButTimes(inOrder(object), inOrder(without)));
			}),
		),
	);
});

test('ownership survives storage: entries read back are the same entries', (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(history, config, (writes, mine) => {
				const live = applied(replay(writes), 'me', mine, { force: true });
				const read = frozen(JSON.parse(JSON.stringify(live)) as Dynamic);
				assert.equal(apply(read, 'me', mine).changed, false);
				assert.deepEqual(updated(live, 'x', read), live);
			}),
		),
	);
});

test('every field that an update changed belongs to its writer afterwards, and to no other updater', (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(history, config, (writes, after) => {
				const before = applied(replay(writes), 'first', deployment({}, { labels: { z: 'z' } }), { force: true });
				const live = updated(before, 'writer', after);
				const mine = pathsOf(
					live.metadata.managedFields?.find(({ operation, manager }) => operation === 'Update' && manager === 'writer')
						?.fieldsV1,
				);
				const again = updated(live, 'writer', { ...after, metadata: { ...after.metadata, managedFields: undefined } });
				assert.deepEqual(
					again.metadata.managedFields,
					live.metadata.managedFields,
					'the same update again owns the same',
				);
				for (const entry of live.metadata.managedFields ?? []) {
					if (entry.manager === 'writer') continue;
					for (const path of pathsOf(entry.fieldsV1))
						if (mine.includes(path)) assert.fail(`${entry.manager} kept ${path}`);
				}
				assert.equal(
					live.metadata.managedFields?.every(({ time }) => time === t1),
					true,
				);
			}),
		),
	);
});
