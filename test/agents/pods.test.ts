/** Pods on a real engine: how they start, fail, restart, are probed and end. */
import { readdir, readFile } from 'node:fs/promises';
import test from 'ava';
import { ConfigMap, Pod, Secret } from '../../src/kinds/index.ts';
import { startEtcd } from '../testbed/etcd.ts';
import { condition, eventually, ready, restarts, running, startNode, type TestNode, WAIT } from './node.ts';

let node: TestNode;

test.before(async () => {
	node = await startNode();
	await node.runAgent();
});
test.after.always(async () => {
	await node?.[Symbol.asyncDispose]();
});

const shell = (script: string) => ['sh', '-c', script];
const main = (pod: Pod) => pod.status?.containerStatuses?.[0];
const text = async (pod: Pod, path: string) =>
	(await fetch(`http://${pod.status?.podIP}:8080/${path}`, { headers: { connection: 'close' } })).text();
/** A web server of the files below `root`. */
const serve = (root: string, before = 'true') => shell(`${before}; exec httpd -f -p 8080 -h ${root}`);

test('a pod runs with an address, names, variables and a status as a kubelet reports it', async (t) => {
	await node.client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'settings', namespace: 'default' },
		data: { colour: 'green', SIZE: 'large' },
	});
	await node.client.create(Secret, {
		apiVersion: 'v1',
		kind: 'Secret',
		metadata: { name: 'password', namespace: 'default' },
		data: { value: Buffer.from('geheim').toString('base64') },
	});
	await node.pod(
		'env',
		{
			hostAliases: [{ ip: '10.9.8.7', hostnames: ['elsewhere'] }],
			containers: [
				{
					name: 'main',
					command: serve('/tmp', '(env; echo ARGS $0; hostname) > /tmp/env; cp /etc/hosts /etc/resolv.conf /tmp'),
					args: ['$(GREETING)-$$(GREETING)-$(NOBODY)'],
					resources: { limits: { memory: '64Mi', cpu: '500m' } },
					envFrom: [{ prefix: 'CFG_', configMapRef: { name: 'settings' } }],
					env: [
						{ name: 'COLOUR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } },
						{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'password', key: 'value' } } },
						{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
						{ name: 'ROLE', valueFrom: { fieldRef: { fieldPath: "metadata.labels['role']" } } },
						{ name: 'MEGABYTES', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } },
						{ name: 'GREETING', value: 'hello $(COLOUR)' },
					],
				} as never,
			],
		},
		{ labels: { role: 'front' } },
	);
	const pod = await node.until('env', running);
	const { status } = pod;
	const env = await eventually('the server answers', () => text(pod, 'env').catch(() => undefined));
	for (const line of [
		'COLOUR=green',
		'CFG_SIZE=large',
		'PASSWORD=geheim',
		`POD_IP=${status?.podIP}`,
		'ROLE=front',
		'MEGABYTES=64',
		'GREETING=hello green',
		'ARGS hello green-$(GREETING)-$(NOBODY)',
		'env',
	]) {
		t.true(env.split('\n').includes(line), `${line} in ${env}`);
	}
	t.regex(await text(pod, 'hosts'), new RegExp(`${status?.podIP}\tenv\n(.*\\n)*10.9.8.7\telsewhere`));
	t.regex(
		await text(pod, 'resolv.conf'),
		/nameserver 10\.96\.0\.10\nsearch default\.svc\.cluster\.local svc\.cluster\.local cluster\.local/,
	);

	t.is(status?.qosClass, 'Guaranteed');
	t.is(status?.hostIP, '127.0.0.1');
	t.like(main(pod), { restartCount: 0, ready: true, started: true });
	t.regex(main(pod)?.containerID ?? '', /^docker:\/\/[0-9a-f]{64}$/);
	t.regex(main(pod)?.imageID ?? '', /^docker:\/\/sha256:/);
	for (const type of ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled']) {
		t.is(condition(pod, type), 'True', type);
	}
	await node.untilEvent('env', /^Started/);
	t.deepEqual(await node.events('env'), [
		'Pulled: Container image "driftless/example:1" already present on machine',
		'Created: Created container: main',
		'Started: Started container main',
	]);
	const [container] = (await node.containers()).filter(({ name }) => name === 'env/main');
	const { HostConfig, Name } = await node.engine.docker.getContainer(container?.id ?? '').inspect();
	t.is(Name, `/k8s_main_env_default_${pod.metadata.uid}_0`);
	t.like(HostConfig, { Memory: 64 * 1024 * 1024, CpuQuota: 50_000, CpuShares: 512 });
	const network = await node.engine.docker.getNetwork('driftless').inspect();
	t.is(network.Options?.['com.docker.network.bridge.gateway_mode_ipv4'], 'nat-unprotected');
});

test('a pod whose containers end is Succeeded or Failed, with what they left as their message', async (t) => {
	await node.pod('good', {
		restartPolicy: 'Never',
		containers: [{ name: 'main', command: shell('echo done > /dev/termination-log') }],
	});
	await node.pod('bad', { restartPolicy: 'Never', containers: [{ name: 'main', command: shell('exit 3') }] });
	const good = await node.until('good', (pod) => pod.status?.phase === 'Succeeded');
	t.like(main(good)?.state?.terminated, { exitCode: 0, reason: 'Completed', message: 'done\n' });
	t.is(good.status?.conditions?.find(({ type }) => type === 'Ready')?.reason, 'PodCompleted');
	const bad = await node.until('bad', (pod) => pod.status?.phase === 'Failed');
	t.like(main(bad)?.state?.terminated, { exitCode: 3, reason: 'Error' });
	await eventually('their sandboxes have stopped', async () =>
		(await node.containers())
			.filter(({ name }) => name === 'good/POD' || name === 'bad/POD')
			.every(({ state }) => state === 'exited'),
	);
});

test('a container that keeps failing is restarted, then waits in CrashLoopBackOff; its last end is remembered', async (t) => {
	await node.pod('crash', { containers: [{ name: 'main', command: shell('echo try; exit 7') }] });
	const pod = await node.until('crash', (one) => main(one)?.state?.waiting?.reason === 'CrashLoopBackOff');
	t.is(restarts(pod), 1, 'the first restart does not wait');
	t.is(pod.status?.phase, 'Running');
	t.is(
		main(pod)?.state?.waiting?.message,
		`back-off 10s restarting failed container=main pod=crash_default(${pod.metadata.uid})`,
	);
	t.like(main(pod)?.lastState?.terminated, { exitCode: 7, reason: 'Error' });
	await node.untilEvent('crash', /^BackOff: Back-off restarting failed container main in pod crash_default/);
	await eventually(
		'one dead container is kept',
		async () => (await node.containers()).filter(({ name }) => name === 'crash/main').length === 1,
	);
});

test('a container that takes more memory than it may is OOMKilled', async (t) => {
	// The engine may miss what the kernel does to a container's last process: its cgroup is gone before it has looked.
	const eater = "sh -c 'x=a; while true; do x=$x$x; done'; code=$?; sleep 1; exit $code";
	await node.pod('hungry', {
		restartPolicy: 'Never',
		containers: [{ name: 'main', command: shell(eater), resources: { limits: { memory: '16Mi' } } }],
	});
	const pod = await node.until('hungry', (one) => one.status?.phase === 'Failed');
	t.like(main(pod)?.state?.terminated, { reason: 'OOMKilled', exitCode: 137 });
});

test('an image that does not exist is ErrImagePull, then ImagePullBackOff, and Never does not even try', async (t) => {
	await node.pod('absent', { containers: [{ name: 'main', image: '127.0.0.1:1/nowhere/absent:1' }] });
	await node.pod('never-pull', {
		containers: [{ name: 'main', image: 'driftless/absent:1', imagePullPolicy: 'Never' }],
	});
	await node.until('absent', (pod) => main(pod)?.state?.waiting?.reason === 'ErrImagePull');
	const pod = await node.until('absent', (one) => main(one)?.state?.waiting?.reason === 'ImagePullBackOff');
	t.regex(main(pod)?.state?.waiting?.message ?? '', /Back-off pulling image "127.0.0.1:1\/nowhere\/absent:1"/);
	t.is(pod.status?.phase, 'Pending');
	await node.untilEvent('absent', /^Failed: Failed to pull image "127.0.0.1:1\/nowhere\/absent:1": Get .*refused/);
	const never = await node.until('never-pull', (one) => main(one)?.state?.waiting?.reason === 'ErrImageNeverPull');
	t.is(
		main(never)?.state?.waiting?.message,
		'Container image "driftless/absent:1" is not present with pull policy of Never',
	);
});

test('a command that does not exist is told with its name, as a start that failed', async (t) => {
	await node.pod('no-command', {
		restartPolicy: 'Never',
		containers: [{ name: 'main', command: ['/no/such/program'] }],
	});
	const pod = await node.until('no-command', (one) => one.status?.phase === 'Failed');
	t.like(main(pod)?.state?.terminated, { exitCode: 128, reason: 'StartError' });
	t.regex(main(pod)?.state?.terminated?.message ?? '', /\/no\/such\/program/);
	await node.untilEvent('no-command', /^Failed: Error: .*\/no\/such\/program/);
});

test('a container whose config map is missing waits and says so, and starts when it is there', async (t) => {
	await node.pod('patient', {
		containers: [{ name: 'main', command: WAIT, envFrom: [{ configMapRef: { name: 'later' } }] }],
	});
	const waiting = await node.until(
		'patient',
		(pod) => main(pod)?.state?.waiting?.reason === 'CreateContainerConfigError',
	);
	t.is(main(waiting)?.state?.waiting?.message, 'configmap "later" not found');
	await node.client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'later', namespace: 'default' },
		data: { A: 'b' },
	});
	t.is(restarts(await node.until('patient', running)), 0);
});

test('init containers run one after the other before the others; a sidecar runs on beside them', async (t) => {
	await node.pod('staged', {
		volumes: [{ name: 'shared', emptyDir: {} }],
		initContainers: [
			{
				name: 'first',
				command: shell('echo first >> /shared/order'),
				volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
			},
			{
				name: 'side',
				restartPolicy: 'Always',
				command: shell('echo side >> /shared/order; trap "exit 0" TERM; sleep 3600 & wait'),
				volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
			},
			{
				name: 'second',
				command: shell('sleep 0.2; echo second >> /shared/order'),
				volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
			},
		],
		containers: [
			{
				name: 'main',
				command: serve('/shared', 'echo main >> /shared/order'),
				volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
			},
		],
	});
	await node.until('staged', (pod) => condition(pod, 'Initialized') === 'False');
	const pod = await node.until('staged', running);
	const order = await eventually('the server answers', () => text(pod, 'order').catch(() => undefined));
	t.is(order, 'first\nside\nsecond\nmain\n');
	const init = pod.status?.initContainerStatuses ?? [];
	t.deepEqual(
		init.map(({ name, state }) => `${name} ${Object.keys(state ?? {})[0]}`),
		['first terminated', 'side running', 'second terminated'],
	);
	t.true(init.every(({ ready }) => ready));
});

test('an init container that fails for good fails its pod, and nothing else of it starts', async (t) => {
	await node.pod('stuck', {
		restartPolicy: 'Never',
		initContainers: [{ name: 'check', command: shell('exit 1') }],
		containers: [{ name: 'main', command: WAIT }],
	});
	const pod = await node.until('stuck', (one) => one.status?.phase === 'Failed');
	t.is(condition(pod, 'Initialized'), 'False');
	t.like(main(pod)?.state?.waiting, { reason: 'PodInitializing' });
	t.false((await node.containers()).some(({ name }) => name === 'stuck/main'));
});

test('readiness follows its probe; a failing liveness probe restarts the container with the events that say why', async (t) => {
	const often = { periodSeconds: 1, failureThreshold: 1 };
	await node.pod('probed', {
		containers: [
			{
				name: 'main',
				command: serve('/tmp', 'touch /tmp/alive /tmp/started'),
				ports: [{ name: 'web', containerPort: 8080 }],
				startupProbe: { ...often, failureThreshold: 20, exec: { command: ['test', '-e', '/tmp/started'] } },
				readinessProbe: { ...often, httpGet: { path: '/ready', port: 'web' as never } },
				livenessProbe: { ...often, exec: { command: ['test', '-e', '/tmp/alive'] } },
			},
			{
				name: 'other',
				command: shell('exec nc -ll -p 9090 -e cat'),
				readinessProbe: { ...often, tcpSocket: { port: 9090 as never } },
			},
		],
	});
	const started = await node.until(
		'probed',
		(pod) => main(pod)?.started === true && pod.status?.containerStatuses?.[1]?.ready === true,
	);
	t.false(ready(started), 'no readiness before its probe says so');
	await node.untilEvent('probed', /^Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404/);
	const inside = async (script: string) => {
		const [container] = (await node.containers()).filter(
			(one) => one.name === 'probed/main' && one.state === 'running',
		);
		const exec = await node.engine.docker.getContainer(container?.id ?? '').exec({ Cmd: shell(script) });
		await exec.start({});
	};
	await inside('touch /tmp/ready');
	await node.until('probed', ready);
	await inside('rm /tmp/ready');
	await node.until('probed', (pod) => !ready(pod));
	t.is(restarts(await node.get('probed')), 0);
	await inside('rm /tmp/alive');
	const restarted = await node.until('probed', (pod) => restarts(pod) === 1 && main(pod)?.started === true);
	t.is(restarted.status?.containerStatuses?.[1]?.restartCount, 0, 'only the container that failed');
	await node.untilEvent('probed', /^Killing: Container main failed liveness probe, will be restarted/);
});

test('an HTTP probe sends the headers that it is told, follows redirects on its host, and warns of one that leaves it', async (t) => {
	const redirect = (to: string) => `#!/bin/sh\nprintf 'Status: 302 Found\\r\\nLocation: ${to}\\r\\n\\r\\n'\n`;
	await node.client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'pages', namespace: 'default' },
		data: {
			near: redirect('/cgi-bin/asked?by=redirect'),
			away: redirect('http://127.0.0.9/'),
			asked: '#!/bin/sh\nenv > /tmp/asked\nprintf "\\r\\n\\r\\n"\n',
		},
	});
	const every = { periodSeconds: 1, failureThreshold: 1 };
	const port = 8080 as never;
	const httpHeaders = [
		{ name: 'Host', value: 'shop.example' },
		{ name: 'X-Token', value: 'a' },
	];
	await node.pod('redirected', {
		volumes: [{ name: 'pages', configMap: { name: 'pages', defaultMode: 0o755 } }],
		containers: [
			{
				name: 'main',
				command: serve('/tmp'),
				volumeMounts: [{ name: 'pages', mountPath: '/tmp/cgi-bin' }],
				startupProbe: { ...every, failureThreshold: 20, tcpSocket: { port } },
				readinessProbe: { ...every, httpGet: { path: '/cgi-bin/near', port, httpHeaders } },
				livenessProbe: { ...every, httpGet: { path: '/cgi-bin/away', port } },
			},
		],
	});
	const pod = await node.until('redirected', running);
	const asked = (await text(pod, 'asked')).split('\n');
	for (const line of ['HTTP_HOST=shop.example', 'HTTP_X_TOKEN=a', 'QUERY_STRING=by=redirect']) {
		t.true(asked.includes(line), `${line} in ${asked.join(' ')}`);
	}
	await node.untilEvent(
		'redirected',
		/^ProbeWarning: Liveness probe warning: Probe terminated redirects, Response body:/,
	);
	t.is(restarts(await node.get('redirected')), 0);
});

test('a gRPC server is asked for its health, of the service that the probe names', async (t) => {
	await using etcd = await startEtcd();
	const [endpoint = ''] = etcd.endpoints;
	const port = Number(endpoint.split(':')[1]);
	const probe = (service: string) => ({ grpc: { port, service }, periodSeconds: 1, failureThreshold: 1 });
	// A pod on its machine's network has the machine's address, where the server is.
	await node.pod('rpc', {
		hostNetwork: true,
		containers: [
			{ name: 'main', command: WAIT, readinessProbe: probe('') },
			{ name: 'other', command: WAIT, readinessProbe: probe('no.such.Service') },
		],
	});
	const readyOf = (pod: Pod, name: string) => pod.status?.containerStatuses?.find((one) => one.name === name)?.ready;
	await node.until('rpc', (pod) => readyOf(pod, 'main') === true);
	await node.untilEvent('rpc', /^Unhealthy: Readiness probe failed: error: health rpc probe failed: .*unknown service/);
	t.false(readyOf(await node.get('rpc'), 'other'));
	await etcd.kill(0);
	await node.until('rpc', (pod) => readyOf(pod, 'main') === false);
	await node.untilEvent(
		'rpc',
		new RegExp(
			`^Unhealthy: Readiness probe failed: timeout: failed to connect service "127.0.0.1:${port}" within 1s: dial tcp 127.0.0.1:${port}: connect: connection refused`,
		),
	);
});

test('a hook has told its server whatever that answers; a pod that goes is not probed for its life any more', async (t) => {
	const port = 8080 as never;
	await node.pod('leaving', {
		terminationGracePeriodSeconds: 5,
		containers: [
			{
				name: 'main',
				command: shell(
					'trap "sleep 3; exit 0" TERM; touch /tmp/alive; httpd -f -p 8080 -h /tmp & while true; do sleep 0.1; done',
				),
				livenessProbe: { periodSeconds: 1, failureThreshold: 1, exec: { command: ['test', '-e', '/tmp/alive'] } },
				startupProbe: { periodSeconds: 1, failureThreshold: 30, tcpSocket: { port } },
				lifecycle: { preStop: { httpGet: { path: '/no-such-page', port } } },
			},
		],
	});
	await node.until('leaving', running);
	const [container] = (await node.containers()).filter(({ name }) => name === 'leaving/main');
	await node.client.delete(Pod, { namespace: 'default', name: 'leaving' });
	const exec = await node.engine.docker.getContainer(container?.id ?? '').exec({ Cmd: ['rm', '/tmp/alive'] });
	await exec.start({});
	await node.untilGone('leaving');
	const events = await node.events('leaving');
	t.true(events.includes('Killing: Stopping container main'));
	t.false(
		events.some((event) => event.startsWith('FailedPreStopHook') || event.startsWith('Unhealthy: Liveness')),
		events.join('\n'),
	);
});

test('a pod whose time is up is Failed, and an event says so', async (t) => {
	await node.pod('late', { activeDeadlineSeconds: 1 });
	const pod = await node.until('late', ({ status }) => status?.phase === 'Failed');
	const message = 'Pod was active on the node longer than the specified deadline';
	t.like(pod.status, { reason: 'DeadlineExceeded', message });
	await node.untilEvent('late', new RegExp(`^DeadlineExceeded: ${message}$`));
});

test('a deleted pod stops by its preStop hook and its signal, in its grace, and leaves nothing behind', async (t) => {
	await node.client.create(ConfigMap, {
		apiVersion: 'v1',
		kind: 'ConfigMap',
		metadata: { name: 'witness', namespace: 'default' },
		data: {},
	});
	const folder = `${node.engine.dataDir}/witness`;
	const pod = await node.pod('graceful', {
		// It does not wait for its grace to pass.
		terminationGracePeriodSeconds: 3600,
		volumes: [{ name: 'out', hostPath: { path: folder, type: 'DirectoryOrCreate' } }],
		containers: [
			{
				name: 'main',
				command: shell('trap "echo term >> /out/log; exit 0" TERM; sleep 3600 & wait'),
				lifecycle: {
					preStop: { exec: { command: shell('echo hook >> /out/log') } },
					postStart: { exec: { command: shell('echo start >> /out/log') } },
				},
				volumeMounts: [{ name: 'out', mountPath: '/out' }],
			},
		],
	});
	await node.until('graceful', running);
	await node.hears('graceful');
	await node.client.delete(Pod, { namespace: 'default', name: 'graceful' });
	await node.untilGone('graceful');
	t.is(await readFile(`${folder}/log`, 'utf8'), 'start\nhook\nterm\n');
	t.false((await node.containers()).some(({ name }) => name.startsWith('graceful/')));
	t.false((await readdir(`${node.engine.dataDir}/pods`)).includes(pod.metadata.uid ?? ''));
	t.true((await node.events('graceful')).includes('Killing: Stopping container main'));
});

test('a pod that does not heed its signal is killed when its grace is over', async (t) => {
	await node.pod('deaf', {
		terminationGracePeriodSeconds: 1,
		containers: [{ name: 'main', command: shell('trap "" TERM; while true; do sleep 1; done') }],
	});
	await node.until('deaf', running);
	await node.client.delete(Pod, { namespace: 'default', name: 'deaf' });
	await node.untilGone('deaf');
	t.false((await node.containers()).some(({ name }) => name.startsWith('deaf/')));
});

test('a pod of another node is none of ours', async (t) => {
	await node.pod('foreign', { nodeName: 'node-2' });
	await node.pod('near', {});
	await node.until('near', running);
	t.false((await node.containers()).some(({ name }) => name.startsWith('foreign/')));
	t.is((await node.get('foreign')).status?.containerStatuses, undefined);
});

test('a pod serves on a port of its machine, or on the machine’s own network', async (t) => {
	const web = { name: 'main', command: serve('/www') };
	await node.pod('published', { containers: [{ ...web, ports: [{ containerPort: 8080, hostPort: 18_080 }] }] });
	await node.pod('host', {
		hostNetwork: true,
		containers: [{ ...web, command: shell('exec httpd -f -p 18081 -h /www') }],
	});
	await node.until('published', running);
	const host = await node.until('host', running);
	t.is(host.status?.podIP, '127.0.0.1', 'its address is the node’s');
	for (const port of [18_080, 18_081]) {
		const page = await eventually(`port ${port} answers`, () =>
			node.engine.exec(`busybox wget -q -O - http://${node.engine.address}:${port}/`).catch(() => undefined),
		);
		t.is(page, 'driftless\n');
	}
	await node.pod('second', { containers: [{ ...web, ports: [{ containerPort: 8080, hostPort: 18_080 }] }] });
	await node.until('second', ({ status }) => status?.phase === 'Failed' && status.reason === 'NodePorts');
	// One that somebody else has is not the node's to know.
	await node.pod('third', { containers: [{ ...web, ports: [{ containerPort: 8080, hostPort: 18_081 }] }] });
	await node.untilEvent('third', /^FailedCreatePodSandBox: .*18081.*(already allocated|in use)/);
});
