/** driftless describe: the text of objects as they are stored, against a real API over HTTPS. */
import test from 'ava';
import { type Client, inProcess } from '../../src/client/index.ts';
import {
	Application,
	ConfigMap,
	DaemonSet,
	Deployment,
	EndpointSlice,
	Event,
	type KubeObject,
	Namespace,
	Node,
	Pod,
	ReplicaSet,
	ReplicationController,
	Secret,
	Service,
	StatefulSet,
} from '../../src/kinds/index.ts';
import { admin, serveTestApi, type TestServer } from '../testbed/api.ts';
import { type Driftless, driftless } from './driftless.ts';

let server: TestServer;
let client: Client;
let run: Driftless;

const template = {
	metadata: { labels: { app: 'web' } },
	spec: {
		containers: [
			{
				name: 'main',
				image: 'example:1',
				command: ['sh', '-c'],
				args: ['sleep 1'],
				ports: [{ containerPort: 80, name: 'http' }],
				env: [
					{ name: 'MODE', value: 'fast' },
					{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'login', key: 'password' } } },
				],
				resources: { requests: { cpu: '250m', memory: '64Mi' }, limits: { memory: '128Mi' } },
				readinessProbe: { httpGet: { path: '/ready', port: 80 } },
				volumeMounts: [{ name: 'settings', mountPath: '/etc/settings', readOnly: true }],
			},
		],
		volumes: [{ name: 'settings', configMap: { name: 'settings' } }],
	},
};
const at = '2026-01-31T12:00:00Z';
const inDefault = (name: string, more: Partial<KubeObject['metadata']> = {}) => ({
	name,
	namespace: 'default',
	...more,
});

test.before(async () => {
	server = await serveTestApi();
	client = inProcess(server.api, admin);
	run = driftless(server.kubeconfig);
	const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' }, spec: {} };
	await client.create(Namespace, namespace).catch(() => undefined);
	await client.create(Node, {
		apiVersion: 'v1',
		kind: 'Node',
		metadata: { name: 'node-1', labels: { 'node-role.kubernetes.io/worker': '' } },
		spec: { podCIDR: '10.244.0.0/24', taints: [{ key: 'only', value: 'web', effect: 'NoSchedule' }] },
		status: {
			allocatable: { cpu: '2', memory: '1Gi' },
			capacity: { cpu: '2', memory: '1Gi' },
			addresses: [{ type: 'InternalIP', address: '10.0.0.7' }],
			conditions: [
				{
					type: 'Ready',
					status: 'True',
					reason: 'KubeletReady',
					message: 'it is',
					lastHeartbeatTime: at,
					lastTransitionTime: at,
				},
			],
		},
	});
	const deployment = await client.create(Deployment, {
		apiVersion: 'apps/v1',
		kind: 'Deployment',
		metadata: inDefault('web', {
			labels: { app: 'web', tier: 'front' },
			annotations: { 'deployment.kubernetes.io/revision': '2' },
		}),
		spec: { replicas: 2, selector: { matchLabels: { app: 'web' } }, template },
	});
	const sets: ReplicaSet[] = [];
	for (const [name, revision, replicas] of [
		['web-old', '1', 1],
		['web-new', '2', 2],
	] as const) {
		sets.push(
			await client.create(ReplicaSet, {
				apiVersion: 'apps/v1',
				kind: 'ReplicaSet',
				metadata: inDefault(name, {
					labels: { app: 'web' },
					annotations: { 'deployment.kubernetes.io/revision': revision },
					ownerReferences: [
						{
							apiVersion: 'apps/v1',
							kind: 'Deployment',
							name: 'web',
							uid: deployment.metadata.uid ?? '',
							controller: true,
						},
					],
				}),
				spec: { replicas, selector: { matchLabels: { app: 'web' } }, template },
			}),
		);
	}
	const pod = await client.create(Pod, {
		apiVersion: 'v1',
		kind: 'Pod',
		metadata: inDefault('web-new-1', {
			labels: { app: 'web' },
			ownerReferences: [
				{
					apiVersion: 'apps/v1',
					kind: 'ReplicaSet',
					name: 'web-new',
					uid: sets[1]?.metadata.uid ?? '',
					controller: true,
				},
			],
		}),
		spec: { ...template.spec, nodeName: 'node-1' },
	});
	await client.update(
		Pod,
		{
			...pod,
			status: {
				phase: 'Running',
				hostIP: '10.0.0.7',
				podIP: '10.244.0.9',
				podIPs: [{ ip: '10.244.0.9' }],
				startTime: at,
				qosClass: 'Burstable',
				conditions: [{ type: 'Ready', status: 'False', reason: 'ContainersNotReady', message: 'main is not ready' }],
				containerStatuses: [
					{
						name: 'main',
						image: 'example:1',
						imageID: 'sha256:abc',
						containerID: 'docker://def',
						ready: false,
						restartCount: 3,
						state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 40s' } },
						lastState: { terminated: { exitCode: 7, reason: 'Error', startedAt: at, finishedAt: at } },
					},
				],
			},
		},
		{ subresource: 'status' },
	);
	for (const [name, message, count] of [
		['later', 'Back-off restarting', 4],
		['first', 'Started container main', 1],
	] as const) {
		await client.create(Event, {
			apiVersion: 'v1',
			kind: 'Event',
			metadata: inDefault(name),
			involvedObject: { kind: 'Pod', namespace: 'default', name: 'web-new-1', uid: pod.metadata.uid },
			type: name === 'later' ? 'Warning' : 'Normal',
			reason: name === 'later' ? 'BackOff' : 'Started',
			message,
			count,
			firstTimestamp: new Date(Date.now() - 300_000).toISOString(),
			lastTimestamp: new Date(Date.now() - (name === 'later' ? 60_000 : 300_000)).toISOString(),
			source: { component: 'kubelet' },
		});
	}
	const service = await client.create(Service, {
		apiVersion: 'v1',
		kind: 'Service',
		metadata: inDefault('web'),
		spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
	});
	await client.create(EndpointSlice, {
		apiVersion: 'discovery.k8s.io/v1',
		kind: 'EndpointSlice',
		metadata: inDefault('web-1', { labels: { 'kubernetes.io/service-name': service.metadata.name } }),
		addressType: 'IPv4',
		ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
		endpoints: [
			{ addresses: ['10.244.0.9'], conditions: { ready: true } },
			{ addresses: ['10.244.0.10'], conditions: { ready: false } },
		],
	});
	await client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: inDefault('settings'),
		data: { 'app.conf': 'a = 1\nb = 2\n' },
	});
	await client.create(Secret, {
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: inDefault('login'),
		data: { password: Buffer.from('hunter2').toString('base64') },
	});
	const application = await client.create(Application, {
		apiVersion: 'argoproj.io/v1alpha1',
		kind: 'Application',
		metadata: inDefault('shop'),
		spec: {
			project: 'default',
			source: { repoURL: 'https://git.example.com/shop.git', path: 'prod', targetRevision: 'main' },
			destination: { namespace: 'shop' },
			syncPolicy: { automated: { prune: true } },
		},
	});
	const shop = {
		...application,
		status: {
			sync: { status: 'OutOfSync' as const, revision: 'abcdef' },
			health: { status: 'Degraded' as const },
			resources: [
				{
					group: 'apps',
					kind: 'Deployment',
					namespace: 'shop',
					name: 'web',
					status: 'OutOfSync' as const,
					drift: [{ path: '.spec.replicas', live: '5', desired: '2' }],
				},
			],
		},
	};
	await client
		.update(Application, shop, { subresource: 'status' })
		.catch(() => client.update(Application, { ...shop }));
});

test.after.always(async () => {
	run[Symbol.dispose]();
	await server[Symbol.asyncDispose]();
});

/** The lines of the text stand in it in this order. */
function inOrder(text: string, ...lines: readonly RegExp[]): string | undefined {
	let from = 0;
	for (const line of lines) {
		const found = new RegExp(line.source, 'm').exec(text.slice(from));
		if (!found) return `${line} is not in ${text.slice(from)}`;
		from += found.index + found[0].length;
	}
	return undefined;
}

test('a pod shows its containers, their states and why, its volumes and its events', async (t) => {
	const text = await run.ok('describe', 'pod', 'web-new-1');
	t.is(
		inOrder(
			text,
			/^Name: {13}web-new-1$/,
			/^Namespace: {8}default$/,
			/^Node: {13}node-1\/10\.0\.0\.7$/,
			/^Start Time: +Sat, 31 Jan 2026 12:00:00 \+0000$/,
			/^Labels: +app=web$/,
			/^Annotations: +<none>$/,
			/^Status: +Running$/,
			/^IP: +10\.244\.0\.9$/,
			/^Controlled By: +ReplicaSet\/web-new$/,
			/^Containers:$/,
			/^ {2}main:$/,
			/^ {4}Container ID: +docker:\/\/def$/,
			/^ {4}Port: +80\/TCP \(http\)$/,
			/^ {4}Command:\n {6}sh\n {6}-c$/,
			/^ {4}Args:\n {6}sleep 1$/,
			/^ {4}State: +Waiting\n {6}Reason: +CrashLoopBackOff\n {6}Message: +back-off 40s$/,
			/^ {4}Last State: +Terminated\n {6}Reason: +Error\n {6}Exit Code: +7$/,
			/^ {4}Ready: +False$/,
			/^ {4}Restart Count: +3$/,
			/^ {4}Limits:\n {6}memory: +128Mi$/,
			/^ {4}Requests:\n {6}cpu: {5}250m\n {6}memory: {2}64Mi$/,
			/^ {4}Readiness: +http-get http:\/\/:80\/ready delay=0s timeout=1s period=10s #success=1 #failure=3$/,
			/^ {6}MODE: {2}fast\n {6}KEY: {3}<set to the key 'password' in secret 'login'> {2}Optional: false$/,
			/^ {4}Mounts:\n {6}\/etc\/settings from settings \(ro\)$/,
			/^Conditions:\n {2}Type {3}Status {2}Reason\n {2}Ready {2}False {3}ContainersNotReady: main is not ready$/,
			/^Volumes:\n {2}settings:\n {4}Type: +ConfigMap \(a volume populated by a ConfigMap\)\n {4}Name: +settings$/,
			/^QoS Class: +Burstable$/,
			/^Events:\n {2}Type {5}Reason {3}Age +From {5}Message\n {2}---- {5}------ {3}---/,
			/^ {2}Normal {3}Started {2}5m\S* +kubelet {2}Started container main$/,
			/^ {2}Warning {2}BackOff {2}\d+\S* \(x4 over \d+m\S*\) {2}kubelet {2}Back-off restarting$/,
		),
		undefined,
	);
});

test('a deployment shows its replicas, template and replica sets', async (t) => {
	t.is(
		inOrder(
			await run.ok('describe', 'deploy/web'),
			/^Name: +web$/,
			/^Labels: +app=web\n +tier=front$/,
			/^Annotations: +deployment\.kubernetes\.io\/revision: 2$/,
			/^Selector: +app=web$/,
			/^Replicas: +2 desired \| 0 updated \| 0 total \| 0 available \| 0 unavailable$/,
			/^StrategyType: +RollingUpdate$/,
			/^RollingUpdateStrategy: +25% max unavailable, 25% max surge$/,
			/^Pod Template:\n {2}Labels: +app=web$/,
			/^ {4}main:\n {6}Image: +example:1$/,
			/^OldReplicaSets: +web-old \(0\/1 replicas created\)$/,
			/^NewReplicaSet: +web-new \(0\/2 replicas created\)$/,
			/^Events: +<none>$/,
		),
		undefined,
	);
});

test('a replica set shows who controls it and how its pods are', async (t) => {
	t.is(
		inOrder(
			await run.ok('describe', 'rs', 'web-new'),
			/^Controlled By: +Deployment\/web$/,
			/^Replicas: +0 current \/ 2 desired$/,
			/^Pods Status: +1 Running \/ 0 Waiting \/ 0 Succeeded \/ 0 Failed$/,
		),
		undefined,
	);
});

test('sets of pods with places and of nodes show what they want, have, and why not', async (t) => {
	const selector = { matchLabels: { app: 'none' } };
	const labelled = { ...template, metadata: { labels: { app: 'none' } } };
	const claim = {
		accessModes: ['ReadWriteOnce'],
		resources: { requests: { storage: '1Gi' } },
		storageClassName: 'fast',
	};
	const why = { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'exceeded quota' };
	const made = await client.create(StatefulSet, {
		apiVersion: 'apps/v1',
		kind: 'StatefulSet',
		metadata: inDefault('db'),
		spec: {
			serviceName: 'db',
			replicas: 3,
			selector,
			template: labelled,
			volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: claim }],
		},
	});
	await client.update(StatefulSet, { ...made, status: { replicas: 2, conditions: [why] } }, { subresource: 'status' });
	t.is(
		inOrder(
			await run.ok('describe', 'sts', 'db'),
			/^Name: +db$/,
			/^Selector: +app=none$/,
			/^Replicas: +3 desired \| 2 total$/,
			/^Update Strategy: +RollingUpdate$/,
			/^Partition: +0$/,
			/^Pods Status: +0 Running \/ 0 Waiting \/ 0 Succeeded \/ 0 Failed$/,
			/^Pod Template:/,
			/^ {2}data +fast +1Gi +RWO$/,
			/^ {2}ReplicaFailure +True +FailedCreate +exceeded quota$/,
		),
		undefined,
	);
	await client.create(DaemonSet, {
		apiVersion: 'apps/v1',
		kind: 'DaemonSet',
		metadata: inDefault('logs'),
		spec: { selector, template: { ...labelled, spec: { ...labelled.spec, nodeSelector: { disk: 'ssd' } } } },
	});
	t.is(
		inOrder(
			await run.ok('describe', 'ds', 'logs'),
			/^Node-Selector: +disk=ssd$/,
			/^Desired Number of Nodes Scheduled: +0$/,
			/^Number of Nodes Misscheduled: +0$/,
			/^Pods Status: +0 Running/,
		),
		undefined,
	);
	await client.create(ReplicationController, {
		apiVersion: 'v1',
		kind: 'ReplicationController',
		metadata: inDefault('old'),
		spec: { replicas: 2, template: labelled },
	});
	t.is(
		inOrder(await run.ok('describe', 'rc', 'old'), /^Selector: +app=none$/, /^Replicas: +0 current \/ 2 desired$/),
		undefined,
	);
});

test('a service shows its addresses and the endpoints that are ready', async (t) => {
	t.is(
		inOrder(
			await run.ok('describe', 'svc', 'web'),
			/^Selector: +app=web$/,
			/^Type: +ClusterIP$/,
			/^IP: +10\.\d+\.\d+\.\d+$/,
			/^Port: +http {2}80\/TCP\nTargetPort: +http\/TCP\nEndpoints: +10\.244\.0\.9:8080$/,
			/^Session Affinity: +None$/,
		),
		undefined,
	);
});

test('a node shows its taints, its pods and what they ask of it', async (t) => {
	t.is(
		inOrder(
			await run.ok('describe', 'node', 'node-1'),
			/^Roles: +worker$/,
			/^Taints: +only=web:NoSchedule$/,
			/^Unschedulable: +false$/,
			/^ {2}Ready {2}True +Sat, 31 Jan 2026 12:00:00 \+0000 .* KubeletReady {2}it is$/,
			/^ {2}InternalIP: {2}10\.0\.0\.7$/,
			/^Capacity:\n {2}cpu: +2\n {2}memory: +1Gi$/,
			/^PodCIDR: +10\.244\.0\.0\/24$/,
			/^Non-terminated Pods \(1 in total\):$/,
			/^ {2}default +web-new-1 +250m \(12%\) +0 \(0%\) +64Mi \(6%\) +128Mi \(12%\) +\d+s$/,
			/^ {2}cpu +250m \(12%\) +0 \(0%\)$/,
		),
		undefined,
	);
});

test('an application shows its source, its state and its drifted fields', async (t) => {
	t.is(
		inOrder(
			await run.ok('describe', 'application', 'shop'),
			/^Source:\n {2}Repo URL: +https:\/\/git\.example\.com\/shop\.git\n {2}Target Revision: {2}main\n {2}Path: +prod$/,
			/^Sync Policy: +Automated, prune$/,
			/^Sync Status: +OutOfSync$/,
			/^Health: +Degraded$/,
			/^ {2}Deployment\.apps {2}shop +web +OutOfSync +\.spec\.replicas$/,
		),
		undefined,
	);
});

test('a config map shows its entries, and a secret only how long they are', async (t) => {
	t.is(inOrder(await run.ok('describe', 'cm', 'settings'), /^Data:\n {2}app\.conf:\n {4}a = 1\n {4}b = 2$/), undefined);
	const secret = await run.ok('describe', 'secret', 'login');
	t.is(inOrder(secret, /^Type: +Opaque$/, /^Data:\n {2}password: {2}7 bytes$/), undefined);
	t.notRegex(secret, /hunter2|aHVudGVyMg/);
});

test('kinds without a description of their own show all their fields in words', async (t) => {
	t.is(
		inOrder(
			await run.ok('describe', 'endpointslices', 'web-1'),
			/^Name: +web-1$/,
			/^API Version: +discovery\.k8s\.io\/v1$/,
			/^Address Type: +IPv4$/,
			/^Endpoints:\n {2}Addresses:\n {4}10\.244\.0\.9$/,
		),
		undefined,
	);
});

test('the beginning of a name is enough, several objects are apart, and nothing found is told', async (t) => {
	t.regex(await run.ok('describe', 'pod', 'web-new'), /^Name: +web-new-1$/m);
	const both = await run.ok('describe', 'rs');
	t.regex(both, /\n\n\nName: +web-old\n/);
	const none = await run('describe', 'pod', 'nobody');
	t.deepEqual([none.code, none.stderr], [1, 'error: pods "nobody" not found\n']);
	t.is((await run('describe', 'leases')).stderr, 'No resources found in default namespace.\n');
	t.notRegex(await run.ok('describe', 'pod', 'web-new-1', '--show-events=false'), /^Events/m);
});
