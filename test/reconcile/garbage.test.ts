import test from 'ava';
import type { KubeObject } from '../../src/kinds/index.ts';
import { blocks, concerns, judge, type OwnerState, type Verdict } from '../../src/reconcile/cleanup/garbage.ts';

const object = (owners: string[], rest: Partial<KubeObject['metadata']> = {}): KubeObject => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: {
		name: 'it',
		namespace: 'default',
		ownerReferences: owners.map((uid) => ({ apiVersion: 'v1', kind: 'ConfigMap', name: uid, uid })),
		...rest,
	},
});

const cases: [
	title: string,
	owners: Record<string, OwnerState>,
	rest: Partial<KubeObject['metadata']>,
	dependents: boolean,
	verdict: Verdict,
][] = [
	['without owners it stays', {}, {}, true, { do: 'keep' }],
	['with a living owner it stays', { a: 'present' }, {}, false, { do: 'keep' }],
	['with an owner of an unknown kind it stays', { a: 'unknown' }, {}, false, { do: 'keep' }],
	['when its only owner is gone it goes', { a: 'absent' }, {}, false, { do: 'delete', policy: 'Background' }],
	[
		'when all its owners are gone it goes',
		{ a: 'absent', b: 'absent' },
		{},
		true,
		{ do: 'delete', policy: 'Background' },
	],
	[
		'when one of its owners is gone it stays and forgets that one',
		{ a: 'present', b: 'absent' },
		{},
		false,
		{ do: 'disown', uids: ['b'] },
	],
	[
		'when one of its owners waits for it and another lives it stays',
		{ a: 'present', b: 'foreground' },
		{},
		true,
		{ do: 'disown', uids: ['b'] },
	],
	[
		'when its owner waits and it has no dependents it goes',
		{ a: 'foreground' },
		{},
		false,
		{ do: 'delete', policy: 'Background' },
	],
	[
		'when its owner waits and it has dependents they go first',
		{ a: 'foreground' },
		{},
		true,
		{ do: 'delete', policy: 'Foreground' },
	],
	[
		'its own finalizer decides what becomes of its dependents: orphan',
		{ a: 'absent' },
		{ finalizers: ['orphan'] },
		true,
		{ do: 'delete', policy: 'Orphan' },
	],
	[
		'its own finalizer decides what becomes of its dependents: foreground',
		{ a: 'absent' },
		{ finalizers: ['foregroundDeletion'] },
		true,
		{ do: 'delete', policy: 'Foreground' },
	],
	[
		'what is being deleted is left to it',
		{ a: 'absent' },
		{ deletionTimestamp: '2030-01-01T00:00:00Z' },
		false,
		{ do: 'keep' },
	],
];

for (const [title, owners, rest, dependents, verdict] of cases) {
	test(`an object by its owners: ${title}`, (t) => {
		t.deepEqual(judge(object(Object.keys(owners), rest), new Map(Object.entries(owners)), dependents), verdict);
	});
}

test('a change concerns the garbage collector when owners, finalizers or the deletion change, and not else', (t) => {
	const owned = object(['a']);
	t.true(concerns(owned, undefined));
	t.false(concerns(object([]), undefined));
	t.false(concerns({ ...owned, metadata: { ...owned.metadata, labels: { new: 'label' } } }, owned));
	t.true(concerns(object(['a', 'b']), owned));
	t.true(concerns({ ...owned, metadata: { ...owned.metadata, deletionTimestamp: 'now' } }, owned));
	const deleting = object([], { deletionTimestamp: 'now', finalizers: ['foregroundDeletion', 'x'] });
	t.true(concerns(object([], { deletionTimestamp: 'now', finalizers: ['foregroundDeletion'] }), deleting));
});

test('a dependent blocks its owner only where its reference says so', (t) => {
	const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'a', uid: 'a' };
	t.false(blocks(object(['a']), 'a'));
	t.true(blocks(object([], { ownerReferences: [{ ...reference, blockOwnerDeletion: true }] }), 'a'));
	t.false(blocks(object([], { ownerReferences: [{ ...reference, blockOwnerDeletion: true }] }), 'b'));
});
