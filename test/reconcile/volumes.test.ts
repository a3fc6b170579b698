/** Claims and volumes on a real API and store; only the nodes are played. */
import test from 'ava';
import {
	Event,
	LOCAL_FINALIZER,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	REMOVE_DATA,
	SIZE_LIMIT,
	StorageClass,
	VOLUME_NODE,
} from '../../src/kinds/index.ts';
import { claimTroubleOf, clusterControllers } from '../../src/reconcile/index.ts';
import { eventually, found, run, type World, world } from '../client/world.ts';
import { addNode, type ClaimShape, claim, storageClass, volume } from './volume-objects.ts';

const start = async (t: Parameters<typeof world>[0]) => {
	const w = await world(t);
	run(t, w, clusterControllers());
	return w;
};
const at = (name: string) => ({ name, namespace: 'default' });
const kinds = [PersistentVolumeClaim, PersistentVolume, Pod, Event, StorageClass];
const addClaim = ({ client }: World, name: string, shape: ClaimShape = {}) =>
	client.create(PersistentVolumeClaim, claim(name, shape));
const claimThat = (w: World, name: string, is: (one: PersistentVolumeClaim) => boolean) =>
	eventually(w, kinds, async () => {
		const one = await found(w.client.get(PersistentVolumeClaim, at(name)));
		return one && is(one) ? one : undefined;
	});
const volumeThat = (w: World, name: string, is: (one: PersistentVolume) => boolean) =>
	eventually(w, kinds, async () => {
		const one = await found(w.client.get(PersistentVolume, { name }));
		return one && is(one) ? one : undefined;
	});
const gone = (w: World, kind: typeof PersistentVolume | typeof PersistentVolumeClaim, name: string) =>
	eventually(w, kinds, async () =>
		(await found(w.client.get(kind as typeof PersistentVolume, kind.namespaced ? at(name) : { name })))
			? undefined
			: true,
	);
const isBound = ({ status }: PersistentVolumeClaim) => status?.phase === 'Bound';
const said = (w: World, reason: string, about: string) =>
	eventually(w, kinds, async () => {
		const { items } = await w.client.list(Event, { namespace: 'default' });
		return items.find((each) => each.reason === reason && each.involvedObject.name === about)?.message;
	});
const podWith = (name: string, claimName: string): Pod => ({
	apiVersion: 'v1',
	kind: 'Pod',
	metadata: { name, namespace: 'default' },
	spec: {
		terminationGracePeriodSeconds: 0,
		containers: [{ name: 'main', image: 'example' }],
		volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }],
	},
});
const nodeOf = (w: World, name: string) =>
	eventually(w, kinds, async () => (await found(w.client.get(Pod, at(name))))?.spec.nodeName);
/** Why the pod has no node; without what is said of pods that could go instead. */
const whyNot = (w: World, name: string) =>
	eventually(w, kinds, async () => {
		const { status } = await w.client.get(Pod, at(name));
		const message = status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message;
		return message?.replace(/ preemption: .*/, '');
	});

test('a claim gets the volume that serves it, and a delete releases the volume once no pod uses the claim', async (t) => {
	const w = await start(t);
	await w.client.create(PersistentVolume, volume('big', { size: '10Gi' }));
	await w.client.create(PersistentVolume, volume('right', { size: '2Gi' }));
	await volumeThat(w, 'right', ({ status }) => status?.phase === 'Available');
	await volumeThat(w, 'big', ({ status }) => status?.phase === 'Available');
	await addClaim(w, 'a', { class: '', size: '2Gi' });
	const bound = await claimThat(w, 'a', isBound);
	t.is(bound.spec.volumeName, 'right');
	t.like(bound.status, { phase: 'Bound', capacity: { storage: '2Gi' }, accessModes: ['ReadWriteOnce'] });
	t.deepEqual(bound.metadata.finalizers, ['kubernetes.io/pvc-protection']);
	t.like(bound.metadata.annotations, {
		'pv.kubernetes.io/bind-completed': 'yes',
		'pv.kubernetes.io/bound-by-controller': 'yes',
	});
	const its = await volumeThat(w, 'right', ({ status }) => status?.phase === 'Bound');
	t.like(its.spec.claimRef, { name: 'a', namespace: 'default', uid: bound.metadata.uid });

	await addNode(w, 'n1');
	await w.client.create(Pod, podWith('web', 'a'));
	t.is(await nodeOf(w, 'web'), 'n1');
	await w.client.delete(PersistentVolumeClaim, at('a'));
	await w.client.delete(PersistentVolume, { name: 'right' });
	t.truthy((await w.client.get(PersistentVolumeClaim, at('a'))).metadata.deletionTimestamp, 'a pod uses it');
	await w.client.delete(Pod, at('web'), { gracePeriodSeconds: 0 });
	await gone(w, PersistentVolumeClaim, 'a');
	await gone(w, PersistentVolume, 'right');
	t.is((await w.client.get(PersistentVolume, { name: 'big' })).status?.phase, 'Available');
});

test("a volume that is kept is nobody else's after its claim", async (t) => {
	const w = await start(t);
	await w.client.create(PersistentVolume, volume('v'));
	await addClaim(w, 'a', { class: '' });
	await claimThat(w, 'a', isBound);
	await w.client.delete(PersistentVolumeClaim, at('a'));
	await volumeThat(w, 'v', ({ status }) => status?.phase === 'Released');
	await addClaim(w, 'a', { class: '' });
	t.is(
		await said(w, 'FailedBinding', 'a'),
		'no persistent volumes available for this claim and no storage class is set',
	);
	// Its owner gives it free.
	await w.client.patch(PersistentVolume, { name: 'v' }, { type: 'merge', body: { spec: { claimRef: null } } });
	t.is((await claimThat(w, 'a', isBound)).spec.volumeName, 'v');
});

test('a claim and a volume that name each other, either way, come together', async (t) => {
	const w = await start(t);
	await addClaim(w, 'by-claim', { class: '', spec: { volumeName: 'v1' } });
	await addClaim(w, 'by-volume', { class: '' });
	await w.client.create(PersistentVolume, volume('v1'));
	await w.client.create(
		PersistentVolume,
		volume('v2', { spec: { claimRef: { namespace: 'default', name: 'by-volume' } } }),
	);
	t.is((await claimThat(w, 'by-claim', isBound)).spec.volumeName, 'v1');
	t.is((await claimThat(w, 'by-volume', isBound)).spec.volumeName, 'v2');
});

test('a claim that names no class gets the default one, when it is made and when there is one', async (t) => {
	const w = await world(t);
	await addClaim(w, 'early');
	run(t, w, clusterControllers());
	t.is(
		(await claimThat(w, 'early', ({ spec }) => spec.storageClassName !== undefined)).spec.storageClassName,
		'standard',
	);
	t.is((await addClaim(w, 'late')).spec.storageClassName, 'standard');
	await w.client.create(
		StorageClass,
		storageClass('newer', {
			metadata: { name: 'newer', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
		}),
	);
	t.is((await addClaim(w, 'none', { class: '' })).spec.storageClassName, '');
	t.is(await said(w, 'WaitForFirstConsumer', 'late'), 'waiting for first consumer to be created before binding');
});

test('a pod with a claim of the class standard gets a volume on its node, whose data is removed after claim and pod', async (t) => {
	const w = await start(t);
	await addNode(w, 'n1');
	await addClaim(w, 'a', { class: 'standard' });
	await w.client.create(Pod, podWith('web', 'a'));
	t.is(await nodeOf(w, 'web'), 'n1');
	const { spec, metadata } = await claimThat(w, 'a', isBound);
	const name = `pvc-${metadata.uid}`;
	t.is(spec.volumeName, name);
	t.is(metadata.annotations?.['volume.kubernetes.io/selected-node'], 'n1');
	const made = await volumeThat(w, name, ({ status }) => status?.phase === 'Bound');
	t.like(made.spec, {
		persistentVolumeReclaimPolicy: 'Delete',
		storageClassName: 'standard',
		local: { path: `/data/volumes/${name}` },
	});
	t.is(made.metadata.annotations?.[VOLUME_NODE], 'n1');

	await w.client.delete(PersistentVolumeClaim, at('a'));
	await w.client.delete(Pod, at('web'), { gracePeriodSeconds: 0 });
	await gone(w, PersistentVolumeClaim, 'a');
	const leaving = await volumeThat(w, name, ({ metadata }) => metadata.annotations?.[REMOVE_DATA] !== undefined);
	t.is(leaving.metadata.annotations?.[REMOVE_DATA], leaving.metadata.uid);
	t.deepEqual(leaving.metadata.finalizers, [LOCAL_FINALIZER], 'what is left is for the agent to do');
});

test('pods that compete for volumes of nodes get one each, and the last says why it has none', async (t) => {
	const w = await start(t);
	await w.client.create(StorageClass, storageClass('disks', { provisioner: 'kubernetes.io/no-provisioner' }));
	for (const name of ['n1', 'n2']) {
		await addNode(w, name);
		await w.client.create(
			PersistentVolume,
			volume(`disk-${name}`, {
				class: 'disks',
				spec: {
					hostPath: undefined,
					local: { path: '/disk' },
					nodeAffinity: {
						required: {
							nodeSelectorTerms: [
								{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [name] }] },
							],
						},
					},
				},
			}),
		);
		await volumeThat(w, `disk-${name}`, ({ status }) => status?.phase === 'Available');
	}
	for (const name of ['a', 'b', 'c']) await addClaim(w, name, { class: 'disks' });
	for (const name of ['a', 'b']) await w.client.create(Pod, podWith(name, name));
	const nodes = [await nodeOf(w, 'a'), await nodeOf(w, 'b')];
	t.deepEqual(nodes.toSorted(), ['n1', 'n2']);
	const bound = [await claimThat(w, 'a', isBound), await claimThat(w, 'b', isBound)];
	t.deepEqual(
		bound.map(({ spec }) => spec.volumeName),
		nodes.map((node) => `disk-${node}`),
	);
	await w.client.create(Pod, podWith('c', 'c'));
	t.is(await whyNot(w, 'c'), "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.");
});

test('a pod whose claim is not there, or waits, says so, and runs when it has it', async (t) => {
	const w = await start(t);
	await addNode(w, 'n1');
	await w.client.create(Pod, podWith('web', 'a'));
	t.is(await whyNot(w, 'web'), '0/1 nodes are available: persistentvolumeclaim "a" not found.');
	await addClaim(w, 'a', { class: '' });
	await eventually(w, kinds, async () =>
		(await whyNot(w, 'web')) === '0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.'
			? true
			: undefined,
	);
	await w.client.create(PersistentVolume, volume('v'));
	t.is(await nodeOf(w, 'web'), 'n1');
});

test('a claim for one pod is for one pod, and for the next when that is gone', async (t) => {
	const w = await start(t);
	await addNode(w, 'n1');
	await addNode(w, 'n2');
	await w.client.create(PersistentVolume, volume('v', { spec: { accessModes: ['ReadWriteOncePod'] } }));
	await addClaim(w, 'a', { class: '', spec: { accessModes: ['ReadWriteOncePod'] } });
	await claimThat(w, 'a', isBound);
	await w.client.create(Pod, podWith('one', 'a'));
	await nodeOf(w, 'one');
	await w.client.create(Pod, podWith('two', 'a'));
	t.is(
		await whyNot(w, 'two'),
		'0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode.',
	);
	await w.client.delete(Pod, at('one'), { gracePeriodSeconds: 0 });
	t.truthy(await nodeOf(w, 'two'));
});

test('a node that cannot have the volume is given up: the pod goes to one that can', async (t) => {
	const w = await start(t);
	await addNode(w, 'n1', '');
	await addClaim(w, 'a', { class: 'standard' });
	await w.client.create(Pod, podWith('web', 'a'));
	t.is(await whyNot(w, 'web'), "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.");
	// Chosen by somebody before, and gone since.
	await w.client.patch(PersistentVolumeClaim, at('a'), {
		type: 'merge',
		body: { metadata: { annotations: { 'volume.kubernetes.io/selected-node': 'gone' } } },
	});
	t.regex((await said(w, 'ProvisioningFailed', 'a')) ?? '', /nodes "gone" not found/);
	await addNode(w, 'n2');
	t.is(await nodeOf(w, 'web'), 'n2');
});

test('a volume that lives with its pod is made and goes with it', async (t) => {
	const w = await start(t);
	await addNode(w, 'n1');
	await w.client.create(Pod, {
		...podWith('web', ''),
		spec: {
			...podWith('web', '').spec,
			volumes: [
				{
					name: 'scratch',
					ephemeral: {
						volumeClaimTemplate: {
							metadata: { labels: { of: 'web' } },
							spec: {
								accessModes: ['ReadWriteOnce'],
								storageClassName: 'standard',
								resources: { requests: { storage: '1Gi' } },
							},
						},
					},
				},
			],
		},
	});
	t.is(await nodeOf(w, 'web'), 'n1');
	const { metadata } = await claimThat(w, 'web-scratch', isBound);
	t.deepEqual(metadata.labels, { of: 'web' });
	await w.client.delete(Pod, at('web'), { gracePeriodSeconds: 0 });
	await gone(w, PersistentVolumeClaim, 'web-scratch');
	t.pass();
});

test('a pod does not get a claim of another that has the name of its own', async (t) => {
	const w = await start(t);
	await addNode(w, 'n1');
	await addClaim(w, 'web-scratch', { class: 'standard' });
	const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } };
	await w.client.create(Pod, {
		...podWith('web', ''),
		spec: { ...podWith('web', '').spec, volumes: [{ name: 'scratch', ephemeral: { volumeClaimTemplate: { spec } } }] },
	});
	t.is(
		await said(w, 'FailedBinding', 'web'),
		'ephemeral volume scratch: PVC default/web-scratch was not created for pod default/web (pod is not owner)',
	);
	await w.client.delete(PersistentVolumeClaim, at('web-scratch'));
	t.is(await nodeOf(w, 'web'), 'n1');
});

test('what is to be copied stays until the copy is made', async (t) => {
	const w = await start(t);
	await addNode(w, 'n1');
	await w.client.create(StorageClass, storageClass('now', { volumeBindingMode: 'Immediate' }));
	await addClaim(w, 'source', { class: 'now' });
	const source = (await claimThat(w, 'source', isBound)).spec.volumeName ?? '';
	await addClaim(w, 'copy', { class: 'now', spec: { dataSource: { kind: 'PersistentVolumeClaim', name: 'source' } } });
	const copy = (await claimThat(w, 'copy', isBound)).spec.volumeName ?? '';
	await w.client.delete(PersistentVolumeClaim, at('source'));
	await volumeThat(w, source, ({ status }) => status?.phase === 'Released');
	t.is((await w.client.get(PersistentVolume, { name: source })).metadata.deletionTimestamp, undefined);
	await w.client.patch(
		PersistentVolume,
		{ name: copy },
		{ type: 'merge', body: { metadata: { annotations: { [SIZE_LIMIT]: '1073741824' } } } },
	);
	await volumeThat(w, source, ({ metadata }) => metadata.annotations?.[REMOVE_DATA] !== undefined);
	t.pass();
});

test('only bound claims of classes that let them grow may ask for more', async (t) => {
	const w = await start(t);
	const more = { type: 'merge', body: { spec: { resources: { requests: { storage: '2Gi' } } } } } as const;
	await w.client.create(PersistentVolume, volume('v'));
	await addClaim(w, 'a', { class: '' });
	await claimThat(w, 'a', isBound);
	await t.throwsAsync(w.client.patch(PersistentVolumeClaim, at('a'), more), {
		message:
			'persistentvolumeclaims "a" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
	});
});

test('a claim that asks for more gets it, and says how far that is', async (t) => {
	const w = await start(t);
	await addNode(w, 'n1');
	await addClaim(w, 'a', { class: 'standard', size: '1Gi' });
	await w.client.create(Pod, podWith('web', 'a'));
	const name = (await claimThat(w, 'a', isBound)).spec.volumeName ?? '';
	const say = (limit: number) =>
		w.client.patch(
			PersistentVolume,
			{ name },
			{ type: 'merge', body: { metadata: { annotations: { [SIZE_LIMIT]: String(limit) } } } },
		);
	await say(1024 ** 3);
	await w.client.patch(PersistentVolumeClaim, at('a'), {
		type: 'merge',
		body: { spec: { resources: { requests: { storage: '2Gi' } } } },
	});
	await volumeThat(w, name, ({ spec }) => spec.capacity?.storage === '2Gi');
	const waiting = await claimThat(w, 'a', ({ status }) => status?.conditions?.[0]?.type === 'FileSystemResizePending');
	t.is(waiting.status?.capacity?.storage, '1Gi');
	await say(2 * 1024 ** 3);
	const done = await claimThat(w, 'a', ({ status }) => status?.capacity?.storage === '2Gi');
	t.is(done.status?.conditions, undefined);
});

test("a volume that is recycled is emptied by a pod, and is anybody's then", async (t) => {
	const w = await start(t);
	await addNode(w, 'n1');
	await w.client.create(PersistentVolume, volume('v', { spec: { persistentVolumeReclaimPolicy: 'Recycle' } }));
	await addClaim(w, 'a', { class: '' });
	await claimThat(w, 'a', isBound);
	await w.client.delete(PersistentVolumeClaim, at('a'));
	t.is(await nodeOf(w, 'recycler-for-v'), 'n1');
	const pod = await w.client.get(Pod, at('recycler-for-v'));
	t.deepEqual(pod.spec.volumes?.[0], { name: 'vol', hostPath: { path: '/srv/v', type: '' } });
	await w.client.update(Pod, { ...pod, status: { phase: 'Succeeded' } }, { subresource: 'status' });
	await volumeThat(w, 'v', ({ status }) => status?.phase === 'Available');
	await eventually(w, kinds, async () => ((await found(w.client.get(Pod, at('recycler-for-v')))) ? undefined : true));
	await addClaim(w, 'b', { class: '' });
	t.is((await claimThat(w, 'b', isBound)).spec.volumeName, 'v');
});

test('a volume that nobody can empty or remove says so, and stays as it is', async (t) => {
	const w = await start(t);
	const nfs = { hostPath: undefined, nfs: { server: 'files', path: '/' } };
	await w.client.create(PersistentVolume, volume('v', { spec: { ...nfs, persistentVolumeReclaimPolicy: 'Recycle' } }));
	await w.client.create(
		PersistentVolume,
		volume('w', { size: '2Gi', spec: { persistentVolumeReclaimPolicy: 'Delete' } }),
	);
	for (const [name, size] of [
		['a', '1Gi'],
		['b', '2Gi'],
	]) {
		await addClaim(w, name ?? '', { class: '', size });
		await claimThat(w, name ?? '', isBound);
		await w.client.delete(PersistentVolumeClaim, at(name ?? ''));
	}
	const failed = await volumeThat(w, 'v', ({ status }) => status?.phase === 'Failed');
	t.is(failed.status?.message, 'No recycler plugin found for the volume!');
	const other = await volumeThat(w, 'w', ({ status }) => status?.phase === 'Failed');
	t.is(other.status?.message, 'error getting deleter volume plugin for volume "w": no deletable volume plugin matched');
});

test('why a claim waits is known to who asks for it', async (t) => {
	const w = await start(t);
	await w.client.create(StorageClass, storageClass('now', { volumeBindingMode: 'Immediate' }));
	await addClaim(w, 'idle', { class: 'standard' });
	await addClaim(w, 'many', { class: 'now', spec: { accessModes: ['ReadWriteMany'] } });
	await addClaim(w, 'classless', { class: 'none' });
	await addNode(w, 'n1');
	await addClaim(w, 'served', { class: 'now' });
	await claimThat(w, 'served', isBound);
	const why = (name: string) => claimTroubleOf({ metadata: at(name) }, w.cache);
	t.is(why('idle'), 'waiting for first consumer to be created before binding');
	t.is(why('many'), 'a volume on one node has no access mode ReadWriteMany: use ReadWriteOnce or ReadWriteOncePod');
	t.is(why('classless'), 'storageclass.storage.k8s.io "none" not found');
	t.is(why('served'), undefined);
});
