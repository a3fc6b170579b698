import test from 'ava';
import type { Deployment, ReplicaSet } from '../../src/kinds/index.ts';
import { podTemplateHash, sameTemplate } from '../../src/reconcile/workloads/pod-template-hash.ts';
import { nextRevision, revisionAnnotations, superfluous } from '../../src/reconcile/workloads/revision.ts';
import { bounds, initialReplicas, rollOut, sizeAnnotations } from '../../src/reconcile/workloads/rollout.ts';
import fc from '../testbed/fast-check.ts';
import { deployment, replicaSet, template } from './workloads.ts';

const rolling = (maxSurge: number | string, maxUnavailable: number | string) => ({
	strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } },
});
const recreate = { strategy: { type: 'Recreate' } };
const was = (desired: number, max: number) => ({
	'deployment.kubernetes.io/desired-replicas': `${desired}`,
	'deployment.kubernetes.io/max-replicas': `${max}`,
});
const old = (replicas: number, shape = {}) => replicaSet('old', replicas, { version: '1', age: 2000, ...shape });
const fresh = (replicas: number, shape = {}) => replicaSet('new', replicas, { version: '2', age: 10, ...shape });

/** `old 4>3 new 1>2` */
const steps = (target: Deployment, sets: ReplicaSet[], oldPods = false) =>
	rollOut(target, sets, oldPods)
		.map(({ replicaSet, from, to }) => `${replicaSet.metadata.name} ${from}>${to}`)
		.sort()
		.join(' ');

test('bounds: surge rounds up, unavailable rounds down, and never both are 0', (t) => {
	const table: [number, number | string, number | string, number, number][] = [
		[10, '25%', '25%', 3, 2],
		[4, '25%', '25%', 1, 1],
		[1, '25%', '25%', 1, 0],
		[3, 0, 0, 0, 1],
		[3, '0%', '10%', 0, 1],
		[2, 5, 5, 5, 2],
		[0, 1, 1, 1, 0],
	];
	for (const [replicas, surge, unavailable, maxSurge, maxUnavailable] of table)
		t.deepEqual(bounds(deployment(replicas, rolling(surge, unavailable))), { maxSurge, maxUnavailable });
	t.deepEqual(bounds(deployment(3, recreate)), { maxSurge: 0, maxUnavailable: 0 });
});

const table: [string, Deployment, ReplicaSet[], string][] = [
	['nothing to do', deployment(3, {}, '2'), [fresh(3)], ''],
	['the new set grows by the surge', deployment(4, rolling(1, 0), '2'), [old(4), fresh(0)], 'new 0>1'],
	[
		'the new set waits while the surge is used up',
		deployment(4, rolling(1, 0), '2'),
		[old(4), fresh(1, { available: 0 })],
		'',
	],
	['an available new pod lets an old one go', deployment(4, rolling(1, 0), '2'), [old(4), fresh(1)], 'old 4>3'],
	['unavailable permits scaling down at once', deployment(4, rolling(0, 2), '2'), [old(4), fresh(0)], 'old 4>2'],
	[
		'pods that do not work go first, and more of them',
		deployment(4, rolling(1, 1), '2'),
		[old(4, { available: 1 }), fresh(1, { available: 0 })],
		'old 4>3',
	],
	[
		'broken old pods go beyond the healthy',
		deployment(3, rolling(3, 0), '2'),
		[old(3, { available: 0 }), fresh(3)],
		'old 3>0',
	],
	['the new set never outgrows the deployment', deployment(2, rolling(2, 0), '2'), [old(0), fresh(2)], ''],
	['a new set that is too large shrinks', deployment(2, rolling(1, 1), '2'), [fresh(5)], 'new 5>2'],
	['recreate: old pods all go first', deployment(3, recreate, '2'), [old(3), fresh(0)], 'old 3>0'],
	['recreate: then the new ones come', deployment(3, recreate, '2'), [old(0), fresh(0)], 'new 0>3'],
	[
		'scaling a deployment with one set',
		deployment(5, {}, '2'),
		[old(0), fresh(3, { annotations: was(3, 4) })],
		'new 3>5',
	],
	[
		'a finished rollout leaves nothing to old sets',
		deployment(5, {}, '2'),
		[old(1, { annotations: was(4, 5) }), fresh(5, { annotations: was(5, 7) })],
		'old 1>0',
	],
	[
		'scaling up in the middle of a rollout is proportional',
		deployment(15, rolling(3, 2), '2'),
		[old(8, { annotations: was(10, 13) }), fresh(5, { available: 0, annotations: was(10, 13) })],
		'new 5>7 old 8>11',
	],
	[
		'scaling down in the middle of a rollout is proportional',
		deployment(5, rolling(3, 2), '2'),
		[old(8, { annotations: was(10, 13) }), fresh(5, { available: 0, annotations: was(10, 13) })],
		'new 5>3 old 8>5',
	],
	[
		'scaling to none empties every set',
		deployment(0, {}, '2'),
		[old(2, { annotations: was(3, 4) }), fresh(2, { available: 1, annotations: was(3, 4) })],
		'new 2>0 old 2>0',
	],
	[
		'paused: a template that changed does not roll',
		deployment(3, { ...rolling(1, 0), paused: true }, '2'),
		[old(3)],
		'',
	],
	[
		'paused: scaling still works',
		deployment(5, { ...rolling(1, 0), paused: true }, '2'),
		[old(3, { annotations: was(3, 4) })],
		'old 3>5',
	],
];
for (const [title, target, sets, expected] of table)
	test(`roll out: ${title}`, (t) => t.is(steps(target, sets), expected));

test('recreate waits for the last old pod, also one that only terminates', (t) => {
	t.is(steps(deployment(3, recreate, '2'), [old(0), fresh(0)], true), '');
});

test('a new set starts with what the surge allows, or with all', (t) => {
	t.is(initialReplicas(deployment(4, rolling(1, 0), '2'), [old(4)]), 1);
	t.is(initialReplicas(deployment(4, rolling(0, 1), '2'), [old(4)]), 0);
	t.is(initialReplicas(deployment(4), []), 4);
	t.is(initialReplicas(deployment(4, recreate), []), 4);
});

test('a rollout ends with the new set alone, and never breaks its bounds on the way', (t) => {
	const arbitrary = fc.record({
		replicas: fc.integer({ min: 0, max: 12 }),
		maxSurge: fc.integer({ min: 0, max: 4 }),
		maxUnavailable: fc.integer({ min: 0, max: 4 }),
		start: fc.integer({ min: 0, max: 12 }),
	});
	fc.assert(
		fc.property(arbitrary, ({ replicas, maxSurge, maxUnavailable, start }) => {
			const target = deployment(replicas, rolling(maxSurge, maxUnavailable), '2');
			const limit = bounds(target);
			const sizes = { old: start, new: 0 };
			// All pods become available at once; annotations say the size is not new.
			const annotations = sizeAnnotations(target);
			for (let round = 0; round < 100; round++) {
				const scales = rollOut(target, [old(sizes.old, { annotations }), fresh(sizes.new, { annotations })]);
				if (scales.length === 0) break;
				for (const { replicaSet, to } of scales) sizes[replicaSet.metadata.name === 'old' ? 'old' : 'new'] = to;
				const total = sizes.old + sizes.new;
				if (total > Math.max(start, replicas + limit.maxSurge)) return false;
				if (total < Math.min(start, replicas - limit.maxUnavailable)) return false;
			}
			return sizes.old === 0 && sizes.new === replicas;
		}),
	);
	t.pass();
});

test('the template hash is stable, short, without vowels, and another for another template', (t) => {
	const hash = podTemplateHash(template('1'));
	t.regex(hash, /^[456789bcdf]{1,10}$/);
	t.is(
		podTemplateHash({ spec: template('1').spec, metadata: { labels: { app: 'web', 'pod-template-hash': 'x' } } }),
		hash,
	);
	t.not(podTemplateHash(template('2')), hash);
	t.not(podTemplateHash(template('1'), 1), hash);
	// Names of stored ReplicaSets are made of it: it must not change between versions.
	t.is(podTemplateHash({ metadata: { labels: { app: 'web' } }, spec: { containers: [] } }), '6778545797');
});

test('templates are equal whatever the hash label and the order of fields', (t) => {
	const labeled = template('1', { 'pod-template-hash': 'abc', app: 'web' });
	t.true(sameTemplate(template('1'), labeled));
	t.false(sameTemplate(template('1'), template('1', { app: 'web', tier: 'front' })));
});

const revised = (name: string, revision: number | string, shape: { replicas?: number; history?: string } = {}) =>
	replicaSet(name, shape.replicas ?? 0, {
		annotations: {
			'deployment.kubernetes.io/revision': `${revision}`,
			...(shape.history && { 'deployment.kubernetes.io/revision-history': shape.history }),
		},
	});

test('a new template gets the next revision and the annotations of its deployment', (t) => {
	const target = deployment(1);
	target.metadata.annotations = { 'kubernetes.io/change-cause': 'image 2', 'deployment.kubernetes.io/revision': '7' };
	t.is(nextRevision([revised('a', 1), revised('b', 4)]), 5n);
	// Beyond what a JavaScript number holds exactly.
	t.is(nextRevision([revised('a', '3546343826724305832'), revised('b', 4)]), 3546343826724305833n);
	t.deepEqual(revisionAnnotations(target, replicaSet('new', 0), 5n), {
		'kubernetes.io/change-cause': 'image 2',
		'deployment.kubernetes.io/revision': '5',
	});
});

test('a set that is rolled back to keeps its earlier revisions as history', (t) => {
	t.deepEqual(revisionAnnotations(deployment(1), revised('a', 3, { history: '1' }), 6n), {
		'deployment.kubernetes.io/revision': '6',
		'deployment.kubernetes.io/revision-history': '1,3',
	});
});

test('history beyond the limit goes, oldest first, but never a set with pods', (t) => {
	const sets = [revised('c', 3), revised('a', 1), revised('b', 2, { replicas: 1 }), revised('d', 4)];
	const names = (limit: number | undefined) =>
		superfluous(deployment(1, { revisionHistoryLimit: limit }), sets).map(({ metadata }) => metadata.name);
	t.deepEqual(names(2), ['a']);
	t.deepEqual(names(0), ['a', 'c', 'd']);
	t.deepEqual(names(undefined), []);
});
