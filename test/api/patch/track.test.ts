import test from 'ava';
import { trackUpdate } from '../../../src/api/patch/index.ts';
import type { Dynamic } from '../../../src/kinds/object.ts';
import {
	applied,
	apply,
	deployment,
	fieldsOf,
	frozen,
	managers,
	schema,
	schemas,
	t1,
	t2,
	updated,
	withContainers,
	withSpec,
} from './deployment.ts';

const withManagedFields = (object: Dynamic, managedFields: unknown): Dynamic =>
	frozen({ ...object, metadata: { ...object.metadata, managedFields } }) as Dynamic;

test('a create belongs to its creator, lists and maps with their containers', (t) => {
	const live = updated(
		undefined,
		'kubectl-create',
		deployment(
			{
				spec: {
					replicas: 1,
					template: { spec: { containers: [{ name: 'web', image: 'nginx', resources: {} }] } },
				},
				status: { replicas: 0 },
			},
			{ labels: { app: 'web' }, uid: 'u', creationTimestamp: t1 },
		),
	);
	t.deepEqual(live.metadata.managedFields, [
		{
			manager: 'kubectl-create',
			operation: 'Update',
			apiVersion: 'apps/v1',
			time: t1,
			fieldsType: 'FieldsV1',
			fieldsV1: {
				'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
				'f:spec': {
					'f:replicas': {},
					'f:template': {
						'.': {},
						'f:spec': {
							'.': {},
							'f:containers': {
								'.': {},
								'k:{"name":"web"}': { '.': {}, 'f:image': {}, 'f:name': {}, 'f:resources': {} },
							},
						},
					},
				},
			},
		},
	]);
});

test('an update takes what it changes from its owner and leaves the rest', (t) => {
	let live = updated(undefined, 'a', deployment({ spec: { replicas: 1, paused: true } }));
	live = updated(live, 'b', withSpec(live, { replicas: 2 }), { now: t2 });
	t.deepEqual(fieldsOf(live, 'a'), { 'f:spec': { 'f:paused': {} } });
	t.deepEqual(fieldsOf(live, 'b'), { 'f:spec': { 'f:replicas': {} } });
	t.deepEqual(
		live.metadata.managedFields?.map(({ time }) => time),
		[t1, t2],
	);
});

test('a manager has one entry for its updates, whose time is that of its last change', (t) => {
	let live = updated(undefined, 'a', deployment({ spec: { replicas: 1 } }));
	live = updated(live, 'a', withSpec(live, { replicas: 2, paused: true }), { now: t2 });
	t.deepEqual(managers(live), ['a Update']);
	t.is(live.metadata.managedFields?.[0]?.time, t2);
	t.deepEqual(fieldsOf(live, 'a'), { 'f:spec': { 'f:paused': {}, 'f:replicas': {} } });
});

test('an update that changes nothing changes no entry', (t) => {
	const live = updated(undefined, 'a', deployment({ spec: { replicas: 1 } }));
	const after = structuredClone(live);
	t.is(trackUpdate({ before: live, after, schema, schemas, manager: 'b', now: t2 }), live.metadata.managedFields ?? []);
});

test('what an update removes belongs to nobody, and an entry of nothing goes', (t) => {
	let live = updated(undefined, 'a', deployment({ spec: { replicas: 1 } }));
	live = updated(live, 'b', withSpec(live, { paused: true }));
	live = updated(live, 'c', deployment({ spec: { replicas: 1 } }));
	t.deepEqual(managers(live), ['a Update']);
});

test('a list item added by an update belongs to it as a whole; a changed one only in what changed', (t) => {
	let live = updated(undefined, 'a', withContainers([{ name: 'web', image: 'x' }]));
	live = updated(
		live,
		'b',
		withContainers([
			{ name: 'web', image: 'y' },
			{ name: 'side', image: 'z' },
		]),
	);
	t.deepEqual(fieldsOf(live, 'b'), {
		'f:spec': {
			'f:template': {
				'f:spec': {
					'f:containers': {
						'k:{"name":"side"}': { '.': {}, 'f:image': {}, 'f:name': {} },
						'k:{"name":"web"}': { 'f:image': {} },
					},
				},
			},
		},
	});
});

test('updates of a subresource have an entry of their own', (t) => {
	let live = updated(undefined, 'ctl', deployment({ spec: { replicas: 1 } }));
	live = updated(live, 'ctl', { ...live, status: { replicas: 1 } }, { subresource: 'status', now: t2 });
	t.deepEqual(managers(live), ['ctl Update', 'ctl Update status']);
	t.deepEqual(live.metadata.managedFields?.[1]?.fieldsV1, { 'f:status': { '.': {}, 'f:replicas': {} } });
});

test('an update takes applied fields, and the applier then has a conflict', (t) => {
	let live = applied(undefined, 'git', deployment({ spec: { replicas: 3 } }));
	live = updated(live, 'kubectl-edit', withSpec(live, { replicas: 5 }));
	t.deepEqual(managers(live), ['kubectl-edit Update']);
	t.throws(() => apply(live, 'git', deployment({ spec: { replicas: 3 } })), {
		message: 'Apply failed with 1 conflict: conflict with "kubectl-edit" using apps/v1: .spec.replicas',
	});
});

test('a client that does not send managedFields does not lose them', (t) => {
	const live = updated(undefined, 'a', deployment({ spec: { replicas: 1 } }));
	const after = withManagedFields(live, undefined);
	t.is(trackUpdate({ before: live, after, schema, schemas, manager: 'b', now: t2 }), live.metadata.managedFields ?? []);
});

test('[{}] clears managedFields, and the object stays untracked until it is applied', (t) => {
	let live = updated(undefined, 'a', deployment({ spec: { replicas: 1 } }, { uid: 'u' }));
	live = updated(live, 'a', withManagedFields(live, [{}]));
	t.deepEqual(live.metadata.managedFields, []);
	live = updated(live, 'a', withSpec(live, { replicas: 2 }));
	t.deepEqual(live.metadata.managedFields, []);
	live = applied(live, 'b', deployment({ spec: { replicas: 2 } }));
	t.deepEqual(managers(live), ['b Apply', 'before-first-apply Update']);
});

test('a client may rewrite managedFields, as kubectl does when it moves to server-side apply', (t) => {
	const live = updated(undefined, 'kubectl-client-side-apply', deployment({ spec: { replicas: 1 } }));
	const [entry] = live.metadata.managedFields ?? [];
	const moved = updated(
		live,
		'kubectl',
		withManagedFields(live, [{ ...entry, manager: 'kubectl', operation: 'Apply' }]),
	);
	t.deepEqual(managers(moved), ['kubectl Apply']);
	t.deepEqual(fieldsOf(moved, 'kubectl'), entry?.fieldsV1);
});

for (const [what, broken] of Object.entries({
	'an unknown operation': { manager: 'x', operation: 'Take', fieldsType: 'FieldsV1', fieldsV1: {} },
	'an unknown type': { manager: 'x', operation: 'Update', fieldsType: 'FieldsV2', fieldsV1: {} },
	'a path that is none': { manager: 'x', operation: 'Update', fieldsType: 'FieldsV1', fieldsV1: { nonsense: {} } },
	'a key that is no JSON': { manager: 'x', operation: 'Update', fieldsType: 'FieldsV1', fieldsV1: { 'k:{': {} } },
}))
	test(`managedFields with ${what} are not taken`, (t) => {
		const live = updated(undefined, 'a', deployment({ spec: { replicas: 1 } }));
		t.deepEqual(managers(updated(live, 'b', withManagedFields(live, [broken]))), ['a Update']);
	});

test('the eleventh updater sends the two oldest into one entry of ancient changes; appliers are not counted', (t) => {
	let live = applied(undefined, 'git', deployment({ spec: { replicas: 0 } }));
	for (let i = 1; i <= 11; i++)
		live = updated(
			live,
			`m${i}`,
			{ ...live, metadata: { ...live.metadata, labels: { ...live.metadata.labels, [`l${i}`]: '' } } },
			{
				now: `2025-01-01T00:00:${String(i).padStart(2, '0')}Z`,
			},
		);
	t.deepEqual(managers(live)?.slice(0, 3), ['git Apply', 'ancient-changes Update', 'm3 Update']);
	t.is(live.metadata.managedFields?.length, 11);
	t.deepEqual(fieldsOf(live, 'ancient-changes'), {
		'f:metadata': { 'f:labels': { '.': {}, 'f:l1': {}, 'f:l2': {} } },
	});
	live = updated(live, 'm12', withSpec(live, { paused: true }), { now: '2025-01-01T00:00:12Z' });
	t.deepEqual(managers(live)?.slice(0, 3), ['git Apply', 'ancient-changes Update', 'm4 Update']);
});
