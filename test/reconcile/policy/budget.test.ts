import test from 'ava';
import type { Pod, PodDisruptionBudget } from '../../../src/kinds/index.ts';
import { evaluate, unknown } from '../../../src/reconcile/policy/budget.ts';
import { ago, NOW, pod } from '../workloads.ts';

const budget = (spec: object, status: object = {}): PodDisruptionBudget => ({
	apiVersion: 'policy/v1',
	kind: 'PodDisruptionBudget',
	metadata: { name: 'b', namespace: 'default', generation: 3 },
	spec,
	status: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0, ...status },
});
const ready = (count: number): Pod[] => Array.from({ length: count }, (_, i) => pod(`p${i}`, { ready: 10 }));
const unready = pod('unready');
const leaving = pod('leaving', { ready: 10, terminating: true });

/** spec, pods, expected: healthy, desired, allowed. */
const cases: [string, object, Pod[], number, [number, number, number]][] = [
	['as many as are ready above the least', { minAvailable: 2 }, ready(5), 5, [5, 2, 3]],
	['nothing below the least', { minAvailable: 3 }, [...ready(2), unready], 3, [2, 3, 0]],
	['nothing that can never be met', { minAvailable: 9 }, ready(3), 3, [3, 9, 0]],
	['a share is rounded up', { minAvailable: '50%' }, ready(5), 5, [5, 3, 2]],
	['of what there should be, not of what there is', { minAvailable: '50%' }, ready(5), 8, [5, 4, 1]],
	['so many may be away', { maxUnavailable: 1 }, ready(3), 3, [3, 2, 1]],
	['those that are away already count', { maxUnavailable: 1 }, [...ready(2), unready], 3, [2, 2, 0]],
	['a share of those that may be away is rounded up', { maxUnavailable: '30%' }, ready(5), 5, [5, 3, 2]],
	['more than all may be away', { maxUnavailable: 9 }, ready(3), 3, [3, 0, 3]],
	['none may be away', { maxUnavailable: 0 }, ready(3), 3, [3, 3, 0]],
	['a pod on its way out is no more', { minAvailable: 1 }, [...ready(2), leaving], 3, [2, 1, 1]],
	['of no pods nothing can go', { maxUnavailable: 1 }, [], 0, [0, 0, 0]],
	['a budget that asks for nothing', {}, ready(2), 2, [2, 0, 2]],
];
for (const [what, spec, pods, expected, [healthy, desired, allowed]] of cases)
	test(`a budget allows: ${what}`, (t) => {
		const { status } = evaluate(budget(spec), pods, expected, NOW);
		t.like(status, {
			currentHealthy: healthy,
			desiredHealthy: desired,
			disruptionsAllowed: allowed,
			expectedPods: expected,
			observedGeneration: 3,
		});
		t.like(status.conditions?.[0], {
			type: 'DisruptionAllowed',
			status: allowed > 0 ? 'True' : 'False',
			reason: allowed > 0 ? 'SufficientPods' : 'InsufficientPods',
			observedGeneration: 3,
		});
	});

test('an evicted pod counts no more, until it has gone or is there after two minutes', (t) => {
	const disruptedPods = { p0: ago(10), p1: ago(121), gone: ago(10), leaving: ago(10) };
	const found = evaluate(budget({ minAvailable: 1 }, { disruptedPods }), [...ready(4), leaving], 4, NOW);
	t.deepEqual(found.status.disruptedPods, { p0: ago(10) });
	t.is(found.status.currentHealthy, 3);
	t.deepEqual(
		found.stayed.map(({ metadata }) => metadata.name),
		['p1'],
	);
	t.is(found.next, NOW + 110_000);
});

test('a condition keeps its time while it says the same', (t) => {
	const before = evaluate(budget({ minAvailable: 1 }), ready(2), 2, NOW).status;
	const same = evaluate(budget({ minAvailable: 1 }, before), ready(3), 3, NOW + 60_000).status;
	t.deepEqual(same.conditions, before.conditions);
	const other = evaluate(budget({ minAvailable: 1 }, before), ready(1), 1, NOW + 60_000).status;
	t.not(other.conditions?.[0]?.lastTransitionTime, before.conditions?.[0]?.lastTransitionTime);
});

test('a budget that could not be computed allows nothing', (t) => {
	const status = unknown(budget({ maxUnavailable: 1 }, { disruptionsAllowed: 2, currentHealthy: 3 }), 'no scale', NOW);
	t.like(status, { disruptionsAllowed: 0, currentHealthy: 3 });
	t.like(status.conditions?.[0], { status: 'False', reason: 'SyncFailed', message: 'no scale' });
});
