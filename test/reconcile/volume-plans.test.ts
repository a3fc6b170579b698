/** What is decided about claims and volumes. */
import test from 'ava';
import type { Node, PersistentVolume, PersistentVolumeClaim, StorageClass } from '../../src/kinds/index.ts';
import {
	CLONE_OF,
	defaultClassOf,
	keyOf,
	LOCAL_FINALIZER,
	SIZE_LIMIT,
	VOLUME_NODE,
	VOLUME_ROOT,
} from '../../src/kinds/index.ts';
import {
	BIND_COMPLETED,
	BOUND_BY_CONTROLLER,
	PROVISIONED_BY,
	SELECTED_NODE,
} from '../../src/reconcile/volumes/annotations.ts';
import { type ClaimStep, planClaim } from '../../src/reconcile/volumes/claim-plan.ts';
import { planExpansion } from '../../src/reconcile/volumes/expansion-plan.ts';
import { planLocal, planRemoval, type Users } from '../../src/reconcile/volumes/local-plan.ts';
import { claimKeyOf } from '../../src/reconcile/volumes/match.ts';
import { uses } from '../../src/reconcile/volumes/protection.ts';
import { parted, planVolume } from '../../src/reconcile/volumes/volume-plan.ts';
import { claim, free, storageClass, volume } from './volume-objects.ts';
import { pod } from './workloads.ts';

interface View {
	volumes?: PersistentVolume[];
	classes?: StorageClass[];
	pods?: string[];
}

const plan = (one: PersistentVolumeClaim, { volumes = [], classes = [], pods = [] }: View = {}): ClaimStep =>
	planClaim(one, {
		volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
		volumesFor: (wanted) => volumes.filter((each) => claimKeyOf(each) === keyOf(wanted)),
		freeOf: (name) => volumes.filter(({ spec }) => !spec.claimRef && (spec.storageClassName ?? '') === name),
		storageClass: (name) => classes.find(({ metadata }) => metadata.name === name),
		defaultClass: () => defaultClassOf(classes),
		waitingPod: () => pods[0],
		own: new Set(['driftless.io/local']),
	});

/** The step in a line. */
const told = (step: ClaimStep): string => {
	switch (step.do) {
		case 'bind':
			return `bind ${step.volume.metadata.name}`;
		case 'make':
			return `make ${step.provisioner}`;
		case 'ask':
			return `ask ${step.provisioner}${step.say ? `, ${step.say.reason}` : ''}`;
		case 'name class':
			return `name class ${step.storageClass}`;
		default:
			return `${step.do}${step.say ? `: ${step.say.type} ${step.say.reason}: ${step.say.message}` : ''}`;
	}
};

const ref = (name: string, uid?: string) => ({
	claimRef: { kind: 'PersistentVolumeClaim', namespace: 'default', name, ...(uid && { uid }) },
});
const done = { [BIND_COMPLETED]: 'yes' };
const late = storageClass('late');
const now = storageClass('now', { volumeBindingMode: 'Immediate' });
const foreign = storageClass('foreign', { provisioner: 'example.com/nas', volumeBindingMode: 'Immediate' });
const none = 'Normal FailedBinding: no persistent volumes available for this claim and no storage class is set';

const claims: [string, PersistentVolumeClaim, View, string][] = [
	['nothing is there for', claim('a', { class: '' }), {}, `wait: ${none}`],
	['a volume is there for', claim('a', { class: '' }), { volumes: [free('v')] }, 'bind v'],
	[
		'several serve: it gets the smallest',
		claim('a', { class: '', size: '2Gi' }),
		{
			volumes: [
				free('big', { size: '10Gi' }),
				free('small'),
				free('right', { size: '3Gi' }),
				free('tie', { size: '3Gi' }),
			],
		},
		'bind right',
	],
	['only smaller ones are there', claim('a', { class: '', size: '2Gi' }), { volumes: [free('v')] }, `wait: ${none}`],
	[
		'only others are there by class, modes, mode, labels and phase',
		claim('a', { class: '', spec: { selector: { matchLabels: { disk: 'ssd' } } } }),
		{
			volumes: [
				free('class', { class: 'fast', labels: { disk: 'ssd' } }),
				free('modes', { labels: { disk: 'ssd' }, spec: { accessModes: ['ReadOnlyMany'] } }),
				free('mode', { labels: { disk: 'ssd' }, spec: { volumeMode: 'Block' } }),
				free('labels', { labels: { disk: 'hdd' } }),
				volume('phase', { labels: { disk: 'ssd' }, status: { phase: 'Released' } }),
				free('going', { labels: { disk: 'ssd' }, going: true }),
			],
		},
		`wait: ${none}`,
	],
	[
		'one is promised to it by name, though a smaller one is free',
		claim('a', { class: '' }),
		{ volumes: [free('v'), free('mine', { size: '9Gi', spec: ref('a') })] },
		'bind mine',
	],
	[
		'one is promised to another of its name',
		claim('a', { class: '', uid: 'new' }),
		{ volumes: [volume('old', { spec: ref('a', 'old') })] },
		`wait: ${none}`,
	],
	['it names a volume that is not there', claim('a', { spec: { volumeName: 'v' } }), {}, 'wait'],
	['it names a free volume', claim('a', { spec: { volumeName: 'v' } }), { volumes: [free('v')] }, 'bind v'],
	[
		'it names a volume that is too small',
		claim('a', { size: '2Gi', spec: { volumeName: 'v' } }),
		{ volumes: [free('v')] },
		'wait: Warning VolumeMismatch: Cannot bind to requested volume "v": requested PV is too small',
	],
	[
		'it names a volume of another class',
		claim('a', { class: 'fast', spec: { volumeName: 'v' } }),
		{ volumes: [free('v')] },
		'wait: Warning VolumeMismatch: Cannot bind to requested volume "v": storageClassName does not match',
	],
	[
		"it names somebody else's volume",
		claim('a', { spec: { volumeName: 'v' } }),
		{ volumes: [volume('v', { spec: ref('b', 'b') })] },
		'wait: Warning FailedBinding: volume "v" already bound to a different claim.',
	],
	[
		'it has its volume',
		claim('a', { uid: 'a', annotations: done, spec: { volumeName: 'v' } }),
		{ volumes: [volume('v', { spec: ref('a', 'a') })] },
		'bind v',
	],
	[
		'its volume has forgotten it',
		claim('a', { uid: 'a', annotations: done, spec: { volumeName: 'v' } }),
		{ volumes: [free('v')] },
		'bind v',
	],
	[
		'its volume is gone',
		claim('a', { annotations: done, spec: { volumeName: 'v' } }),
		{},
		'lose: Warning ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!',
	],
	[
		"its volume is another claim's",
		claim('a', { uid: 'a', annotations: done, spec: { volumeName: 'v' } }),
		{ volumes: [volume('v', { spec: ref('a', 'other') })] },
		'lose: Warning ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly',
	],
	['it names no class and there is no default', claim('a'), { classes: [now] }, `wait: ${none}`],
	[
		'it names no class and there are two defaults: the newest',
		claim('a'),
		{
			classes: ['2026-01-01', '2026-03-01', '2026-02-01'].map((day) =>
				storageClass(day, {
					metadata: {
						name: day,
						creationTimestamp: `${day}T00:00:00Z`,
						annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
					},
				}),
			),
		},
		'name class 2026-03-01',
	],
	[
		'its class is not there',
		claim('a', { class: 'gold' }),
		{},
		'wait: Warning ProvisioningFailed: storageclass.storage.k8s.io "gold" not found',
	],
	['its class makes volumes at once', claim('a', { class: 'now' }), { classes: [now] }, 'make driftless.io/local'],
	[
		'somebody else makes its volume',
		claim('a', { class: 'foreign' }),
		{ classes: [foreign] },
		'ask example.com/nas, ExternalProvisioning',
	],
	[
		'nobody makes volumes of its class',
		claim('a', { class: 'hand' }),
		{
			classes: [storageClass('hand', { provisioner: 'kubernetes.io/no-provisioner', volumeBindingMode: 'Immediate' })],
		},
		'wait: Warning ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner',
	],
	[
		'its class waits for a pod, though a volume is free',
		claim('a', { class: 'late' }),
		{ classes: [late], volumes: [free('v', { class: 'late' })] },
		'wait: Normal WaitForFirstConsumer: waiting for first consumer to be created before binding',
	],
	[
		'its pod has no node yet',
		claim('a', { class: 'late' }),
		{ classes: [late], pods: ['web'] },
		'wait: Normal WaitForPodScheduled: waiting for pod web to be scheduled',
	],
	[
		'its pod has a node',
		claim('a', { class: 'late', annotations: { [SELECTED_NODE]: 'n1' } }),
		{ classes: [late] },
		'make driftless.io/local',
	],
	['it is being deleted', claim('a', { class: 'now', going: true }), { classes: [now] }, 'wait'],
];
for (const [title, one, view, step] of claims) test(`a claim: ${title}`, (t) => t.is(told(plan(one, view)), step));

const has = (name: string, uid: string, volumeName = '') => claim(name, { uid, spec: { volumeName } });
const made = { [PROVISIONED_BY]: 'driftless.io/local' };
const deletes = { persistentVolumeReclaimPolicy: 'Delete' };
const volumes: [string, PersistentVolume, PersistentVolumeClaim | undefined, string][] = [
	["is nobody's", volume('v'), undefined, 'Available'],
	['is promised to a name', volume('v', { spec: ref('a') }), has('a', 'a'), 'Available'],
	['is being bound', volume('v', { spec: ref('a', 'a') }), has('a', 'a'), 'Bound'],
	['has its claim', volume('v', { spec: ref('a', 'a') }), has('a', 'a', 'v'), 'Bound'],
	['has lost its claim', volume('v', { spec: ref('a', 'a') }), undefined, 'release'],
	[
		'has lost its claim, and another one has its name',
		volume('v', { spec: ref('a', 'a') }),
		has('a', 'b', 'v'),
		'release',
	],
	['has a claim that took another volume', volume('v', { spec: ref('a', 'a') }), has('a', 'a', 'w'), 'part'],
	[
		'was made for a claim that took another volume',
		volume('v', { annotations: made, spec: { ...ref('a', 'a'), ...deletes } }),
		has('a', 'a', 'w'),
		'release',
	],
];
for (const [title, one, its, step] of volumes)
	test(`a volume that ${title}: ${step}`, (t) => {
		const found = planVolume(one, its);
		t.is<string, string>(found.do === 'phase' ? found.phase : found.do, step);
	});

test('a volume that is parted stays promised where its owner has promised it, and else is free', (t) => {
	t.deepEqual(parted(volume('v', { spec: ref('a', 'a') })).spec.claimRef?.uid, undefined);
	t.is(parted(volume('v', { spec: ref('a', 'a') })).spec.claimRef?.name, 'a');
	const ours = volume('v', { annotations: { [BOUND_BY_CONTROLLER]: 'yes' }, spec: ref('a', 'a') });
	t.is(parted(ours).spec.claimRef, undefined);
	t.deepEqual(parted(ours).metadata.annotations, {});
});

const node = (name: string, root = '/data', labels: Record<string, string> = {}): Node => ({
	apiVersion: 'v1',
	kind: 'Node',
	metadata: {
		name,
		labels: { 'kubernetes.io/hostname': `${name}.example.com`, ...labels },
		...(root && { annotations: { [VOLUME_ROOT]: root } }),
	},
	spec: {},
	status: { conditions: [{ type: 'Ready', status: 'True' }] },
});
const local = (name: string, at: string) =>
	volume(name, {
		class: 'late',
		annotations: { ...made, [VOLUME_NODE]: at },
		spec: { ...ref('source', 'source'), ...deletes },
	});
const on = (name: string) => ({ annotations: { [SELECTED_NODE]: name } });
const copyOf = (kind: string, name: string) => ({ spec: { dataSourceRef: { kind, name } } });
const source = claim('source', {
	class: 'late',
	uid: 'source',
	spec: { volumeName: 'pv-source' },
	status: { phase: 'Bound' },
});

interface Place {
	nodes?: Node[];
	class?: StorageClass;
	claims?: PersistentVolumeClaim[];
	volumes?: PersistentVolume[];
}
const provisions: [string, PersistentVolumeClaim, Place, string][] = [
	[
		'at once: the node with the fewest volumes',
		claim('a', { uid: 'u' }),
		{ nodes: [node('n2'), node('n1')], volumes: [local('x', 'n1')] },
		'make pvc-u on n2',
	],
	['where its pod is', claim('a', { uid: 'u', ...on('n1') }), { nodes: [node('n1'), node('n2')] }, 'make pvc-u on n1'],
	[
		'its node is gone',
		claim('a', on('n1')),
		{ nodes: [node('n2')] },
		'choose again: failed to get target node: nodes "n1" not found',
	],
	[
		'its node has no place',
		claim('a', on('n1')),
		{ nodes: [node('n1', '')] },
		'choose again: node "n1" has no place for local volumes',
	],
	['no node has a place', claim('a'), { nodes: [node('n1', '')] }, 'refuse: no node has a place for local volumes'],
	[
		'its node is outside of the topologies',
		claim('a', on('n1')),
		{
			nodes: [node('n1', '/data', { zone: 'b' })],
			class: storageClass('late', { allowedTopologies: [{ matchLabelExpressions: [{ key: 'zone', values: ['a'] }] }] }),
		},
		'choose again: node "n1" is in none of the topologies that the class allows',
	],
	[
		'it is for many nodes',
		claim('a', { spec: { accessModes: ['ReadWriteOnce', 'ReadWriteMany'] } }),
		{ nodes: [node('n1')] },
		'refuse: a volume on one node has no access mode ReadWriteMany: use ReadWriteOnce or ReadWriteOncePod',
	],
	[
		'it is a device',
		claim('a', { spec: { volumeMode: 'Block' } }),
		{ nodes: [node('n1')] },
		'refuse: a volume that is a directory has no volumeMode Block',
	],
	[
		'it selects',
		claim('a', { spec: { selector: {} } }),
		{ nodes: [node('n1')] },
		'refuse: claim Selector is not supported',
	],
	[
		'a copy is made where its source is',
		claim('a', { class: 'late', uid: 'u', ...copyOf('PersistentVolumeClaim', 'source') }),
		{ nodes: [node('n1'), node('n2')], claims: [source], volumes: [local('pv-source', 'n2')] },
		'make pvc-u on n2 of pv-source',
	],
	[
		'a copy for a pod elsewhere',
		claim('a', { class: 'late', ...on('n1'), ...copyOf('PersistentVolumeClaim', 'source') }),
		{ nodes: [node('n1'), node('n2')], claims: [source], volumes: [local('pv-source', 'n2')] },
		'choose again: what is to be copied is on node "n2"',
	],
	[
		'a copy that is smaller than its source',
		claim('a', { class: 'late', size: '1Mi', ...copyOf('PersistentVolumeClaim', 'source') }),
		{ nodes: [node('n2')], claims: [source], volumes: [local('pv-source', 'n2')] },
		'refuse: error, new PVC request must be greater than or equal in size to the specified PVC data source, requested 1Mi but source is 1Gi',
	],
	[
		'a copy of nothing',
		claim('a', { class: 'late', ...copyOf('PersistentVolumeClaim', 'none') }),
		{ nodes: [node('n2')] },
		'refuse: error getting PVC none from api server: persistentvolumeclaim "none" not found',
	],
];
for (const [title, one, { nodes = [], class: of = late, claims = [], volumes = [] }, step] of provisions)
	test(`a local volume: ${title}`, (t) => {
		const found = planLocal(one, {
			storageClass: of,
			node: (name) => nodes.find(({ metadata }) => metadata.name === name),
			nodes: () => nodes,
			volumesOn: (name) => volumes.filter(({ metadata }) => metadata.annotations?.[VOLUME_NODE] === name).length,
			claim: (name) => claims.find(({ metadata }) => metadata.name === name),
			volume: (name) => volumes.find(({ metadata }) => metadata.name === name),
		});
		if (found.do !== 'make') return t.is(`${found.do}: ${found.why}`, step);
		const { metadata, spec } = found.volume;
		const copy = metadata.annotations?.[CLONE_OF];
		t.is(`make ${metadata.name} on ${metadata.annotations?.[VOLUME_NODE]}${copy ? ` of ${copy}` : ''}`, step);
		t.is(spec.local?.path, `/data/${metadata.name}`);
		t.deepEqual(spec.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions?.[0]?.values, [
			`${metadata.annotations?.[VOLUME_NODE]}.example.com`,
		]);
		return undefined;
	});

const nobody: Users = { claimed: false, attached: false, copied: false, nodeExists: true };
const keeps = { persistentVolumeReclaimPolicy: 'Retain' };
const released = { status: { phase: 'Released' } };
const leaving = { going: true, finalizers: [LOCAL_FINALIZER] };
const removals: [string, PersistentVolume, Partial<Users>, string][] = [
	['released', volume('v', { ...released, spec: deletes }), {}, 'delete'],
	['released, to be kept', volume('v', { ...released, spec: keeps }), {}, 'nothing'],
	['bound', volume('v', { status: { phase: 'Bound' }, spec: deletes }), {}, 'nothing'],
	['released, its claim is there', volume('v', { ...released, spec: deletes }), { claimed: true }, 'nothing'],
	['released and attached', volume('v', { ...released, spec: deletes }), { attached: true }, 'nothing'],
	['released, a copy is to be made of it', volume('v', { ...released, spec: deletes }), { copied: true }, 'nothing'],
	['deleted', volume('v', { ...leaving, spec: deletes }), {}, 'remove data'],
	['deleted, its claim is there', volume('v', { ...leaving, spec: deletes }), { claimed: true }, 'nothing'],
	['deleted and attached', volume('v', { ...leaving, spec: deletes }), { attached: true }, 'nothing'],
	[
		'deleted and protected',
		volume('v', { going: true, finalizers: [LOCAL_FINALIZER, 'kubernetes.io/pv-protection'], spec: deletes }),
		{},
		'nothing',
	],
	['deleted, to be kept', volume('v', { ...leaving, spec: keeps }), {}, 'let go'],
	['deleted, its node is gone', volume('v', { ...leaving, spec: deletes }), { nodeExists: false }, 'let go'],
];
for (const [title, one, users, step] of removals)
	test(`a local volume that is ${title}: ${step}`, (t) =>
		t.is<string, string>(planRemoval(one, { ...nobody, ...users }).do, step));

const withClaim = { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'a' } }] };
const own = { volumes: [{ name: 'data', ephemeral: { volumeClaimTemplate: { spec: {} } } }] };
const ownClaim = {
	...claim('web-data', { uid: 'x' }),
	metadata: {
		name: 'web-data',
		namespace: 'default',
		ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'web', uid: 'uid-web', controller: true }],
	},
};
test('a claim is used by pods that have a node, also by finished ones; one made for a pod until that has ended', (t) => {
	const of = (shape: object) => pod('web', { node: 'n1', ...shape });
	t.true(uses(of({ spec: withClaim }), claim('a')));
	t.true(uses(of({ spec: withClaim, phase: 'Succeeded' }), claim('a')));
	t.false(uses(pod('web', { spec: withClaim }), claim('a')), 'without a node none is started');
	t.false(uses(of({ spec: withClaim }), claim('b')));
	t.true(uses(of({ spec: own }), ownClaim));
	t.false(uses(of({ spec: own, phase: 'Failed' }), ownClaim));
	t.false(uses(of({ spec: own }), claim('web-data')), "another's of its name");
});

const bound = (size: string, has: string) =>
	claim('a', { uid: 'a', size, spec: { volumeName: 'v' }, status: { phase: 'Bound', capacity: { storage: has } } });
const held = (size: string, limit?: string) =>
	volume('v', { size, spec: ref('a', 'a'), annotations: { ...made, ...(limit && { [SIZE_LIMIT]: limit }) } });
const GiB = 1024 ** 3;
const expansions: [string, PersistentVolumeClaim, PersistentVolume | undefined, string][] = [
	['has what it asks for', bound('1Gi', '1Gi'), held('1Gi', String(GiB)), 'nothing'],
	['has more than it asks for', bound('1Gi', '2Gi'), held('2Gi', String(2 * GiB)), 'nothing'],
	['asks for more', bound('2Gi', '1Gi'), held('1Gi', String(GiB)), 'enlarge to 2Gi'],
	['waits for its node', bound('2Gi', '1Gi'), held('2Gi', String(GiB)), 'wait'],
	['is held to the new size', bound('2Gi', '1Gi'), held('2Gi', String(2 * GiB)), 'finish with 2Gi'],
	['is held to no size', bound('2Gi', '1Gi'), held('2Gi', 'none: no quotas'), 'finish with 2Gi'],
	['has no directory yet', bound('2Gi', '1Gi'), held('2Gi'), 'finish with 2Gi'],
	['asks for less than its volume has become', bound('2Gi', '1Gi'), held('3Gi', String(3 * GiB)), 'finish with 3Gi'],
	['is of another provisioner', bound('2Gi', '1Gi'), volume('v', { spec: ref('a', 'a') }), 'leave'],
	['has no volume', bound('2Gi', '1Gi'), undefined, 'nothing'],
	["has another's volume", bound('2Gi', '1Gi'), volume('v', { spec: ref('b', 'b') }), 'nothing'],
];
for (const [title, one, its, step] of expansions)
	test(`a claim that ${title}: ${step}`, (t) => {
		const found = planExpansion(one, its);
		const more = found.do === 'enlarge' ? ` to ${found.to}` : found.do === 'finish' ? ` with ${found.capacity}` : '';
		t.is(found.do + more, step);
	});
