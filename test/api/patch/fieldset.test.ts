import test from 'ava';
import {
	canonical,
	differenceSets,
	equalSets,
	formatPath,
	has,
	intersection,
	ownersOf,
	type PathElement,
	parseElement,
	pathOf,
	serializeElement,
	setOf,
	unionSets,
	walk,
} from '../../../src/kinds/fieldset.ts';
import { objectMergeType } from '../../../src/kinds/mergetype.ts';
import type { FieldsV1, ManagedFieldsEntry } from '../../../src/kinds/object.ts';
import fc from '../../testbed/fast-check.ts';
import { applied, schema, schemas, updated, withContainers, withSpec } from './deployment.ts';

const elements: [PathElement, string, string][] = [
	[{ field: 'replicas' }, 'f:replicas', '.replicas'],
	[{ field: 'app.kubernetes.io/name' }, 'f:app.kubernetes.io/name', '.app.kubernetes.io/name'],
	[{ key: { name: 'a "b"' } }, 'k:{"name":"a \\"b\\""}', '[name="a \\"b\\""]'],
	[
		{ key: { protocol: 'TCP', containerPort: 80 } },
		'k:{"containerPort":80,"protocol":"TCP"}',
		'[containerPort=80,protocol="TCP"]',
	],
	[{ value: 'x/y' }, 'v:"x/y"', '[="x/y"]'],
	[{ value: 7 }, 'v:7', '[=7]'],
	[{ index: 3 }, 'i:3', '[3]'],
];
for (const [element, text, shown] of elements)
	test(`path element ${text}`, (t) => {
		t.is(serializeElement(element), text);
		t.deepEqual(parseElement(text), element);
		t.is(formatPath([element]), shown);
	});

test('what is no path element is none', (t) => {
	for (const text of ['', '.', 'x:y', 'k:1', 'k:{}', 'k:{', 'v:', 'v:{', 'i:x', 'i:-1'])
		t.is(parseElement(text), undefined, text);
});

const element = fc.oneof(
	fc.constantFrom('a', 'b', 'c').map((field) => ({ field })),
	fc.constantFrom('x', 'y').map((name) => ({ key: { name } })),
	fc.nat(2).map((value) => ({ value })),
);
const paths = fc.array(fc.array(element, { minLength: 1, maxLength: 3 }), { maxLength: 6 });
const textsOf = (set: FieldsV1 | undefined) => {
	const texts: string[] = [];
	walk(set ?? {}, (path) => texts.push(formatPath(path)));
	return texts.sort();
};
const unique = (paths: PathElement[][]) => [...new Set(paths.map(formatPath))].sort();

test('sets behave as sets of paths', (t) => {
	fc.assert(
		fc.property(paths, paths, (a, b) => {
			const [x, y] = [setOf(a), setOf(b)];
			const [inA, inB] = [unique(a), unique(b)];
			t.deepEqual(textsOf(x), inA);
			for (const path of b) t.is(has(x, path), inA.includes(formatPath(path)));
			t.deepEqual(textsOf(unionSets(x, y)), unique([...a, ...b]));
			const [left, both] = [differenceSets(x, y), intersection(x, y)];
			t.deepEqual(
				textsOf(left),
				inA.filter((path) => !inB.includes(path)),
			);
			t.deepEqual(
				textsOf(both),
				inA.filter((path) => inB.includes(path)),
			);
			t.is(equalSets(x, y), inA.join() === inB.join());
			t.deepEqual(canonical(JSON.parse(JSON.stringify(x))), x);
		}),
	);
});

test('operations that change nothing return the set itself', (t) => {
	const set = setOf([[{ field: 'a' }, { field: 'b' }], [{ field: 'c' }]]);
	t.is(unionSets(set, setOf([[{ field: 'c' }]])), set);
	t.is(differenceSets(set, setOf([[{ field: 'a' }]])), set, 'a itself is not in the set');
});

test('keys of clients are brought into order', (t) => {
	t.deepEqual(canonical({ 'k:{"b":1,"a":"x"}': { '.': {} } }), { 'k:{"a":"x","b":1}': { '.': {} } });
	for (const broken of [null, [], 'x', { 'f:a': 1 }, { nonsense: {} }]) t.is(canonical(broken), undefined);
});

test('the owners of a field are those who list it, or the atomic field around it', (t) => {
	let live = applied(
		undefined,
		'git',
		withContainers([{ name: 'web', image: 'x', args: ['a'] }], { labels: { a: '1' } }),
	);
	live = applied(live, 'other', withContainers([{ name: 'web', image: 'x' }]));
	live = updated(live, 'edit', withSpec(live, { replicas: 2 }));
	const owners = (pointer: string) =>
		ownersOf(live.metadata.managedFields, pathOf(objectMergeType(schema, schemas), live, pointer)).map(
			({ manager }: ManagedFieldsEntry) => manager,
		);
	t.deepEqual(owners('/spec/template/spec/containers/0/image'), ['git', 'other']);
	t.deepEqual(owners('/spec/template/spec/containers/0'), ['git', 'other']);
	t.deepEqual(owners('/spec/template/spec/containers/0/args/0'), ['git']);
	t.deepEqual(owners('/spec/replicas'), ['edit']);
	t.deepEqual(owners('/metadata/labels/a'), ['git']);
	t.deepEqual(owners('/spec/paused'), []);
	t.deepEqual(owners('/spec'), []);
});

test('a JSON pointer becomes a path by the keys of the items that it goes through', (t) => {
	const object = withContainers([{ name: 'web', ports: [{ containerPort: 80 }], args: ['x'] }], {
		finalizers: ['x/y'],
		annotations: { 'a/b': 'c' },
	});
	const shown = (pointer: string) => formatPath(pathOf(objectMergeType(schema, schemas), object, pointer));
	t.is(
		shown('/spec/template/spec/containers/0/ports/0/name'),
		'.spec.template.spec.containers[name="web"].ports[containerPort=80,protocol="TCP"].name',
	);
	t.is(shown('/spec/template/spec/containers/0/args/0'), '.spec.template.spec.containers[name="web"].args[0]');
	t.is(shown('/spec/template/spec/containers/1'), '.spec.template.spec.containers[1]');
	t.is(shown('/metadata/finalizers/0'), '.metadata.finalizers[="x/y"]');
	t.is(shown('/metadata/annotations/a~1b'), '.metadata.annotations.a/b');
});
