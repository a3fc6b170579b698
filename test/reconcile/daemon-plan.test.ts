/** What a DaemonSet does next, and what its status says: the decisions alone. */
import test from 'ava';
import type { PodSpec } from 'kubernetes-types/core/v1.js';
import type { DaemonSet, Node, Pod } from '../../src/kinds/index.ts';
import { schedule } from '../../src/reconcile/scheduling/schedule.ts';
import { createSnapshot } from '../../src/reconcile/scheduling/snapshot.ts';
import { wantedOf } from '../../src/reconcile/scheduling/wanted.ts';
import { daemonStatus, judge, type Place, planDaemon } from '../../src/reconcile/workloads/daemon-plan.ts';
import { daemonPod, fitOf, nodeOf } from '../../src/reconcile/workloads/daemon-pods.ts';
import { NOW, node as nodeShape, pod as podShape, template } from './workloads.ts';

type Spec = Partial<DaemonSet['spec']>;

function set(spec: Spec = {}, pod: Partial<PodSpec> = {}): DaemonSet {
	const { metadata, spec: containers = { containers: [] } } = template('1', { app: 'logs' });
	return {
		apiVersion: 'apps/v1',
		kind: 'DaemonSet',
		metadata: { name: 'logs', namespace: 'default', uid: 'uid-logs', generation: 1 },
		spec: {
			selector: { matchLabels: { app: 'logs' } },
			template: { metadata, spec: { ...containers, ...pod } },
			updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
			...spec,
		},
	};
}

/** A pod in few letters: the revision, then `!` not ready, `~` terminating, `x` failed, `s` succeeded, `.` ready for a second only. */
function podOf(node: string, word: string, age: number): Pod {
	const [revision = '', ...marks] = word;
	const has = (mark: string) => marks.includes(mark);
	return podShape(`${node}-${word}-${age}`, {
		node,
		age,
		ready: has('!') || has('x') || has('s') ? undefined : has('.') ? 1 : 100,
		phase: has('x') ? 'Failed' : has('s') ? 'Succeeded' : 'Running',
		terminating: has('~'),
		labels: { app: 'logs', 'controller-revision-hash': revision },
	});
}

/** Nodes in few letters, `n1 n2:a n3:a!+b -n4:a`: the pods there, oldest first; `-` must not run it, `~` may go on but not begin, `?` is gone. */
function places(target: DaemonSet, text: string): Place[] {
	return text.split(' ').map((word) => {
		const [, mark = '', node = '', has = ''] = /^([-~?]?)(\w+):?(.*)$/.exec(word) ?? [];
		const pods = has.split('+').flatMap((each, index) => (each ? [podOf(node, each, 1000 - index)] : []));
		const fit = mark === '?' ? undefined : { run: mark === '', stay: mark !== '-' };
		return judge(target, node, fit, pods, new Set(['b']), NOW);
	});
}

function steps(target: DaemonSet, text: string): string {
	const { create, delete: gone } = planDaemon(target, places(target, text));
	const removed = gone.map(({ pod, reason }) => `-${pod.metadata.name.replace(/-\d+$/, '')} ${reason}`);
	return [...create.map((node) => `+${node}`), ...removed].join(', ');
}

const atMost = (maxUnavailable: number | string): Spec => ({
	updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable, maxSurge: 0 } },
});
const surge = (maxSurge: number | string): Spec => ({
	updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge } },
});
const onDelete: Spec = { updateStrategy: { type: 'OnDelete' } };

const cases: [string, DaemonSet, string, string][] = [
	['every node that fits gets a pod', set(), 'n1 n2:b -n3 ~n4', '+n1'],
	['none while the old one is on its way out', set(), 'n1:b~', ''],
	['where it must not run it goes', set(), '-n1:b n2:b', '-n1-b misplaced'],
	['where it may not begin it may go on', set(), '~n1:b', ''],
	['what was made for a node that is gone goes with the node', set(), '?n1:b', ''],
	['of two on a node the older stays', set(), 'n1:b+b', '-n1-b double'],
	['one that failed is made anew', set(), 'n1:bx', '-n1-bx failed'],
	['one that ended is made anew', set(), 'n1:bs', '-n1-bs ended'],
	['one that is being deleted is not deleted again', set(), 'n1:bx~', ''],
	// rolling update
	['one old pod after the other', set(), 'n1:a n2:a n3:b', '-n1-a outdated'],
	['the next one waits for a new one that is not ready', set(), 'n1:a n2:b!', ''],
	['and for one that is not there yet', set(), 'n1:a n2', '+n2'],
	['and for one that is on its way out', set(), 'n1:a n2:a~', ''],
	['old pods that are broken go at once', set(), 'n1:a! n2:a! n3:a', '-n1-a! outdated, -n2-a! outdated'],
	['as many as may be unavailable', set(atMost(2)), 'n1:a n2:a n3:a', '-n1-a outdated, -n2-a outdated'],
	['a share rounds up', set(atMost('30%')), 'n1:a n2:a n3:a n4:a', '-n1-a outdated, -n2-a outdated'],
	['at least one, whatever is said', set(atMost(0)), 'n1:a n2:a', '-n1-a outdated'],
	['what is ready waits for minReadySeconds', set({ minReadySeconds: 10 }), 'n1:a n2:b.', ''],
	['where it only goes on it is replaced as well', set(), '~n1:a', '-n1-a outdated'],
	['by hand: nothing', set(onDelete), 'n1:a n2:a!', ''],
	['by hand: what is gone is made anew', set(onDelete), 'n1:a n2', '+n2'],
	// surge
	['a new pod comes beside the old one', set(surge(1)), 'n1:a n2:a', '+n1'],
	['the next waits until it is available', set(surge(1)), 'n1:a+b! n2:a', ''],
	['then the old one goes', set(surge(1)), 'n1:a+b n2:a', '+n2, -n1-a outdated'],
	['the old one goes as well when it is broken', set(surge(1)), 'n1:a!+b! n2:a', '+n2, -n1-a! outdated'],
	['broken ones do not count', set(surge(1)), 'n1:a! n2:a', '+n1, +n2'],
	['a share of the nodes at once', set(surge('50%')), 'n1:a n2:a n3:a n4:a', '+n1, +n2'],
	['not more than two on a node', set(surge(1)), 'n1:a+b!+b!', '-n1-b! double'],
];
for (const [title, target, has, expected] of cases)
	test(`${title} (${has}: ${expected || 'nothing'})`, (t) => t.is(steps(target, has), expected));

test('what has not come to a node that is gone is removed', (t) => {
	const waiting = podShape('logs-x', { labels: { app: 'logs' } });
	const { remove } = judge(set(), 'n9', undefined, [waiting], new Set(['b']), NOW);
	t.deepEqual(
		remove.map(({ reason }) => reason),
		['misplaced'],
	);
});

test('one pass makes and removes at most 500 pods', (t) => {
	const many = Array.from({ length: 700 }, (_, number) => `n${number}`).join(' ');
	t.is(planDaemon(set(), places(set(), many)).create.length, 500);
});

test('the status counts nodes', (t) => {
	const target = set({ minReadySeconds: 10 });
	const all = places(target, 'n1:b n2:b. n3:a! n4 -n5:a -n6 ?n7:a');
	t.deepEqual(daemonStatus(target, all, []), {
		desiredNumberScheduled: 4,
		currentNumberScheduled: 3,
		numberMisscheduled: 1,
		numberReady: 2,
		numberAvailable: 1,
		numberUnavailable: 3,
		updatedNumberScheduled: 2,
		observedGeneration: 1,
	});
	t.is(all[1]?.ripensAt, NOW + 9000);
	t.is(all[0]?.ripensAt, undefined);
});

const taint = (key: string, effect: string) => ({ taints: [{ key, effect }] });
const fits: [string, DaemonSet, Node, string][] = [
	['any node', set(), nodeShape('n1'), 'run stay'],
	[
		'a cordoned node',
		set(),
		nodeShape('n1', { unschedulable: true, ...taint('node.kubernetes.io/unschedulable', 'NoSchedule') }),
		'run stay',
	],
	[
		'a node without memory',
		set(),
		nodeShape('n1', taint('node.kubernetes.io/memory-pressure', 'NoSchedule')),
		'run stay',
	],
	[
		'a node that does not answer',
		set(),
		nodeShape('n1', taint('node.kubernetes.io/unreachable', 'NoExecute')),
		'run stay',
	],
	[
		'a node without network',
		set(),
		nodeShape('n1', taint('node.kubernetes.io/network-unavailable', 'NoSchedule')),
		'stay',
	],
	[
		'a node without network, for what needs none',
		set({}, { hostNetwork: true }),
		nodeShape('n1', taint('node.kubernetes.io/network-unavailable', 'NoSchedule')),
		'run stay',
	],
	['a tainted node', set(), nodeShape('n1', taint('gpu', 'NoSchedule')), 'stay'],
	['a node from which pods are driven', set(), nodeShape('n1', taint('gpu', 'NoExecute')), ''],
	['a node that would rather not', set(), nodeShape('n1', taint('gpu', 'PreferNoSchedule')), 'run stay'],
	[
		'a taint that is borne',
		set({}, { tolerations: [{ key: 'gpu', operator: 'Exists' }] }),
		nodeShape('n1', taint('gpu', 'NoExecute')),
		'run stay',
	],
	['a label that is missing', set({}, { nodeSelector: { disk: 'ssd' } }), nodeShape('n1'), ''],
	[
		'a label that is there',
		set({}, { nodeSelector: { disk: 'ssd' } }),
		nodeShape('n1', {}, { disk: 'ssd' }),
		'run stay',
	],
	['another node by name', set({}, { nodeName: 'n2' }), nodeShape('n1'), ''],
	[
		'an affinity that does not hold',
		set(
			{},
			{
				affinity: {
					nodeAffinity: {
						requiredDuringSchedulingIgnoredDuringExecution: {
							nodeSelectorTerms: [{ matchExpressions: [{ key: 'disk', operator: 'Exists' }] }],
						},
					},
				},
			},
		),
		nodeShape('n1'),
		'',
	],
];
for (const [title, target, node, expected] of fits)
	test(`where daemons run: ${title}: ${expected || 'no'}`, (t) => {
		const { run, stay } = fitOf(target)(node);
		t.is([run && 'run', stay && 'stay'].filter(Boolean).join(' '), expected);
	});

for (const [title, target, node, expected] of fits)
	if (!target.spec.template.spec?.nodeName)
		test(`the scheduler judges the pod as its set does: ${title}`, (t) => {
			const snapshot = createSnapshot();
			snapshot.setNode(node);
			snapshot.setNode(nodeShape('other'));
			const placement = schedule(wantedOf(daemonPod(target, 'n1', 'b')), snapshot, 'least-allocated', {
				from: 0,
				last: '',
			});
			t.is('node' in placement ? placement.node : '', expected.startsWith('run') ? 'n1' : '');
		});

test('a pod knows its node by its affinity, keeps what it asks of labels, and its name follows from node and revision', (t) => {
	const nodeSelectorTerms = [
		{ matchExpressions: [{ key: 'a', operator: 'Exists' }] },
		{
			matchExpressions: [{ key: 'b', operator: 'Exists' }],
			matchFields: [{ key: 'metadata.name', operator: 'In', values: ['x'] }],
		},
	];
	const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } };
	const made = daemonPod(set({}, { affinity }), 'n1', 'b');
	t.is(nodeOf(made), 'n1');
	const matchFields = [{ key: 'metadata.name', operator: 'In', values: ['n1'] }];
	t.deepEqual(made.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms, [
		{ matchExpressions: [{ key: 'a', operator: 'Exists' }], matchFields },
		{ matchExpressions: [{ key: 'b', operator: 'Exists' }], matchFields },
	]);
	t.is(made.metadata.labels?.['controller-revision-hash'], 'b');
	t.regex(made.metadata.name, /^logs-[a-z2-9]{8}$/);
	t.is(daemonPod(set({}, { affinity }), 'n1', 'b').metadata.name, made.metadata.name);
	t.not(daemonPod(set({}, { affinity }), 'n2', 'b').metadata.name, made.metadata.name);
	t.not(daemonPod(set({}, { affinity }), 'n1', 'c').metadata.name, made.metadata.name);
	t.is(nodeOf(podShape('free')), '');
});
