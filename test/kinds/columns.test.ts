import test from 'ava';
import type { Dynamic } from '../../src/kinds/index.ts';
import { admit, cells, changed, kindOf, manifests, now } from './manifests.ts';

const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const of = (kind: string, name?: string): Dynamic => {
	const found = manifests().find((each) => each.kind === kind && (!name || each.metadata.name === name));
	if (!found) throw new Error(`no ${kind}`);
	return changed(admit(found).object, { metadata: { creationTimestamp: ago(330) } });
};
const names = (kind: string, priority: 0 | 1) =>
	kindOf(of(kind))
		.columns.filter((column) => column.priority === priority)
		.map(({ name }) => name)
		.join(' ');

const printed: [string, string, string][] = [
	['Pod', 'Ready Status Restarts Age', 'IP Node Nominated Node Readiness Gates'],
	['Deployment', 'Ready Up-to-date Available Age', 'Containers Images Selector'],
	['ReplicaSet', 'Desired Current Ready Age', 'Containers Images Selector'],
	['Service', 'Type Cluster-IP External-IP Port(s) Age', 'Selector'],
	['Node', 'Status Roles Age Version', 'Internal-IP External-IP OS-Image Kernel-Version Container-Runtime'],
	['Namespace', 'Status Age', ''],
	['ConfigMap', 'Data Age', ''],
	['Secret', 'Type Data Age', ''],
	['ServiceAccount', 'Secrets Age', ''],
	['Endpoints', 'Endpoints Age', ''],
	['EndpointSlice', 'AddressType Ports Endpoints Age', ''],
	['Lease', 'Holder Age', ''],
	['CertificateSigningRequest', 'Age SignerName Requestor RequestedDuration Condition', ''],
	['ResourceQuota', 'Request Limit Age', ''],
	['LimitRange', 'Created At', ''],
	['PriorityClass', 'Value Global-Default Age PreemptionPolicy', ''],
	['PodDisruptionBudget', 'Min Available Max Unavailable Allowed Disruptions Age', ''],
	['RuntimeClass', 'Handler Age', ''],
	['SchedulerConfig', 'Age', 'Profiles'],
	['Event', 'Last Seen Type Reason Object Message', 'Subobject Source First Seen Count Name'],
	['Application', 'Sync Status Health Status', 'Revision Project'],
];
for (const [kind, shown, wide] of printed)
	test(`kubectl prints of a ${kind}: ${shown}`, (t) => {
		t.is(names(kind, 0), shown);
		t.is(names(kind, 1), wide);
	});

const running = { running: { startedAt: ago(60) } };
const status = (name: string, state: object, more: object = {}) => ({
	name,
	restartCount: 0,
	ready: false,
	state,
	...more,
});
const pod = (podStatus: object, spec: object = {}, metadata: object = {}) => {
	const containers = [
		{ name: 'a', image: 'a' },
		{ name: 'b', image: 'b' },
	];
	return changed(of('Pod'), { metadata, spec: { containers, ...spec }, status: podStatus });
};
const ready = (name: string) => status(name, running, { ready: true });
const init = [
	{ name: 'one', image: 'a' },
	{ name: 'two', image: 'a' },
];
const sidecar = [{ name: 'proxy', image: 'a', restartPolicy: 'Always' }];

const pods: [string, Dynamic, { Ready: string; Status: string; Restarts: string }][] = [
	['nothing is known of', pod({ phase: 'Pending' }), { Ready: '0/2', Status: 'Pending', Restarts: '0' }],
	[
		'waits at a scheduling gate',
		pod({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] }),
		{ Ready: '0/2', Status: 'SchedulingGated', Restarts: '0' },
	],
	[
		'is made',
		pod({
			phase: 'Pending',
			containerStatuses: [
				status('a', { waiting: { reason: 'ContainerCreating' } }),
				status('b', { waiting: { reason: 'ContainerCreating' } }),
			],
		}),
		{ Ready: '0/2', Status: 'ContainerCreating', Restarts: '0' },
	],
	[
		'runs',
		pod({ phase: 'Running', containerStatuses: [ready('a'), ready('b')] }),
		{ Ready: '2/2', Status: 'Running', Restarts: '0' },
	],
	[
		'crashes again and again',
		pod({
			phase: 'Running',
			containerStatuses: [
				ready('a'),
				status(
					'b',
					{ waiting: { reason: 'CrashLoopBackOff' } },
					{ restartCount: 4, lastState: { terminated: { exitCode: 1, finishedAt: ago(300) } } },
				),
			],
		}),
		{ Ready: '1/2', Status: 'CrashLoopBackOff', Restarts: '4 (5m ago)' },
	],
	[
		'finds no image',
		pod({
			phase: 'Pending',
			containerStatuses: [status('a', { waiting: { reason: 'ImagePullBackOff' } }), ready('b')],
		}),
		{ Ready: '1/2', Status: 'ImagePullBackOff', Restarts: '0' },
	],
	[
		'has ended well',
		pod({
			phase: 'Succeeded',
			containerStatuses: [
				status('a', { terminated: { exitCode: 0, reason: 'Completed' } }),
				status('b', { terminated: { exitCode: 0, reason: 'Completed' } }),
			],
		}),
		{ Ready: '0/2', Status: 'Completed', Restarts: '0' },
	],
	[
		'has failed',
		pod({ phase: 'Failed', containerStatuses: [status('a', { terminated: { exitCode: 1, reason: 'Error' } })] }),
		{ Ready: '0/2', Status: 'Error', Restarts: '0' },
	],
	[
		'was killed by a signal',
		pod({ phase: 'Failed', containerStatuses: [status('a', { terminated: { exitCode: 137, signal: 9 } })] }),
		{ Ready: '0/2', Status: 'Signal:9', Restarts: '0' },
	],
	[
		'ended with a code and no reason',
		pod({ phase: 'Failed', containerStatuses: [status('a', { terminated: { exitCode: 3 } })] }),
		{ Ready: '0/2', Status: 'ExitCode:3', Restarts: '0' },
	],
	['was evicted', pod({ phase: 'Failed', reason: 'Evicted' }), { Ready: '0/2', Status: 'Evicted', Restarts: '0' }],
	[
		'runs on with one container ended',
		pod({
			phase: 'Running',
			conditions: [{ type: 'Ready', status: 'False' }],
			containerStatuses: [status('a', { terminated: { exitCode: 0, reason: 'Completed' } }), ready('b')],
		}),
		{ Ready: '1/2', Status: 'NotReady', Restarts: '0' },
	],
	[
		'initializes',
		pod(
			{
				phase: 'Pending',
				initContainerStatuses: [
					status('one', { terminated: { exitCode: 0, reason: 'Completed' } }),
					status('two', running),
				],
				containerStatuses: [status('a', { waiting: { reason: 'PodInitializing' } })],
			},
			{ initContainers: init },
		),
		{ Ready: '0/2', Status: 'Init:1/2', Restarts: '0' },
	],
	[
		'cannot initialize',
		pod(
			{
				phase: 'Pending',
				initContainerStatuses: [
					status(
						'one',
						{ waiting: { reason: 'CrashLoopBackOff' } },
						{ restartCount: 2, lastState: { terminated: { exitCode: 1, finishedAt: ago(90) } } },
					),
				],
			},
			{ initContainers: init },
		),
		{ Ready: '0/2', Status: 'Init:CrashLoopBackOff', Restarts: '2 (90s ago)' },
	],
	[
		'has failed to initialize',
		pod(
			{ phase: 'Pending', initContainerStatuses: [status('one', { terminated: { exitCode: 2 } })] },
			{ initContainers: init },
		),
		{ Ready: '0/2', Status: 'Init:ExitCode:2', Restarts: '0' },
	],
	[
		'counts no restarts of finished init containers',
		pod(
			{
				phase: 'Running',
				initContainerStatuses: [
					status('one', { terminated: { exitCode: 0 } }, { restartCount: 3 }),
					status('two', { terminated: { exitCode: 0 } }),
				],
				containerStatuses: [ready('a'), ready('b')],
			},
			{ initContainers: init },
		),
		{ Ready: '2/2', Status: 'Running', Restarts: '0' },
	],
	[
		'has a sidecar',
		pod(
			{
				phase: 'Running',
				initContainerStatuses: [status('proxy', running, { started: true, ready: true, restartCount: 1 })],
				containerStatuses: [ready('a'), ready('b')],
			},
			{ initContainers: sidecar },
		),
		{ Ready: '3/3', Status: 'Running', Restarts: '1' },
	],
	[
		'is being deleted',
		pod({ phase: 'Running', containerStatuses: [ready('a'), ready('b')] }, {}, { deletionTimestamp: ago(1) }),
		{ Ready: '2/2', Status: 'Terminating', Restarts: '0' },
	],
	[
		'was lost with its node',
		pod({ phase: 'Running', reason: 'NodeLost' }, {}, { deletionTimestamp: ago(1) }),
		{ Ready: '0/2', Status: 'Unknown', Restarts: '0' },
	],
];
for (const [title, object, expected] of pods)
	test(`the line of a pod that ${title}`, (t) => t.like(cells(object), expected));

test('the wide line of a pod', (t) => {
	t.like(cells(pod({ phase: 'Pending' })), {
		IP: '<none>',
		Node: '<none>',
		'Nominated Node': '<none>',
		'Readiness Gates': '<none>',
		Age: '5m30s',
	});
	const gated = pod(
		{
			phase: 'Running',
			podIP: '10.244.0.7',
			podIPs: [{ ip: '10.244.0.7' }],
			conditions: [{ type: 'example.com/a', status: 'True' }],
		},
		{ nodeName: 'n1', readinessGates: [{ conditionType: 'example.com/a' }, { conditionType: 'example.com/b' }] },
	);
	t.like(cells(gated), { IP: '10.244.0.7', Node: 'n1', 'Readiness Gates': '1/2' });
});

test('the line of a deployment', (t) => {
	const object = changed(of('Deployment'), {
		status: { replicas: 3, readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1 },
	});
	t.deepEqual(cells(object), {
		Ready: '2/3',
		'Up-to-date': 3,
		Available: 1,
		Age: '5m30s',
		Containers: 'php-redis',
		Images: 'gcr.io/google-samples/gb-frontend:v5',
		Selector: 'app=guestbook,tier=frontend',
	});
});

test('the lines of services by their type', (t) => {
	const service = (spec: object, more: object = {}) => cells(changed(of('Service', 'frontend'), { spec, ...more }));
	t.like(service({ clusterIP: '10.96.0.5' }), {
		Type: 'NodePort',
		'Cluster-IP': '10.96.0.5',
		'External-IP': '<none>',
		'Port(s)': '80:30080/TCP,53/UDP',
		Selector: 'app=guestbook,tier=frontend',
	});
	t.like(service({ type: 'LoadBalancer' }), { 'External-IP': '<pending>' });
	t.like(
		service(
			{ type: 'LoadBalancer' },
			{ status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { hostname: 'lb.example' }] } } },
		),
		{ 'External-IP': '192.0.2.1,lb.example' },
	);
	t.like(service({ type: 'ExternalName', externalName: 'db.example', ports: undefined }), {
		'Cluster-IP': '<none>',
		'External-IP': 'db.example',
		'Port(s)': '<none>',
	});
	t.like(cells(of('Service', 'headless')), { 'Cluster-IP': 'None', 'Port(s)': '<none>' });
});

test('the line of a node', (t) => {
	const node = (more: object) => cells(changed(of('Node'), more));
	t.like(node({}), {
		Status: 'Unknown',
		Roles: 'control-plane',
		Version: '',
		'Internal-IP': '<none>',
		'OS-Image': '<unknown>',
	});
	const conditions = [{ type: 'Ready', status: 'True' }];
	const nodeInfo = {
		kubeletVersion: 'v1.36.0',
		osImage: 'Debian',
		kernelVersion: '6.1',
		containerRuntimeVersion: 'docker://20.10',
	};
	t.like(
		node({
			spec: { unschedulable: true },
			status: { conditions, nodeInfo, addresses: [{ type: 'InternalIP', address: '192.0.2.3' }] },
		}),
		{
			Status: 'Ready,SchedulingDisabled',
			Version: 'v1.36.0',
			'Internal-IP': '192.0.2.3',
			'Container-Runtime': 'docker://20.10',
		},
	);
	t.like(node({ status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } }), { Status: 'NotReady' });
});

test('long lists of addresses are cut', (t) => {
	const ips = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'];
	t.is(
		cells(changed(of('Endpoints'), { subsets: [{ addresses: ips.map((ip) => ({ ip })), ports: [{ port: 80 }] }] }))
			.Endpoints,
		'192.0.2.1:80,192.0.2.2:80,192.0.2.3:80 + 1 more...',
	);
	t.like(cells(changed(of('EndpointSlice'), { endpoints: ips.map((ip) => ({ addresses: [ip] })) })), {
		Endpoints: '192.0.2.1,192.0.2.2,192.0.2.3 + 1 more...',
		Ports: '5432',
	});
	t.like(cells(changed(of('EndpointSlice'), { endpoints: [], ports: undefined })), {
		Endpoints: '<unset>',
		Ports: '<unset>',
	});
});

test('the line of an event', (t) => {
	const event = changed(of('Event'), {
		firstTimestamp: ago(600),
		lastTimestamp: ago(60),
		count: 4,
		source: { component: 'kubelet', host: 'n1' },
	});
	t.like(cells(event), {
		'Last Seen': '60s',
		'First Seen': '10m',
		Object: 'pod/debug',
		Source: 'kubelet, n1',
		Count: '4',
		Name: 'debug.17a',
	});
	const series = changed(of('Event'), {
		eventTime: ago(600),
		series: { count: 9, lastObservedTime: ago(30) },
		reportingComponent: 'sync',
	});
	t.like(cells(series), { 'Last Seen': '30s', 'First Seen': '10m', Source: 'sync', Count: '9' });
});

test('the lines of what holds data', (t) => {
	t.is(cells(of('ConfigMap')).Data, 3);
	t.like(cells(of('Secret')), { Type: 'Opaque', Data: 2 });
	t.is(cells(of('Lease')).Holder, 'worker-1');
	t.is(cells(of('Namespace')).Status, 'Active');
	const request = of('CertificateSigningRequest');
	t.like(cells(request), { Requestor: 'kubernetes-admin', RequestedDuration: '24h', Condition: 'Pending' });
	const conditions = ['Failed', 'Approved'].map((type) => ({ type, status: 'True' }));
	t.is(cells(changed(request, { status: { conditions, certificate: 'x' } })).Condition, 'Approved,Failed,Issued');
});

test('the line of an application', (t) => {
	t.deepEqual(
		cells(
			changed(of('Application'), {
				status: { sync: { status: 'Synced', revision: 'abc' }, health: { status: 'Healthy' } },
			}),
		),
		{ 'Sync Status': 'Synced', 'Health Status': 'Healthy', Revision: 'abc', Project: 'default' },
	);
});

const health = (object: Dynamic) => kindOf(object).health(object);

const rollout = (deploymentStatus: object, spec: object = {}) =>
	changed(of('Deployment'), {
		spec,
		metadata: { generation: 2 },
		status: { observedGeneration: 2, ...deploymentStatus },
	});
const healths: [string, Dynamic, string, string?][] = [
	[
		'a deployment not looked at yet',
		rollout({ observedGeneration: 1 }),
		'Progressing',
		'Waiting for rollout to finish: observed deployment generation less than desired generation',
	],
	['a paused deployment', rollout({}, { paused: true }), 'Suspended', 'Deployment is paused'],
	[
		'a deployment over its deadline',
		rollout({ conditions: [{ type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' }] }),
		'Degraded',
		'Deployment "frontend" exceeded its progress deadline',
	],
	[
		'a deployment half updated',
		rollout({ replicas: 3, updatedReplicas: 1 }),
		'Progressing',
		'Waiting for rollout to finish: 1 out of 3 new replicas have been updated...',
	],
	[
		'a deployment with old pods',
		rollout({ replicas: 4, updatedReplicas: 3 }),
		'Progressing',
		'Waiting for rollout to finish: 1 old replicas are pending termination...',
	],
	[
		'a deployment half available',
		rollout({ replicas: 3, updatedReplicas: 3, availableReplicas: 2 }),
		'Progressing',
		'Waiting for rollout to finish: 2 of 3 updated replicas are available...',
	],
	['a deployment with all its pods', rollout({ replicas: 3, updatedReplicas: 3, availableReplicas: 3 }), 'Healthy'],
	[
		'a replica set that may not make pods',
		changed(of('ReplicaSet'), {
			status: { observedGeneration: 1, conditions: [{ type: 'ReplicaFailure', status: 'True', message: 'quota' }] },
		}),
		'Degraded',
		'quota',
	],
	[
		'a replica set short of pods',
		changed(of('ReplicaSet'), { status: { observedGeneration: 1, availableReplicas: 0 } }),
		'Progressing',
		'Waiting for rollout to finish: 0 out of 1 new replicas are available...',
	],
	[
		'a pod in a crash loop',
		pod(
			{
				phase: 'Running',
				containerStatuses: [status('a', { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } })],
			},
			{ restartPolicy: 'Always' },
		),
		'Degraded',
		'a: back-off',
	],
	[
		'a pod that fails to start again and again',
		pod(
			{
				phase: 'Running',
				containerStatuses: [
					status(
						'a',
						{ waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } },
						{ lastState: { terminated: { exitCode: 128, message: 'exec: "nope": not found' } } },
					),
				],
			},
			{ restartPolicy: 'Always' },
		),
		'Degraded',
		'a: back-off, after it ended with exit code 128: exec: "nope": not found',
	],
	[
		'a pod without its image',
		pod(
			{ phase: 'Pending', containerStatuses: [status('a', { waiting: { reason: 'ErrImagePull' } })] },
			{ restartPolicy: 'Always' },
		),
		'Degraded',
		'a: ErrImagePull',
	],
	[
		'a pod that starts',
		pod(
			{ phase: 'Pending', containerStatuses: [status('a', { waiting: { reason: 'ContainerCreating' } })] },
			{ restartPolicy: 'Always' },
		),
		'Progressing',
	],
	[
		'a ready pod',
		pod({ phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }, { restartPolicy: 'Always' }),
		'Healthy',
	],
	[
		'a pod that ran before and is not ready',
		pod(
			{ phase: 'Running', containerStatuses: [status('a', running, { lastState: { terminated: { exitCode: 3 } } })] },
			{ restartPolicy: 'Always' },
		),
		'Degraded',
		'container "a" failed with exit code 3',
	],
	[
		'a pod that is to end and runs',
		pod({ phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }),
		'Progressing',
	],
	['a pod that has ended', pod({ phase: 'Succeeded' }), 'Healthy'],
	[
		'a pod that has failed',
		pod({ phase: 'Failed', containerStatuses: [status('a', { terminated: { exitCode: 137, reason: 'OOMKilled' } })] }),
		'Degraded',
		'container "a" ran out of memory',
	],
	[
		'a load balancer without address',
		changed(of('Service', 'frontend'), { spec: { type: 'LoadBalancer' } }),
		'Progressing',
		'Waiting for an address from a load balancer',
	],
	[
		'a deployment that is being deleted',
		changed(rollout({ replicas: 3, updatedReplicas: 3, availableReplicas: 3 }), {
			metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' },
		}),
		'Progressing',
		'Pending deletion',
	],
	[
		'a namespace that is being deleted',
		changed(of('Namespace'), { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }),
		'Progressing',
		'Pending deletion',
	],
	[
		'a load balancer with address',
		changed(of('Service', 'frontend'), {
			spec: { type: 'LoadBalancer' },
			status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
		}),
		'Healthy',
	],
	['an inner service', of('Service', 'headless'), 'Healthy'],
	...(
		[
			['that scales', 'AbleToScale', 'True', 'Healthy'],
			['that cannot scale', 'AbleToScale', 'False', 'Degraded'],
			['that has only begun', 'ScalingActive', 'True', 'Progressing'],
			['whose metrics cannot be had', 'ScalingActive', 'False', 'Degraded'],
		] as const
	).map(([title, type, status, expected]): [string, Dynamic, string, string] => [
		`an autoscaler ${title}`,
		changed(of('HorizontalPodAutoscaler'), { status: { conditions: [{ type, status, message: 'why' }] } }),
		expected,
		expected === 'Progressing' ? 'Waiting to Autoscale' : 'why',
	]),
	['an autoscaler that was not looked at yet', of('HorizontalPodAutoscaler'), 'Progressing', 'Waiting to Autoscale'],
	[
		'an application that says so',
		changed(of('Application'), { status: { health: { status: 'Degraded', message: 'why' } } }),
		'Degraded',
		'why',
	],
];
for (const [title, object, expected, message] of healths)
	test(`${title} is ${expected}`, (t) => {
		t.is(health(object)?.status, expected as never);
		t.is(health(object)?.message, message);
	});

test('what has no health counts for nothing', (t) => {
	for (const kind of ['ConfigMap', 'Secret', 'Namespace', 'ServiceAccount', 'Lease']) t.is(health(of(kind)), undefined);
});

test('what is shown of a few is not made of all: each address with each port, each gate with each condition', (t) => {
	let asked = 0;
	const ip = Object.assign(new String('192.0.2.1'), { includes: () => ++asked < 0 });
	const many = <T>(item: T) => Array.from({ length: 1_000 }, () => item);
	const endpoints = { ...of('Endpoints'), subsets: [{ addresses: many({ ip }), ports: many({ port: 80 }) }] };
	t.is(cells(endpoints).Endpoints, '192.0.2.1:80,192.0.2.1:80,192.0.2.1:80 + 999997 more...');
	t.true(asked <= 10, `${asked} addresses are made`);

	let read = 0;
	const condition = Object.defineProperty({ status: 'True' }, 'type', { get: () => `g${++read}`, enumerable: true });
	const readinessGates = many({ conditionType: 'none' });
	const pod = { ...changed(of('Pod'), { spec: { readinessGates } }), status: { conditions: many(condition) } };
	t.is(cells(pod)['Readiness Gates'], '0/1000');
	t.true(read < 20_000, `${read} conditions are looked at`);
});
