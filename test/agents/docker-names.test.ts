/** Names and labels by which Docker's containers are found again, also those that an earlier version has made. */
import test from 'ava';
import type Docker from 'dockerode';
import { toPart } from '../../src/agents/engine/docker/answers.ts';
import { containerBody, sandboxBody } from '../../src/agents/engine/docker/body.ts';

const pod = { node: 'node-1', uid: 'f00', namespace: 'shop', name: 'web-0' };
const namespaces = { network: 'pod', ipc: 'pod', pid: 'container' } as const;
const around = { groups: 'cgroupfs', lowestOomScore: -1000 };
const podLabels = {
	'io.kubernetes.pod.name': 'web-0',
	'io.kubernetes.pod.namespace': 'shop',
	'io.kubernetes.pod.uid': 'f00',
	'driftless.io/node': 'node-1',
};
const sandboxLabels = {
	...podLabels,
	'io.kubernetes.container.name': 'POD',
	'io.kubernetes.docker.type': 'podsandbox',
	'io.kubernetes.container.restartCount': '2',
};
const containerLabels = {
	...podLabels,
	'io.kubernetes.container.name': 'main',
	'io.kubernetes.docker.type': 'container',
	'io.kubernetes.container.restartCount': '3',
	'io.kubernetes.sandbox.id': 'abc',
	'io.kubernetes.container.hash': '1234',
	'driftless.io/restart-backoff-seconds': '20',
	'io.kubernetes.container.terminationMessagePath': '/dev/termination-log',
};
const notes = { name: 'main', attempt: 3, sandbox: 'abc', hash: '1234', backoff: 20 };

test('what a node creates is named and labelled as other tools, and other versions, know it', (t) => {
	const sandbox = sandboxBody(
		{
			pod,
			qos: 'Guaranteed',
			attempt: 2,
			annotations: { secret: 'not told' },
			namespaces,
			ports: [],
			sysctls: {},
			maxPids: 10,
		},
		'driftless',
		around,
	);
	t.is(sandbox.name, 'k8s_POD_web-0_shop_f00_2');
	t.deepEqual(sandbox.Labels, sandboxLabels);
	t.is(sandbox.HostConfig?.NetworkMode, 'driftless');
	const spec = { pod, qos: 'Burstable', ...notes, image: 'sha256:1', namespaces, mounts: [], maxPids: 10 } as const;
	const container = containerBody({ ...spec, terminationMessagePath: '/dev/termination-log' }, around);
	t.is(container.name, 'k8s_main_web-0_shop_f00_3');
	t.deepEqual(container.Labels, containerLabels);
	t.is(container.HostConfig?.NetworkMode, 'container:abc');
	t.is(container.HostConfig?.CgroupParent, '/kubepods/burstable/podf00');
	t.is(sandbox.HostConfig?.CgroupParent, '/kubepods/podf00');
	const slices = containerBody({ ...spec, terminationMessagePath: '/x' }, { ...around, groups: 'systemd' });
	t.is(slices.HostConfig?.CgroupParent, 'kubepods-burstable-podf00.slice');
	const none = containerBody({ ...spec, terminationMessagePath: '/x' }, { ...around, groups: 'none' });
	t.is(none.HostConfig?.CgroupParent, undefined);
});

test('devices are asked for in Docker’s words, and noted with the container', (t) => {
	const spec = {
		pod,
		...notes,
		image: 'sha256:1',
		namespaces,
		mounts: [],
		maxPids: 10,
		terminationMessagePath: '/x',
		qos: 'BestEffort',
	} as const;
	const deviceIds = { 'example.com/a': ['one', 'two'], 'nvidia.com/gpu': ['GPU-a'] };
	const { HostConfig, Labels } = containerBody(
		{
			...spec,
			deviceIds,
			devices: [
				{ source: '/dev/null', target: '/dev/mine', permissions: 'r' },
				{ source: '/dev/zero', target: '/dev/all', permissions: '' },
			],
			gpus: ['GPU-a'],
			cdiDevices: ['example.com/net=one'],
			annotations: { 'example.com/note': 'x' },
		},
		around,
	);
	t.deepEqual(HostConfig?.Devices, [
		{ PathOnHost: '/dev/null', PathInContainer: '/dev/mine', CgroupPermissions: 'r' },
		{ PathOnHost: '/dev/zero', PathInContainer: '/dev/all', CgroupPermissions: 'rwm' },
	]);
	t.deepEqual(HostConfig?.DeviceRequests, [
		{ Driver: 'nvidia', DeviceIDs: ['GPU-a'], Capabilities: [['gpu']] },
		{ Driver: 'cdi', DeviceIDs: ['example.com/net=one'] },
	]);
	t.deepEqual((HostConfig as { Annotations?: object } | undefined)?.Annotations, { 'example.com/note': 'x' });
	t.like(toPart(inspected(Labels ?? {})), { deviceIds });
	const none = containerBody(spec, around);
	t.is(none.HostConfig?.DeviceRequests, undefined);
	t.is(none.HostConfig?.Devices, undefined);
	for (const text of ['', '{', 'null', '7', '{"a":1}', '{"a":[1]}']) {
		const part = toPart(inspected({ ...containerLabels, 'driftless.io/devices': text }));
		t.is(part?.kind === 'container' ? part.deviceIds : 'no container', undefined, text);
	}
});

const inspected = (labels: Record<string, string>) =>
	({
		Id: 'id',
		Created: '2024-05-01T12:00:00Z',
		Name: '/any',
		Image: 'sha256:1',
		State: { Status: 'running', StartedAt: '2024-05-01T12:00:01Z', FinishedAt: '0001-01-01T00:00:00Z', ExitCode: 0 },
		Config: { Labels: labels, Image: 'sha256:1', Tty: false },
		NetworkSettings: { Networks: { driftless: { IPAddress: '10.244.0.2' } } },
	}) as unknown as Docker.ContainerInspectInfo;

test('what it has created is read back as it was, and what is no pod’s is none', (t) => {
	t.like(toPart(inspected(sandboxLabels)), { kind: 'sandbox', pod, attempt: 2, address: '10.244.0.2' });
	t.like(toPart(inspected(containerLabels)), { kind: 'container', pod, ...notes, uri: 'docker://id' });
	t.is(toPart(inspected({})), undefined);
	t.is(toPart(inspected({ ...podLabels, 'driftless.io/node': '' })), undefined);
});

test('an out-of-memory score that the machine does not grant is the lowest that it does', (t) => {
	const spec = {
		pod,
		qos: 'BestEffort',
		attempt: 0,
		annotations: {},
		namespaces,
		ports: [],
		sysctls: {},
		maxPids: 10,
	} as const;
	const scoreAt = (lowestOomScore: number) =>
		sandboxBody(spec, 'driftless', { groups: 'none', lowestOomScore }).HostConfig?.OomScoreAdj;
	t.is(scoreAt(-1000), -998);
	t.is(scoreAt(0), 0);
});

test('a container has not ended before it has begun, whenever Docker has heard of its start', (t) => {
	const part = (Status: string, StartedAt: string, FinishedAt: string) => {
		const State = { Status, StartedAt, FinishedAt, ExitCode: 0, OOMKilled: false };
		const body = { Id: 'abc', Created: '2026-01-01T00:00:00Z', State, Config: { Labels: containerLabels } };
		const found = toPart(body as unknown as Docker.ContainerInspectInfo);
		return found?.kind === 'container' ? [found.startedAt, found.finishedAt] : [];
	};
	const [first, second] = ['2026-01-01T00:00:01.1Z', '2026-01-01T00:00:01.2Z'];
	const none = '0001-01-01T00:00:00Z';
	const ms = Date.parse;
	t.deepEqual(part('exited', first, second), [ms(first), ms(second)]);
	t.deepEqual(part('exited', second, first), [ms(first), ms(first)]);
	t.deepEqual(part('running', second, first), [ms(second), ms(first)], 'an end of before');
	t.deepEqual(part('running', first, none), [ms(first), undefined]);
	t.deepEqual(part('created', none, none), [undefined, undefined]);
});
