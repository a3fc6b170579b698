/** StatefulSet, DaemonSet, ControllerRevision and ReplicationController as the API takes, keeps and shows them. */
import test from 'ava';
import type { Dynamic } from '../../src/kinds/index.ts';
import { admit, at, cells, changed, kindOf, manifests, now } from './manifests.ts';

const of = (kind: string, change: object = {}): Dynamic => {
	const found = manifests().find((each) => each.kind === kind);
	if (!found) throw new Error(`no ${kind}`);
	return changed(admit(found).object, {
		metadata: { creationTimestamp: new Date(now - 330_000).toISOString() },
		...change,
	});
};
const names = (kind: string, priority: 0 | 1) =>
	kindOf(of(kind))
		.columns.filter((column) => column.priority === priority)
		.map(({ name }) => name)
		.join(' ');

const printed: [string, string, string][] = [
	['StatefulSet', 'Ready Age', 'Containers Images'],
	['DaemonSet', 'Desired Current Ready Up-to-date Available Node Selector Age', 'Containers Images Selector'],
	['ControllerRevision', 'Controller Revision Age', ''],
	['ReplicationController', 'Desired Current Ready Age', 'Containers Images Selector'],
];
for (const [kind, shown, wide] of printed)
	test(`kubectl prints of a ${kind}: ${shown}`, (t) => {
		t.is(names(kind, 0), shown);
		t.is(names(kind, 1), wide);
	});

test('the lines of the workloads', (t) => {
	t.like(cells(of('StatefulSet', { status: { readyReplicas: 2 } })), {
		Ready: '2/3',
		Containers: 'db',
		Images: 'redis:7',
	});
	const status = { desiredNumberScheduled: 5, currentNumberScheduled: 4, numberReady: 3, updatedNumberScheduled: 2 };
	t.like(cells(of('DaemonSet', { status })), {
		Desired: 5,
		Current: 4,
		Ready: 3,
		'Up-to-date': 2,
		Available: 0,
		'Node Selector': 'kubernetes.io/os=linux',
		Selector: 'app=logs',
	});
	t.like(cells(of('ControllerRevision')), { Controller: 'statefulset.apps/db', Revision: 1 });
	t.like(cells(of('ReplicationController')), { Desired: 2, Current: 0, Selector: 'app=old' });
});

test('the defaults of a stateful set, its strategy and its claims', (t) => {
	const { spec, status } = of('StatefulSet') as Dynamic & { spec: object; status: object };
	t.like(spec, {
		podManagementPolicy: 'OrderedReady',
		updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
		persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
		revisionHistoryLimit: 10,
	});
	t.deepEqual(status, { replicas: 0, availableReplicas: 0 });
	t.like(at(spec, 'volumeClaimTemplates.0'), {
		apiVersion: 'v1',
		kind: 'PersistentVolumeClaim',
		status: { phase: 'Pending' },
	});
	t.is(at(spec, 'volumeClaimTemplates.0.spec.volumeMode'), 'Filesystem');
	const onDelete = of('StatefulSet', {
		spec: { ...spec, updateStrategy: { type: 'OnDelete', rollingUpdate: undefined } },
	});
	t.deepEqual(at(admit(onDelete).object, 'spec.updateStrategy'), { type: 'OnDelete' });
});

test('the defaults of a daemon set, and of a replication controller, which takes its selector from its template', (t) => {
	const { spec } = of('DaemonSet') as Dynamic & { spec: object };
	t.like(spec, {
		updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
		revisionHistoryLimit: 10,
	});
	const old = of('ReplicationController');
	t.deepEqual(at(old, 'spec.selector'), { app: 'old' });
	t.deepEqual(old.metadata.labels, { app: 'old' });
	t.is(kindOf(old).propagation, 'Orphan');
});

const claimSpec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
const refused: [string, Dynamic, string[]][] = [
	[
		'a stateful set whose name is no host name',
		of('StatefulSet', { metadata: { name: 'db.main' } }),
		[
			"metadata.name: Invalid value: \"db.main\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
		],
	],
	[
		'a management policy that does not exist',
		of('StatefulSet', { spec: { podManagementPolicy: 'Random' } }),
		["spec.podManagementPolicy: Invalid value: \"Random\": must be 'OrderedReady' or 'Parallel'"],
	],
	[
		'an update strategy that does not exist',
		of('StatefulSet', { spec: { updateStrategy: { type: 'Recreate', rollingUpdate: undefined } } }),
		['spec.updateStrategy: Invalid value: {"type":"Recreate"}: must be \'RollingUpdate\' or \'OnDelete\''],
	],
	[
		'a partition of pods that are replaced by hand',
		of('StatefulSet', { spec: { updateStrategy: { type: 'OnDelete', rollingUpdate: { partition: 1 } } } }),
		[
			'spec.updateStrategy.rollingUpdate: Invalid value: {"partition":1}: only allowed for updateStrategy \'RollingUpdate\'',
		],
	],
	[
		'a stateful set of which none may be unavailable, with numbers below zero',
		of('StatefulSet', {
			spec: {
				replicas: -1,
				ordinals: { start: -2 },
				updateStrategy: { rollingUpdate: { maxUnavailable: 0, partition: -1 } },
			},
		}),
		[
			'spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0',
			'spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0',
			'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
			'spec.ordinals.start: Invalid value: -2: must be greater than or equal to 0',
		],
	],
	[
		'a retention of claims that does not exist',
		of('StatefulSet', { spec: { persistentVolumeClaimRetentionPolicy: { whenScaled: 'Keep' } } }),
		[
			'spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: "Keep": supported values: "Retain", "Delete"',
		],
	],
	[
		'a stateful set with a claim of nothing, and one without a name',
		of('StatefulSet', {
			spec: {
				template: { spec: { containers: [{ name: 'db', image: 'redis:7' }] } },
				volumeClaimTemplates: [
					{ metadata: { name: 'data' }, spec: {} },
					{ spec: claimSpec },
					{ metadata: { name: 'data' }, spec: claimSpec },
				],
			},
		}),
		[
			'spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required',
			'spec.volumeClaimTemplates[0].spec.resources[storage]: Required value',
			'spec.volumeClaimTemplates[1].metadata.name: Required value',
			'spec.volumeClaimTemplates[2].metadata.name: Duplicate value: "data"',
		],
	],
	[
		'a stateful set that mounts neither a volume nor a claim',
		of('StatefulSet', { spec: { volumeClaimTemplates: undefined } }),
		['spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"'],
	],
	[
		'a daemon set that adds pods and takes them away',
		of('DaemonSet', { spec: { updateStrategy: { rollingUpdate: { maxSurge: 1 } } } }),
		['spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero'],
	],
	[
		'a daemon set that can do neither',
		of('DaemonSet', { spec: { updateStrategy: { rollingUpdate: { maxUnavailable: 0 } } } }),
		['spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0'],
	],
	[
		'a daemon set with more than all',
		of('DaemonSet', { spec: { updateStrategy: { rollingUpdate: { maxUnavailable: '110%' } } } }),
		['spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "110%": must not be greater than 100%'],
	],
	[
		'a revision without data',
		of('ControllerRevision', { data: undefined }),
		['data: Required value: data is mandatory'],
	],
	[
		'a replication controller that selects other pods than its own',
		of('ReplicationController', { spec: { selector: { app: 'new' } } }),
		['spec.template.metadata.labels: Invalid value: {"app":"old"}: `selector` does not match template `labels`'],
	],
	[
		'a replication controller that selects nothing',
		of('ReplicationController', { spec: { selector: undefined, template: { metadata: undefined } } }),
		['spec.selector: Required value'],
	],
];
for (const [title, object, errors] of refused)
	test(`refused: ${title}`, (t) => t.deepEqual(admit(object).errors, errors));

test('which pods go first when there are too many is newer or older, by a field or an annotation', (t) => {
	const errors = (kind: string, change: object) => admit(of(kind, change)).errors;
	t.deepEqual(errors('Deployment', { spec: { update: 'older' } }), []);
	t.deepEqual(errors('ReplicaSet', { metadata: { annotations: { 'driftless.io/scale-down': 'newer' } } }), []);
	t.deepEqual(errors('Deployment', { spec: { update: 'oldest' } }), [
		'spec.update: Unsupported value: "oldest": supported values: "newer", "older"',
	]);
	for (const kind of ['Deployment', 'ReplicaSet', 'ReplicationController'])
		t.deepEqual(errors(kind, { metadata: { annotations: { 'driftless.io/scale-down': 'random' } } }), [
			'metadata.annotations[driftless.io/scale-down]: Unsupported value: "random": supported values: "newer", "older"',
		]);
});

test('of a stateful set only some fields change, of a daemon set all but the selector, of a revision no data', (t) => {
	const set = of('StatefulSet');
	const update = (change: object) => admit(changed(set, { spec: change }), set).errors;
	t.deepEqual(update({ serviceName: 'other' }), [
		"spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
	]);
	t.deepEqual(
		update({
			replicas: 5,
			ordinals: { start: 1 },
			template: { metadata: { annotations: { a: 'b' } } },
			updateStrategy: { rollingUpdate: { partition: 2 } },
			persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete' },
			minReadySeconds: 3,
		}),
		[],
	);
	const daemon = of('DaemonSet');
	const labels = { app: 'logs', tier: 'node' };
	t.deepEqual(
		admit(changed(daemon, { spec: { selector: { matchLabels: labels }, template: { metadata: { labels } } } }), daemon)
			.errors,
		['spec.selector: Invalid value: {"matchLabels":{"app":"logs","tier":"node"}}: field is immutable'],
	);
	const revision = of('ControllerRevision');
	t.deepEqual(admit(changed(revision, { revision: 7 }), revision).errors, []);
	t.deepEqual(admit(changed(revision, { data: { spec: null } }), revision).errors.length, 1);
});

const observed = (kind: string, status: object, spec: object = {}) =>
	of(kind, { metadata: { generation: 2 }, spec, status: { observedGeneration: 2, ...status } });
const healths: [string, Dynamic, string, string?][] = [
	[
		'a stateful set that nobody has looked at',
		of('StatefulSet'),
		'Progressing',
		'Waiting for statefulset spec update to be observed...',
	],
	[
		'a stateful set short of pods',
		observed('StatefulSet', { readyReplicas: 1 }),
		'Progressing',
		'Waiting for 2 pods to be ready...',
	],
	[
		'a stateful set half updated',
		observed('StatefulSet', { readyReplicas: 3, updatedReplicas: 1 }),
		'Progressing',
		'Waiting for partitioned roll out to finish: 1 out of 3 new pods have been updated...',
	],
	[
		'a stateful set updated as far as its partition',
		observed(
			'StatefulSet',
			{ readyReplicas: 3, updatedReplicas: 1 },
			{ updateStrategy: { rollingUpdate: { partition: 2 } } },
		),
		'Healthy',
		'partitioned roll out complete: 1 new pods have been updated...',
	],
	[
		'a stateful set that is updated by hand',
		observed('StatefulSet', { readyReplicas: 3 }, { updateStrategy: { type: 'OnDelete', rollingUpdate: undefined } }),
		'Healthy',
		'statefulset has 3 ready pods',
	],
	[
		'a daemon set that nobody has looked at',
		of('DaemonSet', { metadata: { generation: 1 } }),
		'Progressing',
		'Waiting for rollout to finish: observed daemon set generation less than desired generation',
	],
	[
		'a daemon set half updated',
		observed('DaemonSet', { desiredNumberScheduled: 3, updatedNumberScheduled: 1 }),
		'Progressing',
		'Waiting for daemon set "logs" rollout to finish: 1 out of 3 new pods have been updated...',
	],
	[
		'a daemon set half available',
		observed('DaemonSet', { desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 2 }),
		'Progressing',
		'Waiting for daemon set "logs" rollout to finish: 2 of 3 updated pods are available...',
	],
	[
		'a daemon set with all its pods',
		observed('DaemonSet', { desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 3 }),
		'Healthy',
	],
	[
		'a replication controller short of pods',
		observed('ReplicationController', { availableReplicas: 1 }),
		'Progressing',
		'Waiting for rollout to finish: 1 out of 2 new replicas are available...',
	],
];
for (const [title, object, expected, message] of healths)
	test(`${title} is ${expected}`, (t) => {
		t.is(kindOf(object).health(object)?.status, expected as never);
		t.is(kindOf(object).health(object)?.message, message);
	});
