/** Pods with volumes of a storage driver on a real engine, with the whole control plane and a driver that is a process. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { mountsBelow } from '../../src/agents/volumes/mount.ts';
import { driverCalls } from '../../src/api/index.ts';
import { createCache } from '../../src/client/index.ts';
import {
	CSIDriver,
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	StorageClass,
	VolumeAttachment,
} from '../../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../../src/reconcile/index.ts';
import { podTrouble } from '../../src/sync/compare/trouble.ts';
import { claim, volume } from '../reconcile/volume-objects.ts';
import { CSI_DRIVER, type CsiDriver, startCsiDriver } from '../testbed/csi-driver.ts';
import { silentLog } from '../testbed/silent-log.ts';
import { eventually, examplePod, NODE, type RunningAgent, running, startNode, type TestNode, WAIT } from './node.ts';

let node: TestNode;
let agent: RunningAgent;
let driver: CsiDriver;
let kubeletDir: string;
const stop = new AbortController();
let controllers: Promise<void>;
const cleanup = new AsyncDisposableStack();

test.before(async () => {
	node = cleanup.use(await startNode());
	kubeletDir = join(node.engine.dataDir, 'kubelet');
	agent = await node.runAgent();
	driver = cleanup.use(await startCsiDriver(kubeletDir));
	const { client } = node;
	await client.create(CSIDriver, {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'CSIDriver',
		metadata: { name: CSI_DRIVER },
		spec: { volumeLifecycleModes: ['Persistent', 'Ephemeral'], podInfoOnMount: true },
	});
	const { signal } = stop;
	const cache = createCache(client, { signal, log: silentLog });
	controllers = runControllers({
		...{ client, cache, log: silentLog, now: Date.now, signal },
		controllers: clusterControllers({ driverCalls: driverCalls(() => node.server.pki.kubelet) }),
	});
	await eventually('the class standard', () => client.get(StorageClass, { name: 'standard' }).catch(() => undefined));
});
test.after.always(async () => {
	stop.abort();
	await controllers;
	await cleanup.disposeAsync();
});

const at = (name: string) => ({ namespace: 'default', name });
/** A volume that the driver has, and a claim that has it. */
async function bound(name: string) {
	const data = await driver.volume(name);
	const { client } = node;
	const csi = { driver: CSI_DRIVER, volumeHandle: name, volumeAttributes: { pool: 'fast' } };
	const { hostPath: _, ...spec } = volume(name).spec;
	await client.create(PersistentVolume, { ...volume(name), spec: { ...spec, csi } });
	await client.create(PersistentVolumeClaim, claim(name, { class: '', spec: { volumeName: name } }));
	await eventually(
		`claim ${name} is bound`,
		async () => (await client.get(PersistentVolumeClaim, at(name))).status?.phase === 'Bound',
	);
	return data;
}
/** A pod that writes its name to what it has at /data. */
const addPod = (name: string, volumes: Pod['spec']['volumes']) =>
	node.client.create(
		Pod,
		examplePod(name, {
			nodeName: undefined,
			volumes,
			containers: [
				{
					name: 'main',
					command: ['sh', '-c', `echo ${name} >> /data/names; ${WAIT[2]}`],
					volumeMounts: [{ name: 'data', mountPath: '/data' }],
				},
			],
		}),
	);
/** Waits until the pod has written its name. */
const has = (data: string, name: string) =>
	eventually(
		`${name} has written to its volume`,
		async () => (await readFile(join(data, 'names'), 'utf8').catch(() => '')) === `${name}\n`,
	);
const ofClaim = (claimName: string): Pod['spec']['volumes'] => [{ name: 'data', persistentVolumeClaim: { claimName } }];
const attachments = async (name: string) =>
	(await node.client.list(VolumeAttachment)).items.filter(({ spec }) => spec.source.persistentVolumeName === name);
/** What the attacher beside a driver does. */
async function attach(name: string) {
	const attachment = await eventually(`an attachment of ${name}`, async () => (await attachments(name))[0]);
	const body = { status: { attached: true, attachmentMetadata: { device: `disk-${name}` } } };
	await node.client.patch(VolumeAttachment, attachment.metadata, { type: 'merge', body }, { subresource: 'status' });
	return attachment;
}
const asked = async (handle: string) =>
	(await driver.calls()).filter(({ request }) => request.volumeId === handle).map(({ method }) => method);
const inUse = async () => (await node.client.get(Node, { name: NODE })).status?.volumesInUse ?? [];

test.serial(
	'a pod with a claim of a driver runs once its volume is attached, and the volume is taken away after it',
	async (t) => {
		const data = await bound('one');
		await addPod('first', ofClaim('one'));
		const attachment = await attach('one');
		t.like(attachment.spec, { attacher: CSI_DRIVER, nodeName: NODE });
		await node.until('first', running);
		await has(data, 'first');
		t.deepEqual(await asked('one'), ['NodeStageVolume', 'NodePublishVolume']);
		const publish = (await driver.calls()).find(
			({ method, request }) => method === 'NodePublishVolume' && request.volumeId === 'one',
		);
		t.like(publish?.request.volumeContext, { pool: 'fast', 'csi.storage.k8s.io/pod.name': 'first' });
		t.deepEqual(publish?.request.publishContext, { device: 'disk-one' });
		t.true((await inUse()).includes(`kubernetes.io/csi/${CSI_DRIVER}^one`));
		t.regex(await node.untilEvent('first', /SuccessfulAttachVolume/), /AttachVolume.Attach succeeded for volume "one"/);

		await node.client.delete(Pod, at('first'));
		await node.untilGone('first');
		await eventually('it is not attached any more', async () => (await attachments('one')).length === 0);
		t.deepEqual((await asked('one')).slice(2), ['NodeUnpublishVolume', 'NodeUnstageVolume']);
		t.is(await readFile(join(data, 'names'), 'utf8'), 'first\n');
		const { status } = await node.client.get(Node, { name: NODE });
		t.false(status?.volumesAttached?.some(({ name }) => name.endsWith('^one')) ?? false);
	},
);

test.serial(
	'a pod with a volume of its own of a driver has it from the beginning, and it goes with the pod',
	async (t) => {
		await addPod('own', [{ name: 'data', csi: { driver: CSI_DRIVER, volumeAttributes: { size: '1' } } }]);
		const { metadata } = await node.until('own', running);
		const publish = (await driver.calls()).find(
			({ method, request }) =>
				method === 'NodePublishVolume' && request.volumeContext['csi.storage.k8s.io/pod.uid'] === metadata.uid,
		);
		t.like(publish?.request.volumeContext, { size: '1', 'csi.storage.k8s.io/ephemeral': 'true' });
		const handle = publish?.request.volumeId as string;
		await has(join(driver.root, 'volumes', handle), 'own');
		await node.client.delete(Pod, at('own'));
		await node.untilGone('own');
		t.deepEqual(await asked(handle), ['NodePublishVolume', 'NodeUnpublishVolume']);
		t.false((await readdir(join(driver.root, 'volumes'))).includes(handle));
	},
);

test.serial(
	'a pod that was deleted by force while its agent was away has its volumes taken down by the next one',
	async (t) => {
		const data = await bound('two');
		await addPod('forced', ofClaim('two'));
		await attach('two');
		const { metadata } = await node.until('forced', running);
		await has(data, 'forced');
		await agent[Symbol.asyncDispose]();
		await node.client.delete(Pod, at('forced'), { gracePeriodSeconds: 0 });
		t.is((await attachments('two')).length, 1, 'the node says that it has it');
		agent = await node.runAgent();
		await eventually('it is taken down', async () => (await asked('two')).includes('NodeUnstageVolume'));
		await eventually('it is not attached any more', async () => (await attachments('two')).length === 0);
		t.is(await readFile(join(data, 'names'), 'utf8'), 'forced\n');
		const left = await mountsBelow(kubeletDir);
		t.false(
			left.some((path) => path.includes(metadata.uid ?? '')),
			left.join(),
		);
	},
);

test.serial('a pod waits with the name of a driver that is not there, and goes on at once when it is', async (t) => {
	const name = 'late.csi.example.com';
	await node.client.create(CSIDriver, {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'CSIDriver',
		metadata: { name },
		spec: { attachRequired: false, volumeLifecycleModes: ['Ephemeral'], podInfoOnMount: true },
	});
	await addPod('waits', [{ name: 'data', csi: { driver: name } }]);
	t.is(
		await node.untilEvent('waits', /FailedMount/),
		`FailedMount: MountVolume.SetUp failed for volume "data" : kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name ${name} not found in the list of registered CSI drivers`,
	);
	// Also where events are not looked at.
	const waiting = await node.until('waits', ({ status }) =>
		Boolean(status?.conditions?.some(({ type, reason }) => type === 'PodReadyToStartContainers' && reason)),
	);
	t.regex(podTrouble(waiting) ?? '', /driver name late.csi.example.com not found/);
	await using late = await startCsiDriver(kubeletDir, { name });
	await node.until('waits', running);
	await late.order({ NodeUnpublishVolume: { do: 'fail', code: 'INTERNAL', message: 'not now', times: 1 } });
	await node.client.delete(Pod, at('waits'));
	t.regex(
		await node.untilEvent('waits', /FailedUnMount/),
		/UnmountVolume.TearDown failed for volume "data" : rpc error: code = Internal desc = not now/,
	);
	await node.untilGone('waits');
});

/** A driver whose controller the platform calls, and a class of it. */
async function served(t: ExecutionContext, name: string, storage: Partial<StorageClass> = {}) {
	const { client } = node;
	const metadata = { name, annotations: { 'driftless.io/controller': 'node' } };
	await client.create(CSIDriver, { apiVersion: 'storage.k8s.io/v1', kind: 'CSIDriver', metadata, spec: {} });
	const served = await startCsiDriver(kubeletDir, { name, topology: { [`topology.${name}/rack`]: 'r1' } });
	t.teardown(() => served[Symbol.asyncDispose]());
	await client.create(StorageClass, {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'StorageClass',
		metadata: { name },
		provisioner: name,
		parameters: { tier: 'gold' },
		allowVolumeExpansion: true,
		...storage,
	});
	return served;
}
const gone = (name: string) =>
	eventually(`volume ${name} is gone`, async () => {
		const { items } = await node.client.list(PersistentVolume);
		return !items.some(({ metadata }) => metadata.name === name);
	});

test.serial(
	'a claim of a class whose driver the platform serves has a volume made, attached, mounted, and removed after it',
	async (t) => {
		const name = 'made.csi.example.com';
		const made = await served(t, name, { volumeBindingMode: 'WaitForFirstConsumer' });
		const { client } = node;
		await client.create(PersistentVolumeClaim, claim('made', { class: name, size: '8Mi' }));
		await addPod('user', ofClaim('made'));
		await node.until('user', running);
		const { spec, metadata } = await client.get(PersistentVolumeClaim, at('made'));
		const volumeName = spec.volumeName ?? '';
		t.false(metadata.finalizers?.includes('driftless.io/volume-being-made') ?? false);
		const volume = await client.get(PersistentVolume, { name: volumeName });
		t.like(volume.spec.csi, { driver: name, volumeHandle: `vol-${volumeName}`, volumeAttributes: { tier: 'gold' } });
		t.like(volume.spec.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions?.[0], {
			key: `topology.${name}/rack`,
			values: ['r1'],
		});
		const methods = async () => (await made.calls()).map(({ method }) => method);
		t.deepEqual(await methods(), ['CreateVolume', 'ControllerPublishVolume', 'NodeStageVolume', 'NodePublishVolume']);
		const [create, publish, stage] = await made.calls();
		t.like(create?.request, { capacityRange: { requiredBytes: String(8 * 2 ** 20) }, parameters: { tier: 'gold' } });
		t.is(create?.request.accessibilityRequirements.preferred[0].segments[`topology.${name}/rack`], 'r1');
		t.is(publish?.request.nodeId, 'node-of-driver');
		t.deepEqual(stage?.request.publishContext, { device: `disk-vol-${volumeName}` });
		await has(join(made.root, 'volumes', `vol-${volumeName}`), 'user');

		const body = { spec: { resources: { requests: { storage: '16Mi' } } } };
		await client.patch(PersistentVolumeClaim, at('made'), { type: 'merge', body });
		const grown = await eventually('the claim has more', async () => {
			const one = await client.get(PersistentVolumeClaim, at('made'));
			return one.status?.capacity?.storage === '16Mi' && one;
		});
		t.deepEqual(grown.status?.conditions ?? [], []);
		t.is((await client.get(PersistentVolume, { name: volumeName })).spec.capacity?.storage, '16Mi');
		t.deepEqual((await methods()).slice(4), ['ControllerExpandVolume', 'NodeExpandVolume']);
		const bytes = String(16 * 2 ** 20);
		for (const { request } of (await made.calls()).slice(4)) t.is(request.capacityRange.requiredBytes, bytes);

		// While the pod has it nothing goes.
		await client.delete(PersistentVolumeClaim, at('made'));
		await client.delete(Pod, at('user'));
		await gone(volumeName);
		t.deepEqual((await methods()).slice(6), [
			'NodeUnpublishVolume',
			'NodeUnstageVolume',
			'ControllerUnpublishVolume',
			'DeleteVolume',
		]);
		t.deepEqual(await readdir(join(made.root, 'volumes')), []);
	},
);

test.serial(
	'a driver that dies after it has made, attached or removed a volume leaves none doubled and none behind',
	async (t) => {
		const name = 'dying.csi.example.com';
		const dying = await served(t, name);
		const { client } = node;
		await dying.order({ CreateVolume: { do: 'die after', times: 1 } });
		await client.create(PersistentVolumeClaim, claim('dying', { class: name }));
		await dying.died();
		await dying.order({ ControllerPublishVolume: { do: 'die after', times: 1 } });
		await dying.start();
		await addPod('survivor', ofClaim('dying'));
		await dying.died();
		await dying.start();
		await node.until('survivor', running);
		t.is((await readdir(join(dying.root, 'volumes'))).length, 1);
		await dying.order({ DeleteVolume: { do: 'die after', times: 1 } });
		const { spec } = await client.get(PersistentVolumeClaim, at('dying'));
		await client.delete(Pod, at('survivor'));
		await client.delete(PersistentVolumeClaim, at('dying'));
		await dying.died();
		await dying.start();
		await gone(spec.volumeName ?? '');
		t.deepEqual(await readdir(join(dying.root, 'volumes')), []);
		t.deepEqual(await readdir(join(dying.root, 'attached')), []);
	},
);

test.serial(
	'a claim says what its driver answers, and one that is deleted meanwhile leaves nothing behind',
	async (t) => {
		const name = 'refusing.csi.example.com';
		const refusing = await served(t, name);
		const { client } = node;
		await refusing.order({ CreateVolume: { do: 'fail', code: 'RESOURCE_EXHAUSTED', message: 'nothing left' } });
		await client.create(PersistentVolumeClaim, claim('refused', { class: name }));
		t.is(
			await node.untilEvent('refused', /ResourceExhausted/),
			`ProvisioningFailed: failed to provision volume with StorageClass "${name}": rpc error: code = ResourceExhausted desc = nothing left`,
		);
		await refusing.order({ CreateVolume: { do: 'die after', times: 1 } });
		await refusing.died();
		await client.delete(PersistentVolumeClaim, at('refused'));
		t.is((await readdir(join(refusing.root, 'volumes'))).length, 1, 'it has made one that nobody knows');
		await refusing.start();
		await eventually('the claim is gone', async () => {
			const { items } = await client.list(PersistentVolumeClaim, { namespace: 'default' });
			return !items.some(({ metadata }) => metadata.name === 'refused');
		});
		t.deepEqual(await readdir(join(refusing.root, 'volumes')), []);
	},
);
