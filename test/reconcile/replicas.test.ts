import test from 'ava';
import type { Pod } from '../../src/kinds/index.ts';
import { deletionOrder } from '../../src/reconcile/workloads/deletion-order.ts';
import { planReplicas, replicaStatus } from '../../src/reconcile/workloads/replicas.ts';
import { ago, NOW, pod, replicaSet } from './workloads.ts';

const names = (pods: readonly Pod[]) => pods.map(({ metadata }) => metadata.name);
const plan = (replicas: number, pods: Pod[]) => planReplicas(replicaSet('web', replicas), pods, NOW);
const mine = { owner: 'web', node: 'n1', ready: 100 };

test('missing pods are created, finished and terminating ones do not count', (t) => {
	const pods = [
		pod('a', mine),
		pod('b', { ...mine, phase: 'Failed' }),
		pod('c', { ...mine, phase: 'Succeeded' }),
		pod('d', { ...mine, terminating: true }),
	];
	const { create, delete: gone, keep } = plan(3, pods);
	t.is(create, 2);
	t.deepEqual(gone, []);
	t.deepEqual(names(keep), ['a']);
});

test('a pod without an owner is adopted where the selector fits, and counts', (t) => {
	const { create, adopt, keep } = plan(2, [pod('a', mine), pod('b'), pod('c', { labels: { app: 'other' } })]);
	t.deepEqual(names(adopt), ['b']);
	t.is(create, 0);
	t.deepEqual(names(keep), ['a', 'b']);
});

test('a pod whose labels no longer fit is released and replaced', (t) => {
	const { create, release } = plan(1, [pod('a', { ...mine, labels: { app: 'debug' } })]);
	t.deepEqual(names(release), ['a']);
	t.is(create, 1);
});

test("another owner's pod is left alone, and a dying pod is not adopted", (t) => {
	const { create, adopt, release } = plan(1, [pod('a', { ...mine, owner: 'other' }), pod('b', { terminating: true })]);
	t.deepEqual([create, adopt, release], [1, [], []]);
});

test('a set that is being deleted does nothing more', (t) => {
	const set = replicaSet('web', 3);
	set.metadata.deletionTimestamp = ago(1);
	const { create, delete: gone, adopt } = planReplicas(set, [pod('a', mine), pod('b')], NOW);
	t.deepEqual([create, gone, adopt], [0, [], []]);
});

test('one pass creates at most 500 pods', (t) => t.is(plan(800, []).create, 500));

test('too many pods: what is deleted comes first in the order, what stays is kept', (t) => {
	const { delete: gone, keep } = plan(1, [pod('old', mine), pod('new', { ...mine, ready: undefined })]);
	t.deepEqual(names(gone), ['new']);
	t.deepEqual(names(keep), ['old']);
});

const aged: [string, 'newer' | 'older' | undefined, Pod, Pod][] = [
	[
		'newer ones first, by the second',
		'newer',
		pod('z', { node: 'n1', ready: 99, age: 100 }),
		pod('a', { node: 'n1', ready: 99, age: 101 }),
	],
	[
		'older ones first, whatever they cost',
		'older',
		pod('z', { node: 'n1', ready: 99, age: 101, cost: '9' }),
		pod('a', { node: 'n1', ready: 99, age: 100 }),
	],
	[
		'what is not ready goes before either',
		'older',
		pod('z', { node: 'n1', age: 1 }),
		pod('a', { node: 'n1', ready: 99, age: 100 }),
	],
	[
		'of one age the cost decides',
		'newer',
		pod('z', { node: 'n1', ready: 99, cost: '-1' }),
		pod('a', { node: 'n1', ready: 99 }),
	],
	[
		'without a word of it the cost decides',
		undefined,
		pod('z', { node: 'n1', ready: 99, age: 100, cost: '-1' }),
		pod('a', { node: 'n1', ready: 99, age: 99 }),
	],
];
for (const [title, which, first, second] of aged) {
	test(`deletion order by age: ${title}`, (t) => {
		for (const pods of [
			[first, second],
			[second, first],
		])
			t.deepEqual(names(deletionOrder(pods, NOW, pods, which)), names([first, second]));
	});
}

test('a set says which age goes first by a field or an annotation, and the field counts', (t) => {
	const pods = [pod('old', { ...mine, age: 200 }), pod('new', { ...mine, age: 100 })];
	const gone = (update?: 'newer' | 'older', annotation?: string) => {
		const set = replicaSet('web', 1, { annotations: annotation ? { 'driftless.io/scale-down': annotation } : {} });
		return names(planReplicas({ ...set, spec: { ...set.spec, update } }, pods, NOW).delete)[0];
	};
	t.is(gone('older'), 'old');
	t.is(gone('newer'), 'new');
	t.is(gone(undefined, 'older'), 'old');
	t.is(gone(undefined, 'newer'), 'new');
	t.is(gone('newer', 'older'), 'new');
});

const ready = { node: 'n1', ready: 4000, age: 4000 };
const orders: [string, Pod, Pod][] = [
	[
		'without a node before with one',
		pod('z', { ...ready, node: undefined }),
		pod('a', { node: 'n1', phase: 'Pending' }),
	],
	['pending before unknown', pod('z', { ...ready, phase: 'Pending' }), pod('a', { node: 'n1', phase: 'Unknown' })],
	['unknown before running', pod('z', { ...ready, phase: 'Unknown' }), pod('a', { node: 'n1', phase: 'Running' })],
	[
		'not ready before ready, whatever it costs',
		pod('z', { node: 'n1', cost: '10' }),
		pod('a', { ...ready, cost: '-10' }),
	],
	['lower deletion cost before higher', pod('z', { ...ready, cost: '-1' }), pod('a', ready)],
	['a cost that is no number counts as 0', pod('z', { ...ready, cost: '-5' }), pod('a', { ...ready, cost: '-9e9' })],
	['ready for a shorter time before longer', pod('z', { ...ready, ready: 10 }), pod('a', ready)],
	['more restarts before fewer', pod('z', { ...ready, restarts: 3 }), pod('a', ready)],
	['younger before older', pod('z', { ...ready, age: 10 }), pod('a', ready)],
	['about one age: the uid decides', pod('a', { ...ready, age: 4001 }), pod('z', { ...ready, age: 4000 })],
];
for (const [title, first, second] of orders) {
	test(`deletion order: ${title}`, (t) => {
		t.deepEqual(names(deletionOrder([first, second], NOW)), names([first, second]));
		t.deepEqual(names(deletionOrder([second, first], NOW)), names([first, second]));
	});
}

test('deletion order: pods doubled up on a node go first, counting those of the related sets', (t) => {
	const alone = pod('a', { ...ready, node: 'n1' });
	const crowded = pod('z', { ...ready, node: 'n2' });
	const related = [alone, crowded, pod('x', { ...ready, node: 'n2', owner: 'sibling' })];
	t.deepEqual(names(deletionOrder([alone, crowded], NOW, related)), ['z', 'a']);
});

test('the status counts labeled, ready and available pods and leaves zeros out', (t) => {
	const set = replicaSet('web', 3, { minReadySeconds: 30 });
	const pods = [pod('a', { ready: 60 }), pod('b', { ready: 10 }), pod('c', { ready: 20, labels: {} }), pod('d')];
	const { status, nextAvailable } = replicaStatus(set, pods, NOW);
	t.deepEqual(status, {
		replicas: 4,
		fullyLabeledReplicas: 3,
		readyReplicas: 3,
		availableReplicas: 1,
		observedGeneration: 1,
	});
	t.is(nextAvailable, NOW + 10_000, 'c becomes available first, exactly when its 30 seconds are over');
	t.deepEqual(replicaStatus(set, [], NOW).status, { replicas: 0, observedGeneration: 1 });
});

test('a refusal shows as the condition ReplicaFailure, and goes when it is over', (t) => {
	const set = replicaSet('web', 1);
	const failure = { reason: 'FailedCreate', message: 'quota' } as const;
	const { status } = replicaStatus(set, [], NOW, failure);
	t.deepEqual(status.conditions, [{ type: 'ReplicaFailure', status: 'True', ...failure, lastTransitionTime: ago(0) }]);
	t.is(replicaStatus({ ...set, status }, [], NOW).status.conditions, undefined);
});
