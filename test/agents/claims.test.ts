/** Volumes of claims on a real engine, with the whole control plane: from the claim to the directory, and away again. */
import { access, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { createCache } from '../../src/client/index.ts';
import {
	Node,
	PersistentVolume,
	PersistentVolumeClaim,
	Pod,
	SIZE_LIMIT,
	StorageClass,
	VOLUME_ROOT,
} from '../../src/kinds/index.ts';
import { clusterControllers, runControllers } from '../../src/reconcile/index.ts';
import { type ClaimShape, claim, storageClass, volume } from '../reconcile/volume-objects.ts';
import { silentLog } from '../testbed/silent-log.ts';
import {
	eventually,
	examplePod,
	NODE,
	type RunningAgent,
	restarts,
	running,
	startNode,
	type TestNode,
	WAIT,
} from './node.ts';

let node: TestNode;
let agent: RunningAgent;
const stop = new AbortController();
let controllers: Promise<void>;

test.before(async () => {
	node = await startNode();
	agent = await node.runAgent();
	const { client } = node;
	const { signal } = stop;
	const cache = createCache(client, { signal, log: silentLog });
	controllers = runControllers({
		client,
		cache,
		controllers: clusterControllers(),
		log: silentLog,
		now: Date.now,
		signal,
	});
	await eventually('the class standard', () => client.get(StorageClass, { name: 'standard' }).catch(() => undefined));
});
test.after.always(async () => {
	stop.abort();
	await controllers;
	await node?.[Symbol.asyncDispose]();
});

const at = (name: string) => ({ namespace: 'default', name });
const addClaim = (name: string, shape: ClaimShape = {}) =>
	node.client.create(PersistentVolumeClaim, claim(name, { class: 'standard', ...shape }));
const mounts = [{ name: 'data', mountPath: '/data' }];
/** A pod with the claim at /data, for the scheduler to place. */
const addPod = (name: string, claimName: string, spec: Partial<Pod['spec']> = {}) =>
	node.client.create(
		Pod,
		examplePod(name, {
			nodeName: undefined,
			volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }],
			containers: [{ name: 'main', command: WAIT, volumeMounts: mounts }],
			...spec,
		}),
	);
const volumeOf = async (claimName: string) =>
	(await node.client.get(PersistentVolumeClaim, at(claimName))).spec.volumeName ?? '';
const root = async () => (await node.client.get(Node, { name: NODE })).metadata.annotations?.[VOLUME_ROOT] ?? '';
const directory = async (claimName: string) => join(await root(), await volumeOf(claimName));
const exists = (path: string) =>
	access(path).then(
		() => true,
		() => false,
	);
const gone = (kind: typeof PersistentVolume | typeof PersistentVolumeClaim, name: string) =>
	eventually(`${kind.kind} ${name} is gone`, async () => {
		const { items } = await node.client.list(kind as typeof PersistentVolume);
		return !items.some(({ metadata }) => metadata.name === name);
	});

async function inside(pod: string, script: string): Promise<string> {
	const [found] = (await node.containers()).filter(({ name, state }) => name === `${pod}/main` && state === 'running');
	const options = { Cmd: ['sh', '-c', `${script} 2>&1`], AttachStdout: true, Tty: true };
	const exec = await node.engine.docker.getContainer(found?.id ?? '').exec(options);
	const stream = await exec.start({ Tty: true });
	let text = '';
	for await (const chunk of stream) text += chunk;
	return text.replaceAll('\r\n', '\n').trimEnd();
}

test('a pod with a claim of the class standard has a directory of its node, which outlives the pod and goes after the claim', async (t) => {
	await addClaim('kept');
	await addPod('writer', 'kept', { securityContext: { runAsUser: 1000 } });
	await node.until('writer', running);
	await inside('writer', 'echo one > /data/file');
	const path = await directory('kept');
	const name = await volumeOf('kept');
	t.is(await readFile(join(path, 'file'), 'utf8'), 'one\n');
	await eventually(
		'it says what it is held to',
		async () => (await node.client.get(PersistentVolume, { name })).metadata.annotations?.[SIZE_LIMIT],
	);
	await node.client.delete(Pod, at('writer'), { gracePeriodSeconds: 0 });
	await node.untilGone('writer');

	await addPod('reader', 'kept', {
		volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'kept', readOnly: true } }],
	});
	await node.until('reader', running);
	t.is(await inside('reader', 'cat /data/file'), 'one');
	t.regex(await inside('reader', 'echo two > /data/file'), /Read-only file system/);
	await node.client.delete(PersistentVolumeClaim, at('kept'));
	t.is(await readFile(join(path, 'file'), 'utf8'), 'one\n', 'a pod uses it');
	await node.client.delete(Pod, at('reader'));
	await gone(PersistentVolumeClaim, 'kept');
	await gone(PersistentVolume, name);
	t.false(await exists(path));
});

test('a pod that the API has forgotten keeps its directory until its containers are gone', async (t) => {
	await addClaim('forced');
	await addPod('stubborn', 'forced', {
		terminationGracePeriodSeconds: 3600,
		containers: [
			{ name: 'main', command: ['sh', '-c', 'trap "" TERM; while true; do sleep 1; done'], volumeMounts: mounts },
		],
	});
	await node.until('stubborn', running);
	const [path, name] = [await directory('forced'), await volumeOf('forced')];
	await writeFile(join(path, 'file'), 'data');
	const { uid } = (await node.get('stubborn')).metadata;
	// The engine does not hear of it: the pod is forgotten while it runs.
	await agent[Symbol.asyncDispose]();
	await node.client.delete(Pod, at('stubborn'), { gracePeriodSeconds: 0 });
	await node.client.delete(PersistentVolumeClaim, at('forced'));
	await gone(PersistentVolumeClaim, 'forced');
	await eventually(
		'the volume is to go',
		async () => (await node.client.get(PersistentVolume, { name })).metadata.deletionTimestamp,
	);
	t.is(await readFile(join(path, 'file'), 'utf8'), 'data');
	agent = await node.runAgent();
	await gone(PersistentVolume, name);
	const left = (await node.containers()).filter(({ labels }) => labels['io.kubernetes.pod.uid'] === uid);
	t.deepEqual(left, [], 'first the containers, then the data');
	t.false(await exists(path));
});

test('what the agent died over is done by the next one: the directory is there once, and the container has it', async (t) => {
	await addClaim('survivor');
	await addPod('steady', 'survivor');
	await node.until('steady', running);
	await inside('steady', 'echo one > /data/file');
	await agent[Symbol.asyncDispose]();
	agent = await node.runAgent();
	await inside('steady', 'kill -TERM 1');
	await node.until('steady', (pod) => restarts(pod) === 1 && running(pod));
	t.is(await inside('steady', 'cat /data/file'), 'one');
	const name = await volumeOf('survivor');
	t.deepEqual(
		(await readdir(await root())).filter((each) => each.endsWith(name)),
		[name],
	);
});

test('a directory that is gone is not made anew: an empty one would be taken for the data', async (t) => {
	await addClaim('lost');
	await addPod('first', 'lost');
	await node.until('first', running);
	const [path, name] = [await directory('lost'), await volumeOf('lost')];
	await eventually(
		'it says what it is held to',
		async () => (await node.client.get(PersistentVolume, { name })).metadata.annotations?.[SIZE_LIMIT],
	);
	await node.client.delete(Pod, at('first'), { gracePeriodSeconds: 0 });
	await node.untilGone('first');
	await eventually('its folder is gone', async () =>
		(await node.containers()).every((one) => one.name !== 'first/main'),
	);
	await rename(path, `${path}.away`);
	await addPod('second', 'lost');
	t.regex(await node.untilEvent('second', /^FailedMount: /), /the directory .* was made before, and is gone/);
	await rename(`${path}.away`, path);
	await node.until('second', running);
});

test('a group of the pod has the volume, a copy has what its source had, and an own volume goes with the pod', async (t) => {
	await addClaim('source');
	await addPod('grouped', 'source', { securityContext: { runAsUser: 1000, fsGroup: 2500 } });
	await node.until('grouped', running);
	t.is(await inside('grouped', 'echo one > /data/file; stat -c %g /data /data/file | tr "\\n" " "'), '2500 2500');
	await addClaim('copy', { spec: { dataSource: { kind: 'PersistentVolumeClaim', name: 'source' } } });
	await node.client.create(
		Pod,
		examplePod('copied', {
			nodeName: undefined,
			volumes: [
				{ name: 'data', persistentVolumeClaim: { claimName: 'copy' } },
				{
					name: 'own',
					ephemeral: {
						volumeClaimTemplate: {
							spec: {
								accessModes: ['ReadWriteOnce'],
								storageClassName: 'standard',
								resources: { requests: { storage: '1Mi' } },
							},
						},
					},
				},
			],
			containers: [
				{ name: 'main', command: WAIT, volumeMounts: [...mounts, { name: 'own', mountPath: '/own', subPath: 'part' }] },
			],
		}),
	);
	await node.until('copied', running);
	t.is(
		await inside('copied', 'cat /data/file; echo two > /data/file; echo own > /own/file; cat /own/file'),
		'one\nown',
	);
	t.is(await inside('grouped', 'cat /data/file'), 'one');
	const [path, name] = [await directory('copied-own'), await volumeOf('copied-own')];
	t.is(await readFile(join(path, 'part/file'), 'utf8'), 'own\n');
	await node.client.delete(Pod, at('copied'));
	await gone(PersistentVolumeClaim, 'copied-own');
	await gone(PersistentVolume, name);
	t.false(await exists(path));
	t.true(await exists(await directory('copy')));
});

test('volumes that are made by hand: a directory by its path, one that is not there, and a claim for one pod', async (t) => {
	const host = join(node.engine.dataDir, 'by-hand');
	await node.client.create(
		PersistentVolume,
		volume('by-hand', {
			spec: { hostPath: { path: host, type: 'DirectoryOrCreate' }, accessModes: ['ReadWriteOncePod'] },
		}),
	);
	await addClaim('by-hand', { class: '', spec: { volumeName: 'by-hand', accessModes: ['ReadWriteOncePod'] } });
	await addPod('hand', 'by-hand');
	await node.until('hand', running);
	await inside('hand', 'echo one > /data/file');
	t.is(await readFile(join(host, 'file'), 'utf8'), 'one\n');
	// Past the scheduler, which would not let it.
	await addPod('second-hand', 'by-hand', { nodeName: NODE });
	t.regex(
		await node.untilEvent('second-hand', /^FailedMount: /),
		/volume uses the ReadWriteOncePod access mode and is already in use by another pod$/,
	);
	await node.client.delete(Pod, at('second-hand'), { gracePeriodSeconds: 0 });
	await node.client.delete(Pod, at('hand'), { gracePeriodSeconds: 0 });

	const nodeAffinity = {
		required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'Exists' }] }] },
	};
	await node.client.create(
		PersistentVolume,
		volume('absent', { spec: { hostPath: undefined, local: { path: '/no/such/disk' }, nodeAffinity } }),
	);
	await addClaim('absent', { class: '', spec: { volumeName: 'absent' } });
	await addPod('nowhere', 'absent');
	t.regex(await node.untilEvent('nowhere', /^FailedMount: /), /path "\/no\/such\/disk" does not exist$/);
	await node.client.create(
		PersistentVolume,
		volume('device', { spec: { hostPath: { path: '/dev/null' }, volumeMode: 'Block' } }),
	);
	await addClaim('device', { class: '', spec: { volumeName: 'device', volumeMode: 'Block' } });
	await addPod('raw', 'device');
	t.regex(
		await node.untilEvent('raw', /^FailedMount: /),
		/PV device has volumeMode Block: this node makes directories/,
	);
	await addPod('unclaimed', 'no-such-claim', { nodeName: NODE });
	t.regex(await node.untilEvent('unclaimed', /^FailedMount: /), /persistentvolumeclaim "no-such-claim" not found$/);
	t.true((await stat(host)).isDirectory());
});

test('a volume that is to be kept is kept, also when it is deleted', async (t) => {
	await node.client.create(StorageClass, storageClass('kept', { reclaimPolicy: 'Retain' }));
	await addClaim('precious', { class: 'kept' });
	await addPod('owner', 'precious');
	await node.until('owner', running);
	await inside('owner', 'echo one > /data/file');
	const [path, name] = [await directory('precious'), await volumeOf('precious')];
	await node.client.delete(Pod, at('owner'), { gracePeriodSeconds: 0 });
	await node.client.delete(PersistentVolumeClaim, at('precious'));
	await gone(PersistentVolumeClaim, 'precious');
	await node.client.delete(PersistentVolume, { name });
	await gone(PersistentVolume, name);
	t.is(await readFile(join(path, 'file'), 'utf8'), 'one\n');
});

test('a volume that is recycled is empty for the next claim, and what leads out of it is left alone', async (t) => {
	const host = join(node.engine.dataDir, 'recycled');
	await mkdir(join(host, 'a/.b'), { recursive: true });
	await writeFile(join(host, 'a/.b/c'), 'data');
	await writeFile(join(host, '.hidden'), 'data');
	await symlink(node.engine.dataDir, join(host, 'way-out'));
	await node.client.create(
		PersistentVolume,
		volume('recycled', { spec: { hostPath: { path: host }, persistentVolumeReclaimPolicy: 'Recycle' } }),
	);
	await addClaim('recycled', { class: '', spec: { volumeName: 'recycled' } });
	await eventually(
		'it is bound',
		async () => (await node.client.get(PersistentVolumeClaim, at('recycled'))).status?.phase === 'Bound',
	);
	await node.client.delete(PersistentVolumeClaim, at('recycled'));
	await eventually(
		"it is anybody's",
		async () => (await node.client.get(PersistentVolume, { name: 'recycled' })).status?.phase === 'Available',
	);
	t.deepEqual(await readdir(host), []);
	t.true(await exists(node.engine.dataDir));
});

test('a claim that asks for more has more, where no size is enforced at once', async (t) => {
	await addClaim('growing', { size: '1Mi' });
	await addPod('grower', 'growing');
	await node.until('grower', running);
	await node.client.patch(PersistentVolumeClaim, at('growing'), {
		type: 'merge',
		body: { spec: { resources: { requests: { storage: '2Mi' } } } },
	});
	await eventually(
		'it has it',
		async () => (await node.client.get(PersistentVolumeClaim, at('growing'))).status?.capacity?.storage === '2Mi',
	);
	t.is((await node.client.get(PersistentVolume, { name: await volumeOf('growing') })).spec.capacity?.storage, '2Mi');
});
