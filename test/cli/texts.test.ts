/** The pure parts of what the command line prints and chooses. */
import test from 'ava';
import { outcomeOf } from '../../src/cli/resources/apply.ts';
import { parseEnv } from '../../src/cli/resources/key-values.ts';
import { byUse, chooseContainer, selectorOf } from '../../src/cli/resources/pods.ts';
import { formatObjects } from '../../src/cli/resources/print.ts';
import { matchKinds } from '../../src/cli/resources/resource-types.ts';
import { createAligner } from '../../src/cli/resources/tables.ts';
import { paintFor, table, tame } from '../../src/cli/terminal.ts';
import { UserError } from '../../src/cli/user-error.ts';
import { builtins, type KubeObject, type Pod } from '../../src/kinds/index.ts';
import { nearest } from '../../src/kinds/nearest.ts';

test('colours are for terminals whose user wants them', (t) => {
	const red = (isTTY: boolean, env: NodeJS.ProcessEnv) => paintFor({ isTTY }, env)('red', 'x');
	t.is(red(true, {}), '\u001b[31mx\u001b[39m');
	t.is(red(true, { NO_COLOR: '1' }), 'x');
	t.is(red(true, { NO_COLOR: '' }), '\u001b[31mx\u001b[39m');
	t.is(red(true, { TERM: 'dumb' }), 'x');
	t.is(red(false, {}), 'x');
	t.is(paintFor({}, {})('bold', 'x'), 'x');
});

test('control characters are shown, wherever they stand; tabs and newlines are kept', (t) => {
	t.is(tame('a\u001b[31m\u007f\r\u0000b\tc\nd\u0085é'), 'a^[[31m^?^M^@b\tc\nd\\u0085é');
	t.deepEqual(tame({ '\u001b': ['\u0007', 1, null, { a: '\u0008' }] }), {
		'^[': ['^G', 1, null, { a: '^H' }],
	} as object);
});

test('a table is as wide as its cells, colours not counted, and has no blanks at its ends', (t) => {
	t.deepEqual(
		table([
			['A', 'LONG', 'C'],
			['first', 'x', ''],
			['\u001b[31mred\u001b[39m', 'y', 'z'],
		]),
		['A       LONG   C', 'first   x', '\u001b[31mred\u001b[39m     y      z'],
	);
	t.deepEqual(table([]), []);
});

test('rows that come later stand under those before', (t) => {
	const align = createAligner();
	t.deepEqual(
		align([
			['NAME', 'AGE'],
			['web', '5s'],
		]),
		['NAME   AGE', 'web    5s'],
	);
	t.deepEqual(align([['a', '1s']]), ['a      1s']);
	t.deepEqual(align([['longer', '1s']]), ['longer   1s']);
	t.deepEqual(align([['b', '2s']]), ['b        2s']);
});

const words: readonly [string, string | undefined][] = [
	['podz', 'pods'],
	['deploymnet', 'deployments'],
	['servce', 'services'],
	['spaceship', undefined],
	['', undefined],
];
for (const [written, meant] of words) {
	test(`${JSON.stringify(written)} means ${meant ?? 'nothing that there is'}`, (t) => {
		t.is(nearest(written, ['pods', 'deployments', 'services', 'nodes']), meant);
	});
}

const kinds: readonly [string, readonly string[]][] = [
	['po', ['Pod']],
	['POD', ['Pod']],
	['pods.v1.', ['Pod']],
	['deploy.apps', ['Deployment']],
	['deployments.v1.apps', ['Deployment']],
	['deployments.batch', []],
	['app', ['Application']],
	[
		'all',
		[
			...['Pod', 'ReplicationController', 'Service', 'DaemonSet', 'Deployment', 'ReplicaSet', 'StatefulSet'],
			...['HorizontalPodAutoscaler', 'CronJob', 'Job'],
		],
	],
	['hpa', ['HorizontalPodAutoscaler']],
	['', []],
];
for (const [word, expected] of kinds) {
	test(`the word ${JSON.stringify(word)} stands for ${expected.join(', ') || 'no kind'}`, (t) => {
		t.deepEqual(
			matchKinds(word, builtins).map(({ kind }) => kind),
			expected,
		);
	});
}

test('a word that names no version stands for the one whose objects are stored', (t) => {
	const versions = (word: string) => matchKinds(word, builtins).map(({ version }) => version);
	t.deepEqual(versions('hpa'), ['v2']);
	t.deepEqual(versions('hpa.autoscaling'), ['v2']);
	t.deepEqual(versions('hpa.v1.autoscaling'), ['v1']);
});

const object = (spec: object, metadata: Partial<KubeObject['metadata']> = {}): KubeObject =>
	({ apiVersion: 'v1', kind: 'Thing', metadata: { name: 'a', ...metadata }, spec }) as KubeObject;

test('what a reader could take for something else than text is quoted in YAML', (t) => {
	const text = formatObjects(
		[object({ a: 'yes', b: '0644', c: 'null', d: '1e3', e: '2026-01-31', f: 'plain', g: 7, h: [1] })],
		'yaml',
	);
	t.is(
		text,
		'apiVersion: v1\nkind: Thing\nmetadata:\n  name: a\nspec:\n  a: "yes"\n  b: "0644"\n  c: "null"\n  d: "1e3"\n  e: "2026-01-31"\n  f: plain\n  g: 7\n  h:\n  - 1',
	);
});

const selectors: readonly [object, string | undefined][] = [
	[{ selector: { matchLabels: { app: 'web' } } }, 'app=web'],
	[{ selector: { matchExpressions: [{ key: 'tier', operator: 'In', values: ['a', 'b'] }] } }, 'tier in (a,b)'],
	[{ selector: { app: 'web', tier: 'front' } }, 'app=web,tier=front'],
	[{ selector: {} }, undefined],
	[{}, undefined],
];
for (const [spec, expected] of selectors) {
	test(`the pods of ${JSON.stringify(spec)} are those with ${expected ?? 'nothing: none'}`, (t) => {
		t.is(selectorOf(object(spec)), expected);
	});
}

const pod = (name: string, phase: string, ready: boolean, created: string, deleted?: string): Pod => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name, creationTimestamp: created, deletionTimestamp: deleted },
	spec: { containers: [{ name: 'main' }] },
	status: { phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
});

test('of several pods the one of most use is chosen', (t) => {
	const pods = [
		pod('pending', 'Pending', false, '2026-01-01'),
		pod('going', 'Running', true, '2026-01-01', '2026-01-09'),
		pod('unready', 'Running', false, '2026-01-01'),
		pod('young', 'Running', true, '2026-01-05'),
		pod('old', 'Running', true, '2026-01-02'),
	];
	t.deepEqual(
		byUse(pods).map(({ metadata }) => metadata.name),
		['old', 'young', 'unready', 'pending', 'going'],
	);
});

test('the container is the one named, the one that the pod names, or the first', (t) => {
	const spec = { containers: [{ name: 'app' }, { name: 'side' }], initContainers: [{ name: 'setup' }] };
	const two: Pod = { ...pod('web', 'Running', true, ''), spec };
	t.deepEqual(chooseContainer(two, undefined), { container: 'app', outOf: ['app', 'side', 'setup'] });
	t.deepEqual(chooseContainer(two, 'setup'), { container: 'setup' });
	const marked = {
		...two,
		metadata: { ...two.metadata, annotations: { 'kubectl.kubernetes.io/default-container': 'side' } },
	};
	t.deepEqual(chooseContainer(marked, undefined), { container: 'side' });
	t.deepEqual(chooseContainer(pod('one', 'Running', true, ''), undefined), { container: 'main' });
	t.throws(() => chooseContainer(two, 'nobody'), { instanceOf: UserError, message: /it has: app, side, setup/ });
});

test('an apply that only moved times has changed nothing', (t) => {
	const entry = { manager: 'm', operation: 'Apply' as const, fieldsV1: { 'f:spec': {} } };
	const before = object({ a: 1 }, { uid: 'u', resourceVersion: '1', managedFields: [{ ...entry, time: 'x' }] });
	const same = object({ a: 1 }, { uid: 'u', resourceVersion: '2', managedFields: [{ ...entry, time: 'y' }] });
	t.is(outcomeOf(before, same), 'unchanged');
	t.is(outcomeOf(before, object({ a: 2 }, { ...same.metadata })), 'configured');
	t.is(outcomeOf(before, object({ a: 1 }, { ...same.metadata, managedFields: [] })), 'configured');
	t.is(outcomeOf(before, object({ a: 1 }, { ...same.metadata, uid: 'v' })), 'created');
});

test('a file of variables has a line for each', (t) => {
	t.deepEqual(parseEnv('# note\nA=1\r\n\n  B=x=y\nC\nD=', 'vars', { C: 'from outside' }), [
		['A', '1'],
		['B', 'x=y'],
		['C', 'from outside'],
		['D', ''],
	]);
	t.throws(() => parseEnv('A=1\n=2', 'vars'), { instanceOf: UserError, message: /^vars:2: / });
});
