/** Volumes on a real engine. */
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ConfigMap, Pod, Secret } from '../../src/kinds/index.ts';
import { eventually, restarts, running, startNode, type TestNode, WAIT } from './node.ts';

let node: TestNode;

test.before(async () => {
	node = await startNode();
	await node.runAgent();
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
});

const configMap = (name: string, data: Record<string, string>): ConfigMap => ({
	apiVersion: 'v1',
	kind: 'ConfigMap',
	metadata: { name, namespace: 'default' },
	data,
});

/** Runs a command in a running container; its output without the last newline. */
async function inside(pod: string, script: string, container = 'main'): Promise<string> {
	const [found] = (await node.containers()).filter(
		({ name, state }) => name === `${pod}/${container}` && state === 'running',
	);
	const options = { Cmd: ['sh', '-c', `${script} 2>&1`], AttachStdout: true, Tty: true };
	const exec = await node.engine.docker.getContainer(found?.id ?? '').exec(options);
	const stream = await exec.start({ Tty: true });
	let text = '';
	for await (const chunk of stream) text += chunk;
	return text.replaceAll('\r\n', '\n').trimEnd();
}

test('files of config maps, secrets and the pod itself have their paths, modes and contents', async (t) => {
	await node.client.create(ConfigMap, configMap('files', { 'app.conf': 'one', other: 'two' }));
	await node.client.create(Secret, {
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: { name: 'keys', namespace: 'default' },
		data: { key: Buffer.from('secret').toString('base64') },
	});
	await node.pod(
		'reader',
		{
			volumes: [
				{ name: 'config', configMap: { name: 'files' } },
				{ name: 'chosen', configMap: { name: 'files', items: [{ key: 'other', path: 'deep/er', mode: 0o400 }] } },
				{ name: 'keys', secret: { secretName: 'keys', defaultMode: 0o440 } },
				{ name: 'absent', configMap: { name: 'no-such', optional: true } },
				{
					name: 'all',
					projected: {
						sources: [
							{ configMap: { name: 'files' } },
							{ secret: { name: 'keys' } },
							{ downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
						],
					},
				},
			],
			containers: [
				{
					name: 'main',
					command: WAIT,
					volumeMounts: [
						{ name: 'config', mountPath: '/config' },
						{ name: 'chosen', mountPath: '/chosen' },
						{ name: 'keys', mountPath: '/keys' },
						{ name: 'absent', mountPath: '/absent' },
						{ name: 'all', mountPath: '/all' },
						{ name: 'config', mountPath: '/etc/app.conf', subPath: 'app.conf' },
					],
				},
			],
		},
		{ labels: { app: 'x' } },
	);
	await node.until('reader', running);
	t.is(
		await inside('reader', 'cat /config/app.conf /config/other /chosen/deep/er /keys/key /etc/app.conf'),
		'onetwotwosecretone',
	);
	t.is(await inside('reader', 'ls /absent | wc -l'), '0');
	t.is(await inside('reader', 'cat /all/app.conf /all/key /all/labels'), 'onesecretapp="x"');
	t.is(await inside('reader', 'stat -L -c %a /config/app.conf /chosen/deep/er /keys/key'), '644\n400\n440');
	t.is(await inside('reader', 'stat -f -c %T /keys'), 'tmpfs', 'a secret is never on the disk');
	t.regex(await inside('reader', 'echo x > /config/new'), /Read-only/);
});

test('a changed config map, secret or label is in the running container, all of it at once', async (t) => {
	await node.client.create(ConfigMap, configMap('live', { a: '1', b: '1' }));
	await node.pod(
		'live',
		{
			volumes: [
				{ name: 'live', configMap: { name: 'live' } },
				{ name: 'me', downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
			],
			containers: [
				{
					name: 'main',
					command: WAIT,
					volumeMounts: [
						{ name: 'live', mountPath: '/live' },
						{ name: 'me', mountPath: '/me' },
					],
				},
			],
		},
		{ labels: { step: 'one' } },
	);
	const before = await node.until('live', running);
	await node.client.patch(
		ConfigMap,
		{ namespace: 'default', name: 'live' },
		{ type: 'merge', body: { data: { a: '2', b: null, c: '2' } } },
	);
	await eventually('the new files', async () => (await inside('live', 'cat /live/*')) === '22');
	t.is(await inside('live', 'ls -1 /live'), 'a\nc');
	await node.client.patch(
		Pod,
		{ namespace: 'default', name: 'live' },
		{ type: 'merge', body: { metadata: { labels: { step: 'two' } } } },
	);
	await eventually('the new label', async () => (await inside('live', 'cat /me/labels')) === 'step="two"');
	t.is(
		(await node.get('live')).status?.containerStatuses?.[0]?.containerID,
		before.status?.containerStatuses?.[0]?.containerID,
	);
});

test('an emptyDir is shared by the containers of a pod, in memory where asked, and gone with the pod', async (t) => {
	const volumeMounts = [
		{ name: 'disk', mountPath: '/disk' },
		{ name: 'memory', mountPath: '/memory' },
	];
	const pod = await node.pod('shared', {
		securityContext: { fsGroup: 2000 },
		volumes: [
			{ name: 'disk', emptyDir: {} },
			{ name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
		],
		containers: [
			{ name: 'main', command: WAIT, volumeMounts },
			{ name: 'other', command: WAIT, volumeMounts, securityContext: { runAsUser: 1000 } },
		],
	});
	await node.until('shared', running);
	t.is(await inside('shared', 'echo hello > /disk/x && stat -c %g:%a /disk', 'other'), '2000:2777');
	t.is(await inside('shared', 'cat /disk/x'), 'hello');
	t.is(await inside('shared', 'stat -f -c %T /memory'), 'tmpfs');
	t.regex(await inside('shared', 'dd if=/dev/zero of=/memory/big bs=1M count=2', 'other'), /No space left/);
	await node.client.delete(Pod, { namespace: 'default', name: 'shared' });
	await node.untilGone('shared');
	t.false((await readdir(join(node.engine.dataDir, 'pods'))).includes(pod.metadata.uid ?? ''));
});

test('a subPath makes its folder, and never leads out of its volume', async (t) => {
	const folder = join(node.engine.dataDir, 'host');
	await mkdir(join(folder, 'inner'), { recursive: true });
	await writeFile(join(folder, 'inner', 'file'), 'inside');
	await symlink('/etc', join(folder, 'escape'));
	await symlink('inner', join(folder, 'alias'));
	const volumes = [{ name: 'host', hostPath: { path: folder, type: 'Directory' } }];
	await node.pod('sub', {
		volumes,
		containers: [
			{
				name: 'main',
				command: WAIT,
				env: [{ name: 'WHO', value: 'me' }],
				volumeMounts: [
					{ name: 'host', mountPath: '/alias', subPath: 'alias' },
					{ name: 'host', mountPath: '/fresh', subPathExpr: 'made/for/$(WHO)' },
				],
			},
		],
	});
	await node.until('sub', running);
	t.is(await inside('sub', 'cat /alias/file; echo y > /fresh/y; cat /fresh/y'), 'insidey');
	t.deepEqual(await readdir(join(folder, 'made/for/me')), ['y']);

	await node.pod('thief', {
		volumes,
		containers: [
			{ name: 'main', command: WAIT, volumeMounts: [{ name: 'host', mountPath: '/x', subPath: 'escape/ssh' }] },
		],
	});
	await node.untilEvent('thief', /^Failed: Error: subPath "escape\/ssh" leads out of the volume by a symbolic link/);
	t.false((await node.containers()).some(({ name }) => name === 'thief/main'));
	await node.client.delete(Pod, { namespace: 'default', name: 'sub' });
	await node.untilGone('sub');
	t.deepEqual(await readdir(join(folder, 'inner')), ['file'], 'what lies on the host stays');
});

test('the folder of a subPath is as open as its volume, with its group', async (t) => {
	await node.pod('open', {
		securityContext: { runAsUser: 1000, fsGroup: 2000 },
		volumes: [{ name: 'work', emptyDir: {} }],
		containers: [{ name: 'main', command: WAIT, volumeMounts: [{ name: 'work', mountPath: '/deep', subPath: 'a/b' }] }],
	});
	await node.until('open', running);
	t.is(await inside('open', 'touch /deep/mine; stat -c "%a %g" /deep /deep/mine'), '2777 2000\n644 2000');
});

test('a subPathExpr that cannot be told keeps its container waiting with the reason, until it can', async (t) => {
	const pod = (name: string, expression: string, annotations: Record<string, string>) =>
		node.pod(
			name,
			{
				volumes: [{ name: 'work', emptyDir: {} }],
				containers: [
					{
						name: 'main',
						command: WAIT,
						env: [{ name: 'WHERE', valueFrom: { fieldRef: { fieldPath: "metadata.annotations['where']" } } }],
						volumeMounts: [{ name: 'work', mountPath: '/work', subPathExpr: expression }],
					},
				],
			},
			{ annotations },
		);
	await pod('nowhere', '$(WHERE)/x', {});
	await pod('absolute', '$(WHERE)/x', { where: '/tmp' });
	await pod('climbing', 'a/$(WHERE)', { where: '../../..' });
	const why: Record<string, string> = {
		nowhere: 'missing value for "WHERE"',
		absolute: 'error SubPath `/tmp/x` must not be an absolute path',
		climbing: "unable to provision SubPath `a/../../..`: must not contain '..'",
	};
	for (const [name, message] of Object.entries(why)) {
		const seen = await node.until(
			name,
			({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.message !== undefined,
		);
		t.deepEqual(seen.status?.containerStatuses?.[0]?.state?.waiting, { reason: 'CreateContainerConfigError', message });
		const body = { metadata: { annotations: { where: 'here' } } };
		await node.client.patch(Pod, { namespace: 'default', name }, { type: 'merge', body });
		await node.until(name, running);
	}
});

test('a config map that is deleted leaves its files to the pods that have them, and these go on', async (t) => {
	await node.client.create(ConfigMap, configMap('lost', { x: 'y' }));
	await node.pod('keeper', {
		volumes: [{ name: 'files', configMap: { name: 'lost' } }],
		containers: [{ name: 'main', command: WAIT, volumeMounts: [{ name: 'files', mountPath: '/files' }] }],
	});
	await node.until('keeper', running);
	await node.client.delete(ConfigMap, { namespace: 'default', name: 'lost' });
	await node.untilEvent('keeper', /^FailedMount: .*configmap "lost" not found/);
	await inside('keeper', 'kill -TERM 1');
	await node.until('keeper', (pod) => restarts(pod) === 1 && running(pod));
	t.is(await inside('keeper', 'cat /files/x'), 'y');
});

test('a volume that cannot be mounted is named with its reason, and the pod starts once it can', async (t) => {
	await node.pod('blocked', {
		volumes: [{ name: 'late', configMap: { name: 'late' } }],
		containers: [{ name: 'main', command: WAIT, volumeMounts: [{ name: 'late', mountPath: '/late' }] }],
	});
	await node.untilEvent(
		'blocked',
		/^FailedMount: MountVolume.SetUp failed for volume "late" : configmap "late" not found/,
	);
	await node.client.create(ConfigMap, configMap('late', { x: 'y' }));
	await node.until('blocked', running);

	await node.pod('claims', {
		volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
		containers: [{ name: 'main', command: WAIT, volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
	});
	await node.untilEvent('claims', /^FailedMount: .*persistentvolumeclaim "data" not found/);
	await node.pod('typed', {
		volumes: [{ name: 'file', hostPath: { path: '/tmp', type: 'File' } }],
		containers: [{ name: 'main', command: WAIT, volumeMounts: [{ name: 'file', mountPath: '/file' }] }],
	});
	await node.untilEvent('typed', /^FailedMount: .*hostPath type check failed: \/tmp is not a file$/);
	await node.pod('device', {
		volumes: [{ name: 'file', hostPath: { path: '/nowhere', type: 'CharDevice' } }],
		containers: [{ name: 'main', command: WAIT, volumeMounts: [{ name: 'file', mountPath: '/file' }] }],
	});
	await node.untilEvent('device', /^FailedMount: .*hostPath type check failed: \/nowhere is not a character device$/);
	t.pass();
});
