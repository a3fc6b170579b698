import test from 'ava';
import type { Node, Pod } from '../../src/kinds/index.ts';
import { createRefusals } from '../../src/reconcile/scheduling/refusals.ts';
import type { Changes, What } from '../../src/reconcile/scheduling/rules/rule.ts';
import { schedule } from '../../src/reconcile/scheduling/schedule.ts';
import type { Snapshot } from '../../src/reconcile/scheduling/snapshot.ts';
import { createSnapshot } from '../../src/reconcile/scheduling/snapshot.ts';
import {
	createWaiting,
	FIRST_BACKOFF_MS,
	LONGEST_BACKOFF_MS,
	LOOK_ANYHOW_MS,
} from '../../src/reconcile/scheduling/waiting.ts';
import { type Wanted, wantedOf } from '../../src/reconcile/scheduling/wanted.ts';
import { handClock } from '../client/clock.ts';
import { asks, type Case, labelled, on, snapshotOf, zones } from './placing.ts';
import { ago, node } from './workloads.ts';

/** Pods that wait in a world, and a clock. */
function open(world: Case) {
	const clock = handClock();
	const snapshot = snapshotOf(world);
	let woken = 0;
	const waiting = createWaiting(clock, () => void woken++);
	/** Looks at the next pod that is to be looked at; where it fits nowhere it goes on waiting. Its name. */
	const look = () => {
		const wanted = waiting.take();
		if (!wanted) return undefined;
		const placement = schedule(wanted, snapshot, 'least-allocated', { from: 0, last: '' });
		if ('message' in placement) waiting.refused(wanted.pod, placement.refusedBy);
		return wanted.pod.metadata.name;
	};
	const changed = <W extends What>(what: W, change: Changes[W]) => waiting.changed(what, change, snapshot);
	return { clock, snapshot, waiting, look, changed, woken: () => woken };
}

test('the more urgent pod comes first, then the older, then the one that came first', (t) => {
	const { waiting, look } = open({ nodes: [] });
	const pod = (name: string, priority: number, age: number): Pod => {
		const made = asks(name, {}, { priority });
		return { ...made, metadata: { ...made.metadata, creationTimestamp: ago(age) } };
	};
	const young = Array.from({ length: 20 }, (_, number) => pod(`young${String(number).padStart(2, '0')}`, 0, 1));
	for (const each of [young[0], pod('old', 0, 9), ...young.slice(1), pod('urgent', 5, 1), pod('low', -1, 99)])
		if (each) waiting.add(each);
	waiting.delete('default/young03');
	const names = Array.from({ length: 22 }, look);
	t.deepEqual(names, [
		'urgent',
		'old',
		...young.map(({ metadata }) => metadata.name).filter((name) => name !== 'young03'),
		'low',
	]);
	t.is(look(), undefined);
});

test('a pod that fits nowhere is looked at again after a second, then two, four, eight and ten', (t) => {
	const { clock, waiting, look, changed } = open({ nodes: [node('n1')] });
	waiting.add(asks('p', { cpu: '9' }));
	t.is(look(), 'p');
	const larger: Node = { ...node('n2'), status: { allocatable: { cpu: '99', pods: '9' } } };
	for (const delay of [FIRST_BACKOFF_MS, 2000, 4000, 8000, LONGEST_BACKOFF_MS, LONGEST_BACKOFF_MS]) {
		t.is(look(), undefined);
		changed('node added', createSnapshot().setNode(larger));
		clock.advance(delay - 1);
		t.is(look(), undefined, `not before ${delay} ms`);
		clock.advance(1);
		t.is(look(), 'p', `after ${delay} ms`);
	}
	clock.advance(LONGEST_BACKOFF_MS);
	t.is(look(), undefined, 'without a change it waits');
	clock.advance(LOOK_ANYHOW_MS);
	t.is(look(), 'p', 'but not for ever');
});

test('a change long after the last look lets a pod be looked at at once', (t) => {
	const { clock, snapshot, waiting, look, changed, woken } = open({ nodes: [] });
	waiting.add(asks('p'));
	t.is(look(), 'p');
	clock.advance(60_000);
	const before = woken();
	changed('node added', snapshot.setNode(node('n1')));
	t.is(woken(), before + 1);
	t.is(look(), 'p');
});

test('a pod that changes keeps its backoff, another one of its name has none', (t) => {
	const { clock, waiting, look } = open({ nodes: [] });
	const pod = asks('p');
	waiting.add(pod);
	look();
	waiting.add(asks('p', { cpu: '1' }));
	t.is(look(), undefined);
	clock.advance(FIRST_BACKOFF_MS);
	t.is(look(), 'p');
	waiting.add({ ...pod, metadata: { ...pod.metadata, uid: 'another' } });
	t.is(look(), 'p');
});

test('what was taken and deleted does not come back, and nothing stays when all is over', (t) => {
	const { clock, waiting, look } = open({ nodes: [] });
	waiting.add(asks('a'));
	const taken = waiting.take();
	waiting.delete('default/a');
	if (taken) waiting.failed(taken.pod);
	clock.advance(LOOK_ANYHOW_MS);
	t.is(look(), undefined);
	waiting.add(asks('b'));
	look();
	t.is(clock.waiting, 1);
	waiting[Symbol.dispose]();
	t.is(clock.waiting, 0);
});

test('of pods that are alike one is held against the nodes, until a change may help them', (t) => {
	const { snapshot } = open({ nodes: [node('n1')], bound: [on('a', 'n1', { cpu: '3' })] });
	const refusals = createRefusals();
	const spread = {
		topologySpreadConstraints: [
			{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: {} },
		],
	};
	const judge = (wanted: Wanted) => {
		const placement = schedule(wanted, snapshot, 'least-allocated', { from: 0, last: '' });
		t.true('message' in placement);
		if ('message' in placement) refusals.add(wanted, placement);
	};
	const big = (name: string) => wantedOf(asks(name, { cpu: '2' }));
	const even = wantedOf(asks('even', {}, spread));
	t.is(refusals.of(big('p')), undefined);
	judge(big('p'));
	judge(even);
	t.is(refusals.of(big('q'))?.message, '0/1 nodes are available: 1 Insufficient cpu.');
	t.is(refusals.of(wantedOf(asks('r', { cpu: '1' }))), undefined, 'another pod is judged for itself');

	const other = labelled('b', { app: 'web' }, { on: 'n1' });
	snapshot.setPod(other);
	refusals.changed('pod came', { pod: other, node: 'n1' }, snapshot);
	t.not(refusals.of(big('q')), undefined, 'a pod that comes makes no room');
	t.is(refusals.of(even), undefined, 'but it may make others level');

	snapshot.removePod('uid-a');
	refusals.changed('pod gone', { pod: on('a', 'n1', { cpu: '3' }), node: 'n1' }, snapshot);
	t.is(refusals.of(big('q')), undefined);
});

interface Refusal {
	readonly pod: Pod;
	readonly world: Case;
	/** Each change, and whether it may help. */
	readonly changes: readonly [string, (on: ReturnType<typeof open>) => void, boolean][];
}

const term = { topologyKey: 'zone', labelSelector: { matchLabels: { app: 'web' } } };
const web = (name: string, where: string) => labelled(name, { app: 'web' }, { on: where });
const other = (name: string, where: string) => labelled(name, { app: 'other' }, { on: where });
const come =
	(pod: Pod) =>
	({ snapshot, changed }: ReturnType<typeof open>) => {
		snapshot.setPod(pod);
		changed('pod came', { pod, node: pod.spec.nodeName ?? '' });
	};
const go =
	(pod: Pod) =>
	({ snapshot, changed }: ReturnType<typeof open>) => {
		snapshot.removePod(pod.metadata.uid ?? '');
		changed('pod gone', { pod, node: pod.spec.nodeName ?? '' });
	};
const relabel =
	(old: Pod, pod: Pod) =>
	({ snapshot, changed }: ReturnType<typeof open>) => {
		snapshot.setPod(pod);
		changed('pod labels', { pod, old, node: pod.spec.nodeName ?? '' });
	};
const set =
	(what: 'node added' | 'node labels' | 'node taints' | 'node allocatable', changedNode: Node) =>
	({ snapshot, changed }: { snapshot: Snapshot; changed: ReturnType<typeof open>['changed'] }) =>
		changed(what, snapshot.setNode(changedNode));
const removeNode =
	(name: string) =>
	({ snapshot, changed }: ReturnType<typeof open>) =>
		changed('node removed', { before: snapshot.removeNode(name) });
const sized = (name: string, cpu: string, spec: Node['spec'] = {}, labels = {}): Node => {
	const made = node(name, spec, labels);
	return { ...made, status: { ...made.status, allocatable: { ...made.status?.allocatable, cpu } } };
};
const taint = (key: string) => ({ taints: [{ key, effect: 'NoSchedule' }] });

const refusals: Record<string, Refusal> = {
	'no room': {
		pod: asks('p', { cpu: '3' }),
		world: {
			nodes: [node('n1'), node('n2')],
			bound: [on('a', 'n1', { cpu: '2' }), on('b', 'n2', { cpu: '500m' }), on('c', 'n2', { cpu: '3' })],
		},
		changes: [
			['a pod goes that left enough room', go(on('a', 'n1', { cpu: '2' })), true],
			['a pod goes that left too little', go(on('b', 'n2', { cpu: '500m' })), false],
			['a pod comes', come(web('d', 'n1')), false],
			['a node comes that is large enough', set('node added', node('n3')), true],
			['a node comes that is too small', set('node added', sized('n3', '1')), false],
			['a node gets larger', set('node allocatable', sized('n1', '8')), true],
			['a node gets too little larger', set('node allocatable', sized('n1', '4500m')), false],
			['a node gets a label', set('node labels', node('n1', {}, { disk: 'ssd' })), false],
			['a namespace gets a label', ({ changed }) => changed('namespace labels', { namespace: 'default' }), false],
		],
	},
	'a taint': {
		pod: asks('p'),
		world: { nodes: [node('n1', taint('gpu'))] },
		changes: [
			['it is taken away', set('node taints', node('n1')), true],
			['another comes instead', set('node taints', node('n1', taint('old'))), false],
			['a node without it comes', set('node added', node('n2')), true],
			['a node with it comes', set('node added', node('n2', taint('gpu'))), false],
			['a pod goes', go(web('d', 'n1')), false],
		],
	},
	'a cordoned node': {
		pod: asks('p'),
		world: { nodes: [node('n1', { unschedulable: true })] },
		changes: [
			['it takes pods again', set('node taints', node('n1')), true],
			['it gets larger', set('node allocatable', sized('n1', '8', { unschedulable: true })), false],
		],
	},
	'no chosen node': {
		pod: asks('p', {}, { nodeSelector: { disk: 'ssd' } }),
		world: { nodes: [node('n1')] },
		changes: [
			['a node gets the label', set('node labels', node('n1', {}, { disk: 'ssd' })), true],
			['a node gets another', set('node labels', node('n1', {}, { disk: 'tape' })), false],
			['a node gets larger', set('node allocatable', sized('n1', '8')), false],
		],
	},
	'a port that is taken': {
		pod: asks('p', {}, { containers: [{ name: 'main', ports: [{ containerPort: 80, hostPort: 80 }] }] }),
		world: {
			nodes: [node('n1')],
			bound: [
				asks('a', {}, { nodeName: 'n1', containers: [{ name: 'main', ports: [{ containerPort: 80, hostPort: 80 }] }] }),
				on('b', 'n1'),
			],
		},
		changes: [
			['the pod that has it goes', go(on('a', 'n1')), true],
			['another pod goes', go(on('b', 'n1')), false],
			['a node comes', set('node added', node('n2')), true],
		],
	},
	'near to a pod that is not there': {
		pod: labelled('p', {}, { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } }),
		world: { nodes: zones('a'), bound: [other('x', 'a1')] },
		changes: [
			['it comes', come(web('a', 'a1')), true],
			['another comes', come(other('b', 'a1')), false],
			['one that is there becomes it', relabel(other('x', 'a1'), { ...web('x', 'a1') }), true],
			['another goes', go(other('x', 'a1')), false],
			['a node of a zone comes', set('node added', node('b1', {}, { zone: 'b' })), true],
			['a node of no zone comes', set('node added', node('n1')), false],
			['a node gets larger', set('node allocatable', sized('a1', '8', {}, { zone: 'a' })), false],
		],
	},
	'apart from a pod that is there': {
		pod: labelled(
			'p',
			{},
			{ affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } },
		),
		world: { nodes: zones('a'), bound: [web('a', 'a1'), other('b', 'a1')] },
		changes: [
			['it goes', go(web('a', 'a1')), true],
			['another goes', go(other('b', 'a1')), false],
			['it becomes another', relabel(web('a', 'a1'), other('a', 'a1')), true],
			['a node comes', set('node added', node('b1', {}, { zone: 'b' })), true],
			['a namespace gets a label', ({ changed }) => changed('namespace labels', { namespace: 'default' }), false],
		],
	},
	'a pod that is there keeps it off': {
		pod: labelled('p', { app: 'web' }),
		world: {
			nodes: zones('a'),
			bound: [
				labelled(
					'jealous',
					{},
					{ on: 'a1', affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } },
				),
				other('b', 'a1'),
			],
		},
		changes: [
			[
				'it goes',
				(world) => {
					const [jealous] = refusals['a pod that is there keeps it off']?.world.bound ?? [];
					if (jealous) go(jealous)(world);
				},
				true,
			],
			['another goes', go(other('b', 'a1')), false],
		],
	},
	'an uneven spread': {
		pod: labelled(
			'p',
			{ app: 'web' },
			{
				nodeSelector: { zone: 'a' },
				topologySpreadConstraints: [
					{ maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule', nodeAffinityPolicy: 'Ignore', ...term },
				],
			},
		),
		world: { nodes: zones('a', 'b'), bound: [web('a', 'a1'), other('b', 'a1')] },
		changes: [
			['one comes where there are few', come(web('c', 'b1')), true],
			['one goes where there are many', go(web('a', 'a1')), true],
			[
				'one is on its way out',
				relabel(web('a', 'a1'), {
					...web('a', 'a1'),
					metadata: { ...web('a', 'a1').metadata, deletionTimestamp: ago(1) },
				}),
				true,
			],
			['another pod comes', come(other('c', 'b1')), false],
			['the nodes that have few go', removeNode('b1'), true],
			['a node gets larger', set('node allocatable', sized('a1', '8', {}, { zone: 'a' })), false],
			['a pod of another namespace comes', come(labelled('c', { app: 'web' }, { on: 'b1', namespace: 'x' })), false],
		],
	},
};
for (const [title, { pod, world, changes }] of Object.entries(refusals))
	for (const [what, change, helps] of changes)
		test(`${title}: ${what}, and it is ${helps ? '' : 'not '}looked at again`, (t) => {
			const opened = open(world);
			opened.waiting.add(pod);
			t.true('message' in schedule(wantedOf(pod), opened.snapshot, 'least-allocated', { from: 0, last: '' }));
			t.is(opened.look(), pod.metadata.name);
			change(opened);
			opened.clock.advance(LONGEST_BACKOFF_MS);
			t.is(opened.look(), helps ? pod.metadata.name : undefined);
		});
