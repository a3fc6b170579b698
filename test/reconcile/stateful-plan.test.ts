/** What a StatefulSet does next, and what its status says: the decision alone. */
import test from 'ava';
import type { Pod, StatefulSet } from '../../src/kinds/index.ts';
import { planStateful, statefulStatus } from '../../src/reconcile/workloads/stateful-plan.ts';
import { identityOf } from '../../src/reconcile/workloads/stateful-pods.ts';
import { ago, NOW, pod as podShape, template } from './workloads.ts';

type Spec = Partial<StatefulSet['spec']>;
const revisions = { current: 'a', update: 'a' };
const rolling = { current: 'a', update: 'b' };

function set(replicas: number, spec: Spec = {}): StatefulSet {
	return {
		apiVersion: 'apps/v1',
		kind: 'StatefulSet',
		metadata: { name: 'db', namespace: 'default', uid: 'uid-db', generation: 1 },
		spec: {
			serviceName: 'db',
			replicas,
			podManagementPolicy: 'OrderedReady',
			updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
			selector: { matchLabels: { app: 'db' } },
			template: template('1', { app: 'db' }),
			...spec,
		},
	};
}

/**
 * Pods in few letters: `0a 1b! 2a~`. The ordinal, the revision, and what is particular: `!` not ready, `~` terminating, `x` failed, `s`
 * succeeded, `.` ready for a second only.
 */
function pods(text: string): Pod[] {
	return text.split(' ').flatMap((word) => {
		const [, number = '', revision = '', mark = ''] = /^(\d+)([a-z])([!~xs.]*)$/.exec(word) ?? [];
		if (!number) return [];
		const made = podShape(`db-${number}`, {
			ready: /[!xs]/.test(mark) ? undefined : mark.includes('.') ? 1 : 100,
			phase: mark.includes('x') ? 'Failed' : mark.includes('s') ? 'Succeeded' : 'Running',
			terminating: mark.includes('~'),
			labels: { app: 'db', 'controller-revision-hash': revision, ...identityOf(set(1), Number(number)) },
		});
		return [made];
	});
}

/** `+0a` makes an ordinal of a revision, `-2` deletes one; with why, where it is not plain. */
function steps(target: StatefulSet, text: string, of = revisions): string {
	const { create, delete: gone } = planStateful(target, pods(text), of, NOW);
	return [
		...create.map(({ ordinal, revision }) => `+${ordinal}${revision}`),
		...gone.map(({ pod, reason }) => `-${pod.metadata.name.slice(3)} ${reason}`),
	].join(', ');
}

const parallel: Spec = { podManagementPolicy: 'Parallel' };
const onDelete: Spec = { updateStrategy: { type: 'OnDelete' } };
const partition = (number: number, more: Spec = {}): Spec => ({
	...more,
	updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: number } },
});
const unavailable = (limit: number | string, more: Spec = {}): Spec => ({
	...more,
	updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0, maxUnavailable: limit } },
});

const cases: [string, StatefulSet, string, string, typeof revisions?][] = [
	// making
	['the first pod is made first', set(3), '', '+0a'],
	['the next one waits until the one before it is ready', set(3), '0a!', ''],
	['then it is made', set(3), '0a', '+1a'],
	['a pod that is ready waits for minReadySeconds', set(3, { minReadySeconds: 10 }), '0a.', ''],
	['a gap is filled before what comes after it', set(3), '0a 2a', '+1a'],
	['a pod that is on its way out is made anew only when it is gone', set(2), '0a~ 1a', ''],
	['all are there: nothing to do', set(2), '0a 1a', ''],
	['in parallel all are made at once', set(3, parallel), '1a!', '+0a, +2a'],
	['ordinals may begin elsewhere', set(2, { ordinals: { start: 5 } }), '', '+5a'],
	['what lies before the first ordinal goes', set(2, { ordinals: { start: 1 } }), '0a 1a 2a', '-0 surplus'],
	// ended
	['a pod that failed is made anew', set(2), '0ax 1a', '-0 failed'],
	['and so is one that has ended', set(2), '0as 1a', '-0 ended'],
	['once it is being deleted, it is not deleted again', set(2), '0ax~ 1a', ''],
	['in parallel the others are not held up by it', set(3, parallel), '0ax 1a', '+2a, -0 failed'],
	// scaling down
	['the last one goes first', set(1), '0a 1a 2a', '-2 surplus'],
	['one after the other', set(1), '0a 1a 2a~', ''],
	['also when one before it is not ready', set(1), '0a 1a! 2a', '-2 surplus'],
	['nor itself, while another that is not ready is before it', set(1), '0a 1a! 2a!', ''],
	['the only one that is not ready may go', set(1), '0a 1a 2a!', '-2 surplus'],
	['not while one that stays is not ready', set(1), '0a! 1a 2a', ''],
	['in parallel all go at once', set(1, parallel), '0a! 1a 2a! 3a~', '-2 surplus, -1 surplus'],
	// rolling update
	['the last one is replaced first', set(3), '0a 1a 2a', '-2 outdated', rolling],
	['and is made of the new revision', set(3), '0a 1a', '+2b', rolling],
	['the next one waits for it', set(3), '0a 1a 2b!', '', rolling],
	['then the next one is replaced', set(3), '0a 1a 2b', '-1 outdated', rolling],
	['a pod of the old revision that is not ready holds up the update', set(3), '0a 1a! 2a', '', rolling],
	['it waits for minReadySeconds', set(3, { minReadySeconds: 10 }), '0a 1a 2b.', '', rolling],
	['only what lies beyond the partition is replaced', set(3, partition(2)), '0a 1a 2b', '', rolling],
	['what lies before it is made of the old revision', set(3, partition(2)), '1a 2b', '+0a', rolling],
	[
		'the partition counts from the first ordinal',
		set(3, partition(1, { ordinals: { start: 4 } })),
		'4a 5b 6b',
		'',
		rolling,
	],
	['a partition beyond the last replaces none', set(3, partition(7)), '0a 1a 2a', '', rolling],
	['what is replaced by hand is left alone', set(3, onDelete), '0a 1a 2a', '', rolling],
	['and is made of the new revision', set(3, onDelete), '0a 2a', '+1b', rolling],
	['no update while there are too many', set(2), '0a 1a 2a', '-2 surplus', rolling],
	// several at once
	['two may be unavailable', set(4, unavailable(2)), '0a 1a 2a 3a', '-3 outdated, -2 outdated', rolling],
	['one that is unavailable counts', set(4, unavailable(2, parallel)), '0a 1a 2a 3b!', '-2 outdated', rolling],
	['one that is gone counts', set(4, unavailable(2, parallel)), '0a 1a 2a', '+3b, -2 outdated', rolling],
	['a share rounds up', set(5, unavailable('30%')), '0a 1a 2a 3a 4a', '-4 outdated, -3 outdated', rolling],
	['an old one that is broken takes no room', set(3, unavailable(1, parallel)), '0a! 1a 2a', '-0 outdated', rolling],
	['in parallel it is one after the other still', set(3, parallel), '0a 1a 2a', '-2 outdated', rolling],
	['in parallel an old one goes whether it is ready or not', set(3, parallel), '0a 1a 2a!', '-2 outdated', rolling],
	// stuck
	['a set that never came up is mended by its next revision', set(3), '0a!', '-0 outdated', rolling],
	['also further up', set(3), '0a 1a!', '-1 outdated', rolling],
	['a bad update is mended by the one after it', set(3), '0a 1a 2b!', '-2 outdated', { current: 'a', update: 'c' }],
	['and by going back', set(3), '0a 1a 2b!', '-2 outdated', revisions],
	['also where it got further before it broke', set(3), '0a 1b! 2b', '-1 outdated', { current: 'a', update: 'c' }],
	[
		'what is replaced by hand is not mended by itself',
		set(3, onDelete),
		'0a 1a 2b!',
		'',
		{ current: 'a', update: 'c' },
	],
	['one that is on its way out is waited for', set(3), '0a 1a 2b!~', '', { current: 'a', update: 'c' }],
	['all are broken: the one that is next goes', set(2), '0a! 1a!', '-1 outdated', rolling],
	['the one that is next is new already: it is waited for', set(2), '0a! 1b!', '', rolling],
	['the partition keeps the old ones', set(2, partition(2)), '0a! 1a!', '', rolling],
];
for (const [title, target, has, expected, of = revisions] of cases)
	test(`${target.spec.podManagementPolicy}: ${title} (${has || 'none'}: ${expected || 'nothing'})`, (t) => {
		t.is(steps(target, has, of), expected);
	});

test('a set may want more pods than anybody has: so many at once are made, and no more', (t) => {
	const many = (spec: Spec) => planStateful(set(2 ** 31 - 1, spec), pods('0a 3a 700a'), revisions, NOW).create;
	t.deepEqual(
		many(parallel).map(({ ordinal }) => ordinal),
		[1, 2, ...Array.from({ length: 498 }, (_, index) => index + 4)],
	);
	t.deepEqual(many({}), [{ ordinal: 1, revision: 'a' }]);
});

test('a set that is being deleted does nothing more', (t) => {
	const target = set(3);
	target.metadata.deletionTimestamp = ago(1);
	t.is(steps(target, '0a 1ax'), '');
});

test('a pod whose identity was edited gets it back', (t) => {
	const [first, second] = pods('0a 1a');
	if (!first || !second) return t.fail();
	delete second.metadata.labels?.['statefulset.kubernetes.io/pod-name'];
	const { identify } = planStateful(set(2), [first, second], revisions, NOW);
	t.deepEqual(
		identify.map(({ pod, labels }) => [pod.metadata.name, labels]),
		[['db-1', { 'statefulset.kubernetes.io/pod-name': 'db-1', 'apps.kubernetes.io/pod-index': '1' }]],
	);
});

test('the status counts what there is, and of which revision', (t) => {
	const target = set(3, { minReadySeconds: 10 });
	const { status, nextAvailable } = statefulStatus(target, pods('0a 1a! 2b.'), rolling, NOW, []);
	t.deepEqual(status, {
		observedGeneration: 1,
		replicas: 3,
		readyReplicas: 2,
		currentReplicas: 2,
		updatedReplicas: 1,
		availableReplicas: 1,
		currentRevision: 'a',
		updateRevision: 'b',
		collisionCount: 0,
	});
	t.is(nextAvailable, NOW + 9000);
});

test('an update is done when all pods are of its revision and ready, and none is left over', (t) => {
	const current = (target: StatefulSet, has: string) =>
		statefulStatus(target, pods(has), rolling, NOW, []).status.currentRevision;
	t.is(current(set(2), '0b 1b'), 'b');
	t.is(current(set(2), '0b 1b!'), 'a');
	t.is(current(set(2), '0b 1b 2b'), 'a');
	t.is(current(set(2), '0b 1a'), 'a');
	t.is(current(set(0), ''), 'b');
	t.is(current(set(2, onDelete), '0b 1b'), 'a', 'what is replaced by hand is never rolled out');
});
