import test from 'ava';
import { applyStrategicMergePatch } from '../../../src/api/patch/index.ts';
import type { Dynamic } from '../../../src/kinds/object.ts';
import { deployment, frozen, schema, schemas } from './deployment.ts';

const patched = (before: Dynamic, patch: unknown) => applyStrategicMergePatch(before, frozen(patch), schema, schemas);
const podSpec = (spec: object) => ({ spec: { template: { spec } } });
const pod = (spec: object) => deployment(podSpec(spec));
const onPod = (before: object, patch: object) => {
	const { spec } = patched(pod(before), podSpec(patch)) as { spec?: { template?: { spec?: unknown } } };
	return spec?.template?.spec;
};

const two = [
	{ name: 'web', image: 'nginx' },
	{ name: 'side', image: 'busybox' },
];

const cases: Record<string, [before: object, patch: object, after: object]> = {
	'a container is merged by its name': [
		{ containers: two },
		{ containers: [{ name: 'side', image: 'alpine' }] },
		{ containers: [two[0] ?? {}, { name: 'side', image: 'alpine' }] },
	],
	'a new container comes first': [
		{ containers: two },
		{ containers: [{ name: 'new', image: 'x' }] },
		{ containers: [{ name: 'new', image: 'x' }, ...two] },
	],
	'what the patch names comes in its order': [
		{ containers: two },
		{ containers: [{ name: 'side' }, { name: 'new', image: 'x' }, { name: 'web' }] },
		{ containers: [two[1] ?? {}, { name: 'new', image: 'x' }, two[0] ?? {}] },
	],
	'$patch: delete removes the container of that name': [
		{ containers: two },
		{ containers: [{ name: 'web', $patch: 'delete' }] },
		{ containers: [two[1] ?? {}] },
	],
	'$patch: replace in a list replaces the list': [
		{ containers: two },
		{ containers: [{ $patch: 'replace' }, { name: 'only', image: 'x' }] },
		{ containers: [{ name: 'only', image: 'x' }] },
	],
	'$patch: replace in a map replaces the map': [
		{ nodeSelector: { a: '1', b: '2' } },
		{ nodeSelector: { $patch: 'replace', c: '3' } },
		{ nodeSelector: { c: '3' } },
	],
	'$patch: delete in a map empties it': [
		{ nodeSelector: { a: '1' } },
		{ nodeSelector: { $patch: 'delete' } },
		{ nodeSelector: {} },
	],
	'null removes a field': [
		{ nodeSelector: { a: '1', b: '2' } },
		{ nodeSelector: { a: null } },
		{ nodeSelector: { b: '2' } },
	],
	'null removes a whole list': [{ containers: two, hostname: 'x' }, { containers: null }, { hostname: 'x' }],
	'a list without a merge strategy is replaced': [
		{ tolerations: [{ key: 'a' }, { key: 'b' }] },
		{ tolerations: [{ key: 'c' }] },
		{ tolerations: [{ key: 'c' }] },
	],
	'lists in lists merge too': [
		{ containers: [{ name: 'web', env: [{ name: 'A', value: '1' }], args: ['x'] }] },
		{ containers: [{ name: 'web', env: [{ name: 'B', value: '2' }], args: ['y'] }] },
		{
			containers: [
				{
					name: 'web',
					env: [
						{ name: 'B', value: '2' },
						{ name: 'A', value: '1' },
					],
					args: ['y'],
				},
			],
		},
	],
	'a merge key that is a number': [
		{ containers: [{ name: 'web', ports: [{ containerPort: 80, name: 'a' }] }] },
		{ containers: [{ name: 'web', ports: [{ containerPort: 80, name: 'b' }] }] },
		{ containers: [{ name: 'web', ports: [{ containerPort: 80, name: 'b' }] }] },
	],
	'$setElementOrder alone only sorts': [
		{ containers: two },
		{ '$setElementOrder/containers': [{ name: 'side' }, { name: 'web' }] },
		{ containers: two.toReversed() },
	],
	'$setElementOrder sorts what it names; what only the server has keeps its place': [
		{ containers: [{ name: 'a' }, { name: 'mine' }, { name: 'b' }, { name: 'last' }] },
		{
			'$setElementOrder/containers': [{ name: 'new' }, { name: 'b' }, { name: 'a' }],
			containers: [{ name: 'new' }],
		},
		{ containers: [{ name: 'new' }, { name: 'mine' }, { name: 'b' }, { name: 'a' }, { name: 'last' }] },
	],
	'kubectl apply: changes one, deletes one, keeps the sidecar of another': [
		{
			containers: [
				{ name: 'c', image: 'x' },
				{ name: 'gone', image: 'z' },
				{ name: 'sidecar', image: 'y' },
			],
		},
		{
			'$setElementOrder/containers': [{ name: 'c' }],
			containers: [
				{ image: 'x2', name: 'c' },
				{ $patch: 'delete', name: 'gone' },
			],
		},
		{
			containers: [
				{ name: 'c', image: 'x2' },
				{ name: 'sidecar', image: 'y' },
			],
		},
	],
	'$retainKeys drops every other field: the type of a volume changes': [
		{ volumes: [{ name: 'v', emptyDir: { medium: 'Memory' } }] },
		{ volumes: [{ name: 'v', configMap: { name: 'cm' }, $retainKeys: ['name', 'configMap'] }] },
		{ volumes: [{ name: 'v', configMap: { name: 'cm' } }] },
	],
	'directives do not get stored with what is new': [
		{},
		{
			containers: [{ name: 'a', env: [{ name: 'gone', $patch: 'delete' }], tty: null }],
			'$setElementOrder/containers': [{ name: 'a' }],
		},
		{ containers: [{ name: 'a', env: [] }] },
	],
	'an absent list stays absent when only its order or deletions are patched': [
		{ hostname: 'x' },
		{ '$setElementOrder/containers': [{ name: 'a' }] },
		{ hostname: 'x' },
	],
};
for (const [what, [before, patch, after]] of Object.entries(cases))
	test(`strategic merge patch: ${what}`, (t) => {
		t.deepEqual(onPod(before, patch), after);
	});

test('strategic merge patch: scalars of a merging list are added once, and removed by $deleteFromPrimitiveList', (t) => {
	const before = deployment({}, { finalizers: ['x/a', 'x/b'] });
	const after = patched(before, {
		metadata: { finalizers: ['x/b', 'x/c'], '$deleteFromPrimitiveList/finalizers': ['x/a'] },
	});
	t.deepEqual(after.metadata.finalizers, ['x/b', 'x/c']);
	const ordered = patched(before, { metadata: { '$setElementOrder/finalizers': ['x/b', 'x/a'] } });
	t.deepEqual(ordered.metadata.finalizers, ['x/b', 'x/a']);
});

test('strategic merge patch: a strategy with $retainKeys loses its rolling update', (t) => {
	const before = deployment({ spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } });
	const { spec } = patched(before, { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } });
	t.deepEqual(spec, { strategy: { type: 'Recreate' } });
});

test('strategic merge patch: without a schema maps merge and lists are replaced', (t) => {
	const before = deployment({ spec: { a: { b: 1 }, l: [{ name: 'x' }] } });
	const { spec } = applyStrategicMergePatch(before, { spec: { a: { c: 2 }, l: [{ name: 'y' }] } }, undefined, {});
	t.deepEqual(spec, { a: { b: 1, c: 2 }, l: [{ name: 'y' }] });
});

test('strategic merge patch: a long patch of a long list reads each item a few times', (t) => {
	const length = 2000;
	let reads = 0;
	const containers = Array.from({ length }, (_, i) =>
		Object.defineProperty({ image: 'old' }, 'name', {
			enumerable: true,
			get() {
				reads++;
				return `c${i}`;
			},
		}),
	);
	const patch = Array.from({ length }, (_, i) => ({ name: `c${length - 1 - i}`, image: 'new' }));
	const { containers: merged } = onPod({ containers }, { containers: patch }) as { containers: unknown };
	t.deepEqual(merged, patch);
	t.true(reads < 20 * length, `${reads} reads of the keys of ${length} items`);
});

const refused: Record<string, [patch: unknown, message: RegExp]> = {
	'a patch that is no object': [[], /must be a JSON object/],
	'an unknown directive': [{ spec: { $patch: 'wipe' } }, /unknown patch type "wipe"/],
	'an unknown directive in a list': [
		podSpec({ containers: [{ name: 'x', $patch: 'wipe' }] }),
		/unknown patch type "wipe"/,
	],
	'an item without its key': [podSpec({ containers: [{ image: 'x' }] }), /declared merge key: name/],
	'an item that is no object': [podSpec({ containers: ['x'] }), /item of containers in the patch is no object/],
	'an order that is no list': [
		podSpec({ '$setElementOrder/containers': {} }),
		/setElementOrder\/containers must be a list/,
	],
	'retained keys without a field of the patch': [
		{ spec: { strategy: { $retainKeys: ['type'], rollingUpdate: {} } } },
		/"rollingUpdate" is missing/,
	],
};
for (const [what, [patch, message]] of Object.entries(refused))
	test(`strategic merge patch refuses: ${what}`, (t) => {
		t.throws(() => patched(pod({ containers: two }), patch), { message, code: 400 } as object);
	});
