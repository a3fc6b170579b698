/** The decisions on volumes of storage drivers: tables of cases. */
import test from 'ava';
import type { PersistentVolume, StorageClass, VolumeAttachment } from '../../src/kinds/index.ts';
import { createRequest, secretFor, Unservable, volumeOf } from '../../src/reconcile/csi/provision-plan.ts';
import { planRemoval } from '../../src/reconcile/csi/reclaimer.ts';
import { planResize } from '../../src/reconcile/csi/resizer.ts';
import {
	type AttachmentStep,
	type AttachmentView,
	isExclusive,
	planAttachment,
} from '../../src/reconcile/volumes/attachment-plan.ts';
import { claim, volume } from './volume-objects.ts';

const attachment = (attached: boolean, going = false): VolumeAttachment => ({
	apiVersion: 'storage.k8s.io/v1',
	kind: 'VolumeAttachment',
	metadata: { name: 'a', ...(going && { deletionTimestamp: '2030-01-01T00:00:00Z' }) },
	spec: { attacher: 'd', nodeName: 'n', source: { persistentVolumeName: 'v' } },
	status: { attached },
});

test('volumes are attached for pods, and taken away when neither pods nor the node have them', (t) => {
	const base: AttachmentView = {
		...{ wanted: false, required: true, attachment: undefined, elsewhere: false, inUse: false, reported: false },
		abandoned: false,
	};
	const table: readonly (readonly [string, Partial<AttachmentView>, AttachmentStep['do']])[] = [
		['nobody wants it', {}, 'nothing'],
		['a pod wants it', { wanted: true }, 'attach'],
		['a pod wants it, and the driver attaches nothing', { wanted: true, required: false }, 'nothing'],
		['a pod wants it, and another node has it', { wanted: true, elsewhere: true }, 'wait for another node'],
		['the driver is at it', { wanted: true, attachment: attachment(false) }, 'nothing'],
		['it is attached', { wanted: true, attachment: attachment(true) }, 'report'],
		['the node knows', { wanted: true, attachment: attachment(true), reported: true }, 'nothing'],
		[
			'the pod is gone, the node has it still',
			{ attachment: attachment(true), reported: true, inUse: true },
			'wait for the node',
		],
		['the node has it no more', { attachment: attachment(true), reported: true }, 'withdraw'],
		['the node was told', { attachment: attachment(true) }, 'detach'],
		['never attached', { attachment: attachment(false) }, 'detach'],
		['the node is gone', { attachment: attachment(true), inUse: true, reported: true, abandoned: true }, 'detach'],
		['it is on its way out', { attachment: attachment(true, true), reported: true, wanted: true }, 'withdraw'],
		['it is on its way out and a pod wants it', { attachment: attachment(true, true), wanted: true }, 'nothing'],
		['its attachment was removed by hand', { reported: true, wanted: true }, 'withdraw'],
	];
	for (const [what, view, step] of table) t.is(planAttachment({ ...base, ...view }).do, step, what);
});

test('only volumes for one node are kept from others', (t) => {
	const of = (...accessModes: string[]) => isExclusive(volume('v', { spec: { accessModes } }));
	t.true(of('ReadWriteOnce'));
	t.true(of('ReadWriteOncePod'));
	t.false(of('ReadWriteMany'));
	t.false(of('ReadWriteOnce', 'ReadOnlyMany'));
});

test('a volume of a driver is removed when it is released, its policy says so, and nobody needs it', (t) => {
	const finalizers = ['external-provisioner.volume.kubernetes.io/finalizer'];
	const of = (
		phase: string,
		policy: string,
		shape: { going?: boolean; finalizers?: string[] } = {},
	): PersistentVolume =>
		volume('v', { finalizers, ...shape, spec: { persistentVolumeReclaimPolicy: policy }, status: { phase } });
	const free = { claimed: false, attached: false };
	t.is(planRemoval(of('Released', 'Delete'), free), 'delete');
	t.is(planRemoval(of('Bound', 'Delete'), free), 'nothing');
	t.is(planRemoval(of('Available', 'Delete'), free), 'nothing');
	t.is(planRemoval(of('Released', 'Retain'), free), 'nothing');
	t.is(planRemoval(of('Released', 'Delete'), { ...free, attached: true }), 'nothing');
	t.is(planRemoval(of('Released', 'Delete'), { ...free, claimed: true }), 'nothing');
	t.is(planRemoval(of('Released', 'Delete', { going: true }), free), 'remove');
	t.is(planRemoval(of('Released', 'Delete', { going: true }), { ...free, attached: true }), 'nothing');
	t.is(planRemoval(of('Released', 'Retain', { going: true }), free), 'let go');
	const kept = [...finalizers, 'kubernetes.io/pv-protection'];
	t.is(planRemoval(of('Bound', 'Delete', { going: true, finalizers: kept }), free), 'nothing');
	t.is(planRemoval(of('Released', 'Delete', { going: true, finalizers: [] }), free), 'nothing');
});

test('a volume becomes larger at its driver, then on a node, and then its claim has more', (t) => {
	const csi = { driver: 'd', volumeHandle: 'h' };
	interface Around {
		served?: boolean;
		onNode?: boolean;
		pending?: boolean;
	}
	const of = (wanted: string, capacity: string, has: string, around: Around = {}) => {
		const { served = true, onNode = false, pending = false } = around;
		const conditions = pending ? [{ type: 'FileSystemResizePending', status: 'True' }] : [];
		const status = { phase: 'Bound', capacity: { storage: has }, conditions };
		const claimRef = { name: 'c', namespace: 'default', uid: 'u' };
		const made = volume('v', { size: capacity, spec: { csi, claimRef } });
		return planResize(claim('c', { size: wanted, uid: 'u', status }), made, { served, onNode });
	};
	t.is(of('1Gi', '1Gi', '1Gi'), 'nothing');
	t.is(of('2Gi', '1Gi', '1Gi'), 'enlarge');
	t.is(of('2Gi', '1Gi', '1Gi', { served: false }), 'nothing', 'somebody else serves the driver');
	t.is(of('2Gi', '1Gi', '1Gi', { pending: true }), 'enlarge', 'who said it died before the volume was told');
	t.is(of('2Gi', '2Gi', '1Gi', { pending: true }), 'nothing', 'no pod has it');
	t.is(of('2Gi', '2Gi', '1Gi', { pending: true, onNode: true }), 'expand on node');
	t.is(of('2Gi', '2Gi', '1Gi', { pending: true, onNode: true, served: false }), 'expand on node');
	t.is(of('2Gi', '2Gi', '1Gi'), 'finish');
	t.is(of('2Gi', '2Gi', '1Gi', { served: false }), 'nothing');
	t.is(of('1Gi', '2Gi', '2Gi'), 'nothing');
});

/** What stands for something of a claim, as classes write it. */
const stands = (token: string) => `$${'{'}${token}}`;
const P = 'csi.storage.k8s.io/';
const storageClass = (parameters: Record<string, string> = {}, more: Partial<StorageClass> = {}): StorageClass => ({
	apiVersion: 'storage.k8s.io/v1',
	kind: 'StorageClass',
	metadata: { name: 'fast' },
	provisioner: 'd.example.com',
	parameters,
	reclaimPolicy: 'Delete',
	...more,
});
const wish = (more: Partial<Parameters<typeof createRequest>[0]> = {}) => ({
	claim: claim('data', { uid: '42', size: '1500Mi' }),
	storageClass: storageClass({ tier: 'gold', [`${P}fstype`]: 'xfs' }, { mountOptions: ['noatime'] }),
	...more,
});

test('a driver is asked for what claim and class say', (t) => {
	t.deepEqual(createRequest(wish()), {
		name: 'pvc-42',
		capacityRange: { requiredBytes: String(1500 * 2 ** 20), limitBytes: '0' },
		volumeCapabilities: [
			{ mount: { fsType: 'xfs', mountFlags: ['noatime'] }, accessMode: { mode: 'SINGLE_NODE_WRITER' } },
		],
		parameters: { tier: 'gold' },
	});
	t.like(
		createRequest(
			wish({ claim: claim('b', { uid: '1', spec: { volumeMode: 'Block', accessModes: ['ReadWriteMany'] } }) }),
		),
		{
			volumeCapabilities: [{ block: {}, accessMode: { mode: 'MULTI_NODE_MULTI_WRITER' } }],
		},
	);
	t.like(createRequest(wish({ copyOf: 'v-1' })), { volumeContentSource: { volume: { volumeId: 'v-1' } } });
	t.throws(() => createRequest(wish({ storageClass: storageClass({ [`${P}mistake`]: 'x' }) })), {
		instanceOf: Unservable,
		message: `found unknown parameter key "${P}mistake" with reserved namespace ${P}`,
	});
	t.throws(() => createRequest(wish({ claim: claim('s', { uid: '1', spec: { selector: {} } }) })), {
		message: 'claim Selector is not supported',
	});
});

test('the volume is what the driver has answered, and an answer that is none is refused', (t) => {
	const answer = (volume: object) => ({
		volume: { volumeId: 'h', capacityBytes: '0', volumeContext: {}, accessibleTopology: [], ...volume },
	});
	const made = volumeOf(
		'd.example.com',
		wish(),
		answer({
			volumeContext: { pool: 'a' },
			accessibleTopology: [{ segments: { rack: 'r1' } }],
		}),
	);
	t.like(made.metadata, { name: 'pvc-42', annotations: { 'pv.kubernetes.io/provisioned-by': 'd.example.com' } });
	t.like(made.spec, {
		capacity: { storage: '1500Mi' },
		csi: { driver: 'd.example.com', volumeHandle: 'h', fsType: 'xfs', volumeAttributes: { pool: 'a' } },
		persistentVolumeReclaimPolicy: 'Delete',
		storageClassName: 'fast',
		mountOptions: ['noatime'],
	});
	t.deepEqual(made.spec.nodeAffinity?.required?.nodeSelectorTerms, [
		{ matchExpressions: [{ key: 'rack', operator: 'In', values: ['r1'] }] },
	]);
	t.is(volumeOf('d', wish(), answer({ capacityBytes: String(2 ** 31) })).spec.capacity?.storage, String(2 ** 31));
	t.throws(() => volumeOf('d', wish(), answer({ capacityBytes: '5' })), { message: /less than requested capacity/ });
	t.throws(() => volumeOf('d', wish(), answer({ volumeId: '' })), { message: /gives no handle/ });
	t.throws(() => volumeOf('d', wish(), answer({ volumeId: 'x'.repeat(3_000_000) })), {
		message: /more than 1024 bytes/,
	});
	t.throws(() => volumeOf('d', wish(), answer({ volumeContext: { a: 'x'.repeat(70_000) } })), {
		message: /a context of more/,
	});
	t.throws(() => volumeOf('d', wish(), { volume: null }), { message: /gives no handle/ });
});

test('secrets are those that the class names, its templates filled in, and never of a namespace that a claim chooses', (t) => {
	const of = (kind: string, name: string, namespace: string) =>
		secretFor(
			kind,
			storageClass({ [`${P}${kind}-secret-name`]: name, [`${P}${kind}-secret-namespace`]: namespace }),
			claim('data', { uid: '42', annotations: { team: 'a', ns: 'kube-system' } }),
		);
	t.deepEqual(of('provisioner', 'login', 'storage'), { name: 'login', namespace: 'storage' });
	t.deepEqual(of('node-stage', `${stands('pvc.name')}-${stands("pvc.annotations['team']")}`, stands('pvc.namespace')), {
		name: 'data-a',
		namespace: 'default',
	});
	t.deepEqual(of('node-publish', stands('pv.name'), 'x'), { name: 'pvc-42', namespace: 'x' });
	for (const [kind, name, namespace] of [
		['node-stage', 'a', stands("pvc.annotations['ns']")],
		['node-stage', 'a', stands('pvc.name')],
		['provisioner', stands("pvc.annotations['team']"), 'a'],
		['node-stage', stands('nobody'), 'a'],
		['node-stage', '', 'a'],
	] as const)
		t.throws(() => of(kind, name, namespace), { instanceOf: Unservable }, `${name} ${namespace}`);
	t.is(secretFor('node-stage', storageClass(), claim('data')), undefined);
});
