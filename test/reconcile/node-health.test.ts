import test from 'ava';
import type { NodeCondition, Taint, Toleration } from 'kubernetes-types/core/v1.js';
import type { Lease, Node, Pod } from '../../src/kinds/index.ts';
import { evictionOf } from '../../src/reconcile/nodes/eviction.ts';
import { GRACE_MS, planTaints, type Sign, signOf, unknownConditions } from '../../src/reconcile/nodes/node-health.ts';

const NOW = Date.parse('2030-01-01T00:00:00Z');
const TIME = '2030-01-01T00:00:00Z';

const node = (conditions: Record<string, string>, spec: Partial<Node['spec']> = {}): Node => ({
	apiVersion: 'v1',
	kind: 'Node',
	metadata: { name: 'n', creationTimestamp: TIME },
	spec,
	status: { conditions: Object.entries(conditions).map(([type, status]) => ({ type, status })) },
});

const lease = (renewTime: string): Lease => ({
	apiVersion: 'coordination.k8s.io/v1',
	kind: 'Lease',
	metadata: { name: 'n' },
	spec: { renewTime },
});

const short = (taints: readonly Taint[] | undefined) => taints?.map(({ key, effect }) => `${key}:${effect}`);
const known = (key: string, effect: string): Taint => ({ key: `node.kubernetes.io/${key}`, effect, timeAdded: TIME });

test('a node counts as alive for the grace period since its last sign, by our own clock', (t) => {
	const at = (seconds: number, beat: string, before?: Sign) =>
		signOf(node({ Ready: 'True' }), lease(beat), before, seconds * 1000);
	const first = at(0, 'one');
	t.is(first.since, 0);
	const silent = at(30, 'one', first);
	t.is(silent.since, 0);
	t.is(at(50, 'one', silent).since, 0);
	t.is(at(50, 'two', silent).since, 50_000);
	// Whatever the agent's clock says.
	t.is(at(50, 'the year 1970', silent).since, 50_000);
});

test('after a time in which nobody looked, a silent node gets a whole grace period', (t) => {
	const first = signOf(node({ Ready: 'True' }), lease('one'), undefined, 0);
	const later = GRACE_MS * 10;
	t.is(signOf(node({ Ready: 'True' }), lease('one'), first, later).since, later);
});

test('what only the agent can know becomes Unknown, once', (t) => {
	const conditions = unknownConditions(node({ Ready: 'True', MemoryPressure: 'Unknown', Custom: 'True' }), NOW);
	const find = (type: string): NodeCondition | undefined => conditions.find((condition) => condition.type === type);
	t.like(find('Ready'), { status: 'Unknown', reason: 'NodeStatusUnknown', lastTransitionTime: TIME });
	t.like(find('DiskPressure'), { status: 'Unknown', reason: 'NodeStatusNeverUpdated' });
	t.is(find('MemoryPressure'), undefined);
	t.is(find('Custom'), undefined);
	const unknown = { Ready: 'Unknown', MemoryPressure: 'Unknown', DiskPressure: 'Unknown', PIDPressure: 'Unknown' };
	t.deepEqual(unknownConditions(node(unknown), NOW), []);
});

const taintCases: [title: string, before: Node, after: string[] | undefined][] = [
	['ready: none', node({ Ready: 'True' }), undefined],
	['not reported yet: no new pods', node({}), ['node.kubernetes.io/not-ready:NoSchedule']],
	[
		'not ready',
		node({ Ready: 'False' }),
		['node.kubernetes.io/not-ready:NoSchedule', 'node.kubernetes.io/not-ready:NoExecute'],
	],
	[
		'silent, after it was not ready',
		node({ Ready: 'Unknown' }, { taints: [known('not-ready', 'NoSchedule'), known('not-ready', 'NoExecute')] }),
		['node.kubernetes.io/unreachable:NoSchedule', 'node.kubernetes.io/unreachable:NoExecute'],
	],
	[
		'silent, and tainted already',
		node({ Ready: 'Unknown' }, { taints: [known('unreachable', 'NoExecute'), known('unreachable', 'NoSchedule')] }),
		undefined,
	],
	[
		'back again: the taints of others stay',
		node({ Ready: 'True' }, { taints: [known('unreachable', 'NoExecute'), { key: 'mine', effect: 'NoSchedule' }] }),
		['mine:NoSchedule'],
	],
	[
		'under pressure and cordoned',
		node({ Ready: 'True', MemoryPressure: 'True', DiskPressure: 'False' }, { unschedulable: true }),
		['node.kubernetes.io/memory-pressure:NoSchedule', 'node.kubernetes.io/unschedulable:NoSchedule'],
	],
];
for (const [title, before, after] of taintCases) {
	test(`taints of a node: ${title}`, (t) => {
		t.deepEqual(short(planTaints(before, NOW, true)), after);
	});
}

test('a node that is not to be evicted keeps pods away, and those that it has', (t) => {
	const tainted = node(
		{ Ready: 'Unknown' },
		{ taints: [known('unreachable', 'NoExecute'), { ...known('mine', 'NoExecute') }] },
	);
	t.deepEqual(short(planTaints(tainted, NOW, false)), [
		'node.kubernetes.io/mine:NoExecute',
		'node.kubernetes.io/unreachable:NoSchedule',
	]);
});

test('a taint that evicts has the time from which tolerations count, also one that a person set', (t) => {
	const taints = planTaints(node({ Ready: 'True' }, { taints: [{ key: 'mine', effect: 'NoExecute' }] }), NOW, true);
	t.deepEqual(taints, [{ key: 'mine', effect: 'NoExecute', timeAdded: TIME }]);
});

const pod = (tolerations: Toleration[]): Pod => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name: 'p' },
	spec: { containers: [], tolerations },
});
const unreachable = known('unreachable', 'NoExecute');
const mine: Taint = { key: 'mine', value: 'x', effect: 'NoExecute', timeAdded: TIME };

const evictionCases: [title: string, tolerations: Toleration[], taints: Taint[], seconds: number | undefined][] = [
	['without taints never', [], [], undefined],
	['a taint that does not evict counts for nothing', [], [known('unreachable', 'NoSchedule')], undefined],
	['a silent node, at once where nothing is tolerated', [], [unreachable], 0],
	[
		'a silent node, as long as the pod says',
		[{ key: unreachable.key, operator: 'Exists', tolerationSeconds: 7 }],
		[unreachable],
		7,
	],
	[
		'a silent node, for ever where the pod says so',
		[{ key: unreachable.key, operator: 'Exists' }],
		[unreachable],
		undefined,
	],
	['what tolerates everything stays', [{ operator: 'Exists' }], [unreachable, mine], undefined],
	["somebody's taint, at once", [], [mine], 0],
	["somebody's taint of another value, at once", [{ key: 'mine', value: 'y' }], [mine], 0],
	["somebody's taint, tolerated by value", [{ key: 'mine', value: 'x' }], [mine], undefined],
	['a toleration of another effect does not help', [{ key: 'mine', value: 'x', effect: 'NoSchedule' }], [mine], 0],
	[
		'the first of several',
		[
			{ key: 'mine', operator: 'Exists', tolerationSeconds: 20 },
			{ key: unreachable.key, operator: 'Exists', tolerationSeconds: 300 },
		],
		[unreachable, mine],
		20,
	],
];
for (const [title, tolerations, taints, seconds] of evictionCases) {
	test(`eviction of a pod: ${title}`, (t) => {
		const at = evictionOf(pod(tolerations), taints)?.at;
		t.is(at, seconds === undefined ? undefined : NOW + seconds * 1000);
	});
}
