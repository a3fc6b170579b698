import test from 'ava';
import type { Dynamic } from '../../src/kinds/index.ts';
import { admit, at, cells, changed, kindOf, manifests, now } from './manifests.ts';

const of = (kind: string): Dynamic => {
	const found = manifests().find((each) => each.kind === kind);
	if (!found) throw new Error(`no ${kind}`);
	return found;
};
const claim = (spec: object) => changed(of('PersistentVolumeClaim'), { spec });
const volume = (spec: object) => changed(of('PersistentVolume'), { spec });
const storageClass = (more: object) => changed(of('StorageClass'), more);

const refused: [string, Dynamic, string[]][] = [
	[
		'a claim that says nothing',
		claim({ accessModes: undefined, resources: undefined }),
		['spec.accessModes: Required value: at least 1 access mode is required', 'spec.resources[storage]: Required value'],
	],
	[
		'a claim of no bytes',
		claim({ resources: { requests: { storage: '0' } } }),
		['spec.resources[storage]: Invalid value: "0": must be greater than zero'],
	],
	[
		'an access mode that does not exist',
		claim({ accessModes: ['WriteOnly'] }),
		[
			'spec.accessModes: Unsupported value: "WriteOnly": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
		],
	],
	[
		'a claim for one pod and for many',
		claim({ accessModes: ['ReadWriteOncePod', 'ReadWriteMany'] }),
		['spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes'],
	],
	[
		'a volume mode that does not exist',
		claim({ volumeMode: 'Tape' }),
		['spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Filesystem"'],
	],
	[
		'a claim made of what is no claim',
		claim({ dataSource: { kind: 'Pod', name: 'web' } }),
		[
			'spec.dataSource: Invalid value: "Pod": must be \'PersistentVolumeClaim\' when referencing the default apiGroup',
			'spec.dataSourceRef: Invalid value: "Pod": must be \'PersistentVolumeClaim\' when referencing the default apiGroup',
		],
	],
	['a volume of nothing', volume({ local: undefined }), ['spec: Required value: must specify a volume type']],
	[
		'a volume of two things',
		volume({ hostPath: { path: '/srv' } }),
		['spec.hostPath: Forbidden: may not specify more than 1 volume type'],
	],
	[
		'a volume without size and modes',
		volume({ capacity: undefined, accessModes: undefined }),
		['spec.accessModes: Required value', 'spec.capacity: Required value'],
	],
	[
		'a volume of something that is no storage',
		volume({ capacity: { cpu: '1', storage: undefined } }),
		['spec.capacity: Unsupported value: {"cpu":"1"}: supported values: "storage"'],
	],
	[
		'a path that leads up',
		volume({ local: { path: '/srv/../etc' } }),
		['spec.local.path: Invalid value: "/srv/../etc": must not contain \'..\''],
	],
	[
		'a local volume of no node',
		volume({ nodeAffinity: undefined }),
		['spec.nodeAffinity: Required value: Local volume requires node affinity'],
	],
	[
		'the whole machine, recycled',
		volume({ local: undefined, hostPath: { path: '/' }, persistentVolumeReclaimPolicy: 'Recycle' }),
		["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
	],
	[
		'a policy that does not exist',
		volume({ persistentVolumeReclaimPolicy: 'Burn' }),
		['spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: "Delete", "Recycle", "Retain"'],
	],
	[
		'a volume of a driver without a handle',
		volume({ local: undefined, csi: { driver: 'csi.example.com', nodeStageSecretRef: { name: 'a' } } }),
		['spec.csi.volumeHandle: Required value', 'spec.csi.nodeStageSecretRef.namespace: Required value'],
	],
	['a class of nobody', storageClass({ provisioner: '' }), ['provisioner: Required value']],
	[
		'a class that binds at another time',
		storageClass({ volumeBindingMode: 'Later' }),
		['volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"'],
	],
	[
		'a class whose volumes are recycled',
		storageClass({ reclaimPolicy: 'Recycle' }),
		['reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"'],
	],
	[
		'a class with too many parameters in bytes',
		storageClass({ parameters: { a: 'x'.repeat(262_144) } }),
		['parameters: Too long: may not be more than 262144 bytes'],
	],
	[
		'an attachment of nothing',
		changed(of('VolumeAttachment'), { spec: { source: { persistentVolumeName: undefined } } }),
		['spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName'],
	],
	[
		'a driver twice on a node',
		changed(of('CSINode'), {
			spec: {
				drivers: [
					{ name: 'a', nodeID: 'x' },
					{ name: 'a', nodeID: '' },
				],
			},
		}),
		['spec.drivers[1].name: Duplicate value: "a"', 'spec.drivers[1].nodeID: Required value'],
	],
	[
		'a driver with a mode of its own',
		changed(of('CSIDriver'), { spec: { volumeLifecycleModes: ['Eternal'] } }),
		['spec.volumeLifecycleModes[0]: Unsupported value: "Eternal": supported values: "Ephemeral", "Persistent"'],
	],
	[
		'less than nothing left',
		changed(of('CSIStorageCapacity'), { capacity: '-1' }),
		['capacity: Invalid value: "-1": must be greater than or equal to 0'],
	],
	[
		'a pod with a volume of its own of no size',
		changed(of('Pod'), {
			spec: {
				volumes: [{ name: 'own', ephemeral: { volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOnce'] } } } }],
			},
		}),
		['spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value'],
	],
];
for (const [title, object, errors] of refused)
	test(`refused: ${title}`, (t) => {
		t.deepEqual(
			admit(object).errors.filter((error) => !error.includes('volumeMounts')),
			errors,
		);
	});

const bound = (spec: object) =>
	changed(admit(claim(spec)).object, { status: { phase: 'Bound', capacity: { storage: '5Gi' } } });
const SPEC =
	'spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims';
const sized = (storage: string) => ({ resources: { requests: { storage } } });

const changes: [string, Dynamic, Dynamic, string[]][] = [
	['a bound claim asks for more', bound({}), claim(sized('8Gi')), []],
	['a claim without a volume asks for more', admit(claim({})).object, claim(sized('8Gi')), [SPEC]],
	['a claim gets its volume', admit(claim({})).object, claim({ volumeName: 'disk-1' }), []],
	['a claim gets another volume', bound({ volumeName: 'disk-1' }), claim({ volumeName: 'disk-2' }), [SPEC]],
	['a claim loses its volume', bound({ volumeName: 'disk-1' }), claim({}), [SPEC]],
	['a claim of no class gets one', admit(claim({ storageClassName: undefined })).object, claim({}), []],
	['a claim without any class gets one', admit(claim({ storageClassName: '' })).object, claim({}), [SPEC]],
	['a claim gets another class', bound({}), claim({ storageClassName: 'slow' }), [SPEC]],
	[
		'a bound claim asks for less than it has',
		bound(sized('8Gi')),
		claim(sized('3Gi')),
		['spec.resources.requests.storage: Forbidden: field can not be less than status.capacity'],
	],
	['a bound claim takes back a part of what it could not get', bound(sized('8Gi')), claim(sized('6Gi')), []],
	[
		'a volume becomes another directory',
		admit(volume({})).object,
		volume({ local: { path: '/srv/disk-2' } }),
		['spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation'],
	],
	['a volume is for another claim', admit(volume({})).object, volume({ claimRef: undefined }), []],
	[
		'a volume learns of its nodes',
		admit(volume({ nodeAffinity: undefined, local: undefined, nfs: { server: 'a', path: '/a' } })).object,
		volume({ local: undefined, nfs: { server: 'a', path: '/a' } }),
		[],
	],
	[
		'a volume moves to another node',
		admit(volume({})).object,
		volume({ nodeAffinity: undefined }),
		[
			'spec.nodeAffinity: Required value: Local volume requires node affinity',
			'spec.nodeAffinity: Invalid value: null: field is immutable',
		],
	],
	[
		'a class changes what its volumes are',
		admit(storageClass({})).object,
		storageClass({ provisioner: 'other', parameters: { type: 'hdd' }, reclaimPolicy: 'Retain' }),
		[
			'parameters: Forbidden: updates to parameters are forbidden.',
			'provisioner: Forbidden: updates to provisioner are forbidden.',
			'reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.',
		],
	],
	[
		'a class binds at another time',
		admit(storageClass({})).object,
		storageClass({ volumeBindingMode: 'WaitForFirstConsumer' }),
		['volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable'],
	],
	[
		'a class lets its volumes grow no more',
		admit(storageClass({})).object,
		storageClass({ allowVolumeExpansion: false }),
		[],
	],
];
for (const [title, old, object, errors] of changes)
	test(`changed: ${title}`, (t) => {
		t.deepEqual(admit(object, changed(old, { metadata: { resourceVersion: '1' } })).errors, errors);
	});

test('a new claim and a new volume wait', (t) => {
	t.deepEqual(admit(claim({})).object.status, { phase: 'Pending' });
	t.deepEqual(admit(volume({})).object.status, { phase: 'Pending' });
});

test('the defaults of volumes, claims and classes', (t) => {
	t.like(admit(volume({})).object.spec, { persistentVolumeReclaimPolicy: 'Retain', volumeMode: 'Filesystem' });
	t.like(admit(claim({})).object.spec, { volumeMode: 'Filesystem' });
	t.like(admit(storageClass({})).object, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' });
	t.like(admit(of('CSIDriver')).object.spec, {
		attachRequired: false,
		podInfoOnMount: false,
		volumeLifecycleModes: ['Persistent'],
		fsGroupPolicy: 'ReadWriteOnceWithFSType',
	});
});

test('what a claim is made of is said in both of its fields', (t) => {
	const source = { kind: 'PersistentVolumeClaim', name: 'other' };
	t.deepEqual(at(admit(claim({ dataSource: source })).object, 'spec.dataSourceRef'), source);
	t.deepEqual(at(admit(claim({ dataSourceRef: source })).object, 'spec.dataSource'), source);
});

test('a fraction of a byte is warned of', (t) => {
	const { object } = admit(claim(sized('1500m')));
	t.deepEqual(kindOf(object).warnings(object, undefined), [
		'spec.resources.requests[storage]: fractional byte value "1500m" is invalid, must be an integer',
	]);
	t.deepEqual(kindOf(object).warnings(admit(claim(sized('1000m'))).object, undefined), []);
});

const aged = (object: Dynamic) =>
	changed(object, { metadata: { creationTimestamp: new Date(now - 330_000).toISOString() } });

test('kubectl prints claims', (t) => {
	t.deepEqual(cells(aged(admit(claim({})).object)), {
		Status: 'Pending',
		Volume: '',
		Capacity: '',
		'Access Modes': '',
		StorageClass: 'fast',
		VolumeAttributesClass: '<unset>',
		Age: '5m30s',
		VolumeMode: 'Filesystem',
	});
	const full = changed(bound({ volumeName: 'disk-1' }), {
		status: { accessModes: ['ReadOnlyMany', 'ReadWriteOnce'] },
	});
	t.like(cells(full), { Status: 'Bound', Volume: 'disk-1', Capacity: '5Gi', 'Access Modes': 'RWO,ROX' });
	t.like(cells(changed(full, { metadata: { deletionTimestamp: 'now' } })), { Status: 'Terminating' });
});

test('kubectl prints volumes', (t) => {
	t.deepEqual(cells(aged(admit(volume({})).object)), {
		Capacity: '5Gi',
		'Access Modes': 'RWO,ROX',
		'Reclaim Policy': 'Retain',
		Status: 'Pending',
		Claim: 'guestbook/data',
		StorageClass: 'fast',
		VolumeAttributesClass: '<unset>',
		Reason: '',
		Age: '5m30s',
		VolumeMode: 'Filesystem',
	});
});

test('kubectl prints classes, drivers and attachments', (t) => {
	t.deepEqual(cells(aged(admit(storageClass({})).object)), {
		Name: 'fast (default)',
		Provisioner: 'driftless.io/local',
		ReclaimPolicy: 'Delete',
		VolumeBindingMode: 'Immediate',
		AllowVolumeExpansion: true,
		Age: '5m30s',
	});
	t.deepEqual(cells(aged(admit(of('CSIDriver')).object)), {
		AttachRequired: false,
		PodInfoOnMount: false,
		StorageCapacity: false,
		TokenRequests: 'vault',
		RequiresRepublish: false,
		Modes: 'Persistent',
		Age: '5m30s',
	});
	t.deepEqual(cells(aged(admit(of('CSINode')).object)), { Drivers: 1, Age: '5m30s' });
	t.deepEqual(cells(aged(admit(of('CSIStorageCapacity')).object)), {
		StorageClassName: 'fast',
		Capacity: '100Gi',
		Age: '5m30s',
	});
	t.deepEqual(cells(aged(admit(of('VolumeAttachment')).object)), {
		Attacher: 'csi.example.com',
		PV: 'disk-1',
		Node: 'worker-1',
		Attached: false,
		Age: '5m30s',
	});
});

for (const [phase, status] of [
	['Bound', 'Healthy'],
	['Lost', 'Degraded'],
	['Pending', 'Progressing'],
] as const)
	test(`a claim that is ${phase} is ${status}`, (t) => {
		const object = changed(claim({}), { status: { phase } });
		t.is(kindOf(object).health(object)?.status, status);
	});
