/** Drivers of the Container Storage Interface on a node, each a real process: how they register, and what they are asked for, in which order. Needs root. */
import { lstat, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { accessModeOf, givesToGroup } from '../../src/agents/csi/capability.ts';
import { driversAfter } from '../../src/agents/csi/csi-node.ts';
import type { Driver } from '../../src/agents/csi/drivers.ts';
import { isUnsettled, wordsOf } from '../../src/agents/csi/error.ts';
import { ofPod, ofVolume, type Wanted } from '../../src/agents/csi/request.ts';
import { PluginError } from '../../src/agents/plugins/client.ts';
import { mountsBelow } from '../../src/agents/volumes/mount.ts';
import {
	attachedVolumeName,
	attachmentName,
	CSIDriver,
	CSINode,
	Node,
	type PersistentVolume,
	Secret,
	VolumeAttachment,
} from '../../src/kinds/index.ts';
import { CSI_DRIVER, type CsiDriver } from '../testbed/csi-driver.ts';
import { type CsiNode, csiNode, podFacts } from './csi-node.ts';
import { eventually, NODE } from './node.ts';

const wanted = (handle: string, more: Partial<Wanted> = {}): Wanted => ({
	driver: CSI_DRIVER,
	handle,
	name: `pv-${handle}`,
	ephemeral: false,
	attributes: { pool: 'fast' },
	usage: { accessModes: ['ReadWriteOnce'], mode: 'Filesystem', mountOptions: [] },
	readOnly: false,
	...more,
});
const methods = async (driver: CsiDriver) => (await driver.calls()).map(({ method }) => method);

/** A node with a driver that has a volume. */
async function ready(t: ExecutionContext, options?: Parameters<CsiNode['driver']>[0], spec?: CSIDriver['spec']) {
	const node = await csiNode(t);
	const driver = await node.driver(options, spec);
	await node.registered(driver.name);
	const data = await driver.volume('v1');
	return { node, driver, data };
}

test('access modes are asked for in the words of the interface', (t) => {
	const table: readonly (readonly [readonly string[], boolean, string])[] = [
		[['ReadWriteOnce'], false, 'SINGLE_NODE_WRITER'],
		[['ReadWriteOncePod'], false, 'SINGLE_NODE_WRITER'],
		[['ReadWriteOnce'], true, 'SINGLE_NODE_MULTI_WRITER'],
		[['ReadWriteOncePod'], true, 'SINGLE_NODE_SINGLE_WRITER'],
		[['ReadOnlyMany'], true, 'MULTI_NODE_READER_ONLY'],
		[['ReadWriteMany', 'ReadWriteOnce'], false, 'MULTI_NODE_MULTI_WRITER'],
		[[], false, 'SINGLE_NODE_WRITER'],
	];
	for (const [modes, multiWriter, mode] of table) t.is(accessModeOf(modes, multiWriter), mode, String(modes));
});

test('the files of a volume are given to the group of a pod as the policy of the driver says', (t) => {
	const once = { accessModes: ['ReadWriteOnce'], mode: 'Filesystem', mountOptions: [], fsType: 'ext4' } as const;
	const { fsType: _, ...untyped } = once;
	t.true(givesToGroup('ReadWriteOnceWithFSType', once, false));
	t.false(givesToGroup('ReadWriteOnceWithFSType', untyped, false));
	t.false(givesToGroup('ReadWriteOnceWithFSType', { ...once, accessModes: ['ReadWriteMany'] }, false));
	t.true(givesToGroup('File', { ...untyped, accessModes: ['ReadWriteMany'] }, false));
	t.false(givesToGroup('File', once, true));
	t.false(givesToGroup('None', once, false));
	t.false(givesToGroup('File', { ...once, mode: 'Block' }, false));
});

test('what a driver answers is told in the words of Kubernetes, and what may have been done all the same is told apart', (t) => {
	t.is(wordsOf(new PluginError('ALREADY_EXISTS', 'it is')), 'rpc error: code = AlreadyExists desc = it is');
	t.is(
		wordsOf(new PluginError('DEADLINE_EXCEEDED', 'Deadline exceeded after 120 s')),
		'rpc error: code = DeadlineExceeded desc = context deadline exceeded',
	);
	for (const code of ['DEADLINE_EXCEEDED', 'UNAVAILABLE', 'ABORTED', 'CANCELLED'])
		t.true(isUnsettled(new PluginError(code, '')));
	for (const code of ['INTERNAL', 'INVALID_ARGUMENT', 'NOT_FOUND']) t.false(isUnsettled(new PluginError(code, '')));
});

test('the drivers of a node stay in their order, and go only when all are known', (t) => {
	const driver = (name: string): Driver => ({
		name,
		nodeId: 'n',
		topology: {},
		capabilities: new Set(),
		call: () => Promise.reject(new Error('not here')),
	});
	const before = ['gone', 'b', 'a'].map((name) => ({ name, nodeID: 'n', topologyKeys: [] }));
	const names = (complete: boolean) =>
		driversAfter(before, [driver('a'), driver('b'), driver('c')], complete).map(({ name }) => name);
	t.deepEqual(names(false), ['gone', 'b', 'a', 'c']);
	t.deepEqual(names(true), ['b', 'a', 'c']);
});

test('handles and attributes without measure are refused before anybody is asked', (t) => {
	const volume = (handle: string, attributes = {}): PersistentVolume => ({
		apiVersion: 'v1',
		kind: 'PersistentVolume',
		metadata: { name: 'pv' },
		spec: { csi: { driver: CSI_DRIVER, volumeHandle: handle, volumeAttributes: attributes } },
	});
	t.is(ofVolume(volume('v'), false).handle, 'v');
	t.throws(() => ofVolume(volume('v'.repeat(2_000_000)), false), {
		message: /the handle of a volume .* more than 1024 bytes/,
	});
	t.throws(() => ofVolume(volume('v', { a: 'x'.repeat(100_000) }), false), { message: /attributes of a volume/ });
	const own = ofPod({ driver: CSI_DRIVER }, 'data', podFacts('u1'));
	t.regex(own.handle, /^csi-[0-9a-f]{64}$/);
	t.not(own.handle, ofPod({ driver: CSI_DRIVER }, 'data', podFacts('u2')).handle);
});

test('a driver that registers is in the CSINode of the node with its topology, and is not when its socket is gone', async (t) => {
	const node = await csiNode(t);
	const topology = { 'topology.csi.example.com/rack': 'r1' };
	const driver = await node.driver({ topology, maxVolumes: 7 });
	const drivers = async () => (await node.client.get(CSINode, { name: NODE }).catch(() => undefined))?.spec.drivers;
	await eventually('the driver is told', async () => (await drivers())?.length === 1);
	t.deepEqual(await drivers(), [
		{ name: CSI_DRIVER, nodeID: 'node-of-driver', topologyKeys: Object.keys(topology), allocatable: { count: 7 } },
	]);
	const { metadata } = await node.client.get(Node, { name: NODE });
	t.is(metadata.labels?.['topology.csi.example.com/rack'], 'r1');
	t.is(metadata.annotations?.['csi.volume.kubernetes.io/nodeid'], JSON.stringify({ [CSI_DRIVER]: 'node-of-driver' }));
	const csiNodeObject = await node.client.get(CSINode, { name: NODE });
	t.is(csiNodeObject.metadata.ownerReferences?.[0]?.uid, metadata.uid);

	await driver.stop();
	await eventually('the driver is gone', async () => (await drivers())?.length === 0);
	t.is(node.csi.drivers.get(CSI_DRIVER), undefined);
});

test('a driver that went while nobody looked is not in the CSINode any more', async (t) => {
	const { node, driver } = await ready(t);
	const drivers = async () => (await node.client.get(CSINode, { name: NODE })).spec.drivers;
	await eventually('the driver is told', async () => (await drivers())?.length === 1);
	const other = await node.driver({ name: 'other.csi.example.com' });
	await eventually('both are told', async () => (await drivers())?.length === 2);
	await driver.kill();
	await node.restart();
	await eventually('the other is told', async () => {
		await node.registered(other.name);
		return true;
	});
	// Its socket is there, and nobody answers at it: it may come back.
	t.is((await drivers())?.length, 2);
	await driver.start();
	await node.registered(driver.name);
	await driver.stop();
	await eventually(
		'only the other is left',
		async () => (await drivers())?.map(({ name }) => name).join() === other.name,
	);
});

test('what is no driver of version 1 is told why it is not taken', async (t) => {
	const node = await csiNode(t);
	const driver = await node.driver({ versions: ['0.3.0'] });
	const told = await eventually('it is told', async () => {
		const text = await readFile(join(driver.root, 'calls.jsonl'), 'utf8').catch(() => '');
		return text.split('\n').find((line) => line.includes('NotifyRegistrationStatus'));
	});
	t.regex(
		told,
		/"pluginRegistered":false,"error":"versions \[\\"0.3.0\\"\] of CSI driver dirs.csi.example.com are not supported/,
	);
	t.is(node.csi.drivers.get(CSI_DRIVER), undefined);
});

test('a socket at which nobody answers keeps no driver from registering', async (t) => {
	const node = await csiNode(t);
	await mkdir(join(node.kubeletDir, 'plugins_registry'), { recursive: true });
	const open = new Set<Socket>();
	const mute = createServer((socket) => open.add(socket));
	await new Promise<void>((resolve) => mute.listen(join(node.kubeletDir, 'plugins_registry/mute.sock'), resolve));
	t.teardown(() => {
		for (const socket of open) socket.destroy();
		mute.close();
	});
	await node.driver();
	await node.registered(CSI_DRIVER);
	t.pass();
});

test('a volume is staged once and published for each pod, and goes in the other order', async (t) => {
	const { node, driver, data } = await ready(t);
	const first = await node.csi.volumes.mount(wanted('v1'), podFacts('p1'));
	const second = await node.csi.volumes.mount(wanted('v1'), podFacts('p2'));
	t.is(first, join(node.kubeletDir, 'pods/p1/volumes/kubernetes.io~csi/pv-v1/mount'));
	t.deepEqual(await methods(driver), ['NodeStageVolume', 'NodePublishVolume', 'NodePublishVolume']);
	await writeFile(join(first, 'words'), 'kept');
	t.is(await readFile(join(second, 'words'), 'utf8'), 'kept');
	t.is(await readFile(join(data, 'words'), 'utf8'), 'kept');
	const [stage, publish] = await driver.calls();
	t.like(stage?.request, { volumeId: 'v1', volumeContext: { pool: 'fast' } });
	t.like(stage?.request.volumeCapability, { accessType: 'mount', accessMode: { mode: 'SINGLE_NODE_WRITER' } });
	t.regex(
		stage?.request.stagingTargetPath,
		/\/plugins\/kubernetes\.io\/csi\/dirs\.csi\.example\.com\/[0-9a-f]{64}\/globalmount$/,
	);
	t.is(publish?.request.stagingTargetPath, stage?.request.stagingTargetPath);
	t.is(publish?.request.targetPath, first);
	t.is(publish?.request.volumeContext['csi.storage.k8s.io/pod.name'], undefined);

	await node.csi.volumes.unmount('p1');
	t.deepEqual((await methods(driver)).slice(3), ['NodeUnpublishVolume']);
	await node.csi.volumes.unmount('p2');
	await eventually('it is unstaged', async () => (await methods(driver)).length === 6);
	t.deepEqual((await methods(driver)).slice(4), ['NodeUnpublishVolume', 'NodeUnstageVolume']);
	await eventually('nothing is mounted', async () => (await mountsBelow(node.kubeletDir)).length === 0);
	t.is(await readFile(join(data, 'words'), 'utf8'), 'kept');
	await node.csi.idle();
	t.deepEqual(await readdir(join(node.dataDir, 'csi/staged')), []);
});

test('a volume is undone by an agent that has not mounted it, and one that a pod has is not staged away under it', async (t) => {
	const { node, driver } = await ready(t);
	await node.csi.volumes.mount(wanted('v1'), podFacts('p1'));
	await node.csi.volumes.mount(wanted('v1'), podFacts('p2'));
	await node.restart();
	await node.registered(driver.name);
	await node.csi.volumes.unmount('p1');
	await node.csi.idle();
	t.false((await methods(driver)).includes('NodeUnstageVolume'));
	// What the pod has is looked after on.
	t.true(await node.csi.volumes.remount('p2', node.csi.volumes.place('p2', 'pv-v1')));
	t.false(await node.csi.volumes.remount('p2', '/elsewhere'));
	await node.restart();
	await node.registered(driver.name);
	await node.csi.volumes.unmount('p2');
	await eventually('it is unstaged', async () => (await methods(driver)).includes('NodeUnstageVolume'));
	await eventually('nothing is mounted', async () => (await mountsBelow(node.kubeletDir)).length === 0);
});

test('a driver that dies in the middle of a call is asked again, and what it did is not doubled', async (t) => {
	const { node, driver } = await ready(t);
	for (const method of ['NodeStageVolume', 'NodePublishVolume']) {
		await driver.order({ [method]: { do: 'die after', times: 1 } });
		// It may be about to be asked what it is, having come back.
		await eventually('it dies', () =>
			node.csi.volumes.mount(wanted('v1'), podFacts('p1')).then(
				() => t.fail('it was mounted'),
				(error: Error) => error.message.startsWith('rpc error: code = Unavailable'),
			),
		);
		await driver.died();
		await driver.start();
		await node.registered(driver.name);
	}
	const path = await eventually('it is mounted', () =>
		node.csi.volumes.mount(wanted('v1'), podFacts('p1')).catch(() => undefined),
	);
	t.is((await mountsBelow(path)).length, 1);
	await driver.order({ NodeUnpublishVolume: { do: 'die after', times: 1 } });
	await t.throwsAsync(node.csi.volumes.unmount('p1'), {
		message: /^UnmountVolume.TearDown failed for volume "pv-v1" : rpc error: code = Unavailable/,
	});
	await driver.died();
	await driver.start();
	await eventually('it is unmounted', () =>
		node.csi.volumes.unmount('p1').then(
			() => true,
			() => false,
		),
	);
	await eventually('it is told', async () =>
		(await node.events()).some((one) => one.startsWith('FailedUnMount: UnmountVolume.TearDown failed')),
	);
	await eventually('nothing is left', async () => (await mountsBelow(node.kubeletDir)).length === 0);
});

test('a driver that hangs keeps its own volume waiting and no others', async (t) => {
	const { node, driver } = await ready(t);
	const other = await node.driver({ name: 'other.csi.example.com' });
	await node.registered(other.name);
	await other.volume('v1');
	await driver.volume('v2');
	await driver.order({ NodeStageVolume: { do: 'hang', times: 1 } });
	let over = false;
	const hung = node.csi.volumes.mount(wanted('v1'), podFacts('p1')).then(
		() => 'mounted',
		(error: Error) => error.message,
	);
	void hung.then(() => {
		over = true;
	});
	await eventually('it hangs', async () => (await methods(driver)).includes('NodeStageVolume'));
	await node.csi.volumes.mount(wanted('v1', { driver: other.name, name: 'other' }), podFacts('p1'));
	await node.csi.volumes.mount(wanted('v2'), podFacts('p2'));
	t.false(over);
	// It is killed, as its operator would.
	await driver.kill();
	t.regex(await hung, /^rpc error: code = Unavailable/);
});

test('what a driver refuses for good is not undone, and what it may have done is', async (t) => {
	const { node, driver } = await ready(t);
	await driver.order({ NodePublishVolume: { do: 'fail', code: 'INVALID_ARGUMENT', message: 'no such flag' } });
	await t.throwsAsync(node.csi.volumes.mount(wanted('v1'), podFacts('p1')), {
		message: 'rpc error: code = InvalidArgument desc = no such flag',
	});
	await node.csi.volumes.unmount('p1');
	t.false((await methods(driver)).includes('NodeUnpublishVolume'));
	await driver.order({ NodePublishVolume: { do: 'fail', code: 'ABORTED' } });
	await t.throwsAsync(node.csi.volumes.mount(wanted('v1'), podFacts('p2')), { message: /code = Aborted/ });
	await node.csi.volumes.unmount('p2');
	t.true((await methods(driver)).includes('NodeUnpublishVolume'));
});

test('a driver that says that a volume is gone while its files are there costs none of them', async (t) => {
	const { node, driver, data } = await ready(t);
	const path = await node.csi.volumes.mount(wanted('v1'), podFacts('p1'));
	await writeFile(join(path, 'words'), 'kept');
	await driver.order({
		NodeUnpublishVolume: { do: 'answer', answer: {} },
		NodeUnstageVolume: { do: 'answer', answer: {} },
	});
	await node.csi.volumes.unmount('p1');
	await node.csi.idle();
	t.is(await readFile(join(data, 'words'), 'utf8'), 'kept');
	await eventually('nothing is mounted', async () => (await mountsBelow(node.kubeletDir)).length === 0);
	// A driver that never mounted anything has pods write to a folder of the node: that stays too.
	await driver.order({
		NodePublishVolume: { do: 'answer', answer: {} },
		NodeUnpublishVolume: { do: 'answer', answer: {} },
	});
	const plain = await node.csi.volumes.mount(wanted('v1'), podFacts('p2'));
	await mkdir(plain);
	await writeFile(join(plain, 'words'), 'here');
	await t.throwsAsync(node.csi.volumes.unmount('p2'), { message: /directory not empty/ });
	t.is(await readFile(join(plain, 'words'), 'utf8'), 'here');
});

test('a driver that is away takes nothing from a pod that has its volume, and others wait for it with its name', async (t) => {
	const { node, driver } = await ready(t);
	const path = await node.csi.volumes.mount(wanted('v1'), podFacts('p1'));
	await driver.stop();
	await eventually('it is gone', async () => node.csi.drivers.get(driver.name) === undefined);
	t.is(await node.csi.volumes.mount(wanted('v1'), podFacts('p1')), path);
	await t.throwsAsync(node.csi.volumes.mount(wanted('v1'), podFacts('p2')), {
		message:
			'kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name dirs.csi.example.com not found in the list of registered CSI drivers',
	});
});

test('a volume that is attached first waits for it, and is in use until it is unstaged', async (t) => {
	const { node, driver } = await ready(t, {}, { attachRequired: true });
	const named = attachedVolumeName(CSI_DRIVER, 'v1');
	const mounting = node.csi.volumes.mount(wanted('v1'), podFacts('p1'));
	const inUse = async () => (await node.client.get(Node, { name: NODE })).status?.volumesInUse ?? [];
	await eventually('it is in use', async () => (await inUse()).includes(named));
	t.deepEqual(await methods(driver), []);
	const name = attachmentName(CSI_DRIVER, 'v1', NODE);
	await node.client.create(VolumeAttachment, {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'VolumeAttachment',
		metadata: { name },
		spec: { attacher: CSI_DRIVER, nodeName: NODE, source: { persistentVolumeName: 'pv-v1' } },
	});
	const status = (body: object) => ({ type: 'merge', body: { status: body } }) as const;
	const attached = { attached: true, attachmentMetadata: { device: 'disk-1' } };
	await node.client.patch(VolumeAttachment, { name }, status(attached), { subresource: 'status' });
	const told = { volumesAttached: [{ name: named, devicePath: '' }] };
	await node.client.patch(Node, { name: NODE }, status(told), { subresource: 'status' });
	await mounting;
	const [stage, publish] = await driver.calls();
	t.deepEqual(stage?.request.publishContext, { device: 'disk-1' });
	t.deepEqual(publish?.request.publishContext, { device: 'disk-1' });
	await driver.order({ NodeUnstageVolume: { do: 'fail', code: 'INTERNAL', times: 1 } });
	await node.csi.volumes.unmount('p1');
	await eventually('it was tried', async () => (await methods(driver)).includes('NodeUnstageVolume'));
	t.deepEqual(node.csi.volumes.inUse(), [named]);
	await eventually('it is in use no more', async () => (await inUse()).length === 0);
});

test('a driver is told of the pod and given the secrets where it is to be, and they are written nowhere', async (t) => {
	const { node, driver } = await ready(t, {}, { attachRequired: false, podInfoOnMount: true });
	const reference = { name: 'login', namespace: 'default' };
	const mount = () =>
		node.csi.volumes.mount(wanted('v1', { stageSecret: reference, publishSecret: reference }), podFacts('p1'));
	await t.throwsAsync(mount(), { message: /^failed to get secret default\/login/ });
	const stringData = { password: 'swordfish-1' };
	await node.client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata: reference, stringData });
	await mount();
	const [stage, publish] = await driver.calls();
	t.deepEqual(stage?.request.secrets, stringData);
	t.deepEqual(publish?.request.secrets, stringData);
	t.like(publish?.request.volumeContext, {
		pool: 'fast',
		'csi.storage.k8s.io/pod.name': 'pod-p1',
		'csi.storage.k8s.io/pod.namespace': 'default',
		'csi.storage.k8s.io/pod.uid': 'p1',
		'csi.storage.k8s.io/serviceAccount.name': 'default',
		'csi.storage.k8s.io/ephemeral': 'false',
	});
	for (const entry of await readdir(node.dataDir, { recursive: true, withFileTypes: true })) {
		if (!entry.isFile()) continue;
		t.false((await readFile(join(entry.parentPath, entry.name), 'utf8')).includes('swordfish-1'), entry.name);
	}
});

test('a volume of a pod of its own needs a driver that has such, is never staged, and goes with the pod', async (t) => {
	const { node, driver } = await ready(t);
	const own = ofPod({ driver: CSI_DRIVER, volumeAttributes: { size: '1' } }, 'scratch', podFacts('p1'));
	await t.throwsAsync(node.csi.volumes.mount(own, podFacts('p1')), {
		message: /volume mode "Ephemeral" not supported by driver dirs.csi.example.com \(only supports \["Persistent"\]\)/,
	});
	await node.client.delete(CSIDriver, { name: CSI_DRIVER });
	await node.client.create(CSIDriver, {
		apiVersion: 'storage.k8s.io/v1',
		kind: 'CSIDriver',
		metadata: { name: CSI_DRIVER },
		spec: { attachRequired: false, podInfoOnMount: true, volumeLifecycleModes: ['Ephemeral'] },
	});
	const path = await node.csi.volumes.mount(own, podFacts('p1'));
	t.is(path, join(node.kubeletDir, 'pods/p1/volumes/kubernetes.io~csi/scratch/mount'));
	t.deepEqual(await methods(driver), ['NodePublishVolume']);
	await node.csi.volumes.unmount('p1');
	t.deepEqual(await methods(driver), ['NodePublishVolume', 'NodeUnpublishVolume']);
	t.deepEqual(await readdir(join(driver.root, 'volumes')), ['v1']);
});

test('a volume is given to the group of its pod', async (t) => {
	const { node, data } = await ready(t, {}, { attachRequired: false, fsGroupPolicy: 'File' });
	await writeFile(join(data, 'words'), 'old');
	const path = await node.csi.volumes.mount(wanted('v1'), podFacts('p1', { group: 4_242 }));
	t.is((await lstat(join(path, 'words'))).gid, 4_242);
	t.is((await lstat(path)).mode & 0o2770, 0o2770);
});
